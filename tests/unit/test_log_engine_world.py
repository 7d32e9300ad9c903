"""The engine's tests' world: one partition's real engine on twins that can lose, delay and misplace what is appended."""

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import Enum, auto
from types import TracebackType
from typing import Final, Self, TypeVar

import msgspec

from tests.unit.test_log_world import LEDGER, NOW, Audit, Bench, audit, create, read
from z0.clock import Clock, ManualClock
from z0.codec import encode_command
from z0.domain.answer import Answer
from z0.domain.commands import Command
from z0.domain.outcome import Outcome
from z0.domain.views import StateView, state_view
from z0.log.claims import Floor
from z0.log.engine import Host, Limits, PartitionEngine, Ports
from z0.log.inbox import CommandBatch, DirectGroup, KafkaCommand
from z0.log.index import MemoryIndex
from z0.log.memory import MemoryLease, MemoryLog, MemoryOutbox, MemorySnapshots, MemoryWriter, NoPolicies
from z0.log.ports import Appended, CommandBounds, Message, Policies
from z0.log.snapshot import LedgerSnapshot
from z0.names import CLAIM_KEY

WAIT_S = 10.0  # a bound for what never takes long; reached only when a test fails
TRANSIENT: Final = (Outcome.NOT_OWNER, Outcome.WARMING_UP)


class Fault(Enum):
    """What may happen to a batch."""

    LOSE_ACK = auto()  # it lands; the caller sees an error
    LOSE_BATCH = auto()  # it does not land; the caller sees an error
    UNKNOWN_OFFSET = auto()  # it lands; the broker answers -1
    ZOMBIE_BEFORE = auto()  # an older epoch's batch landed just before: the offset is another one
    DELAY = auto()  # the caller sees an error; it lands when `release` is called
    NO_ANSWER = auto()  # it lands; nobody ever says so


class FaultyLog(MemoryLog):
    """A log whose next appends go wrong in the ways of `faults`; claims are spared."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(1, clock)
        self.faults: deque[Fault] = deque()
        self.held: list[Sequence[tuple[bytes, bytes]]] = []
        self.hold_acks: asyncio.Event | None = None
        self.before_claim: Callable[[], None] = lambda: None
        self.silent_claims = 0

    async def writer(self, partition: int) -> "FaultyWriter":
        return FaultyWriter(self, partition)

    def release(self) -> None:
        """What was delayed lands now."""
        held, self.held = self.held, []
        for records in held:
            self.land(0, records)


class FaultyWriter(MemoryWriter):
    """Appends, or does what the log's next fault says."""

    def __init__(self, log: FaultyLog, partition: int) -> None:
        super().__init__(log, partition)
        self._faulty = log

    def append(self, records: Sequence[tuple[bytes, bytes]]) -> "Future[Appended]":
        log = self._faulty
        if records[0][0] == CLAIM_KEY:
            log.before_claim()
            if log.silent_claims:
                log.silent_claims -= 1
                return self._fail(Fault.NO_ANSWER, records)
            return super().append(records)
        if log.hold_acks is not None:
            landed = log.land(0, records)
            return asyncio.ensure_future(_after(log.hold_acks, landed))
        return self._fail(log.faults.popleft(), records) if log.faults else super().append(records)

    def _fail(self, fault: Fault, records: Sequence[tuple[bytes, bytes]]) -> "Future[Appended]":
        log = self._faulty
        future: Future[Appended] = asyncio.get_running_loop().create_future()
        if fault is Fault.ZOMBIE_BEFORE:
            log.land(0, log.held.pop() if log.held else [zombie_record(log)])
            future.set_result(log.land(0, records))
            return future
        if fault in (Fault.LOSE_ACK, Fault.UNKNOWN_OFFSET, Fault.NO_ANSWER):
            log.land(0, records)
        if fault is Fault.DELAY:
            log.held.append(records)
        if fault is Fault.UNKNOWN_OFFSET:
            future.set_result(Appended(-1, -1))
        elif fault is not Fault.NO_ANSWER:
            future.set_exception(TimeoutError("the broker's answer was lost"))
        return future


