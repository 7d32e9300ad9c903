"""
Claim and recovery: how an epoch begins. Owns: steps 1 and 2 of the single-writer log.

Order of effects, and what a crash after each step does:
 1. Read the floor of the snapshots and the position of the index.       nothing happened
    A lost index starts 35 days ago: at the claim in force there.
 2. Append the claim, acks=all; its offset is the epoch.                 an epoch without facts; the next claim voids it
 3. Where snapshots are void or lost, take the floor back to the
    beginning, acked.                                                    the same; starts again at 1, with everything to fold
 4. Fence the snapshots with the epoch, acked.                           the same; older snapshots are void from here on
 5. Replay from the floor (or the index's position) up to the claim.     nothing more was written; starts again at 1
Only then may the epoch decide.

3 comes before 5: a long replay writes snapshots of what it has folded so far, and a floor above them would say that this is all.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

from z0.clock import Clock
from z0.codec import decode_fact
from z0.cut import cut
from z0.domain.appending import NAMED_TYPES
from z0.domain.facts import Reference, StoredFact
from z0.errors import EpochDead, LogBroken
from z0.log.claims import Claim, Floor, encode_claim
from z0.log.entry import RETENTION_MS, Entry, entry_of
from z0.log.index import CommandIndex, key_of, reference_key
from z0.log.ports import Appended, Log, Record, Snapshots, Writer
from z0.log.reader import FactReader
from z0.log.validity import Position, Standing
from z0.log.working_set import WorkingSet
from z0.names import CLAIM_KEY, COMMANDS

CLOCK_SKEW_MAX_MS = 5_000  # clocks that are set differ by less; one further off is wrong, and so would be the time of facts
ACK_TIMEOUT_S: Final = 15.0  # half of the broker's default replica time-out: later the answer is worth less than a new claim
INDEX_BATCH = 5_000  # entries of a replay that wait in memory for one write: about 2 MiB
RELIEF_ENTITIES = 2_000  # whose snapshots go into one batch during a replay: about 2 MiB


class Epoch(NamedTuple):
    """An epoch that may decide: its number, writer, and what the replay found."""

    number: int
    writer: Writer
    applied: int
    batch_time_ms: int


async def begin(
    partition: int,
    *,
    owner: str,
    address: str,
    log: Log,
    snapshots: Snapshots,
    index: CommandIndex,
    working: WorkingSet,
    clock: Clock,
) -> Epoch:
    """
    Claim a partition and rebuild its state.

    Raises:
        EpochDead: the claim or the fence was not acked, or the clock is too far from the broker's; claim again later.
        LogBroken: floor, index and log do not fit together.
        Unreachable: Kafka does not answer.
    """
    floor = snapshots.floor(partition)
    full = snapshots.needs_full_replay(partition)
    bounds = await log.bounds(partition)
    known = await _index_start(partition, bounds, log, index, clock=clock)
    start = Position() if full else _start(floor, known)
    _check_bounds(bounds, partition, start)
    claim = Claim(partition=partition, owner=owner, address=address, claimed_at=clock.wall_ms(), floor=floor)
    writer = await log.writer(partition)
    epoch = await _claim(writer, claim, clock)
    await _fence(snapshots, partition, epoch, full=full)
    working.load_expiries()
    replay = Replay(partition, start, Floor() if full else floor, index, working)
    async for records in log.read(partition, start.next_offset, epoch):
        replay.fold(records)
        if working.is_crowded:
            await _relieve(partition, epoch, replay.folded_to, snapshots, working)
    replay.finish(epoch)
    return Epoch(epoch, writer, replay.applied, replay.batch_time_ms)


async def _relieve(partition: int, epoch: int, folded_to: int, snapshots: Snapshots, working: WorkingSet) -> None:
    """
    Write what the replay has changed, so that memory stays bounded however much was lost. The floor stays where it was.

    Raises:
        EpochDead: the snapshots were not acked.
    """
    try:
        for stretch in cut(working.dirty_as_of(folded_to), lambda _: 1, RELIEF_ENTITIES):
            await snapshots.save(partition, epoch, working.snapshot(stretch, folded_to, epoch))
            for ledger_id in stretch:
                del working.dirty[ledger_id]
    except Exception as error:
        raise EpochDead(f"snapshots during the replay of partition {partition} were not acked: {error!r}") from error


def _start(floor: Floor, index: Position) -> Position:
    """The earlier of the two, with the epoch in force there."""
    return min(Position(floor.fact_offset, floor.epoch), index, key=lambda position: position.next_offset)


async def _index_start(partition: int, bounds: tuple[int, int], log: Log, index: CommandIndex, *, clock: Clock) -> Position:
    """Where the index goes on; an empty one begins with the epoch in force when the oldest id that counts was decided."""
    known = index.position()
    if known != Position():
        return known
    first, end = bounds
    offset = await log.offset_at(partition, clock.wall_ms() - RETENTION_MS)
    if offset <= first or offset >= end:
        return known
    async for records in log.read(partition, offset, offset + 1):
        # Any claim is a right place to start: what is valid after it does not depend on what was before.
        epoch = decode_fact(records[0].value).epoch if records[0].key != CLAIM_KEY else records[0].offset
        return Position(max(epoch, 0))
    return known


def _check_bounds(bounds: tuple[int, int], partition: int, start: Position) -> None:
    first, end = bounds
    if start.next_offset > end:
        raise LogBroken(f"z0.facts {partition} ends at {end}, but {start.next_offset} was read before: truncated or created anew")
    if start.next_offset < first:
        raise LogBroken(f"z0.facts {partition} starts at {first}, but the replay needs {start.next_offset}: facts were deleted")


async def _claim(writer: Writer, claim: Claim, clock: Clock) -> int:
    try:
        landed: Appended = await asyncio.wait_for(writer.append([(CLAIM_KEY, encode_claim(claim))]), ACK_TIMEOUT_S)
    except Exception as error:
        raise EpochDead(f"the claim of partition {claim.partition} was not acked: {error!r}") from error
    if landed.base_offset < 0:
        raise EpochDead(f"the claim of partition {claim.partition} has no offset")
    skew = abs(clock.wall_ms() - landed.log_time_ms)
    if skew > CLOCK_SKEW_MAX_MS:
        raise EpochDead(f"this machine's clock is {skew} ms away from the broker's; set the clock")
    return landed.base_offset


async def _fence(snapshots: Snapshots, partition: int, epoch: int, *, full: bool) -> None:
    try:
        if full:
            await asyncio.wait_for(snapshots.save_floor(partition, epoch, Floor()), ACK_TIMEOUT_S)
        await asyncio.wait_for(snapshots.claim(partition, epoch), ACK_TIMEOUT_S)
    except Exception as error:
        raise EpochDead(f"the fence of partition {partition}'s snapshots was not acked: {error!r}") from error


class Replay:
    """Folds the log from a start up to a claim into working set and index."""

    def __init__(self, partition: int, start: Position, floor: Floor, index: CommandIndex, working: WorkingSet) -> None:
        self._reader = FactReader(partition, start)
        self._fold_from = floor.fact_offset
        self._index = index
        self._index_from = index.position().next_offset
        self._working = working
        self._entries: dict[str, Entry] = {}
        self._references: dict[str, Reference] = {}
        self.applied = floor.applied
        self.batch_time_ms = floor.batch_time

    def fold(self, records: Sequence[Record]) -> None:
        """Fold what is valid."""
        for read in self._reader.read(records):
            if read.standing is not Standing.VALID or read.fact is None:
                continue
            if read.offset >= self._fold_from:
                self._refold(read.fact)
            if read.offset >= self._index_from:
                self._remember(read.fact)
        if len(self._entries) >= INDEX_BATCH:
            self._put(self._reader.position)

    @property
    def folded_to(self) -> int:
        """The last offset that was folded."""
        return self._reader.position.next_offset - 1

    def _refold(self, fact: StoredFact) -> None:
        self._working.refold(fact)
        self.batch_time_ms = max(self.batch_time_ms, fact.recorded_at)
        if fact.cause is not None and fact.cause.topic == COMMANDS:
            self.applied = max(self.applied, fact.cause.offset)

    def _remember(self, fact: StoredFact) -> None:
        entry = entry_of(fact)
        if entry is not None and fact.command_id is not None:
            self._entries[key_of(fact.tenant_id, fact.ledger_id, fact.command_id)] = entry
        if fact.type in NAMED_TYPES:
            key = reference_key(fact.tenant_id, fact.ledger_id, fact.seq)
            self._references[key] = Reference(fact.type, fact.timestamp, fact.hash)

    def finish(self, epoch: int) -> None:
        """The claim itself is the last record below the first fact of the epoch."""
        if self._reader.position.next_offset != epoch:
            raise LogBroken(f"the replay ended at {self._reader.position.next_offset}, the claim stands at {epoch}")
        self._put(Position(epoch + 1, epoch))

    def _put(self, position: Position) -> None:
        if position.next_offset > self._index.position().next_offset:
            self._index.put(self._entries, position, self._references)
        self._entries, self._references = {}, {}
