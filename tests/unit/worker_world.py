"""
A worker without its servers: the app, the consumer and Faust's recovery are the shipped ones, nothing of them is started.

What stands around them is in the test's hand: the consumer's thread (the group, and what Kafka answers about changelogs), the
reader of `z0.commands`, the host of the engines, the assignor and the fetcher. All write what they are asked into one journal.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import ConsumerStoppedError
from faust.tables.recovery import Recovery
from faust.types import TP

from streams.app import LedgerApp, create_app
from streams.lease import GroupLease
from streams.transport import BatchConsumer, BatchConsumerThread, FetchedCommands
from z0.clock import ManualClock
from z0.config import Config, from_env
from z0.log.inbox import KafkaRecord
from z0.names import COMMANDS, LEDGERS_CHANGELOG

PARTITIONS = 4
SESSION_MS = 10_000
BOUND_S = 10.0  # for what never takes long; reached only when a test fails


class Record(NamedTuple):
    """As aiokafka hands it over, as far as delivery looks at it."""

    offset: int
    key: bytes | None = b"k"
    value: bytes | None = b"v"
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp: int = 1_800_000_000_000
    timestamp_type: int = 1


def records(*offsets: int) -> list[KafkaRecord]:
    """Records at these offsets."""
    return [Record(offset) for offset in offsets]


def at(partition: int) -> TP:
    """A partition of `z0.commands`."""
    return TP(COMMANDS, partition)


class Gate:
    """Calls wait while it is shut."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self.reached = asyncio.Event()
        self.errors: list[Exception] = []  # of the next calls

    def shut(self) -> None:
        """From now on calls wait."""
        self._open.clear()
        self.reached.clear()

    def open(self) -> None:
        """Let go who waits."""
        self._open.set()

    async def pass_(self) -> None:
        """Wait while it is shut."""
        self.reached.set()
        await self._open.wait()
        if self.errors:
            raise self.errors.pop(0)


