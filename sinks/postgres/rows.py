"""
Facts as rows of `facts_in`. Owns: the order of the columns and what Postgres cannot hold. Does not own: SQL.

The exact bytes are always in `value`, so what Postgres cannot hold in a searchable column may be changed there: its text has
no U+0000, which becomes U+FFFD. Payloads that jsonb refuses become NULL (the merge decides, `pg_input_is_valid`).
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from z0.domain.facts import NO_DATA, StoredFact
from z0.log.reader import Read

_FIELDS: Final = StoredFact.__struct_fields__
_DATA, _SEALED, _CAUSE = _FIELDS.index("data"), _FIELDS.index("sealed"), _FIELDS.index("cause")
# `offset` and `partition` are words of SQL; `cause` is three columns, the first at the field's own place.
_NAMES: Final = {"offset": "log_offset", "cause": "cause_topic"}
COLUMNS: Final = (
    *(_NAMES.get(field, field) for field in _FIELDS),
    "cause_partition", "cause_offset", "log_partition", "log_time", "value",
)  # fmt: skip
# How JSON writes U+0000; also found in an escaped backslash before `u0000`, which only costs the slower way.
_NUL_ESCAPED: Final = b"\\u0000"
_astuple = msgspec.structs.astuple


def rows(partition: int, reads: list[Read]) -> Iterator[Sequence[Any]]:
    """One row a valid fact, in the order of `COLUMNS`: the struct's own order, so that it is one cheap call a fact."""
    for read in reads:
        fact = read.fact
        assert fact is not None, "only valid facts are kept"
        row: list[Any] = list(_astuple(fact))
        row[_DATA], row[_SEALED] = _text(fact.data), _text(fact.sealed)
        cause = fact.cause
        if cause is None:
            row += (None, None, partition, read.timestamp_ms, read.value)
        else:
            row[_CAUSE] = cause.topic
            row += (cause.partition, cause.offset, partition, read.timestamp_ms, read.value)
        yield without_nul(row) if _NUL_ESCAPED in read.value else row


def without_nul(row: Sequence[Any]) -> Sequence[Any]:
    """The row with U+0000 replaced in its texts."""
    return [value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in row]


def _text(raw: msgspec.Raw) -> str | None:
    # The bytes are the caller's: not checked to be UTF-8 inside a payload.
    return bytes(raw).decode("utf-8", "replace") if raw is not NO_DATA else None
