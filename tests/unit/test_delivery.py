"""
Delivery: what of `z0.commands` is read from where, what is committed, and in which order a rebalance goes.

The consumer is the shipped one; the group, the reader and the engines are in the test's hand (`worker_world`).
"""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import ConsumerStoppedError
from aiokafka.structs import OffsetAndMetadata
from faust.types import TP

from streams.transport import BatchConsumerThread, FetchedCommands
from tests.unit.worker_world import BOUND_S, SESSION_MS, World, at, changelog, idle_for, records, worker


async def assigned(world: World, *partitions: int) -> None:
    """These partitions are given and read."""
    await world.rebalance(*partitions)
    await world.consumer.perform_seek()
    world.consumer.resume_flow()


async def read(world: World, *found: dict[int, Any]) -> list[FetchedCommands]:
    """What is delivered of what the reader finds, fetch by fetch; then the reader is stopped."""
    world.host.delivered.clear()
    world.reader.found = list(found)
    with pytest.raises(ConsumerStoppedError):
        await asyncio.wait_for(world.consumer.read_commands(), BOUND_S)
    return world.host.delivered


def done_to(world: World, partition: int, offset: int) -> None:
    """An engine has done everything below."""
    world.consumer.acknowledge(FetchedCommands(partition, offset - 2, records(offset - 1)))


# Where reading begins -----------------------------------------------------------------------------


async def test_reading_begins_at_the_committed_offsets() -> None:
    """Of what the group knows nothing of, at the beginning."""
    async with worker() as world:
        world.thread.committed = {at(0): 7}
        await assigned(world, 0, 1)
        assert world.reader.positions == {0: 7, 1: 0}


async def test_the_first_batch_follows_what_was_committed_and_each_other_the_one_before() -> None:
    """An engine notices by that when one was dropped."""
    async with worker() as world:
        world.thread.committed = {at(0): 7}
        await assigned(world, 0, 1)
        delivered = await read(world, {0: records(7, 8), 1: records(0)}, {0: records(11)})
        assert [(b.partition, b.follows, len(b.records)) for b in delivered] == [(0, 6, 2), (1, -1, 1), (0, 8, 1)]


async def test_a_seek_of_the_last_assignment_moves_nothing() -> None:
    """Its answer may come when the next rebalance has begun."""
    async with worker() as world:
        world.thread.committed = {at(0): 7}
        await assigned(world, 0)
        await read(world, {0: records(7, 8)})
        world.consumer.is_settled = False
        world.journal.clear()
        await world.consumer.perform_seek()
        assert not world.did("assign")
        assert [batch.follows for batch in await read(world, {0: records(9)})] == [8]


async def test_a_partition_is_delivered_again_from_what_is_done() -> None:
    """Where an engine missed a batch, or claims anew."""
    async with worker() as world:
        await assigned(world, 0, 1)
        await read(world, {0: records(0, 1, 2), 1: records(0)})
        done_to(world, 0, 2)
        await world.consumer.rewind(0)
        assert world.reader.positions[0] == 2
        assert [batch.follows for batch in await read(world, {0: records(2), 1: records(1)})] == [1, 0]


