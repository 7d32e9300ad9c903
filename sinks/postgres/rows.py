"""
Facts as rows of `facts_in`. Owns: the order of the columns and what Postgres cannot hold. Does not own: SQL.

The exact bytes are always in `value`, so what Postgres cannot hold in a searchable column may be changed there: its text has
no U+0000, which becomes U+FFFD, and a proof's seq beyond 64 bits is 0, which no fact has. Payloads that jsonb refuses become
NULL (the merge decides, `pg_input_is_valid`).
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from z0.domain.facts import NO_DATA, Source, StoredFact
from z0.log.reader import Read

_FIELDS: Final = StoredFact.__struct_fields__
_DATA, _SEALED, _CONFIGS, _CAUSE, _SOURCE, _COUNTED, _USAGE, _WARNINGS = (
    _FIELDS.index(name) for name in ("data", "sealed", "configs", "cause", "source", "counted", "usage", "warnings")
)
# `offset` and `partition` are words of SQL; `cause` is three columns and `source` five, the first at the field's own place.
_NAMES: Final = {"offset": "log_offset", "cause": "cause_topic", "source": "proof_id"}
COLUMNS: Final = (
    *(_NAMES.get(field, field) for field in _FIELDS),
    "cause_partition", "cause_offset", "proof_ledger_id", "proof_seq", "proof_hash", "proof_checked",
    "log_partition", "log_time", "value",
)  # fmt: skip
_SEQ_MAX: Final = 2**63 - 1  # of bigint
_NO_CAUSE: Final = (None, None)
_NO_PROOF: Final = (None, None, None, None)
# How JSON writes U+0000; also found in an escaped backslash before `u0000`, which only costs the slower way.
_NUL_ESCAPED: Final = b"\\u0000"
_astuple = msgspec.structs.astuple
_encode = msgspec.json.Encoder().encode


def rows(partition: int, reads: list[Read]) -> Iterator[Sequence[Any]]:
    """One row a valid fact, in the order of `COLUMNS`: the struct's own order, so that it is one cheap call a fact."""
    for read in reads:
        fact = read.fact
        assert fact is not None, "only valid facts are kept"
        row: list[Any] = list(_astuple(fact))
        row[_DATA], row[_SEALED], row[_CONFIGS] = _text(fact.data), _text(fact.sealed), _text(fact.configs)
        row[_COUNTED], row[_USAGE], row[_WARNINGS] = _json(fact.counted), _json(fact.usage), _json(fact.warnings)
        cause, source = fact.cause, fact.source
        row[_CAUSE] = cause.topic if cause is not None else None
        row[_SOURCE] = source.id if source is not None else None
        row += (cause.partition, cause.offset) if cause is not None else _NO_CAUSE
        row += _proof(source) if source is not None else _NO_PROOF
        row += (partition, read.timestamp_ms, read.value)
        yield without_nul(row) if _NUL_ESCAPED in read.value else row


def _proof(source: Source) -> tuple[str, int, str, bool | None]:
    seq = source.seq if 0 < source.seq <= _SEQ_MAX else 0
    return source.ledger_id, seq, source.hash, source.checked


def without_nul(row: Sequence[Any]) -> Sequence[Any]:
    """The row with U+0000 replaced in its texts."""
    return [value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in row]


def _json(value: object) -> str | None:
    return _encode(value).decode() if value is not None else None


def _text(raw: msgspec.Raw) -> str | None:
    # The bytes are the caller's: not checked to be UTF-8 inside a payload.
    return bytes(raw).decode("utf-8", "replace") if raw is not NO_DATA else None
