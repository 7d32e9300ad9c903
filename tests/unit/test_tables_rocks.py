"""The store on disk: what Faust and the fence keep beside the snapshots is no snapshot."""

from pathlib import Path
from typing import Any, cast

import faust
import pytest
from faust.types import TP

from tables.budgets import budgets_table
from tables.store import BLOCK_CACHE_BYTES, CLAIM_PREFIX, RocksStore, pack
from z0.log.index import CACHE_BYTES, WRITE_BUFFER_BYTES, WRITE_BUFFERS, RocksIndex

CHANGELOG = TP("z0.budgets-changelog", 3)


@pytest.fixture
def store(tmp_path: Path) -> RocksStore:
    """A real RocksDB, of a table whose app never starts."""
    app = faust.App("rocks-test", broker="kafka://nowhere:1", store="rocksdb://", datadir=str(tmp_path))
    return cast(RocksStore, budgets_table(app, 8).store)


def test_the_snapshots_of_a_partition_are_listed_without_what_belongs_to_the_store(store: RocksStore) -> None:
    """Epochs, claims and Faust's offset lie in the same database; read as snapshots they would stop the worker."""
    store.raise_epoch(3, 7)
    store.put_all(3, [(CLAIM_PREFIX + b"7", pack(7, b""))])
    store.put_all(3, [(b"account_acct_1", pack(7, b"one"))])
    store.put_all(3, [(b"asset_asset_1", pack(7, b"two"))])
    store.set_persisted_offset(CHANGELOG, 12)
    assert dict(store.items_of(3)) == {b"account_acct_1": b"one", b"asset_asset_1": b"two"}
    assert store.persisted_offset(CHANGELOG) == 12


def bounds_of(database: Any, folder: Path) -> dict[str, int]:
    """What a database may take: of its cache it tells itself, of its buffers it keeps in its file of options."""
    [options] = sorted(folder.glob("OPTIONS-*"))[-1:]
    told = dict(line.strip().split("=", 1) for line in options.read_text().splitlines() if "=" in line)
    cache = int(database.property_value("rocksdb.block-cache-capacity"))
    return {"cache": cache, "buffer": int(told["write_buffer_size"]), "buffers": int(told["max_write_buffer_number"])}


def test_what_a_table_of_one_partition_holds_in_memory_is_bounded(store: RocksStore) -> None:
    """A worker has four of them for every partition; by the library's defaults, a cache of 2 GiB for each."""
    store.put_all(3, [(b"account_acct_1", pack(7, b"one"))])
    found = bounds_of(store._db_for_partition(3), store.partition_path(3))
    assert found == {"cache": BLOCK_CACHE_BYTES, "buffer": WRITE_BUFFER_BYTES, "buffers": WRITE_BUFFERS}


def test_what_the_index_of_one_partition_holds_in_memory_is_bounded(tmp_path: Path) -> None:
    """The library's default cache is 2 GiB."""
    index = RocksIndex(tmp_path / "index")
    found = bounds_of(index._db, tmp_path / "index")
    index.close()
    assert found == {"cache": CACHE_BYTES, "buffer": WRITE_BUFFER_BYTES, "buffers": WRITE_BUFFERS}
