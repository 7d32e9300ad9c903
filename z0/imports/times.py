"""
Event times. Owns: turning a column's text into Unix milliseconds. Finer digits (the trace has 100 ns) are cut, never rounded up.
"""

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from z0.domain.commands import TIMESTAMP_MAX
from z0.imports.errors import BadValueError
from z0.imports.mapping import Time

VALUE_SHOWN: Final = 60  # characters of what was no time
ReadTime = Callable[[object], int]


def zone_of(name: str | None) -> tzinfo | None:
    """
    The zone of a mapping.

    Raises:
        ValueError: there is no such zone.
    """
    if name is None or name.upper() == "UTC":
        return UTC if name else None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name!r}") from None


def time_reader(spec: Time) -> ReadTime:
    """What reads the time column; raises `BadValueError` where it cannot."""
    zone = zone_of(spec.zone)
    if spec.format in ("unix_s", "unix_ms"):
        scale = Decimal(1000 if spec.format == "unix_s" else 1)
        return lambda value: _unix(value, scale)
    return lambda value: _milliseconds(_moment(value, spec.format), zone)


def _unix(value: object, scale: Decimal) -> int:
    try:
        at = Decimal(str(value).strip()) * scale
        if abs(at) > TIMESTAMP_MAX:  # also before it becomes an integer: one of a billion digits takes all there is
            raise BadValueError(f"no time before the year 10000: {str(value)[:VALUE_SHOWN]!r}")
        return int(at)
    except ArithmeticError:
        raise BadValueError(f"no time: {str(value)[:VALUE_SHOWN]!r}") from None


def _moment(value: object, pattern: str) -> datetime:
    if isinstance(value, datetime):  # a typed column of Parquet
        return value
    text = str(value).strip()
    try:
        return datetime.fromisoformat(text) if pattern == "iso" else datetime.strptime(text, pattern)  # noqa: DTZ007 - zone comes next
    except ValueError:
        raise BadValueError(f"no time of the form {pattern}: {text!r}") from None


def _milliseconds(moment: datetime, zone: tzinfo | None) -> int:
    if moment.tzinfo is None:
        if zone is None:
            raise BadValueError(f"time without zone ({moment}), and the mapping states none")
        moment = moment.replace(tzinfo=zone)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    # Integers only: `timestamp()` is a float and may land one millisecond off.
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
