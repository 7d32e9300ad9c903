"""
The versions of one config. Owns: which of them is in force when, found without looking at all of them.

In force at a moment is the highest version whose `effective_at` is not later. So of all versions only those count that no higher
one overtakes before their time, and of these numbers and times rise together: a search by halves finds the one of a moment.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import NamedTuple

import msgspec

from z0.domain.config import ConfigVersion
from z0.domain.policy import FOR_EVER_MS

_number = attrgetter("version")
_time = attrgetter("effective_at")


class Period(NamedTuple):
    """A version and the time in which it is in force: from its beginning up to, not including, its end."""

    version: ConfigVersion
    start_ms: int
    end_ms: int


class History:
    """Versions of one config, in whatever order they come."""

    def __init__(self, versions: Iterable[ConfigVersion] = ()) -> None:
        self._all: dict[int, ConfigVersion] = {}
        self._holding: list[ConfigVersion] = []  # those that are in force at some time, by version and by time
        for version in versions:
            self.add(version)

    def __contains__(self, number: int) -> bool:
        return number in self._all

    def __iter__(self) -> Iterator[ConfigVersion]:
        return (version for _, version in sorted(self._all.items()))

    def get(self, number: int) -> ConfigVersion | None:
        """The version of that number."""
        return self._all.get(number)

    @property
    def any(self) -> ConfigVersion:
        """One of them, to see what the config governs."""
        return next(iter(self._all.values()))

    def add(self, version: ConfigVersion) -> None:
        """Take a version that is not there yet. What all have in common is kept once."""
        if self._all:
            same = self.any
            version = msgspec.structs.replace(version, id=same.id, applies_to=same.applies_to, tenant_id=same.tenant_id)
        self._all[version.version] = version
        place = bisect_left(self._holding, version.version, key=_number)
        if place < len(self._holding) and self._holding[place].effective_at <= version.effective_at:
            return  # overtaken before its time
        first = bisect_left(self._holding, version.effective_at, hi=place, key=_time)
        self._holding[first:place] = [version]

    def at(self, at_ms: int) -> Period | None:
        """The version in force at a moment; None before the first."""
        place = bisect_right(self._holding, at_ms, key=_time)
        return self._period(place - 1) if place else None

    def next_change(self, at_ms: int) -> int:
        """When another version than the one in force at a moment comes into force."""
        place = bisect_right(self._holding, at_ms, key=_time)
        return self._holding[place].effective_at if place < len(self._holding) else FOR_EVER_MS

    def from_now(self, at_ms: int) -> list[ConfigVersion]:
        """The version in force at a moment, and those that will be."""
        return self._holding[max(0, bisect_right(self._holding, at_ms, key=_time) - 1) :]

    def was_possible(self, number: int) -> bool:
        """
        Whether there is a version of that number that some decision may have gone by.

        One that another of the very same moment follows is none that comes into force, but a copy may have had it alone.
        """
        version = self._all.get(number)
        above = bisect_right(self._holding, number, key=_number)
        if version is None or above == len(self._holding):
            return version is not None
        return self._holding[above].effective_at >= version.effective_at

    def period(self, number: int) -> Period | None:
        """When a version is in force; None: never, as there is none of that number or a higher one overtakes it."""
        place = bisect_left(self._holding, number, key=_number)
        is_there = place < len(self._holding) and self._holding[place].version == number
        return self._period(place) if is_there else None

    def _period(self, place: int) -> Period:
        version, following = self._holding[place], self._holding[place + 1 : place + 2]
        return Period(version, version.effective_at, following[0].effective_at if following else FOR_EVER_MS)
