"""
Windows of caps: hours, days and months of a time zone. Owns: where the window around a moment begins and ends.

Windows tile time: each moment is in one, and the next begins where one ends, across changes of the clock too. The rules of time
zones are those of the package `tzdata`, not the machine's, so that all workers of a release cut alike; what was counted
where stands on the facts, so a replay does not ask again.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from importlib import resources
from typing import Final
from zoneinfo import ZoneInfo

from z0.domain.policy import FOR_EVER_MS, Window

Bounds = Callable[[int], tuple[int, int]]
HOUR_MS: Final = 3_600_000
_AROUND_HOURS: Final = 36  # local midnight is never further from the same midnight in UTC, with a change of the clock on top


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(resources.files("tzdata").joinpath("zones").read_text().split())


def is_zone(name: str) -> bool:
    """Whether the IANA database has a zone of that name."""
    return name in _zone_names()


@lru_cache(maxsize=1024)
def zone(name: str) -> tzinfo:
    """
    The time zone of a known name.

    Raises:
        ValueError: there is none.
    """
    if not is_zone(name):
        raise ValueError(f"there is no time zone {name!r}")
    *folders, last = name.split("/")
    with resources.files(".".join(["tzdata.zoneinfo", *folders])).joinpath(last).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


@lru_cache(maxsize=8192)  # all zones times windows: entities share the last answer
def bounds_of(window: Window, zone_name: str) -> Bounds:
    """The function that gives the window around a moment: its first and its next one's first millisecond."""
    match window:
        case Window.TOTAL | Window.IN_FLIGHT:
            return _for_ever
        case Window.HOUR:
            return _remembering(_hour, zone(zone_name))
        case Window.DAY:
            return _remembering(_day, zone(zone_name))
        case Window.MONTH:
            return _remembering(_month, zone(zone_name))


def _for_ever(_at_ms: int) -> tuple[int, int]:
    return 0, FOR_EVER_MS


def _remembering(find: Callable[[int, tzinfo], tuple[int, int]], of: tzinfo) -> Bounds:
    last = (0, 0)

    def bounds(at_ms: int) -> tuple[int, int]:
        nonlocal last
        if not last[0] <= at_ms < last[1]:
            last = find(at_ms, of)
        return last

    return bounds


def _hour(at_ms: int, of: tzinfo) -> tuple[int, int]:
    """An hour as the clock on the wall shows it; one that the clock shows twice is two windows."""
    offset = _offset_ms(at_ms, of)
    start = (at_ms + offset) // HOUR_MS * HOUR_MS - offset
    end = start + HOUR_MS
    if _offset_ms(start, of) != offset:
        start = _change(start, at_ms, of)
    if _offset_ms(end - 1, of) != offset:
        end = _change(at_ms, end - 1, of)
    return start, end


def _day(at_ms: int, of: tzinfo) -> tuple[int, int]:
    """
    From the first moment of a date to the first moment of a later one.

    "First": where the clock is put back over midnight, the hour before midnight that comes again belongs to the new day.
    """
    day = _local(at_ms, of).date()
    while _first(day + timedelta(1), of) <= at_ms:
        day += timedelta(1)
    return _first(day, of), _first(day + timedelta(1), of)


def _month(at_ms: int, of: tzinfo) -> tuple[int, int]:
    """From the first moment of its first day to that of the next month."""
    month = _local(at_ms, of).date().replace(day=1)
    if _first(_next_month(month), of) <= at_ms:
        month = _next_month(month)
    return _first(month, of), _first(_next_month(month), of)


def _next_month(month: date) -> date:
    return (month + timedelta(32)).replace(day=1)


def _first(day: date, of: tzinfo) -> int:
    """The first moment at which the local date is `day` or later: a midnight on the wall, or a jump of the clock over it."""
    midnight = _ms(datetime(day.year, day.month, day.day, tzinfo=UTC))
    around = range(midnight - _AROUND_HOURS * HOUR_MS, midnight + (_AROUND_HOURS + 1) * HOUR_MS, HOUR_MS)
    offsets = [_offset_ms(at, of) for at in around]
    found = [midnight - offset for offset in set(offsets)]
    found += [_change(at - HOUR_MS, at, of) for at, a, b in zip(around[1:], offsets, offsets[1:], strict=False) if a != b]
    return min(at for at in found if _local(at, of).date() >= day)


def _change(before: int, after: int, of: tzinfo) -> int:
    """The first millisecond between two that has another offset than the first."""
    offset = _offset_ms(before, of)
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (middle, after) if _offset_ms(middle, of) == offset else (before, middle)
    return after


def _local(at_ms: int, of: tzinfo) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, of)


def _offset_ms(at_ms: int, of: tzinfo) -> int:
    offset = _local(at_ms, of).utcoffset()
    assert offset is not None, "an aware time"
    return (offset.days * 86_400 + offset.seconds) * 1000


def _ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000