async def _after(event: asyncio.Event, landed: Appended) -> Appended:
    await event.wait()
    return landed


def zombie_record(log: MemoryLog) -> tuple[bytes, bytes]:
    """A fact as an epoch would write it that was dead before the first claim."""
    bench = Bench()
    bench.one(create("zombie", "account_acct_9"))
    return b"account_acct_9", bench.records[-1].value.replace(b'"epoch":0', b'"epoch":-7')


class FailingSnapshots(MemorySnapshots):
    """Snapshots of which the next `failures` saves fail."""

    def __init__(self) -> None:
        super().__init__()
        self.failures = 0
        self.failed = asyncio.Event()
        self.claim_failures = 0
        self.gate: asyncio.Event | None = None
        self.floors: list[Floor] = []
        self.saved = 0

    async def claim(self, partition: int, epoch: int) -> None:
        if self.claim_failures:
            self.claim_failures -= 1
            raise TimeoutError("a claim was not acked")
        await super().claim(partition, epoch)

    async def save(self, partition: int, epoch: int, snapshots: Mapping[str, LedgerSnapshot]) -> None:
        if self.failures:
            self.failures -= 1
            self.failed.set()
            raise TimeoutError("a snapshot was not acked")
        if self.gate is not None:
            await self.gate.wait()
        self.saved += len(snapshots)
        await super().save(partition, epoch, snapshots)

    async def save_floor(self, partition: int, epoch: int, floor: Floor) -> None:
        await super().save_floor(partition, epoch, floor)
        self.floors.append(floor)


class FailingOutbox(MemoryOutbox):
    """An outbox of which the next `failures` sends fail."""

    def __init__(self) -> None:
        super().__init__()
        self.failures = 0

    async def send(self, messages: Sequence[Message]) -> None:
        if self.failures:
            self.failures -= 1
            raise TimeoutError("a dead letter was not acked")
        await super().send(messages)


