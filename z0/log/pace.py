"""
When the partitions of one worker begin their rounds. Owns: that moment, common to all of them.

A producer has one request under way per broker, and a round costs more than a command. Where every partition begins its rounds
as soon as it can, there are many small ones, and what one has decided waits for a request that carries another's. So those with
work wait for a beat, take what has come until then, and their batches go out in one request.
"""

import asyncio
from asyncio import Future
from math import inf
from typing import Final

ROUND_S: Final = 0.00025  # from a beat to the next, for each round in it: a few times what one costs beside its commands
BEAT_MAX_S: Final = 0.004


class Pace:
    """The beats of one worker; the first after a pause comes at once."""

    def __init__(self) -> None:
        self._waiting: list[Future[bool]] = []
        self._next_s = -inf
        self._planned = False

    def turn(self) -> "Future[bool]":
        """True at the next beat."""
        loop = asyncio.get_running_loop()
        turn: Future[bool] = loop.create_future()
        self._waiting.append(turn)
        if not self._planned:
            self._planned = True
            # Never in this turn of the loop: whoever was woken in it comes along.
            if self._next_s > loop.time():
                loop.call_at(self._next_s, self._beat)
            else:
                loop.call_soon(self._beat)
        return turn

    def _beat(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._planned = False
        self._next_s = asyncio.get_running_loop().time() + min(ROUND_S * len(waiting), BEAT_MAX_S)
        for turn in waiting:
            if not turn.done():  # its ack came first, or its engine was stopped
                turn.set_result(True)
