"""
The partition engine: the one writer of a partition. Owns: the order of effects of every round. Does not own: what a
command comes to (`z0.domain.decide`), how an epoch begins (`z0.log.recovery`).

Order of effects of a round, and what a crash after each step does:
 1. Take what waits, decide it in memory.               lost with the process; Kafka's commands are read again, callers retry
 2. Send forwards and dead letters, wait for the acks.  they are sent again: a forward with its id, a dead letter with its key
 3. Wait for the round before, append the facts.        not acked: void or valid, the next claim's replay tells which
 4. On the ack compare offsets; else the epoch dies.    the facts are durable; the replay folds them and rebuilds the index
 5. Owe the index the entries; they are written with    the replay starts at the index's position and writes them again
    their position every few rounds, or when none waits.
 6. Answer the direct callers, mark entities dirty.     a caller that heard nothing retries and gets the first outcome
 7. Acknowledge the Kafka batches.                      read again, skipped by the applied offset
 8. At intervals: snapshots, and when all are acked     a floor that is too low only makes the next replay longer
    the floor.
One append is in flight at a time. A round begins when the log's pace gives it its turn (`z0.log.pace`), or at once where much
waits; what it finds in flight is settled between deciding and appending.
"""

import asyncio
import logging
import random
from asyncio import Future
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Final, NamedTuple

from z0.clock import Clock
from z0.domain.answer import Answer
from z0.domain.facts import Reference
from z0.domain.outcome import Outcome
from z0.errors import EpochDead, LogBroken, Unreachable
from z0.log.claims import Floor
from z0.log.deciding import Decider
from z0.log.entry import Entry
from z0.log.inbox import CommandBatch, Direct, DirectGroup, Inbox, deliver
from z0.log.index import CommandIndex
from z0.log.ports import Appended, CommandBounds, Lease, Log, Outbox, Policies, Snapshots
from z0.log.recovery import ACK_TIMEOUT_S, CLOCK_SKEW_MAX_MS, Epoch, begin
from z0.log.round import Round
from z0.log.sleep import Sleep
from z0.log.snapshotting import Snapshotter
from z0.log.validity import Position
from z0.log.working_set import WorkingSet
from z0.names import FAUST_APP

logger = logging.getLogger(__name__)

BACKLOG_MIN: Final = 256  # with so many waiting commands, a round need not wait for more
INDEX_ROUNDS_MAX: Final = 32  # a write costs 40 us and the interpreter's lock; until then ids are known in memory
INDEX_ENTRIES_MAX: Final = 256  # some 0.3 ms of writing, while callers wait
INDEX_PAUSE_S: Final = 0.02  # quiet for so long: what is owed is written
RECLAIM_PAUSE_S: Final = 0.5  # with jitter, or two claimants would void each other in turns
RECLAIM_DOUBLINGS_MAX: Final = 10  # enough to reach the next; no float holds 2 to the power of a night's deaths
RECLAIM_PAUSE_MAX_S: Final = 30.0  # doubled up to this while no round succeeds: a wrong clock must not fill the log with claims


class Limits(NamedTuple):
    """Bounds of one partition."""

    queue_commands_max: int = 20_000  # a third of a second of work: who waits longer is better told so
    live_entities_max: int = 20_000  # about 2 KiB each: 40 MiB, in each of the partitions of a worker
    snapshot_interval_ms: int = 5_000  # a replay has no more than that to fold; a hot entity costs one write in it
    queue_bytes_max: int = 16 * 1024 * 1024  # for each door; one fetch or frame may go beyond it
    ack_timeout_s: float = ACK_TIMEOUT_S  # while serving; what a claim waits for is `z0.log.recovery`'s
    reclaim_pause_s: float = RECLAIM_PAUSE_S


class Ports(NamedTuple):
    """Everything outside that an engine uses."""

    log: Log
    snapshots: Snapshots
    outbox: Outbox
    lease: Lease
    clock: Clock
    policies: Policies
    open_index: Callable[[int], CommandIndex]
    partition_of: Callable[[str], int]
    command_bounds: Callable[[int], Awaitable[CommandBounds]] | None = None  # of `z0.commands`, where there is one


