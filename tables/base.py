"""
The Faust table of one kind of snapshot. Owns: how a snapshot gets into the local store and its changelog.

Faust gives assignment, recovery and the store's life. Writes go past its dictionary interface: a table write there needs
the current event's partition, costs one producer call per key, and a failed send is only logged.
"""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import faust
from faust.types import TP

from tables.store import Fenced, MemoryStore, RocksStore, claim_key, pack
from z0.cut import cut
from z0.errors import EpochDead
from z0.log.ports import Appended
from z0.log.producer import RECORDS_BYTES_MAX

# (topic, partition, records) -> where the batch landed
SendBatch = Callable[[str, int, Sequence[tuple[bytes, bytes]]], Awaitable[Appended]]


class SnapshotWrites:
    """How a claim and snapshots get into a changelog and then into the local store, whoever keeps the two."""

    send_batch: SendBatch

    if TYPE_CHECKING:  # given by Faust's table, which stands behind this class in the order of resolution

        @property
        def changelog_topic_name(self) -> str: ...

    @property
    @abstractmethod
    def store(self) -> Fenced:
        """The local store, fenced."""

    async def claim(self, partition: int, epoch: int) -> None:
        """Write the claim of an epoch and wait for its ack; older epochs' later records are void from here on."""
        record = (claim_key(epoch), pack(epoch, b""))
        landed = await self.send_batch(self.changelog_topic_name, partition, [record])
        self._check_epoch(partition, epoch)
        self.store.raise_epoch(partition, epoch)
        self._persisted(partition, landed, 1)

    async def save(self, partition: int, epoch: int, payloads: Sequence[tuple[bytes, bytes]]) -> None:
        """Write snapshots and wait for the ack; the local store has them only then."""
        # A step of large entities would not fit one record batch, and the floor would never move again.
        records_all = [(key, pack(epoch, payload)) for key, payload in payloads]
        for records in cut(records_all, lambda record: len(record[0]) + len(record[1]), RECORDS_BYTES_MAX):
            landed = await self.send_batch(self.changelog_topic_name, partition, records)
            self._check_epoch(partition, epoch)
            self.store.put_all(partition, records)
            self._persisted(partition, landed, len(records))  # last, or a crash leaves a gap that nobody reads

    def _check_epoch(self, partition: int, epoch: int) -> None:
        """What was acked late must not get into the local store on top of what a newer epoch, here or elsewhere, has written."""
        if epoch < self.store.epoch(partition):
            raise EpochDead(f"epoch {epoch} of partition {partition} was acked after epoch {self.store.epoch(partition)}")

    def _persisted(self, partition: int, landed: Appended, count: int) -> None:
        """
        The local store has what it wrote itself. Where another owner has written before it, the store stays behind: the next
        recovery reads both. Else it would take the other's snapshots in one table for read, and not know them.
        """
        place = TP(self.changelog_topic_name, partition)
        before = self.store.persisted_offset(place)
        if landed.base_offset == (before if before is not None else -1) + 1:
            self.store.set_persisted_offset(place, landed.base_offset + count - 1)


class SnapshotTable(SnapshotWrites, faust.Table[bytes, bytes]):
    """Snapshots by key; every write is one batch on the changelog, and done when it is acked."""

    def _new_store_by_url(self, url: Any) -> Any:
        if str(url).startswith("rocksdb"):
            return RocksStore(url, self.app, self)
        return MemoryStore(url, self.app, self)

    @property
    def store(self) -> Fenced:
        return cast(Fenced, self.data)
