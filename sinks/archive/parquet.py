"""
A range of records as one Parquet object. Owns: the columns and the writer's settings. Pure.

The settings are fixed, so the same records give the same bytes with the same writer; the writer's version is in the
manifest. `value` is the record as the log stored it, to the byte; the other columns repeat what is in it for searching.
"""

from io import BytesIO
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from z0.log.ports import Record
from z0.log.reader import Read
from z0.log.validity import Standing
from z0.names import CLAIM_KEY

FORMAT: Final = 1
WRITER: Final = f"z0-archive/{FORMAT} pyarrow/{pa.__version__}"
SCHEMA: Final = pa.schema(
    [
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("standing", pa.string(), nullable=False),  # claim, valid or void
        pa.field("timestamp_ms", pa.int64(), nullable=False),
        pa.field("ledger_id", pa.string()),
        pa.field("seq", pa.int64()),
        pa.field("id", pa.string()),
        pa.field("hash", pa.string()),
        pa.field("type", pa.string()),
        pa.field("recorded_at", pa.int64()),
        pa.field("value", pa.binary(), nullable=False),
    ]
)
_NO_FACT: Final = (None,) * 6


class Columns:
    """Records being gathered, column by column: decoded facts are let go at once, only what is written is kept."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.bytes = 0

    def __len__(self) -> int:
        return len(self.rows)

    def extend(self, reads: list[Read]) -> None:
        """Take records in order."""
        for read in reads:
            fact = read.fact
            of_fact = (
                (fact.ledger_id, fact.seq, fact.id, fact.hash, fact.type, fact.recorded_at) if fact is not None else _NO_FACT
            )
            self.rows.append((read.offset, read.standing.value, read.timestamp_ms, *of_fact, read.value))
            self.bytes += len(read.value)


def encode(columns: Columns) -> bytes:
    """The object's bytes."""
    arrays = [pa.array(values, field.type) for values, field in zip(zip(*columns.rows, strict=True), SCHEMA, strict=True)]
    out = BytesIO()
    pq.write_table(
        pa.Table.from_arrays(arrays, schema=SCHEMA),
        out,
        row_group_size=len(columns),
        version="2.6",
        data_page_version="1.0",
        compression="zstd",
        compression_level=3,
        use_dictionary=["standing", "ledger_id", "type"],
        write_statistics=["offset", "timestamp_ms", "ledger_id", "seq", "type", "recorded_at"],
        store_schema=False,
    )
    return out.getvalue()


def decode(body: bytes) -> list[tuple[Record, str]]:
    """
    The records of an object, each with its standing as it was archived. The record's key is told from the standing.

    Raises:
        pyarrow.ArrowException: the bytes are no such object.
    """
    table = pq.read_table(BytesIO(body), columns=["offset", "standing", "timestamp_ms", "value"])
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    return [(Record(offset, _key(standing), value, at), standing) for offset, standing, at, value in rows]


def _key(standing: str) -> bytes:
    return CLAIM_KEY if standing == Standing.CLAIM else b""
