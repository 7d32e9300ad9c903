"""Saving snapshots: cut by bytes, done only when all is acked or failed, and the local store only has what is acked."""

import asyncio
from typing import cast

import pytest

from tables.base import SAVE_BYTES_MAX, SnapshotWrites
from tables.snapshots import Tables, TableSnapshots
from z0.client.frames import STRETCH_BYTES_MAX
from z0.cut import cut


def test_large_entities_go_in_several_batches_none_of_which_outgrows_a_record_batch() -> None:
    """Otherwise the pass fails for ever and the floor never moves."""
    records = [(b"k%d" % n, b"x" * 256 * 1024) for n in range(50)]
    batches = list(cut(records, lambda record: len(record[0]) + len(record[1]), SAVE_BYTES_MAX))
    assert [record for batch in batches for record in batch] == records
    assert len(batches) > 1
    assert all(sum(len(key) + len(value) for key, value in batch) <= SAVE_BYTES_MAX for batch in batches)


def test_many_large_commands_make_several_frames_and_small_ones_make_one() -> None:
    """A frame that the other end refuses would be sent again and again, with everybody's commands in it."""
    large = [b"x" * 256 * 1024] * 40
    stretches = list(cut(large, len, STRETCH_BYTES_MAX))
    assert [item for stretch in stretches for item in stretch] == large
    assert all(sum(map(len, stretch)) <= STRETCH_BYTES_MAX for stretch in stretches)
    assert len(list(cut([b"x"] * 1_000, len, STRETCH_BYTES_MAX))) == 1
    assert list(cut([], len, STRETCH_BYTES_MAX)) == []


class Failing:
    """A table whose writes fail at once."""

    async def claim(self, partition: int, epoch: int) -> None:
        raise TimeoutError("not acked")


class Late:
    """A table whose writes take until somebody allows them."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.done = False

    async def claim(self, partition: int, epoch: int) -> None:
        await self.gate.wait()
        self.done = True


async def test_a_write_that_failed_in_one_table_waits_for_the_other_tables_write() -> None:
    """Or the late one would land on top of the next pass's snapshots, under the same epoch, where no fence holds it back."""
    late = Late()
    failing = [cast(SnapshotWrites, Failing()) for _ in range(3)]
    writing = asyncio.ensure_future(TableSnapshots(Tables(*failing, cast(SnapshotWrites, late))).claim(0, 7))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not writing.done()
    late.gate.set()
    with pytest.raises(TimeoutError):
        await writing
    assert late.done
