"""
The host of the engines: which run, how they end, and who is told where they are.

The host is the shipped one, not connected. Its engines and its producer are in the test's hand: an engine runs until it is
stopped, fails when the test says so, and keeps what it is offered; the producer keeps what is announced.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from aiokafka import TopicPartition

from streams.host import EngineHost
from streams.lease import GroupLease
from streams.transport import FetchedCommands
from tests.unit.worker_world import BOUND_S, SESSION_MS, records
from z0.client.owners import Owner, decode_owner
from z0.clock import ManualClock
from z0.config import from_env
from z0.domain.answer import Answer
from z0.domain.outcome import Outcome
from z0.log.inbox import CommandBatch, DirectGroup
from z0.names import OWNERS


class EngineInHand:
    """One partition's engine."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.is_serving = True
        self.has_room = True
        self.runs = 0
        self.is_late = False  # it does not end when it is told to
        self.was_cancelled = False
        self.fails = asyncio.get_running_loop().create_future()
        self.offered: list[Any] = []
        self.ticks = 0

    async def run(self) -> None:
        """Until it is stopped, or fails."""
        self.runs += 1
        try:
            await self.fails
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise

    def stop(self) -> None:
        """End, where it is not late."""
        if not self.is_late and not self.fails.done():
            self.fails.set_result(None)

    def tick(self) -> None:
        """Time has passed."""
        self.ticks += 1

    def offer_direct(self, group: DirectGroup) -> None:
        """Keep it."""
        self.offered.append(group)

    def offer_kafka(self, batch: CommandBatch) -> bool:
        """Keep it; what follows nothing was read before."""
        self.offered.append(batch)
        return batch.follows >= 0


class ProducerInHand:
    """Keeps what is announced; refuses some partitions."""

    def __init__(self) -> None:
        self.said: list[Owner] = []
        self.refuses: set[int] = set()

    async def append(self, at: TopicPartition, batch: Sequence[tuple[bytes, bytes]]) -> None:
        """One announcement."""
        ((key, value),) = batch
        owner = decode_owner(value)
        assert (at, key) == (TopicPartition(OWNERS, 0), b"%d" % owner.partition)
        if owner.partition in self.refuses:
            raise TimeoutError
        self.said.append(owner)


class HostWorld:
    """A host and what is around it."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(SESSION_MS * 5)
        self.lease = GroupLease(self.clock, SESSION_MS)
        self.host = EngineHost(from_env(), self.clock, self.lease, folder)
        self.producer = ProducerInHand()
        self.engines: dict[int, EngineInHand] = {}
        self.started: list[int] = []
        self.crashes: list[BaseException] = []
        host = cast(Any, self.host)
        host._producer, host._new_engine, host.crash = self.producer, self._new_engine, self.crashes.append

    def _new_engine(self, partition: int) -> EngineInHand:
        self.started.append(partition)
        self.engines[partition] = EngineInHand(partition)
        return self.engines[partition]

    async def take(self, *partitions: int) -> None:
        """These run."""
        self.host.take(partitions)
        await asyncio.sleep(0)

    async def announced(self, **epochs: int) -> None:
        """Their claims: the engine of p1 has epoch so and so."""
        for name, epoch in epochs.items():
            await self.host._announce(int(name.removeprefix("p")), epoch)
        self.producer.said.clear()


@pytest.fixture
async def world(tmp_path: Path) -> HostWorld:
    """A host without engines."""
    return HostWorld(tmp_path)


def group(answers: list[Answer | None]) -> DirectGroup:
    """Two commands by the direct door, whose answers go there."""
    return DirectGroup([b"1", b"2"], lambda done: answers.extend(done.answers))


# Partitions ---------------------------------------------------------------------------------------


async def test_a_partition_never_has_two_engines(world: HostWorld) -> None:
    """A recovery that begins again ends again, and the group may give what was not given up."""
    await world.take(0, 1)
    first = dict(world.engines)
    await world.take(0, 1, 2)
    assert world.started == [0, 1, 2]
    assert world.engines[0] is first[0]
    assert [engine.runs for engine in world.engines.values()] == [1, 1, 1]
    await world.host.release({0, 1, 2})


async def test_a_release_ends_these_engines_and_no_others(world: HostWorld) -> None:
    """What is not here is nobody's business; what was released may be taken again."""
    await world.take(0, 1)
    await world.host.release({0, 7})
    assert world.host.partitions() == {1}
    assert world.engines[0].fails.done()
    assert not world.engines[1].fails.done()
    await world.take(0)
    assert world.started == [0, 1, 0]
    await world.host.release({0, 1})


async def test_a_release_waits_for_its_engines(world: HostWorld) -> None:
    """They write their last snapshots; until then the partition is theirs."""
    await world.take(0)
    world.engines[0].is_late = True
    releasing = asyncio.create_task(world.host.release({0}))
    await asyncio.sleep(0)
    assert world.host.partitions() == {0}
    world.engines[0].fails.set_result(None)
    await asyncio.wait_for(releasing, BOUND_S)
    assert not world.host.partitions()
    assert not world.engines[0].was_cancelled


