"""
When the partitions of one worker begin their rounds. Owns: that moment, common to all of them.

A round costs more than a command, and a request more than a round, here and at the broker. Where every partition begins its
rounds as soon as it can, there are many small ones. So those with work wait for a beat, take what has come until then, and their
batches go out in one request.

How long a beat is follows from what the last one cost: deciding may have a certain share of the time, and where it needs more,
because much comes in or the machine is slow, the beats get longer, and their rounds larger and cheaper.
"""

import asyncio
from asyncio import Future
from collections.abc import Callable
from math import inf
from time import perf_counter
from typing import Final

# From a beat to the next, for what its rounds took until their batches were handed over. p99 at 20,000 commands a second, in
# turns: 19 and 68 ms with 1.5, 9 to 15 with 2.25, 12 to 54 with 2.9.
BEAT_PER_WORK: Final = 2.25
BEAT_MAX_S: Final = 0.004  # the longest wait for a turn: a fifth of a p99 of 20 ms


class Pace:
    """The beats of one worker; the first after a pause comes at once."""

    def __init__(self, now_s: Callable[[], float] = perf_counter) -> None:
        self._now_s = now_s  # not the loop's clock, which uvloop reads once a turn, in milliseconds
        self._waiting: list[Future[bool]] = []
        self._began_s = self._next_s = -inf
        self._planned = False
        self._loop: asyncio.AbstractEventLoop | None = None  # the one it runs on; asking for it asks for the process, too

    def turn(self) -> "Future[bool]":
        """True at the next beat."""
        loop = self._loop = self._loop or asyncio.get_running_loop()
        turn: Future[bool] = loop.create_future()
        self._waiting.append(turn)
        if not self._planned:
            self._planned = True
            # Never in this turn of the loop: whoever was woken in it comes along.
            wait_s = self._next_s - self._now_s()
            if wait_s > 0:
                loop.call_later(wait_s, self._beat)
            else:
                loop.call_soon(self._beat)
        return turn

    def _beat(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._planned = False
        self._began_s = self._now_s()
        for turn in waiting:
            if not turn.done():  # its ack came first, or its engine was stopped
                turn.set_result(True)
        assert self._loop is not None, "somebody waited"
        self._loop.call_soon(self._decided)  # behind those who were woken

    def _decided(self) -> None:
        worked_s = self._now_s() - self._began_s
        self._next_s = self._began_s + min(BEAT_PER_WORK * worked_s, BEAT_MAX_S)