async def test_the_group_is_asked_for_all_partitions_of_commands_at_once() -> None:
    """And for nothing else: of changelogs nothing is committed."""
    async with worker() as world:
        asked: list[Any] = []

        async def fetch_committed_offsets(partitions: list[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata]:
            asked.append(set(partitions))
            return {TopicPartition(*at(0)): OffsetAndMetadata(7, "")}

        thread = thread_on(world, SimpleNamespace(fetch_committed_offsets=fetch_committed_offsets), at(0), at(1), changelog(0))
        assert await thread._committed() == {at(0): 7}
        assert asked == [{TopicPartition(*at(0)), TopicPartition(*at(1))}]


# What is read -------------------------------------------------------------------------------------


async def test_a_partition_whose_engine_is_full_is_not_read() -> None:
    """What is fetched for it would only wait in memory; the others go on."""
    async with worker() as world:
        await assigned(world, 0, 1)
        world.host.full = {0}
        await read(world)
        world.host.full = set()
        await read(world)
        assert world.reader.asked == [[1], [0, 1]]


async def test_nothing_is_read_while_the_flow_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rebalance is under way, or the tables recover."""
    monkeypatch.setattr("streams.transport.LOOK_AGAIN_S", 0)
    async with worker() as world:
        await assigned(world, 0)
        world.consumer.stop_flow()
        reading = asyncio.create_task(world.consumer.read_commands())
        await world.settle()
        assert not world.reader.asked
        world.consumer.resume_flow()
        with pytest.raises(ConsumerStoppedError):
            await asyncio.wait_for(reading, BOUND_S)
        assert world.reader.asked == [[0]]


async def test_a_worker_without_partitions_stays_in_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka leaves it when nobody asks for records, and would not join again when there is something to serve."""
    monkeypatch.setattr("streams.transport.LOOK_AGAIN_S", 0)
    async with worker() as world:
        remembered = idle_for(world.app.conf.broker_max_poll_interval)
        thread = thread_on(world, None)
        cast(Any, thread._consumer)._subscription = remembered
        world.consumer._thread = thread
        reading = asyncio.create_task(world.consumer.read_commands())
        await world.settle()
        reading.cancel()
        assert remembered.fetcher_idle_time < BOUND_S


async def test_a_thread_that_has_not_started_is_told_nothing() -> None:
    """The reading of commands begins before it."""
    async with worker() as world:
        world.shipped_thread.still_reads()


# What is done -------------------------------------------------------------------------------------


async def test_what_is_done_never_goes_back() -> None:
    """A batch that was delivered twice is acknowledged twice, the older end last."""
    async with worker() as world:
        done_to(world, 0, 9)
        done_to(world, 0, 4)
        assert world.consumer.committed(0) == 9
        done_to(world, 0, 10)
        assert world.consumer.committed(0) == 10


async def test_what_is_done_is_what_the_group_knows_or_what_is_acknowledged() -> None:
    """Whichever is more; commits come later, and another worker may have committed more than was read here."""
    async with worker() as world:
        assert world.consumer.committed(0) == 0
        done_to(world, 0, 5)
        assert world.consumer.committed(0) == 5
        world.thread.committed = {at(0): 7}
        world.give(0)
        await world.consumer.learn_committed()
        assert world.consumer.committed(0) == 7
        done_to(world, 0, 8)
        assert world.consumer.committed(0) == 8


async def test_markers_are_done_when_all_before_them_is() -> None:
    """Transactions leave them at the end of a topic, and nobody is given them."""
    async with worker() as world:
        await assigned(world, 0)
        await read(world, {0: records(0, 1)})
        done_to(world, 0, 2)
        world.reader.positions[0] = 5  # past the markers
        await read(world, {})
        assert world.consumer.committed(0) == 5
        world.reader.positions[0] = 6  # and past one more
        await read(world, {})
        assert world.consumer.committed(0) == 6


async def test_a_reader_that_stands_before_what_is_done_takes_nothing_back() -> None:
    """It is told to read again what an engine missed; another worker may have committed more."""
    async with worker() as world:
        await assigned(world, 0)
        done_to(world, 0, 9)
        world.reader.positions[0] = 5
        await read(world, {})
        assert world.consumer.committed(0) == 9


async def test_what_is_read_and_not_done_is_not_passed() -> None:
    """The position stands behind it all the same."""
    async with worker() as world:
        await assigned(world, 0)
        await read(world, {0: records(0, 1, 2)})
        world.reader.positions[0] = 3
        await read(world, {})
        assert world.consumer.committed(0) == 0
        done_to(world, 0, 2)
        await read(world, {})
        assert world.consumer.committed(0) == 2


async def test_nothing_is_passed_in_a_rebalance_nor_to_an_unknown_position() -> None:
    """The positions are of an assignment that is not there yet; of a partition that is looked up, there is none."""
    async with worker() as world:
        world.thread.committed = {at(0): 2}
        await assigned(world, 0)
        world.reader.positions[0] = 5
        world.consumer.is_settled = False
        await read(world, {})
        assert world.consumer.committed(0) == 2
        world.consumer.is_settled = True
        world.reader.positions[0] = cast(Any, None)
        await read(world, {})
        assert world.consumer.committed(0) == 2


# A rebalance --------------------------------------------------------------------------------------


async def test_engines_finish_before_what_they_did_is_committed() -> None:
    """What is acknowledged while they finish is in the commit."""
    async with worker() as world:

        async def heard(*_: Any, **__: Any) -> None:
            world.journal.append(("Faust heard",))

        await assigned(world, 0)
        world.host.running = {0}
        world.journal.clear()
        world.host.releasing.shut()
        world.app.on_partitions_revoked.connect(heard, weak=False)
        revoking = asyncio.create_task(world.revoke())
        await world.host.releasing.reached.wait()
        done_to(world, 0, 5)
        world.host.releasing.open()
        await revoking
        assert world.did("release", "released", "commit", "Faust heard") == [
            ("release", {0}),
            ("released", {0}),
            ("commit", {at(0): 5}),
            ("Faust heard",),
        ]


async def test_a_rebalance_stops_the_reading_before_anything_else() -> None:
    """While engines finish nothing more is delivered, and no seek of the assignment that ends moves the reader."""
    async with worker() as world:
        await assigned(world, 0)
        world.host.releasing.shut()
        revoking = asyncio.create_task(world.revoke())
        await world.host.releasing.reached.wait()
        assert world.reader.positions == {}
        assert not world.consumer.is_settled
        await world.consumer.perform_seek()
        assert world.reader.positions == {}
        world.host.releasing.open()
        await revoking


async def test_what_was_done_in_a_partition_is_forgotten_with_it() -> None:
    """Another may take it over, lose it, and the group may be told to read it again."""
    async with worker() as world:
        await assigned(world, 0)
        done_to(world, 0, 9)
        await world.revoke()
        world.thread.committed = {at(0): 4}
        await world.assign(0)
        await world.consumer.perform_seek()
        assert world.consumer.committed(0) == 4
        assert world.reader.positions == {0: 4}


async def test_only_what_is_revoked_is_forgotten() -> None:
    """The rest is committed later."""
    async with worker() as world:
        world.give(0, 1)
        done_to(world, 0, 9)
        done_to(world, 1, 9)
        await world.consumer.on_partitions_revoked({at(0)})
        assert [world.consumer._acked_to.get(at(partition)) for partition in (0, 1)] == [None, 9]


async def test_an_assignment_renews_the_lease_by_the_time_at_which_its_join_began() -> None:
    """The group heard of this worker then; however long it waited for the others since."""
    async with worker() as world:
        await world.revoke()
        world.clock.advance(SESSION_MS - 1)
        await world.assign(0)
        assert world.host.lease.holds()
        world.clock.advance(1)
        assert not world.host.lease.holds()


async def test_an_engine_of_a_partition_that_is_no_longer_given_is_released() -> None:
    """A recovery may have taken one while the group rebalanced."""
    async with worker() as world:
        await world.revoke()
        world.host.running = {0, 3}
        await world.assign(0, 1)
        assert world.host.running == {0}


async def test_a_consumer_is_settled_only_when_its_assignment_has_gone_through() -> None:
    """Until then what ends is of the assignment before."""
    async with worker() as world:
        seen: list[bool] = []

        async def look(*_: Any, **__: Any) -> None:
            seen.append(world.consumer.is_settled)

        world.app.on_partitions_assigned.connect(look, weak=False)
        await world.rebalance(0)
        assert seen == [False]
        assert world.consumer.is_settled


async def test_the_thread_never_reads_commands() -> None:
    """They are paused before its fetcher can see the assignment: it would fetch what another consumer reads."""
    async with worker() as world:
        journal: list[Any] = []

        async def tell(_: Any, assigned: set[TP], generation: int) -> None:
            journal.append(("told", assigned, generation))

        cast(Any, world.consumer).threadsafe_partitions_assigned = tell
        thread = thread_on(world, None)
        cast(Any, thread._consumer).pause = lambda *partitions: journal.append(("paused", set(partitions)))
        await thread.on_partitions_assigned({at(0), at(1), changelog(0)}, 5)
        assert journal == [
            ("paused", {TopicPartition(*at(0)), TopicPartition(*at(1))}),
            ("told", {at(0), at(1), changelog(0)}, 5),
        ]


# Changelogs ---------------------------------------------------------------------------------------


async def changelog_messages(world: World) -> list[Any]:
    """What comes of one fetch of changelogs."""
    return [message async for _, message in world.consumer.getmany(timeout=1)]


async def test_records_of_a_changelog_below_where_it_is_read_are_dropped() -> None:
    """A fetch from before the seek of a recovery brings what the table has already."""
    async with worker() as world:
        world.give(0)
        world.consumer.resume_partitions({changelog(0)})
        world.app.in_recovery = True
        world.thread.fetched = {changelog(0): records(3, 4, 5, 6)}
        world.consumer._read_offset[changelog(0)] = 5
        (message,) = await changelog_messages(world)
        assert [record.offset for record in message.records] == [5, 6]
        world.consumer._read_offset[changelog(0)] = None
        (message,) = await changelog_messages(world)
        assert [record.offset for record in message.records] == [3, 4, 5, 6]


async def test_a_changelog_that_is_not_recovered_is_not_delivered() -> None:
    """Neither what is paused nor what comes when a rebalance has stopped the flow."""
    async with worker() as world:
        world.give(0, 1)
        world.consumer.resume_partitions({changelog(0)})
        world.app.in_recovery = True
        world.thread.fetched = {changelog(0): records(3), changelog(1): records(4)}
        assert [message.tp for message in await changelog_messages(world)] == [changelog(0)]


async def test_changelogs_are_read_in_recoveries_alone_and_commands_never(monkeypatch: pytest.MonkeyPatch) -> None:
    """Afterwards they hold what this worker wrote itself."""
    monkeypatch.setattr("streams.transport.LOOK_AGAIN_S", 0)
    async with worker() as world:
        world.app.in_recovery = False
        assert await world.consumer._getmany({changelog(0), at(0)}, 1.0) == {}
        assert not world.did("getmany")
        world.app.in_recovery = True
        await world.consumer._getmany({changelog(0), at(0)}, 1.0)
        assert world.did("getmany") == [("getmany", {changelog(0)})]


def thread_on(world: World, coordinator: Any, *partitions: TP) -> BatchConsumerThread:
    """The shipped thread, not started, on a twin of aiokafka's consumer that has these partitions."""
    thread = world.shipped_thread
    consumer = SimpleNamespace(_coordinator=coordinator, assignment=lambda: {TopicPartition(*tp) for tp in partitions})
    cast(Any, thread)._consumer = consumer
    return thread
