"""
The open loop: work is due at fixed times, whatever the system does. Owns: the schedule and the tally of what came back when.

Time counts from when an item was due, never from when it was sent: a system that stalls makes the items behind the stall late,
and leaving that out (coordinated omission) is how slow systems look fast.
"""

import asyncio
import gc
import math
import time
from array import array
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from z0.bench.figures import Figure, distribution
from z0.errors import Z0Error

TICK_S = 0.001
# (first, count): these items are due now; what comes back of them is told to the tally
Hand = Callable[[int, int], None]


class Schedule(NamedTuple):
    """Item n is due at `start` + n / `rate`; what is due in the warm-up is sent and not counted."""

    start: float
    rate: int
    seconds: float
    warm_up_s: float = 0.0

    @property
    def total(self) -> int:
        """How many items there are."""
        return round((self.warm_up_s + self.seconds) * self.rate)

    @property
    def first_counted(self) -> int:
        """The first item after the warm-up."""
        return round(self.warm_up_s * self.rate)

    def due_by(self, now: float) -> int:
        """How many items are due."""
        return max(0, min(self.total, math.floor((now - self.start) * self.rate) + 1))

    def due_at(self, item: int) -> float:
        """When an item is due."""
        return self.start + item / self.rate


class Tally:
    """What came back, and how late, in milliseconds."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.refused: Counter[str] = Counter()  # by outcome; what never came back is lost, not refused
        self._latencies_ms = array("d")  # a list of as many floats would be looked through by the garbage collector

    @property
    def sent(self) -> int:
        """How many items are to be counted."""
        return self.schedule.total - self.schedule.first_counted

    def done(self, items: range, at: float | None = None) -> None:
        """These items are back, now where no time is given."""
        now = time.perf_counter() if at is None else at
        first = max(items.start, self.schedule.first_counted)
        self._latencies_ms.extend((now - self.schedule.due_at(item)) * 1000 for item in range(first, items.stop))

    def figures(self) -> dict[str, Figure]:
        """
        The printed figures.

        Raises:
            Z0Error: nothing came back.
        """
        came = len(self._latencies_ms)
        if not came:
            raise Z0Error("nothing came back; look at the log of the worker")
        counts: dict[str, Figure] = {"lost": self.sent - came, "refused": self.refused.total()}
        if self.refused:
            counts["refused_as"] = ", ".join(f"{outcome} {count}" for outcome, count in self.refused.most_common())
        return {"rate_per_s": came / self.schedule.seconds, **distribution(self._latencies_ms), **counts}


def starting_now(rate: int, seconds: float, warm_up_s: float = 0.0) -> Schedule:
    """A schedule whose first item is due in a moment."""
    gc.collect()
    gc.freeze()  # what was set up is not looked through again: the client's pauses would be counted as the system's
    return Schedule(time.perf_counter() + TICK_S, rate, seconds, warm_up_s)


async def drive(schedule: Schedule, hand: Hand) -> None:
    """Hand out what is due at every tick, late or not, until everything is out."""
    handed = 0
    while handed < schedule.total:
        due = schedule.due_by(time.perf_counter())
        if due > handed:
            hand(handed, due - handed)
            handed = due
        await asyncio.sleep(TICK_S)
