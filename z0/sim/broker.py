"""
The brokers: topics in memory that no fault reaches. Owns: order, offsets, compaction. Does not own: what gets lost on the way.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from z0.log.claims import decode_claim
from z0.log.ports import Appended, Record
from z0.names import CLAIM_KEY, COMMANDS
from z0.sim.network import SimClock

COMPACTION_TAIL = 3  # records at the end that a compaction does not look at, as in an active segment


class CommandRecord(NamedTuple):
    """One record of `z0.commands`, with the fields that a Kafka client gives."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    timestamp: int
    timestamp_type: int = 1
    topic: str = COMMANDS
    partition: int = -1


Owners = dict[int, tuple[int, str]]  # partition -> epoch, address


class Letter(NamedTuple):
    """One dead letter, and when it landed."""

    key: bytes
    value: bytes
    at_s: float


class Changelog:
    """One partition of a changelog: offsets stay when records are compacted away."""

    def __init__(self) -> None:
        self.records: list[tuple[int, bytes, bytes]] = []
        self.end = 0

    def land(self, records: Sequence[tuple[bytes, bytes]]) -> int:
        base = self.end
        self.records += [(base + i, key, value) for i, (key, value) in enumerate(records)]
        self.end += len(records)
        return base

    def compact(self) -> None:
        """Keep the newest record of each key."""
        newest = {key: offset for offset, key, _ in self.records}
        self.records = [r for r in self.records if newest[r[1]] == r[0] or r[0] >= self.end - COMPACTION_TAIL]

    def lose(self) -> None:
        """Every record is gone; what lands later has the next offset all the same."""
        self.records = []


class Broker:
    """All topics."""

    def __init__(self, partitions: int, clock: SimClock) -> None:
        self.partitions = partitions
        self.clock = clock
        self.facts: list[list[Record]] = [[] for _ in range(partitions)]
        self.facts_at_s: list[list[float]] = [[] for _ in range(partitions)]
        self.commands: list[list[CommandRecord]] = [[] for _ in range(partitions)]
        self.commands_at_s: list[list[float]] = [[] for _ in range(partitions)]
        self.changelogs: dict[tuple[str, int], Changelog] = defaultdict(Changelog)
        self.owners: Owners = {}  # the highest epoch counts
        self.former: Owners = {}  # of each partition, who had it before another came
        self.letters: list[Letter] = []
        self.configs: list[Record] = []
        self._configs_moved = asyncio.Event()
        self._moved = asyncio.Event()
        self._facts_moved = asyncio.Event()

    def land_facts(self, partition: int, records: Sequence[tuple[bytes, bytes]]) -> Appended:
        """A record batch of the fact log lands, whole."""
        log, now = self.facts[partition], self.clock.wall_ms()
        base = len(log)
        log.extend(Record(base + i, key, value, now) for i, (key, value) in enumerate(records))
        self.facts_at_s[partition].extend([now_s()] * len(records))
        self._facts_moved.set()
        self._facts_moved = asyncio.Event()
        return Appended(base, now)

    def land_command(self, partition: int, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]] = ()) -> int:
        """A command lands."""
        topic, now = self.commands[partition], self.clock.wall_ms()
        topic.append(CommandRecord(len(topic), key, value, headers, now, partition=partition))
        self.commands_at_s[partition].append(now_s())
        self._moved.set()
        self._moved = asyncio.Event()
        return len(topic) - 1

    def announce(self, partition: int, epoch: int, address: str) -> None:
        """What every client follows: the highest epoch, not the latest record."""
        newest = self.owners.get(partition, (-1, ""))
        if epoch > newest[0]:
            if address != newest[1]:
                self.former[partition] = newest
            self.owners[partition] = (epoch, address)

    def land_config(self, value: bytes) -> None:
        """A version of a config lands on the topic that all workers follow."""
        self.configs.append(Record(len(self.configs), b"", value, self.clock.wall_ms()))
        self._configs_moved.set()
        self._configs_moved = asyncio.Event()

    def lose_changelog(self, topic: str, owner: str) -> None:
        """
        A changelog is lost, of the partitions that an owner claimed last. Not of others: a live owner would go on with what it
        has on its disk, and nobody could tell afterwards what is missing.
        """
        for partition, log in enumerate(self.facts):
            claims = (decode_claim(record.value) for record in reversed(log) if record.key == CLAIM_KEY)
            newest = next(claims, None)
            if newest is not None and newest.owner == owner:
                self.changelogs[topic, partition].lose()

    async def until_configs(self) -> None:
        """Until there is a new one."""
        await self._configs_moved.wait()

    async def until_commands(self, timeout_s: float) -> None:
        """Until there is a new command, or the time is over."""
        await _within(self._moved, timeout_s)

    async def until_facts(self, timeout_s: float) -> None:
        """Until there is a new fact, or the time is over."""
        await _within(self._facts_moved, timeout_s)


def now_s() -> float:
    """Virtual time."""
    return asyncio.get_running_loop().time()


async def _within(event: asyncio.Event, timeout_s: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return
