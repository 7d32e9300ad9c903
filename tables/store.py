"""
Fenced stores: where a worker keeps its tables between snapshots. Owns: which changelog records count.

A worker that lost its partition may still write a stale snapshot behind its successor's, and compaction then keeps the
stale one. So every value carries its epoch (8 bytes, big endian), every owner writes a claim before its first snapshot,
and a record older than the largest epoch seen before it is void. A key whose newest record is void has no snapshot at
all: the valid one may have been compacted away, so the entity is rebuilt from its facts.
"""

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from faust.stores.memory import Store as FaustMemoryStore
from faust.stores.rocksdb import RocksDBOptions
from faust.stores.rocksdb import Store as FaustRocksStore
from faust.types import TP

EPOCH_BYTES: Final = 8
EPOCH_KEY: Final = b"!epoch"
CLAIM_PREFIX: Final = b"!claim:"
VOID_PREFIX: Final = b"!void:"
BLOCK_CACHE_BYTES: Final = 8 * 1024 * 1024  # Faust's default is 2 GiB per partition


def pack(epoch: int, payload: bytes) -> bytes:
    """A value as it is stored and sent: epoch, then payload."""
    return epoch.to_bytes(EPOCH_BYTES, "big") + payload


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

    def put(self, partition: int, key: bytes, value: bytes) -> None:
        """Keep the owner's own snapshot."""
        self.put_raw(partition, key, value)
        if self.fetch_raw(partition, VOID_PREFIX + key) is not None:
            self.delete_raw(partition, VOID_PREFIX + key)

    def raise_epoch(self, partition: int, epoch: int) -> None:
        """From here on, what older epochs wrote later is void."""
        if epoch > self.epoch(partition):
            self.put_raw(partition, EPOCH_KEY, pack(epoch, b""))

    def epoch(self, partition: int) -> int:
        """The largest epoch seen."""
        value = self.fetch_raw(partition, EPOCH_KEY)
        return unpack(value)[0] if value is not None else -1

    def has_void(self, partition: int) -> bool:
        """Whether a key is left with void records only."""
        return self.has_prefix(partition, VOID_PREFIX)

    def apply_changelog_batch(self, batch: Iterable[Any], to_key: Callable[[Any], Any], to_value: Callable[[Any], Any]) -> None:
        """Fold records of the changelog, in their order; called by Faust's recovery."""
        offsets: dict[TP, int] = {}
        for event in batch:
            message = event.message
            offsets[message.tp] = max(message.offset, offsets.get(message.tp, -1))
            if message.key is not None and message.value is not None:
                self._apply(message.partition, message.key, message.value)
        for tp, offset in offsets.items():
            self.set_persisted_offset(tp, offset)

    def _apply(self, partition: int, key: bytes, value: bytes) -> None:
        epoch, newest = unpack(value)[0], self.epoch(partition)
        if key.startswith(CLAIM_PREFIX):
            self.raise_epoch(partition, epoch)
        elif epoch < newest:
            self.delete_raw(partition, key)
            self.put_raw(partition, VOID_PREFIX + key, b"")
        else:
            self.raise_epoch(partition, epoch)
            self.put(partition, key, value)


class PromptOptions(RocksDBOptions):
    """Faust's options, but for the 16 threads that every database starts only to open its files: 15 ms an open instead of 40."""

    def as_options(self) -> Any:
        options = super().as_options()
        options.set_max_file_opening_threads(1)
        return options


class RocksStore(Fenced, FaustRocksStore):
    """On disk, one RocksDB per partition."""

    def __init__(self, url: Any, app: Any, table: Any) -> None:
        super().__init__(url, app, table, driver="rocksdict")
        self.rocksdb_options = PromptOptions(block_cache_size=BLOCK_CACHE_BYTES)

    def put_raw(self, partition: int, key: bytes, value: bytes) -> None:
        self._db_for_partition(partition).put(key, value)

    def fetch_raw(self, partition: int, key: bytes) -> bytes | None:
        found: bytes | None = self._db_for_partition(partition).get(key)
        return found

    def delete_raw(self, partition: int, key: bytes) -> None:
        self._db_for_partition(partition).delete(key)

    def raw_items(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        for key, value in self._db_for_partition(partition).items():
            if key != self.offset_key:  # Faust's own entry: how far the changelog was read
                yield key, value

    def has_prefix(self, partition: int, prefix: bytes) -> bool:
        first = next(iter(self._db_for_partition(partition).keys(from_key=prefix)), None)
        return first is not None and first.startswith(prefix)


class MemoryStore(Fenced, FaustMemoryStore[bytes, bytes]):
    """In memory: every start reads the whole changelog."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._partitions: dict[int, dict[bytes, bytes]] = defaultdict(dict)

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

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        """Nothing persists."""
