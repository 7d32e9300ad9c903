"""Delays, and the way from a process to the outside. Owns: how long anything takes. All chance comes from the seed."""

import asyncio
from asyncio import TimerHandle
from collections.abc import Callable
from random import Random
from typing import Any, Final

from z0.clock import Clock
from z0.sim.loop import OUTSIDE, VirtualLoop

START_MS: Final = 1_799_999_990_000  # ten seconds before an hour is full everywhere, and before midnight in Los Angeles
SLOW_SHARE: Final = 0.02
_MEAN_S: Final = 0.002


class Network:
    """Every message is on its way for about two milliseconds, and now and then for a quarter of a second."""

    def __init__(self, loop: VirtualLoop, random: Random) -> None:
        self.loop = loop
        self._random = random

    def delay(self) -> float:
        """How long the next message takes, in seconds."""
        if self._random.random() < SLOW_SHARE:
            return self._random.uniform(0.02, 0.25)
        return 0.0002 + self._random.expovariate(1 / _MEAN_S)

    async def trip(self) -> None:
        """Wait as long as a message takes."""
        await asyncio.sleep(self.delay())

    def later(self, delay_s: float, callback: Callable[..., Any], *args: Any) -> TimerHandle:
        """Outside of every process: nobody can kill or stop it."""
        return self.loop.call_later(delay_s, callback, *args, context=OUTSIDE)


class SimClock(Clock):
    """A machine's clocks: its wall clock may be wrong, the other cannot."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.offset_ms = 0

    def wall_ms(self) -> int:
        return START_MS + int(self._loop.time() * 1000) + self.offset_ms

    def alive_ms(self) -> int:
        return int(self._loop.time() * 1000)
