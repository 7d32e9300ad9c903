"""
Fenced stores: where a worker keeps its tables between snapshots. Owns: which changelog records count.

A worker that lost its partition may still write a stale snapshot behind its successor's, and compaction then keeps the
stale one. So every value carries its epoch (8 bytes, big endian), every owner writes a claim before its first snapshot,
and a record older than the largest epoch seen before it is void. A key whose newest record is void has no snapshot at
all: the valid one may have been compacted away, so the entity is rebuilt from its facts.
"""

import errno
import logging
import shutil
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from faust.stores.memory import Store as FaustMemoryStore
from faust.stores.rocksdb import RocksDBOptions
from faust.stores.rocksdb import Store as FaustRocksStore
from faust.types import TP, ConsumerMessage
from rocksdict import WriteBatch

from z0.log.index import WRITE_BUFFER_BYTES, WRITE_BUFFERS

EPOCH_BYTES: Final = 8
EPOCH_KEY: Final = b"!epoch"
CLAIM_PREFIX: Final = b"!claim:"
VOID_PREFIX: Final = b"!void:"
BLOCK_CACHE_BYTES: Final = 8 * 1024 * 1024  # Faust's default is 2 GiB per partition
REOPEN_BYTES: Final = 1024 * 1024  # beside what is to be written: a manifest, a new log

logger = logging.getLogger(__name__)


def pack(epoch: int, payload: bytes) -> bytes:
    """A value as it is stored and sent: epoch, then payload."""
    return epoch.to_bytes(EPOCH_BYTES, "big") + payload


def claim_key(epoch: int) -> bytes:
    """Under which an epoch's claim is kept and sent: each under its own, so that compaction leaves them all."""
    return CLAIM_PREFIX + b"%020d" % epoch


def unpack(value: bytes) -> tuple[int, bytes]:
    """Epoch and payload of a stored value."""
    return int.from_bytes(value[:EPOCH_BYTES], "big"), value[EPOCH_BYTES:]


