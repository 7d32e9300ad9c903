"""
The consumer group of `z0.commands`: its coordinator. Owns: membership, generations, assignment, committed offsets.

Eager rebalances as Kafka's: all members join anew, who does not in time is out; a static member that comes back within its
session gets what it had.
"""

import asyncio
from asyncio import Future
from enum import Enum, auto
from random import Random
from typing import Final, NamedTuple

from z0.sim.network import Network

SESSION_S: Final = 10.0
REBALANCE_S: Final = 20.0
GATHERING_S: Final = 0.3  # the first join waits so long for others


class Beat(Enum):
    """What a heartbeat is told."""

    OK = auto()
    REBALANCING = auto()  # accepted; join again
    UNKNOWN = auto()  # out of the group, or of an old generation


class Assignment(NamedTuple):
    """What a member has after a rebalance."""

    generation: int
    partitions: tuple[int, ...]


class Group:
    """The coordinator; it is outside, so faults reach only the way to it."""

    def __init__(self, network: Network, partitions: int, random: Random) -> None:
        self._network = network
        self._partitions = partitions
        self._random = random
        self.generation = 0
        self.rebalances = 0
        self.committed: dict[int, int] = {}
        self.assigned: dict[str, Assignment] = {}
        self._seen_s: dict[str, float] = {}
        self._joining: dict[str, Future[Assignment]] = {}
        self._round: int | None = None

    def join(self, name: str) -> "Future[Assignment]":
        """Wait for the next generation, or come back into the present one."""
        future: Future[Assignment] = asyncio.get_running_loop().create_future()
        self._saw(name)
        if self._round is None and name in self.assigned:
            future.set_result(self.assigned[name])
            return future
        self._joining[name] = future
        self.rebalance()
        self._look()
        return future

    def rebalance(self) -> None:
        """Ask everybody to join anew."""
        if self._round is None:
            self.rebalances += 1
            self._round = self.rebalances
            self._network.later(REBALANCE_S, self._complete, self._round)

    def heartbeat(self, name: str, generation: int) -> Beat:
        """Whether the member still counts."""
        known = self.assigned.get(name)
        if known is None or known.generation != generation:
            return Beat.UNKNOWN
        self._saw(name)
        return Beat.OK if self._round is None else Beat.REBALANCING

    def commit(self, name: str, generation: int, offsets: dict[int, int]) -> bool:
        """Keep offsets, of members of the present generation only."""
        if name not in self.assigned or self.assigned[name].generation != generation:
            return False
        self.committed.update(offsets)
        return True

    def _saw(self, name: str) -> None:
        now = self._network.loop.time()
        self._seen_s[name] = now
        self._network.later(SESSION_S + 0.001, self._expire, name, now)

    def _expire(self, name: str, seen_s: float) -> None:
        if self._seen_s.get(name) != seen_s or (name in self._joining and self._round is not None):
            return
        self._seen_s.pop(name)
        if self.assigned.pop(name, None) is not None:
            self.rebalance()
            self._look()

    def _look(self) -> None:
        if self._joining and self.assigned.keys() <= self._joining.keys():
            self._network.later(0.01 if self.generation else GATHERING_S, self._complete, self._round)

    def _complete(self, round_: int | None) -> None:
        if self._round != round_ or round_ is None:
            return
        joined, self._joining, self._round = self._joining, {}, None
        self.assigned = {}
        if not joined:
            return
        self.generation += 1
        names = sorted(joined)
        shift = self._random.randrange(len(names))
        for place, name in enumerate(names):
            mine = tuple(p for p in range(self._partitions) if (p + shift) % len(names) == place)
            self.assigned[name] = Assignment(self.generation, mine)
            self._saw(name)
            if not joined[name].done():
                joined[name].set_result(self.assigned[name])
