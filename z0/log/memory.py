"""
Twins in memory of the log, the snapshots, the outbox and the lease. Owns: a fact log in one process, for tests,
simulations and trying things out. It keeps the same contract as Kafka (contract tests run on both) and nothing on disk.
"""

import asyncio
from asyncio import Future
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

from z0.clock import Clock, SystemClock
from z0.domain.commands import PutConfig
from z0.domain.draft import Refusal
from z0.domain.policy import NO_POLICY, Policy
from z0.errors import LogBroken
from z0.log.claims import Floor
from z0.log.ports import Appended, Message, Record
from z0.log.snapshot import LedgerSnapshot

READ_BATCH = 500  # a log of a test has several


class MemoryLog:
    """The fact log: a list of records per partition."""

    def __init__(self, partitions: int, clock: Clock | None = None) -> None:
        self.partitions = partitions
        self._clock = clock or SystemClock()
        self.records: list[list[Record]] = [[] for _ in range(partitions)]

    async def writer(self, partition: int) -> "MemoryWriter":
        return MemoryWriter(self, partition)

    def land(self, partition: int, records: Sequence[tuple[bytes, bytes]]) -> Appended:
        """Put a batch at the end, as the broker does."""
        log, now = self.records[partition], self._clock.wall_ms()
        base = len(log)
        log.extend(Record(base + i, key, value, now) for i, (key, value) in enumerate(records))
        return Appended(base, now)

    async def read(self, partition: int, start: int, end: int) -> AsyncIterator[list[Record]]:
        log = self.records[partition]
        if start > len(log):
            raise LogBroken(f"partition {partition} ends at {len(log)}, asked for {start}")
        for first in range(start, end, READ_BATCH):
            yield log[first : min(first + READ_BATCH, end)]

    async def bounds(self, partition: int) -> tuple[int, int]:
        return 0, len(self.records[partition])

    async def offset_at(self, partition: int, timestamp_ms: int) -> int:
        log = self.records[partition]
        return next((record.offset for record in log if record.timestamp_ms >= timestamp_ms), len(log))


class MemoryWriter:
    """Appends at once and acks on the next turn of the event loop."""

    def __init__(self, log: MemoryLog, partition: int) -> None:
        self._log = log
        self._partition = partition

    def ready(self) -> None:
        """At any time."""

    def append(self, records: Sequence[tuple[bytes, bytes]]) -> "Future[Appended]":
        loop = asyncio.get_running_loop()
        future: Future[Appended] = loop.create_future()
        loop.call_soon(_resolve, future, self._log.land(self._partition, records))
        return future


def _resolve(future: "Future[Appended]", landed: Appended) -> None:
    if not future.done():
        future.set_result(landed)


class MemorySnapshots:
    """Snapshots in dictionaries, with the fence of the real ones: what an older epoch writes after a claim is void."""

    def __init__(self) -> None:
        self._snapshots: dict[tuple[int, str], LedgerSnapshot] = {}
        self._floors: dict[int, Floor] = {}
        self._epochs: dict[int, int] = defaultdict(lambda: -1)

    def load(self, partition: int, ledger_id: str) -> LedgerSnapshot | None:
        return self._snapshots.get((partition, ledger_id))

    def expiries(self, partition: int) -> Iterator[tuple[str, int]]:
        for (where, ledger_id), snapshot in self._snapshots.items():
            if where == partition and snapshot.budget is not None and snapshot.budget.first_expiry:
                yield ledger_id, snapshot.budget.first_expiry

    def floor(self, partition: int) -> Floor:
        return self._floors.get(partition, Floor())

    def needs_full_replay(self, partition: int) -> bool:
        return False

    async def claim(self, partition: int, epoch: int) -> None:
        self._epochs[partition] = max(self._epochs[partition], epoch)

    async def save(self, partition: int, epoch: int, snapshots: Mapping[str, LedgerSnapshot]) -> None:
        if epoch >= self._epochs[partition]:
            self._snapshots.update({(partition, ledger_id): snapshot for ledger_id, snapshot in snapshots.items()})

    async def save_floor(self, partition: int, epoch: int, floor: Floor) -> None:
        if epoch >= self._epochs[partition]:
            self._floors[partition] = floor


class MemoryOutbox:
    """Keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    async def send(self, messages: Sequence[Message]) -> None:
        self.sent.extend(messages)


class MemoryLease:
    """A lease that holds until it is told otherwise."""

    def __init__(self) -> None:
        self.held = True

    def holds(self) -> bool:
        return self.held


class NoPolicies:
    """A ledger without configs."""

    def policy(self, tenant_id: str, ledger_id: str, at_ms: int) -> Policy:
        return NO_POLICY

    def pinned(self, policy: Policy, config_id: str, version: int) -> Policy | None:
        return policy

    def refuse(self, command: PutConfig, at_ms: int) -> Refusal | None:
        return None