async def test_an_engine_that_is_late_is_cancelled(world: HostWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rebalance waits for nobody longer than the bound; the log has everything."""
    monkeypatch.setattr("streams.host.RELEASE_TIMEOUT_S", 0.001)
    await world.take(0, 1)
    world.engines[0].is_late = True
    await asyncio.wait_for(world.host.release({0, 1}), BOUND_S)
    assert not world.host.partitions()
    assert [engine.was_cancelled for engine in world.engines.values()] == [True, False]
    assert not world.crashes


async def test_a_stop_and_a_rebalance_may_release_at_once(world: HostWorld) -> None:
    """Both wait for the same engine."""
    await world.take(0)
    await asyncio.wait_for(asyncio.gather(world.host.release({0}), world.host.release({0})), BOUND_S)
    assert not world.host.partitions()


async def test_an_engine_that_fails_stops_the_worker(world: HostWorld) -> None:
    """A person must look at its log; the others would go on without it."""
    await world.take(0)
    error = RuntimeError("planted")
    world.engines[0].fails.set_exception(error)
    await world.host._tasks[0]
    assert world.crashes == [error]


async def test_every_engine_hears_that_time_has_passed(world: HostWorld) -> None:
    """What is due is looked for although nobody asks."""
    await world.take(0, 1)
    world.host.tick()
    assert [engine.ticks for engine in world.engines.values()] == [1, 1]
    await world.host.release({0, 1})


# Doors --------------------------------------------------------------------------------------------


async def test_a_group_for_a_partition_without_an_engine_is_told_to_ask_the_owner(world: HostWorld) -> None:
    """All of it, at once."""
    answers: list[Answer | None] = []
    world.host.offer_direct(3, group(answers))
    assert answers == [Answer("", "", Outcome.NOT_OWNER, partition=3)] * 2


async def test_records_for_a_partition_without_an_engine_are_taken_as_read(world: HostWorld) -> None:
    """The next owner reads them; nothing is acknowledged."""
    acknowledged: list[bool] = []
    assert world.host.offer_kafka(FetchedCommands(3, -1, records(0)), lambda: acknowledged.append(True))
    assert world.host.has_room(3)
    assert not acknowledged


async def test_what_comes_for_an_engine_is_offered_to_it(world: HostWorld) -> None:
    """And what it says to a batch is what the agent hears."""
    await world.take(0)
    answers: list[Answer | None] = []
    offered = group(answers)
    world.host.offer_direct(0, offered)
    assert world.engines[0].offered == [offered]
    assert not answers
    batch = FetchedCommands(0, 6, records(7))
    assert world.host.offer_kafka(batch, lambda: None)
    assert not world.host.offer_kafka(FetchedCommands(0, -1, records(7)), lambda: None)
    assert [(b.follows, b.records) for b in world.engines[0].offered[1:]] == [(6, batch.records), (-1, batch.records)]
    world.engines[0].has_room = False
    assert not world.host.has_room(0)
    await world.host.release({0})


# Owners -------------------------------------------------------------------------------------------


async def test_partitions_that_serve_are_announced_again_under_their_epochs(world: HostWorld) -> None:
    """Of one that claims again nobody knows yet whether it comes to serve."""
    await world.take(0, 1, 2)
    await world.announced(p0=7, p1=8, p2=9)
    world.engines[1].is_serving = False
    world.lease.renew(world.clock.alive_ms())
    await world.host.announce_again()
    address, worker = world.host.address, from_env().worker_id
    assert world.producer.said == [Owner(0, 7, address, worker), Owner(2, 9, address, worker)]
    await world.host.release({0, 1, 2})


async def test_nothing_is_announced_again_when_the_lease_is_over(world: HostWorld) -> None:
    """Another may own them by now."""
    await world.take(0)
    await world.announced(p0=7)
    world.lease.renew(world.clock.alive_ms() - SESSION_MS)
    await world.host.announce_again()
    assert not world.producer.said
    await world.host.release({0})


async def test_an_announcement_that_fails_holds_up_no_other(world: HostWorld) -> None:
    """The next one says it again."""
    await world.take(0, 1)
    await world.announced(p0=7, p1=8)
    world.lease.renew(world.clock.alive_ms())
    world.producer.refuses = {0}
    await world.host.announce_again()
    assert [owner.partition for owner in world.producer.said] == [1]
    await world.host.release({0, 1})


async def test_an_engine_that_is_about_to_announce_itself_is_not_announced_again(world: HostWorld) -> None:
    """It serves a moment before; the timer that fails would stop the worker."""
    await world.take(0, 1)
    await world.announced(p1=8)
    world.lease.renew(world.clock.alive_ms())
    await world.host.announce_again()
    assert [owner.partition for owner in world.producer.said] == [1]
    await world.host.release({0, 1})


async def test_a_partition_that_was_released_is_not_announced_under_its_old_epoch(world: HostWorld) -> None:
    """Its next engine has another."""
    await world.take(0)
    await world.announced(p0=7)
    await world.host.release({0})
    await world.take(0)
    world.lease.renew(world.clock.alive_ms())
    await world.host.announce_again()
    assert not world.producer.said
    await world.host.release({0})
