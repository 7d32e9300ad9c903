"""
The command index: which command ids a ledger has seen, and what they came to. Owns: the entry and its stores.

Written after the ack, with the log position that it reflects; rebuilt from the log, because a fact carries its command's
id, digest and outcome. Kept for at least 35 days. A lost index costs time, never an effect: the replay starts at its position.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
from rocksdict import AccessType, BlockBasedOptions, Cache, MemtableFactory, Options, Rdict, SliceTransform, WriteBatch

from z0.domain.facts import Reference
from z0.log.entry import RETENTION_MS, Entry
from z0.log.validity import Position

CACHE_BYTES: Final = 8 * 1024 * 1024  # nearly every look-up is for an id never seen, and filters answer those
WRITE_BUFFER_BYTES: Final = 8 * 1024 * 1024  # some 40,000 entries
WRITE_BUFFERS: Final = 3  # one is written, one waits for it, one is filled
BUCKETS: Final = 65_536  # half a mebibyte of each buffer
HASHED_BYTES_MAX: Final = 128  # of a key, the most that RocksDB allows; longer ones that begin alike share a bucket
NOTHING: Final[Mapping[str, Reference]] = {}


def key_of(tenant_id: str, ledger_id: str, command_id: str) -> str:
    """The index key: ids are unique within (tenant, ledger)."""
    return f"{tenant_id}\x00{ledger_id}\x00{command_id}"


def reference_key(tenant_id: str, ledger_id: str, seq: int) -> str:
    """The index key of a fact that others may name; no command id can look like it."""
    return f"{tenant_id}\x00{ledger_id}\x01{seq}"


class CommandIndex(Protocol):
    """The index of one partition: command ids, and the facts that others may name."""

    def get_many(self, keys: Sequence[str]) -> dict[str, Entry]:
        """The entries of those keys whose ids were seen."""
        ...

    def references(self, keys: Sequence[str]) -> dict[str, Reference]:
        """What is kept of those facts that are in the index."""
        ...

    def put(self, entries: Mapping[str, Entry], position: Position, references: Mapping[str, Reference] = NOTHING) -> None:
        """Keep entries, references and the log position up to which the index is complete, together."""
        ...

    def position(self) -> Position:
        """Where a rebuild starts."""
        ...

    def close(self) -> None:
        """Give files back."""
        ...


class MemoryIndex:
    """Twin in memory: forgets with the process, then everything is rebuilt from the log."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._references: dict[str, Reference] = {}
        self._position = Position()

    def get_many(self, keys: Sequence[str]) -> dict[str, Entry]:
        return {key: self._entries[key] for key in keys if key in self._entries}

    def references(self, keys: Sequence[str]) -> dict[str, Reference]:
        return {key: self._references[key] for key in keys if key in self._references}

    def put(self, entries: Mapping[str, Entry], position: Position, references: Mapping[str, Reference] = NOTHING) -> None:
        self._entries.update(entries)
        self._references.update(references)
        self._position = position

    def position(self) -> Position:
        return self._position

    def close(self) -> None:
        """Nothing to give back."""


# Version 2: indexes of before may have lost entries (see `_open`), and are built again from the log.
_POSITION_KEY: Final = b"\xff position 2"
_encode: Final = msgspec.msgpack.Encoder().encode
_decode_entry: Final = msgspec.msgpack.Decoder(Entry).decode
_decode_reference: Final = msgspec.msgpack.Decoder(Reference).decode
_decode_position: Final = msgspec.msgpack.Decoder(Position).decode


class RocksIndex:
    """The index on disk: one RocksDB per partition, entries expire by time (TTL compaction)."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._db: Any = _open(folder)
        stored = self._db.get(_POSITION_KEY)
        self._position = _decode_position(stored) if stored else Position()

    def get_many(self, keys: Sequence[str]) -> dict[str, Entry]:
        if not keys:
            return {}
        stored = self._db.get([key.encode() for key in keys])
        return {key: _decode_entry(value) for key, value in zip(keys, stored, strict=True) if value is not None}

    def references(self, keys: Sequence[str]) -> dict[str, Reference]:
        stored = self._db.get([key.encode() for key in keys])
        return {key: _decode_reference(value) for key, value in zip(keys, stored, strict=True) if value is not None}

    def put(self, entries: Mapping[str, Entry], position: Position, references: Mapping[str, Reference] = NOTHING) -> None:
        batch = WriteBatch(raw_mode=True)
        put = batch.put
        for key, entry in entries.items():
            put(key.encode(), _encode(entry))
        for key, reference in references.items():
            put(key.encode(), _encode(reference))
        put(_POSITION_KEY, _encode(position))
        self._db.write(batch)
        self._position = position

    def position(self) -> Position:
        return self._position

    def close(self) -> None:
        self._db.close()


def _open(folder: Path) -> Any:
    """
    Open a store whose entries expire, by these options alone.

    Without `column_families`, even without any in it, rocksdict takes over those that a store was opened with before, the filter
    that finds what is too old with them; RocksDB puts another one around it, and the inner one takes the last bytes of an entry,
    cut by the outer one, for the time that it was written. Compaction then drops entries of any age.
    """
    ttl = AccessType.with_ttl(2 * RETENTION_MS // 1000)
    return Rdict(str(folder), options=_options(), column_families={}, access_type=ttl)


def _options() -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)  # noqa: FBT003 - rocksdict's API
    options.set_max_file_opening_threads(1)  # by default 16 start with every database: 15 ms an open instead of 40
    options.set_write_buffer_size(WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(WRITE_BUFFERS)
    # A hash table, not a sorted list: the index only looks up, and a sorted list costs a cache miss for each of its levels,
    # 2.0 us an entry instead of 0.9. One writer, so that it needs no locks either.
    options.set_allow_concurrent_memtable_write(False)
    options.set_prefix_extractor(SliceTransform.create_max_len_prefix(HASHED_BYTES_MAX))
    options.set_memtable_factory(MemtableFactory.hash_link_list(BUCKETS))  # type: ignore[call-arg]  # missing in its stub
    # Nearly every look-up is for an id never seen: filters answer those, also for what is still in memory.
    options.set_memtable_prefix_bloom_ratio(0.1)
    options.set_memtable_whole_key_filtering(True)
    table = BlockBasedOptions()
    table.set_bloom_filter(10, False)  # noqa: FBT003 - rocksdict's API
    table.set_block_cache(Cache(CACHE_BYTES))  # rocksdict's default is 2 GiB per file
    options.set_block_based_table_factory(table)
    return options