class ThreadInHand:
    """The consumer's thread: what the group has assigned and knows, and how far the changelogs go."""

    def __init__(self, journal: list[Any]) -> None:
        self._journal = journal
        self.assigned: set[TP] = set()
        self.committed: dict[TP, int] = {}
        self.changelog_end = 0
        self.fetched: dict[TP, list[Any]] = {}
        self.gates = {name: Gate() for name in ("committed", "highwaters", "seek_wait", "commit")}

    def fail_with(self, question: str, error: Exception) -> None:
        """The next of these questions fails."""
        self.gates[question].errors.append(error)

    def assignment(self) -> set[TP]:
        """Of the group, now."""
        return set(self.assigned)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """What the group has of commands."""
        await self.gates["committed"].pass_()
        return {tp: offset for tp, offset in self.committed.items() if tp in self.assigned}

    async def commit(self, offsets: Mapping[TP, int]) -> bool:
        """The group keeps them."""
        await self.gates["commit"].pass_()
        self._journal.append(("commit", dict(offsets)))
        self.committed.update(offsets)
        return True

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """The ends of changelogs."""
        await self.gates["highwaters"].pass_()
        return dict.fromkeys(partitions, self.changelog_end)

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """The starts of changelogs."""
        return dict.fromkeys(partitions, 0)

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Positions in changelogs."""
        await self.gates["seek_wait"].pass_()

    async def getmany(self, active: set[TP] | None, timeout: float) -> Mapping[TP, list[Any]]:
        """What a test has put there."""
        self._journal.append(("getmany", set(active or ())))
        return self.fetched

    def still_reads(self) -> None:
        """Told to aiokafka."""
        self._journal.append(("still reads",))


class ReaderInHand:
    """The reader of commands: what it is assigned, and what a test has it find."""

    def __init__(self, journal: list[Any]) -> None:
        self._journal = journal
        self.positions: dict[int, int] = {}
        self.found: list[Mapping[int, Sequence[KafkaRecord]]] = []
        self.asked: list[list[int]] = []

    def assign(self, positions: Mapping[int, int]) -> None:
        """These and no others."""
        self._journal.append(("assign", dict(positions)))
        self.positions = dict(positions)

    def partitions(self) -> set[int]:
        """What is assigned."""
        return set(self.positions)

    def seek(self, partition: int, offset: int) -> None:
        """Go on from there."""
        self.positions[partition] = offset

    def position(self, partition: int) -> int | None:
        """Where reading goes on."""
        return self.positions.get(partition)

    async def fetch(self, partitions: Iterable[int], timeout_s: float) -> Mapping[int, Sequence[KafkaRecord]]:
        """What a test has put there; when that is at its end, the reader is stopped."""
        self.asked.append(sorted(partitions))
        if not self.found:
            raise ConsumerStoppedError
        return self.found.pop(0)


class HostInHand:
    """The host of the engines: which partitions have one, and when a release is done."""

    def __init__(self, journal: list[Any], clock: ManualClock) -> None:
        self._journal = journal
        self.clock = clock
        self.lease = GroupLease(clock, SESSION_MS)
        self.running: set[int] = set()
        self.full: set[int] = set()
        self.releasing = Gate()
        self.delivered: list[FetchedCommands] = []
        self.committed: Callable[[int], int] = lambda partition: 0

    def partitions(self) -> set[int]:
        """Those with an engine."""
        return set(self.running)

    def take(self, partitions: Iterable[int]) -> None:
        """Start engines; each asks at once what the group has of its commands."""
        taken = {partition: self.committed(partition) for partition in partitions}
        self._journal.append(("take", taken))
        self.running |= set(taken)

    async def release(self, partitions: set[int]) -> None:
        """Stop engines."""
        self._journal.append(("release", set(partitions)))
        await self.releasing.pass_()
        self.running -= partitions
        self._journal.append(("released", set(partitions)))

    def has_room(self, partition: int) -> bool:
        """Whether its engine takes more."""
        return partition not in self.full


class World:
    """One worker, and what happens to it."""

    def __init__(self, config: Config) -> None:
        self.journal: list[Any] = []
        self.clock = ManualClock(SESSION_MS * 5)
        self.app: LedgerApp = create_app(config)
        self.host = HostInHand(self.journal, self.clock)
        self.reader = ReaderInHand(self.journal)
        self.thread = ThreadInHand(self.journal)
        app = cast(Any, self.app)
        self.host.committed = app.host.committed  # as the app has wired it
        app.host, app.commands = self.host, self.reader
        app._fetcher = SimpleNamespace(maybe_start=_nothing, stop=_nothing)
        app.assignor = SimpleNamespace(assigned_standbys=set, assigned_actives=self.thread.assignment)
        self.consumer = cast(BatchConsumer, app.consumer)
        self.shipped_thread = self.consumer._thread  # not started
        self.consumer._thread = cast(BatchConsumerThread, self.thread)
        self.consumer.callback = self._deliver
        self.recovery = cast(Recovery, app.tables.recovery)
        self._generation = 0
        self._recovering: asyncio.Task[None] | None = None

    async def _deliver(self, message: Any) -> None:
        self.host.delivered += message.batches

    async def subscribe(self) -> None:
        """The changelogs are known, and the topics have been subscribed to."""
        app = cast(Any, self.app)
        await app.tables._update_channels()
        app.topics._subscription_done = None

    def recover(self) -> None:
        """Faust's recovery runs from here on, as its service would run it."""
        self._recovering = asyncio.create_task(self.recovery._restart_recovery(self.recovery))

    def give(self, *partitions: int) -> set[TP]:
        """The group's answer to a join, in the thread: a new generation with these partitions of everything."""
        topics = (COMMANDS, *self.app.tables.changelog_topics)
        self._generation += 1
        self.app.consumer_generation_id = self._generation
        self.thread.assigned = {TP(topic, partition) for topic in topics for partition in partitions}
        return self.thread.assignment()

    async def revoke(self) -> None:
        """A rebalance begins."""
        self.app.on_rebalance_start()
        await self.consumer.on_partitions_revoked(self.thread.assignment())

    async def assign(self, *partitions: int) -> None:
        """The rebalance ends: the group gives these partitions."""
        await self.consumer.on_partitions_assigned(self.give(*partitions), self._generation)

    async def rebalance(self, *partitions: int) -> None:
        """All of it."""
        await self.revoke()
        await self.assign(*partitions)

    async def ready(self) -> None:
        """Until a recovery has come to its end."""
        await asyncio.wait_for(self.recovery.completed.wait(), BOUND_S)

    async def settle(self) -> None:
        """Until nothing that is under way goes on without an event from outside."""
        for _ in range(200):
            await asyncio.sleep(0)

    def did(self, *names: str) -> list[Any]:
        """What of this is in the journal, in its order."""
        return [entry for entry in self.journal if entry[0] in names]

    async def close(self) -> None:
        """End what runs."""
        if self._recovering is not None:
            self._recovering.cancel()
            with suppress(asyncio.CancelledError):
                await self._recovering


async def _nothing(*_: Any) -> None:
    """Of the fetcher nothing is needed: what it would fetch is in the thread in hand."""


def changelog(partition: int) -> TP:
    """A partition of one of the changelogs."""
    return TP(LEDGERS_CHANGELOG, partition)


def idle_for(seconds: float) -> SubscriptionState:
    """What aiokafka's consumer remembers when nobody has asked it for records for so long."""
    state = SubscriptionState()
    state._last_fetch_ended -= seconds
    return state


@asynccontextmanager
async def worker(**settings: Any) -> AsyncIterator[World]:
    """A worker with these settings."""
    world = World(from_env().model_copy(update={"table_store": "memory", "partitions": PARTITIONS, **settings}))
    try:
        await world.subscribe()
        yield world
    finally:
        await world.close()
