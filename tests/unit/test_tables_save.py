"""Saving snapshots: cut by bytes, done only when all is acked or failed, and the local store only has what is acked."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest
from faust.types import TP

from tables.base import SnapshotWrites
from tables.snapshots import Tables, TableSnapshots
from tables.store import pack
from z0.client.frames import STRETCH_BYTES_MAX
from z0.cut import cut
from z0.errors import EpochDead
from z0.log.claims import Floor
from z0.log.ports import Appended
from z0.log.producer import RECORDS_BYTES_MAX
from z0.sim.disk import DictStore


def test_large_entities_go_in_several_batches_none_of_which_outgrows_a_record_batch() -> None:
    """Otherwise the pass fails for ever and the floor never moves."""
    records = [(b"k%d" % n, b"x" * 256 * 1024) for n in range(50)]
    batches = list(cut(records, lambda record: len(record[0]) + len(record[1]), RECORDS_BYTES_MAX))
    assert [record for batch in batches for record in batch] == records
    assert len(batches) > 1
    assert all(sum(len(key) + len(value) for key, value in batch) <= RECORDS_BYTES_MAX for batch in batches)


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
    failing = cast(SnapshotWrites, Failing())
    tables = Tables(failing, failing, failing, cast(SnapshotWrites, late))
    writing = asyncio.ensure_future(TableSnapshots(tables).claim(0, 7))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not writing.done()
    late.gate.set()
    with pytest.raises(TimeoutError):
        await writing
    assert late.done


class Kept:
    """A table that is acked at once, and what it keeps."""

    def __init__(self) -> None:
        self.store = DictStore()

    async def claim(self, partition: int, epoch: int) -> None:
        self.store.raise_epoch(partition, epoch)

    async def save(self, partition: int, epoch: int, records: Sequence[tuple[bytes, bytes]]) -> None:
        self.store.put_all(partition, [(key, pack(epoch, value)) for key, value in records])


@pytest.mark.parametrize("lost", Tables._fields)
async def test_a_table_that_was_lost_alone_is_folded_from_the_beginning(lost: str) -> None:
    """The floor lies in another one, and says that nothing before it is needed: roles and counted limits would be gone."""
    tables = Tables(*(cast(SnapshotWrites, Kept()) for _ in Tables._fields))
    snapshots = TableSnapshots(tables)
    await snapshots.claim(0, 7)
    await snapshots.save_floor(0, 7, Floor(20, -1, 0, 7))
    assert not snapshots.needs_full_replay(0)
    left = TableSnapshots(tables._replace(**{lost: cast(SnapshotWrites, Kept())}))
    assert left.needs_full_replay(0) or left.floor(0) == Floor()


CHANGELOG = TP("changelog", 0)


class Table(SnapshotWrites):
    """A table whose next batch lands where the test says."""

    def __init__(self, persisted: int) -> None:
        self.lands_at = 0
        self.kept = DictStore()
        self.kept.set_persisted_offset(CHANGELOG, persisted)
        self.send_batch = self._send

    async def _send(self, topic: str, partition: int, records: Sequence[tuple[bytes, bytes]]) -> Appended:
        return Appended(self.lands_at, 0)

    @property
    def changelog_topic_name(self) -> str:
        return CHANGELOG.topic

    @property
    def store(self) -> DictStore:
        return self.kept


async def test_what_another_owner_wrote_in_between_is_still_to_be_read() -> None:
    """Or one table would have the other's snapshots and the next would not, below a floor that believes in both."""
    table = Table(persisted=9)
    table.lands_at = 10
    await table.save(0, 5, [(b"a", b"1"), (b"b", b"1")])
    assert table.kept.persisted_offset(CHANGELOG) == 11
    table.lands_at = 14  # somebody wrote 12 and 13
    await table.save(0, 5, [(b"a", b"2")])
    assert table.kept.persisted_offset(CHANGELOG) == 11
    assert table.kept.fetch(0, b"a") == b"2"


async def test_what_could_not_be_stored_is_still_to_be_read() -> None:
    """The changelog has it: said to be read before it is kept, a crash between would leave a gap that nobody reads."""

    class Full(DictStore):
        def put_all(self, partition: int, records: Sequence[tuple[bytes, bytes]]) -> None:
            raise OSError("no space left")

    table = Table(persisted=9)
    table.lands_at, table.kept = 10, Full()
    table.kept.set_persisted_offset(CHANGELOG, 9)
    with pytest.raises(OSError, match="no space"):
        await table.save(0, 5, [(b"a", b"1")])
    assert table.kept.persisted_offset(CHANGELOG) == 9


async def test_a_save_of_large_entities_goes_in_batches_that_a_topic_takes_and_is_done_when_all_are_acked() -> None:
    """One that is refused would be tried for ever, and the floor would never move."""
    sent: list[int] = []

    class Measured(Table):
        async def _send(self, topic: str, partition: int, records: Sequence[tuple[bytes, bytes]]) -> Appended:
            sent.append(sum(len(key) + len(value) for key, value in records))
            return Appended(len(sent), 0)

    table = Measured(persisted=-1)
    large = [(b"k%d" % n, b"x" * 256 * 1024) for n in range(50)]
    await table.save(0, 5, large)
    assert max(sent) <= RECORDS_BYTES_MAX
    assert len(sent) > 1
    assert dict(table.kept.items_of(0)) == dict(large)


async def test_a_snapshot_acked_after_a_newer_epoch_began_stays_out_of_the_local_store() -> None:
    """It lands behind the fence in the changelog; here it would lie on top of the newer epoch's."""
    table = Table(persisted=-1)
    table.kept.raise_epoch(0, 9)
    table.kept.put_all(0, [(b"a", pack(9, b"newer"))])
    with pytest.raises(EpochDead):
        await table.save(0, 5, [(b"a", b"late")])
    with pytest.raises(EpochDead):
        await table.claim(0, 5)
    assert table.kept.fetch(0, b"a") == b"newer"
