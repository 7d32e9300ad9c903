"""
Facts as JSON lines for ClickHouse. Owns: the wide row and the data point. Pure.

The stored bytes of a fact are JSON already, so the wide row is those bytes with the place in the log put before the first
member: nothing is encoded twice, and the server reads decimals from their strings exactly.
"""

from typing import Any, Final

import msgspec

from z0.domain.facts import NO_DATA, StoredFact
from z0.log.reader import Read

INVOCATION: Final = "invocation"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def fact_line(partition: int, read: Read) -> bytes:
    """The row of table `facts`."""
    return b'{"partition":%d,"log_time":%d,%b' % (partition, read.timestamp_ms, read.value[1:])


def is_invocation(read: Read) -> bool:
    """Whether a fact leaves a data point."""
    return read.fact is not None and read.fact.type == INVOCATION


def point_line(partition: int, read: Read) -> bytes:
    """The row of table `z0_invocations`; what stands in which blob and double is said in its migration."""
    fact = read.fact
    assert fact is not None, "only valid facts leave points"
    data = _payload(fact)
    return _encode(
        {
            "timestamp": fact.timestamp // 1000,
            "tenant_id": fact.tenant_id,
            "index1": fact.tenant_id,
            "blob1": fact.asset_id or "",
            "blob2": fact.campaign_id or "",
            "blob3": fact.type,
            "blob4": fact.subtype or "",
            "blob5": fact.tool_id or "",
            "blob6": _error_code(data),
            "double1": float(fact.amount or 0),
            "double2": duration_ms(data),
            "double3": 1.0,
            "partition": partition,
            "offset": fact.offset,
        }
    )


def duration_ms(data: dict[str, Any]) -> float:
    """`duration_ms`, or `duration_seconds` in milliseconds; 0 where neither is a number. A metric may be a float."""
    for name, factor in (("duration_ms", 1), ("duration_seconds", 1000)):
        value = data.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value) * factor
    return 0.0


def _error_code(data: dict[str, Any]) -> str:
    value = data.get("error_code")
    return value if isinstance(value, str) else ""


def _payload(fact: StoredFact) -> dict[str, Any]:
    """The payload is the caller's: whatever is not an object gives a point without measurements."""
    if fact.data is NO_DATA:
        return {}
    try:
        data = _decode(fact.data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return data if isinstance(data, dict) else {}
