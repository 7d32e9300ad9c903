"""
How a sink is doing. Owns: the numbers that a person asks for first. Does not own: where they are shown.
"""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from z0.log.validity import Position


class Phase(StrEnum):
    """What a sink is doing."""

    STARTING = "starting"
    RUNNING = "running"
    STORE_DOWN = "store_down"  # it waits for the store and goes on by itself
    STOPPED = "stopped"


class Status(Struct, frozen=True, kw_only=True):
    """One look at a sink. `lag` is log end minus next offset to be stored, by partition; `dead_letters` since the start."""

    sink: str
    phase: Phase
    positions: Mapping[int, Position]
    lag: Mapping[int, int]
    records: int  # read since the start
    dead_letters: int

    @property
    def lag_total(self) -> int:
        """Records between the store and the end of the log."""
        return sum(self.lag.values())


def lag_of(ends: Mapping[int, int], positions: Mapping[int, Position]) -> dict[int, int]:
    """Log end minus stored position, by partition."""
    return {partition: end - positions.get(partition, Position()).next_offset for partition, end in sorted(ends.items())}