class Host(NamedTuple):
    """Who runs the engine and wants to hear of it."""

    owner: str
    address: str
    announce: Callable[[int, int], Coroutine[Any, Any, None]]  # (partition, epoch): it may be asked now
    rewind: Callable[[int], Coroutine[Any, Any, None]]  # (partition): deliver Kafka's commands again from the committed offset


class _InFlight(NamedTuple):
    round: Round
    ack: "Future[Appended] | None"  # None: nothing was appended

    @property
    def is_acked(self) -> bool:
        return self.ack is None or self.ack.done()


class PartitionEngine:
    """Serves one partition until it is stopped; survives the death of its epochs by claiming again."""

    def __init__(self, partition: int, ports: Ports, host: Host, limits: Limits) -> None:
        self.partition = partition
        self._ports = ports
        self._host = host
        self._limits = limits
        self._index = ports.open_index(partition)
        self._inbox = Inbox(queue_commands_max=limits.queue_commands_max, queue_bytes_max=limits.queue_bytes_max)
        self._sleep = Sleep()
        self._finished_s = 0.0  # when the last round was, by the loop's clock
        self._stopping = False
        self._decided: Round | None = None
        self._unindexed: list[Round] = []  # acked rounds whose ids are not in the index yet
        self._unindexed_entries = 0
        self._in_flight: _InFlight | None = None
        self._epoch: Epoch | None = None
        self._clock_ahead_ms = 0  # of the one that nobody sets, at the claim
        self._decider: Decider | None = None
        self._snapshotter: Snapshotter | None = None
        self.facts_appended = 0
        self._deaths = 0

    # Doors ---------------------------------------------------------------------------------------

    def offer_direct(self, group: DirectGroup) -> None:
        """Take a group from the direct door; it is always answered, at the latest with a transient outcome."""
        if self._decider is None or self._stopping:
            outcome = Outcome.NOT_OWNER if self._stopping else Outcome.WARMING_UP
            group.answer_all(Answer("", "", outcome, partition=self.partition))
        elif not self._inbox.offer_direct(group):
            group.answer_all(Answer("", "", Outcome.OVERLOADED, partition=self.partition))
        else:
            self._sleep.wake()

    def offer_kafka(self, batch: CommandBatch) -> bool:
        """Take a batch from the Kafka door; False: it does not follow the batch before and must be read again."""
        taken = self._inbox.offer_kafka(batch)
        self._sleep.wake()
        return taken

    def tick(self) -> None:
        """The worker's timer: look whether reservations have come to their end."""
        if self._decider is not None and self._decider.is_due(self._ports.clock.wall_ms()):
            self._sleep.wake()

    @property
    def has_room(self) -> bool:
        """Whether more should be read from Kafka; the host leaves the partition out of its fetches meanwhile."""
        return self._inbox.kafka_has_room

    @property
    def is_serving(self) -> bool:
        """Whether an epoch is open."""
        return self._decider is not None

    # Life ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """
        Claim, recover and serve until `stop`.

        Raises:
            LogBroken: stored positions and the log do not fit; a person must look.
        """
        try:
            while not self._stopping:
                try:
                    await self._begin()
                    await self._serve()
                except EpochDead as death:
                    logger.warning("partition %d: epoch dead: %s", self.partition, death)
                    self._deaths += 1
                    await self._after_death()
                except Unreachable as error:  # nothing was claimed, so trying often costs nothing
                    logger.warning("partition %d: no epoch yet: %s", self.partition, error)
                    await self._after_death()
        finally:
            self._drop(Outcome.NOT_OWNER)
            self._index.close()

    def stop(self) -> None:
        """Finish what is in flight, write the snapshots, and return from `run`."""
        self._stopping = True
        self._sleep.wake()

    async def _begin(self) -> None:
        ports = self._ports
        self._loop = asyncio.get_running_loop()
        working = WorkingSet(self.partition, ports.snapshots, live_entities_max=self._limits.live_entities_max)
        epoch = await begin(
            self.partition,
            owner=self._host.owner,
            address=self._host.address,
            log=ports.log,
            snapshots=ports.snapshots,
            index=self._index,
            working=working,
            clock=ports.clock,
        )
        await self._check_commands(epoch.applied)
        self._epoch = epoch
        self._clock_ahead_ms = ports.clock.wall_ms() - ports.clock.alive_ms()
        self._decider = Decider(
            self.partition,
            epoch=epoch.number,
            working=working,
            index=self._index,
            policies=ports.policies,
            partition_of=ports.partition_of,
            applied=epoch.applied,
            batch_time_ms=epoch.batch_time_ms,
        )
        self._working = working
        self._next_offset = self._acked_offset = epoch.number + 1
        self._snapshotter = Snapshotter(
            self.partition,
            epoch.number,
            snapshots=ports.snapshots,
            working=working,
            interval_ms=self._limits.snapshot_interval_ms,
        )
        self._snapshotter.wake = self._sleep.wake
        await self._announce(epoch.number)
        logger.info("partition %d: epoch %d, %d live entities", self.partition, epoch.number, len(working))

    async def _announce(self, epoch: int) -> None:
        try:
            await asyncio.wait_for(self._host.announce(self.partition, epoch), self._limits.ack_timeout_s)
        except Exception as error:
            raise EpochDead(f"no client would hear of epoch {epoch}: {error!r}") from error

    async def _check_commands(self, applied: int) -> None:
        """
        A topic that ends below what was applied was made anew: its commands would all be taken for old ones. One that starts
        above what was applied and what was read has lost commands that nobody decided.
        """
        if self._ports.command_bounds is None:
            return
        first, end, committed = await self._ports.command_bounds(self.partition)
        if end <= applied:
            raise LogBroken(f"z0.commands {self.partition} ends at {end}, but {applied} was applied: truncated or created anew")
        if first > max(applied + 1, committed):
            raise LogBroken(
                f"z0.commands {self.partition} starts at {first}, but only those below {max(applied + 1, committed)} were "
                f"decided: the others expired. To go on without them, set the offset of group {FAUST_APP} to {first}"
            )

    async def _after_death(self) -> None:
        self._drop(Outcome.NOT_OWNER)
        await asyncio.sleep(reclaim_pause_s(self._deaths, self._limits.reclaim_pause_s) * (1 + random.random()))
        while not self._ports.lease.holds() and not self._stopping:  # noqa: ASYNC110 - the lease has no event
            await asyncio.sleep(0.1)
        await self._host.rewind(self.partition)

    def _drop(self, outcome: Outcome) -> None:
        """Forget live state, and everything queued or in flight; the callers are told to ask the next owner."""
        waiting: list[Direct] = self._inbox.drop()
        if self._decider is not None:
            waiting += [item for item in self._decider.carried if isinstance(item, Direct)]
        if self._decided is not None:
            waiting += [item for item, _ in self._decided.answers]
        if self._in_flight is not None:
            waiting += [item for item, _ in self._in_flight.round.answers]
        self._decided = self._in_flight = None
        self._unindexed, self._unindexed_entries = [], 0  # the next claim's replay begins at the index's position
        self._epoch = self._decider = self._snapshotter = None
        self._sleep.cancel()
        gone = Answer("", "", outcome, partition=self.partition)
        deliver([(item, gone) for item in waiting])

    # Serving -------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        assert self._decider is not None, "serving"
        while not self._stopping:
            if self._working.is_crowded:
                await self._make_room()
                continue
            has_work = self._has_work()  # once: a clock that is set back between two looks would leave a round in flight
            if self._in_flight is not None and (self._in_flight.is_acked or not has_work):
                await self._settle()
            elif not has_work:
                if not await self._idle():
                    continue  # something came: its round looks after the snapshots
            elif await self._turn():
                await self._round()
            if self._snapshot_due():
                await self._settle()
                self._snapshot()
        await self._settle()
        self._write_index()
        await self._write_everything()

    async def _make_room(self) -> None:
        """More is new than may be: those who ask wait until it is written, and a broker that refuses it has a pause."""
        await self._settle()
        await self._write_everything()
        if self._working.is_crowded:
            await asyncio.sleep(self._limits.reclaim_pause_s)

    async def _idle(self) -> bool:
        """Until something comes, or it is time for a snapshot, or for what the index is owed; whether it is one of these."""
        assert self._snapshotter is not None, "serving"
        wait_s = self._snapshotter.due_in_ms(self._ports.clock.alive_ms()) / 1000
        at_s = self._loop.time() + (min(wait_s, INDEX_PAUSE_S) if self._unindexed else wait_s)
        if not await self._sleep.until(at_s, self._loop):
            return False
        if self._unindexed and self._loop.time() - self._finished_s >= INDEX_PAUSE_S:
            self._write_index()
        return True

    def _has_work(self) -> bool:
        assert self._decider is not None, "serving"
        return bool(len(self._inbox) or self._decider.carried or self._decider.is_due(self._ports.clock.wall_ms()))

    async def _turn(self) -> bool:
        """Whether it is time for the next round, or else the ack under way came first. A backlog need not wait for more."""
        assert self._epoch is not None, "serving"
        turn = self._epoch.writer.ready() if len(self._inbox) < BACKLOG_MIN else None
        if turn is None:
            return True
        if self._in_flight is not None and self._in_flight.ack is not None:
            self._in_flight.ack.add_done_callback(partial(_take_back, turn))
        return await turn

    async def _round(self) -> None:
        """Steps 1 to 3."""
        assert self._decider is not None, "serving"
        round_ = self._decider.decide_round(self._inbox, self._next_offset, self._now_ms())
        self._decided = round_
        if round_.outbox:
            await self._send_out(round_)
        await self._settle()
        self._next_offset = round_.next_offset
        self._in_flight, self._decided = _InFlight(round_, self._append(round_)), None
        if not round_.records:
            await self._settle()

    def _now_ms(self) -> int:
        """
        The time of a batch: the wall clock, while it goes with the clock that nobody sets.

        The claim compared it with the broker's. One that is set forward afterwards would expire what is not due, and what time
        a partition once had stays: it never goes back.
        """
        wall_ms = self._ports.clock.wall_ms()
        moved_ms = wall_ms - self._ports.clock.alive_ms() - self._clock_ahead_ms
        if abs(moved_ms) > CLOCK_SKEW_MAX_MS:
            raise EpochDead(f"this machine's clock was moved by {moved_ms} ms; the next claim compares it with the broker's")
        return wall_ms

    async def _send_out(self, round_: Round) -> None:
        if not self._ports.lease.holds():
            raise EpochDead("the group did not confirm this worker in time: a dead letter might be decided on old state")
        try:
            await asyncio.wait_for(self._ports.outbox.send(round_.outbox), self._limits.ack_timeout_s)
        except Exception as error:
            raise EpochDead(f"a forward or dead letter was not acked: {error!r}") from error

    def _append(self, round_: Round) -> "Future[Appended] | None":
        assert self._epoch is not None, "serving"
        return self._epoch.writer.append(round_.records) if round_.records else None

    async def _settle(self) -> None:
        """Steps 4 to 7 of the round in flight."""
        flight = self._in_flight
        if flight is None:
            return
        if flight.ack is not None:
            await self._acked(flight.round, flight.ack)
        elif not self._ports.lease.holds():
            _prove_nothing(flight.round, self.partition)
        self._in_flight = None
        self._finish(flight.round)

    async def _acked(self, round_: Round, ack: "Future[Appended]") -> None:
        try:
            landed = ack.result() if ack.done() else await self._waited(ack)
        except Exception as error:
            raise EpochDead(f"no ack for offsets {round_.base_offset} to {round_.next_offset - 1}: {error!r}") from error
        if landed.base_offset != round_.base_offset:
            raise EpochDead(f"expected offset {round_.base_offset}, the batch landed at {landed.base_offset}")

    async def _waited(self, ack: "Future[Appended]") -> Appended:
        """Within its time. `asyncio.timeout` asks for the task, the loop and the process three times, in every round."""
        timer = self._loop.call_later(self._limits.ack_timeout_s, _time_out, ack)
        try:
            return await ack
        finally:
            timer.cancel()

    def _finish(self, round_: Round) -> None:
        assert self._decider is not None, "serving"
        assert self._epoch is not None, "serving"
        if round_.records:
            self._acked_offset = round_.next_offset
            self._finished_s = self._loop.time()
            self._deaths = 0
            self._unindexed.append(round_)
            self._unindexed_entries += len(round_.entries)
            if len(self._unindexed) >= INDEX_ROUNDS_MAX or self._unindexed_entries >= INDEX_ENTRIES_MAX:
                self._write_index()
            self._working.dirty.update(round_.touched)
            self.facts_appended += len(round_.records)
            round_.records = []  # what waits for the index is kept for a while: not with what nobody needs
        deliver(round_.answers)
        round_.answers = []
        for batch in round_.acknowledge:
            self._inbox.finished(batch)
            batch.acknowledge()

    def _write_index(self) -> None:
        """Entries and position together; from then on the index knows the ids, and the decider may forget them."""
        owed, self._unindexed = self._unindexed, []
        self._unindexed_entries = 0
        if not owed or self._decider is None or self._epoch is None:
            return
        entries: dict[str, Entry] = {}
        references: dict[str, Reference] = {}
        for round_ in owed:
            entries |= round_.entries
            references |= round_.references
        self._index.put(entries, Position(self._acked_offset, self._epoch.number), references)
        assert self._in_flight is None, "only what is decided and not sent may be missing in the index"
        self._decider.indexed_but(self._decided)

    # Snapshots -----------------------------------------------------------------------------------

    def _snapshot_due(self) -> bool:
        return self._snapshotter is not None and self._snapshotter.due_in_ms(self._ports.clock.alive_ms()) <= 0

    def _snapshot(self) -> None:
        """Step 8: nothing is in flight, so live state is exactly what is acked."""
        assert self._snapshotter is not None, "serving"
        self._snapshotter.step(self._floor(), self._ports.clock.alive_ms())

    async def _write_everything(self) -> None:
        assert self._snapshotter is not None, "serving"
        try:
            await asyncio.wait_for(self._snapshotter.finish(self._floor()), self._limits.ack_timeout_s)
        except Exception as error:  # the floor stays where it was: the next replay is longer, nothing is lost
            logger.warning("partition %d: a snapshot of everything failed: %r", self.partition, error)

    def _floor(self) -> Floor:
        assert self._decider is not None, "serving"
        assert self._epoch is not None, "serving"
        return Floor(self._acked_offset, self._decider.applied, self._decider.batch_time_ms, self._epoch.number)


def reclaim_pause_s(deaths: int, first_s: float) -> float:
    """How long to wait before the next claim, after so many epochs in a row in which no round succeeded."""
    doublings = min(max(0, deaths - 1), RECLAIM_DOUBLINGS_MAX)  # no float holds 2 to the power of a night's deaths
    return min(first_s * 2.0**doublings, RECLAIM_PAUSE_MAX_S)


def _take_back(turn: "Future[bool]", _ack: "Future[Appended]") -> None:
    if not turn.done():
        turn.set_result(False)


def _time_out(ack: "Future[Appended]") -> None:
    if not ack.done():
        ack.set_exception(TimeoutError())


def _prove_nothing(round_: Round, partition: int) -> None:
    """
    Without an append only a fact proves an answer: reads and refusals without one may come from a worker that was replaced.

    Repeats of what is in the log stay; the others are told to ask again.
    """
    not_owner = Answer("", "", Outcome.NOT_OWNER, partition=partition)
    round_.answers = [(item, answer if answer.seq else not_owner) for item, answer in round_.answers]


__all__ = ["ACK_TIMEOUT_S", "EpochDead", "Host", "Limits", "LogBroken", "PartitionEngine", "Ports"]