class Fenced:
    """The fence over any store that can put, fetch and delete raw bytes per partition."""

    @abstractmethod
    def put_raw(self, partition: int, key: bytes, value: bytes) -> None: ...

    @abstractmethod
    def fetch_raw(self, partition: int, key: bytes) -> bytes | None: ...

    @abstractmethod
    def delete_raw(self, partition: int, key: bytes) -> None: ...

    @abstractmethod
    def raw_items(self, partition: int) -> Iterator[tuple[bytes, bytes]]: ...

    @abstractmethod
    def has_prefix(self, partition: int, prefix: bytes) -> bool: ...

    if TYPE_CHECKING:  # given by Faust's stores, which stand behind this class in the order of resolution

        def persisted_offset(self, tp: TP) -> int | None: ...

        def set_persisted_offset(self, tp: TP, offset: int) -> None: ...

    def fetch(self, partition: int, key: bytes) -> bytes | None:
        """The payload of a key's snapshot, or None."""
        value = self.fetch_raw(partition, key)
        return unpack(value)[1] if value is not None else None

    def items_of(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """Every key that has a snapshot, with its payload; keys of the fence itself begin with `!`."""
        for key, value in self.raw_items(partition):
            if not key.startswith(b"!"):
                yield key, unpack(value)[1]

    def put_all(self, partition: int, records: Sequence[tuple[bytes, bytes]]) -> None:
        """Keep many of the owner's own snapshots, in one write: one by one they cost 6 us each, while commands wait."""
        changes: dict[bytes, bytes | None] = dict(records)
        if self.has_void(partition):
            changes |= {VOID_PREFIX + key: None for key, _ in records}
        self.write_raw(partition, changes)

    def raise_epoch(self, partition: int, epoch: int) -> None:
        """An epoch's claim: from here on, what older epochs wrote later is void."""
        changes = {claim_key(epoch): pack(epoch, b"")}
        if epoch > self.epoch(partition):
            changes[EPOCH_KEY] = pack(epoch, b"")
        self.write_raw(partition, changes)

    def epoch(self, partition: int) -> int:
        """The largest epoch seen."""
        value = self.fetch_raw(partition, EPOCH_KEY)
        return unpack(value)[0] if value is not None else -1

    def has_claim(self, partition: int, epoch: int) -> bool:
        """
        Whether this epoch's own claim was seen. Where a changelog was lost, values of the epoch and claims of later ones may have
        landed since; that one, and what was before it, is gone.
        """
        return self.fetch_raw(partition, claim_key(epoch)) is not None

    def has_void(self, partition: int) -> bool:
        """Whether a key is left with void records only."""
        return self.has_prefix(partition, VOID_PREFIX)

    def write_raw(self, partition: int, changes: Mapping[bytes, bytes | None]) -> None:
        """Put, and where the value is None delete."""
        for key, value in changes.items():
            if value is None:
                self.delete_raw(partition, key)
            else:
                self.put_raw(partition, key, value)

    def apply_changelog_batch(self, batch: Iterable[Any], to_key: Callable[[Any], Any], to_value: Callable[[Any], Any]) -> None:
        """
        Fold records of the changelog, in their order; called by Faust's recovery. A message may stand for many records.

        What the store has already is left out: a fetch may begin again before what was read, and read behind it the claim that
        this worker has written since. Under that claim the old snapshots would be void.
        """
        offsets: dict[TP, int] = {}
        folds: dict[int, _Fold] = {}
        for event in batch:
            message, partition = event.message, event.message.partition
            if message.tp not in offsets:
                known = self.persisted_offset(message.tp)
                offsets[message.tp] = known if known is not None else -1
            fold = folds.get(partition)
            if fold is None:
                fold = folds[partition] = _Fold(self.epoch(partition), has_void=self.has_void(partition))
            for record in getattr(message, "records", (message,)):
                if record.offset > offsets[message.tp]:
                    offsets[message.tp] = record.offset
                    if record.key is not None and record.value is not None:
                        fold.add(record.key, record.value)
        for partition, fold in folds.items():
            self.write_raw(partition, fold.changes)
        for tp, offset in offsets.items():
            self.set_persisted_offset(tp, offset)


class _Fold:
    """What a stretch of a changelog comes to, by key: written at once, since a look-up and a write per record took 15 us."""

    def __init__(self, epoch: int, *, has_void: bool) -> None:
        self.changes: dict[bytes, bytes | None] = {}
        self._epoch = epoch
        self._has_void = has_void

    def add(self, key: bytes, value: bytes) -> None:
        """Apply one record, in the changelog's order."""
        epoch = int.from_bytes(value[:EPOCH_BYTES], "big")
        if epoch > self._epoch:
            self._epoch = epoch
            self.changes[EPOCH_KEY] = pack(epoch, b"")
        if key.startswith(CLAIM_PREFIX):
            self.changes[key] = value
            return
        if epoch < self._epoch:
            self.changes[key] = None
            self.changes[VOID_PREFIX + key] = b""
            self._has_void = True
            return
        self.changes[key] = value
        if self._has_void:
            self.changes[VOID_PREFIX + key] = None


class ChangelogMessage(ConsumerMessage):
    """A Faust message that stands for many records of a changelog: `offset` is the last one's."""

    records: Sequence[Any]


class PromptOptions(RocksDBOptions):
    """
    Faust's options, but for two: the 16 threads that every database starts only to open its files (15 ms an open instead of
    40), and buffers of up to 192 MiB, of which a worker would have one for each of four tables and every partition.
    """

    def as_options(self) -> Any:
        options = super().as_options()
        options.set_max_file_opening_threads(1)
        options.set_write_buffer_size(WRITE_BUFFER_BYTES)
        options.set_max_write_buffer_number(WRITE_BUFFERS)
        return options


class RocksStore(Fenced, FaustRocksStore):
    """
    On disk, one RocksDB per partition.

    A database that could not write once (its disk was full) takes nothing more until it is opened anew, and says the same
    error for ever. What it took before is safe. So after a failed write it is opened anew before the next one, where there is
    room for that: opening writes what the log of the database holds into a file. Until then it still reads.
    """

    def __init__(self, url: Any, app: Any, table: Any) -> None:
        super().__init__(url, app, table, driver="rocksdict")
        self.rocksdb_options = PromptOptions(block_cache_size=BLOCK_CACHE_BYTES)
        self._failed: set[int] = set()

    @contextmanager
    def _writing(self, partition: int) -> Iterator[Any]:
        if partition in self._failed:
            self._open_anew(partition)
        try:
            yield self._db_for_partition(partition)
        except Exception:
            self._failed.add(partition)
            raise

    def _open_anew(self, partition: int) -> None:
        folder = self.partition_path(partition)
        needed = REOPEN_BYTES + sum(log.stat().st_size for log in folder.glob("*.log"))
        if shutil.disk_usage(folder).free < needed:
            raise OSError(errno.ENOSPC, f"less than {needed} bytes are free", str(folder))
        broken = self._dbs.pop(partition)
        with suppress(Exception):  # it says once more why it is broken
            broken.close()
        self._db_for_partition(partition)
        self._failed.discard(partition)
        logger.warning("%s was opened anew after a write that failed", folder)

    def put_raw(self, partition: int, key: bytes, value: bytes) -> None:
        with self._writing(partition) as db:
            db.put(key, value)

    def fetch_raw(self, partition: int, key: bytes) -> bytes | None:
        found: bytes | None = self._db_for_partition(partition).get(key)
        return found

    def delete_raw(self, partition: int, key: bytes) -> None:
        with self._writing(partition) as db:
            db.delete(key)

    def write_raw(self, partition: int, changes: Mapping[bytes, bytes | None]) -> None:
        batch = WriteBatch(raw_mode=True)
        for key, value in changes.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        with self._writing(partition) as db:
            db.write(batch)

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        """How far the changelog was read, or written by this worker itself."""
        self.put_raw(tp.partition, self.offset_key, b"%d" % offset)

    def raw_items(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        for key, value in self._db_for_partition(partition).items():
            if key != self.offset_key:  # Faust's own entry: how far the changelog was read
                yield key, value

    def has_prefix(self, partition: int, prefix: bytes) -> bool:
        first = next(iter(self._db_for_partition(partition).keys(from_key=prefix)), None)
        return first is not None and first.startswith(prefix)


class MemoryStore(Fenced, FaustMemoryStore[bytes, bytes]):
    """In memory: every start of a process reads the whole changelog."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._partitions: dict[int, dict[bytes, bytes]] = defaultdict(dict)
        self._read_to: dict[TP, int] = {}

    def put_raw(self, partition: int, key: bytes, value: bytes) -> None:
        self._partitions[partition][key] = value

    def fetch_raw(self, partition: int, key: bytes) -> bytes | None:
        return self._partitions[partition].get(key)

    def delete_raw(self, partition: int, key: bytes) -> None:
        self._partitions[partition].pop(key, None)

    def raw_items(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        yield from self._partitions[partition].items()

    def has_prefix(self, partition: int, prefix: bytes) -> bool:
        return any(key.startswith(prefix) for key in self._partitions[partition])

    def persisted_offset(self, tp: TP) -> int | None:
        """For as long as the process lives."""
        return self._read_to.get(tp)

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        self._read_to[tp] = offset
