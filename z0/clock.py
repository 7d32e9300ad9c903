"""
The clock port and its twins. Owns: where time comes from. Wall time only ever enters a batch through it.

`alive_ms` runs on through a stopped process (CLOCK_BOOTTIME), which a lease must: a worker that was asleep is not its owner.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings, both in milliseconds."""

    def wall_ms(self) -> int:
        """Unix time."""
        ...

    def alive_ms(self) -> int:
        """A clock that never goes back and does not stop with the process."""
        ...


class SystemClock:
    """The machine's clocks."""

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def alive_ms(self) -> int:
        return time.clock_gettime_ns(_ALIVE) // 1_000_000


# Linux has CLOCK_BOOTTIME; elsewhere the monotonic clock stops only while the machine sleeps.
_ALIVE = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class ManualClock:
    """A clock that a test sets."""

    def __init__(self, wall_ms: int = 1_800_000_000_000) -> None:
        self.now = wall_ms
        self.ahead_ms = 0  # of the wall clock, where somebody set it

    def wall_ms(self) -> int:
        return self.now + self.ahead_ms

    def alive_ms(self) -> int:
        return self.now

    def advance(self, ms: int) -> None:
        """Let time pass; negative: a clock that is behind."""
        self.now += ms
