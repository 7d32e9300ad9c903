"""
Which partitions a worker takes, and when: Faust's recovery under rebalances and a slow broker.

The app, its consumer and its recovery are the shipped ones; the group, Kafka and the engines are in the test's hand
(`worker_world`).
"""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import IllegalStateError, KafkaTimeoutError

from tests.unit.worker_world import World, at, changelog, worker

TURNS = 16  # of the loop, of which an assignment needs fewer


async def recovering(world: World, *partitions: int) -> None:
    """A recovery of these partitions that waits in its last question."""
    world.recover()
    world.thread.gates["seek_wait"].shut()
    await world.rebalance(*partitions)
    await world.thread.gates["seek_wait"].reached.wait()


async def turns(count: int) -> None:
    """Let whoever is ready go on."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_the_group_gives_is_taken_when_the_tables_have_recovered() -> None:
    """Of all that is assigned, the partitions of commands have engines."""
    async with worker() as world:
        await recovering(world, 0, 2)
        assert not world.host.running
        world.thread.gates["seek_wait"].open()
        await world.ready()
        assert world.host.running == {0, 2}


async def test_an_engine_begins_when_it_is_known_what_the_group_has_of_its_commands() -> None:
    """It compares that with the topic: commands that were decided and have expired would look as if nobody had read them."""
    async with worker() as world:
        world.recover()
        world.thread.committed = {at(0): 50}
        await world.rebalance(0, 1)
        await world.ready()
        assert world.did("take") == [("take", {0: 50, 1: 0})]


async def test_the_consumer_is_settled_before_a_recovery_can_end() -> None:
    """Else what has recovered would be taken for the last assignment's, and nobody would serve it."""
    async with worker() as world:
        world.recover()
        settled: list[bool] = []

        async def watch() -> None:
            await world.recovery.signal_recovery_start.wait()
            settled.append(world.consumer.is_settled)

        watching = asyncio.create_task(watch())
        await world.rebalance(0)
        await watching
        assert settled == [True]


async def test_a_recovery_that_ends_in_the_next_rebalance_takes_nothing() -> None:
    """Its partitions may be another's by now; what is given then is taken."""
    async with worker() as world:
        await recovering(world, 0, 1)
        await world.revoke()
        world.thread.gates["seek_wait"].open()
        await world.settle()
        assert not world.host.running
        world.recovery.completed.clear()
        await world.assign(1, 2)
        await world.ready()
        assert world.host.running == {1, 2}


@pytest.mark.parametrize("after", range(TURNS))
async def test_no_partition_is_taken_by_a_recovery_of_the_assignment_before(after: int) -> None:
    """In whichever turn of the loop that one ends: the tables of what is new have not recovered."""
    async with worker() as world:
        await recovering(world, 0)
        await world.revoke()
        highwaters = world.thread.gates["highwaters"]
        highwaters.shut()
        assigning = asyncio.create_task(world.assign(0, 1))
        await turns(after)
        world.thread.gates["seek_wait"].open()
        await assigning
        await highwaters.reached.wait()
        await world.settle()
        assert not world.host.running
        world.recovery.completed.clear()
        highwaters.open()
        await world.ready()
        assert world.host.running == {0, 1}


async def test_a_recovery_waits_for_a_broker_longer_than_faust_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faust's own ends for ever then, and the worker keeps partitions that nobody serves."""
    async with worker() as world:
        wait_first = world.recovery.wait_first

        async def no_time(*what: Any, timeout: Any = None) -> Any:
            return await wait_first(*what, timeout=timeout and 0)

        monkeypatch.setattr(world.recovery, "wait_first", no_time)
        highwaters = world.thread.gates["highwaters"]
        highwaters.shut()
        world.recover()
        await world.rebalance(0, 1)
        await highwaters.reached.wait()
        await world.settle()
        highwaters.open()
        await world.ready()
        assert world.host.running == {0, 1}


@pytest.mark.parametrize("error", [KafkaTimeoutError(), TimeoutError()])
async def test_a_question_that_timed_out_is_asked_again(error: Exception) -> None:
    """It would stop the worker, whom nothing is wrong with."""
    async with worker() as world:
        world.recover()
        world.thread.fail_with("highwaters", error)
        await world.rebalance(0, 1)
        await world.ready()
        assert world.host.running == {0, 1}


async def test_a_recovery_that_lost_its_partitions_goes_on_with_the_next_assignment() -> None:
    """aiokafka refuses a position in what another has by now; the rebalance that took it is on its way to us."""
    async with worker() as world:
        world.recover()
        world.thread.fail_with("seek_wait", IllegalStateError("not assigned"))
        await world.rebalance(0, 1)
        await world.settle()
        assert not world.host.running
        await world.rebalance(1)
        await world.ready()
        assert world.host.running == {1}


async def test_a_worker_that_is_given_nothing_takes_what_it_is_given_later() -> None:
    """There may be more workers than partitions."""
    async with worker() as world:
        world.recover()
        await world.rebalance()
        await world.ready()
        assert not world.host.running
        world.recovery.completed.clear()
        await world.rebalance(3)
        await world.ready()
        assert world.host.running == {3}


async def test_what_is_not_settled_is_not_taken() -> None:
    """A recovery of the last assignment may end at any time of a rebalance."""
    async with worker() as world:
        world.give(0, 1)
        world.thread.assigned.add(changelog(3))  # of commands nothing is
        world.consumer.is_settled = False
        await world.app.on_rebalance_complete.send()
        assert not world.host.running
        world.consumer.is_settled = True
        await world.app.on_rebalance_complete.send()
        assert world.host.running == {0, 1}
