"""Producers of the fact log: shared where they can be, never gone back to, closed when nobody uses them."""

from typing import Any

import pytest

from z0.log.producers import Producers


class Opened:
    """Stands for a producer; only its end is of interest here."""

    def __init__(self) -> None:
        self.stopped = False

    async def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def opened() -> list[Opened]:
    """Every producer opened so far."""
    return []


@pytest.fixture
def producers(opened: list[Opened]) -> Producers:
    """An empty pool."""

    async def open_one() -> Any:
        opened.append(Opened())
        return opened[-1]

    return Producers(open_one)


async def test_partitions_share_a_producer(producers: Producers, opened: list[Opened]) -> None:
    """One connection and one sender for a whole worker."""
    await producers.start()
    assert {id(await producers.next_of(partition)) for partition in range(8)} == {id(opened[0])}


async def test_a_partition_never_goes_back_to_a_producer(producers: Producers) -> None:
    """A batch of its dead epoch may still wait there."""
    used = [await producers.next_of(0) for _ in range(3)]
    used += [await producers.next_of(1)]
    used += [await producers.next_of(0)]
    mine = [id(producer) for producer in (*used[:3], used[4])]
    assert len(set(mine)) == 4


async def test_a_producer_that_every_partition_has_left_is_closed(producers: Producers, opened: list[Opened]) -> None:
    """And no sooner: another partition may be writing."""
    await producers.next_of(0)
    await producers.next_of(1)
    await producers.next_of(0)
    assert len(producers) == 2
    await producers.next_of(1)
    assert len(producers) == 1
    await producers.stop()
    assert [o.stopped for o in opened] == [True, True]


async def test_a_hundred_rebalances_leave_one_producer(producers: Producers, opened: list[Opened]) -> None:
    """Each gives every partition up and takes it again."""
    for _ in range(100):
        for partition in range(8):
            await producers.next_of(partition)
        for partition in range(8):
            producers.release(partition)
    assert len(producers) == 1
    await producers.stop()
    assert all(o.stopped for o in opened)