class World:
    """One partition, its engine and its twins; the twins outlive the engine."""

    def __init__(self, *, limits: Limits | None = None, partitions: int = 1, forget_index: bool = False) -> None:
        self.clock = ManualClock(NOW)
        self.broker_clock = ManualClock(NOW)
        self.log = FaultyLog(self.broker_clock)
        self.snapshots = FailingSnapshots()
        self.outbox = FailingOutbox()
        self.lease = MemoryLease()
        self.index = MemoryIndex()
        self.limits = limits or Limits()
        self.partitions = partitions
        self.forget_index = forget_index
        self.epochs: list[int] = []
        self.announce_failures = 0
        self.commands: list[KafkaCommand] = []  # the topic `z0.commands`
        self.committed = -1  # last offset acknowledged
        self.command_bounds: CommandBounds | None = None  # of the topic, where it matters
        self._announced = asyncio.Event()
        self._committed_moved = asyncio.Event()
        self.policies: Policies = NoPolicies()
        self.engine = self.new_engine()
        self._task: asyncio.Task[None] | None = None

    async def _command_bounds(self, partition: int) -> CommandBounds:
        assert self.command_bounds is not None
        return self.command_bounds

    def new_engine(self) -> PartitionEngine:
        if self.forget_index:
            self.index = MemoryIndex()
        ports = Ports(
            self.log,
            self.snapshots,
            self.outbox,
            self.lease,
            self.clock,
            self.policies,
            lambda _: self.index,
            lambda ledger_id: int(ledger_id[-1]) % self.partitions,
            self._command_bounds if self.command_bounds is not None else None,
        )
        host = Host("tests", "tests:1", self._announce, self._rewind)
        return PartitionEngine(0, ports, host, self.limits._replace(reclaim_pause_s=0.0))

    async def _announce(self, partition: int, epoch: int) -> None:
        if self.announce_failures:
            self.announce_failures -= 1
            raise TimeoutError("the owners' topic did not ack")
        self.epochs.append(epoch)
        self._announced.set()

    async def _rewind(self, partition: int) -> None:
        self._deliver(self.committed + 1)

    async def __aenter__(self) -> Self:
        self.start()
        await self.until_serving()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            await self.stop()
        else:
            await self.crash()

    def start(self) -> None:
        self._task = asyncio.create_task(self.engine.run())

    def pass_time(self, ms: int) -> None:
        """Here and at the broker."""
        self.clock.advance(ms)
        self.broker_clock.advance(ms)

    async def stop(self) -> None:
        """Give the partition up in order."""
        self.engine.stop()
        if self._task is not None:
            await _soon(self._task)
        self._task = None

    async def crash(self) -> None:
        """The process is gone: no last round, no snapshot."""
        while self._task is not None and not self._task.done():
            self._task.cancel()  # again and again: `wait_for` of Python 3.11 swallows a cancellation when its event was just set
            await asyncio.sleep(0)
        self._task = None

    async def again(self) -> None:
        """A new engine on what is left, as after a restart: commands are read again from the committed offset."""
        self.engine = self.new_engine()
        self.start()
        await self.until_serving()
        self._deliver(self.committed + 1)

    async def until_serving(self) -> None:
        await self.until(lambda: self.engine.is_serving, self._announced)

    async def until(self, done: Callable[[], bool], event: asyncio.Event) -> None:
        """Wait until something is so; `event` is set whenever it may have come to be."""
        while not done():
            event.clear()
            assert self._task is not None
            waiting = asyncio.ensure_future(event.wait())
            await asyncio.wait({waiting, self._task}, timeout=WAIT_S, return_when=asyncio.FIRST_COMPLETED)
            assert waiting.done(), "it did not come to be"

    async def once(self, *commands: Command | bytes) -> list[Answer]:
        """Ask once, whatever the answers."""
        done: Future[DirectGroup] = asyncio.get_running_loop().create_future()
        raws = [c if isinstance(c, bytes) else encode_command(c) for c in commands]
        self.engine.offer_direct(DirectGroup(raws, done.set_result))
        group = await _soon(done)
        return [answer for answer in group.answers if answer is not None]

    async def ask(self, *commands: Command) -> list[Answer]:
        """Ask until the answers are not transient, under the same ids, as the client does."""
        while True:
            await self.until_serving()
            answers = await self.once(*commands)
            if not any(answer.outcome in TRANSIENT for answer in answers):
                return answers

    async def view(self, ledger: str = LEDGER) -> StateView:
        """What a read shows."""
        [answer] = await self.ask(read(ledger=ledger))
        assert answer.outcome is Outcome.ACCEPTED
        return msgspec.json.decode(answer.state, type=StateView)

    # The Kafka door

    def produce(self, *commands: Command | KafkaCommand) -> None:
        """Put commands on the topic and deliver them as one batch."""
        first = len(self.commands)
        for command in commands:
            offset = len(self.commands)
            if isinstance(command, KafkaCommand):
                self.commands.append(KafkaCommand(offset, command.key, command.value, command.headers))
            else:
                self.commands.append(KafkaCommand(offset, command.ledger_id.encode(), encode_command(command)))
        self._deliver(first)

    def _deliver(self, first: int) -> None:
        records = self.commands[first:]
        if records:
            self.engine.offer_kafka(CommandBatch(first - 1, records, lambda: self._commit(records[-1].offset)))

    def _commit(self, offset: int) -> None:
        self.committed = max(self.committed, offset)
        self._committed_moved.set()

    async def until_committed(self) -> None:
        """Wait until all that was produced is acknowledged."""
        await self.until(lambda: self.committed == len(self.commands) - 1, self._committed_moved)

    # Checks

    async def check(self) -> Audit:
        """The log is sound, and what the engine shows is what the log says."""
        await self.until_serving()
        ledgers = list(audit(self.log.records[0]).states)
        shown = {ledger: await self.view(ledger) for ledger in ledgers}
        found = audit(self.log.records[0])
        for ledger, state in found.states.items():
            assert shown[ledger] == msgspec.json.decode(msgspec.json.encode(state_view(state)), type=StateView)
        return found


_T = TypeVar("_T")


async def _soon(awaitable: Awaitable[_T]) -> _T:
    return await asyncio.wait_for(awaitable, WAIT_S)
