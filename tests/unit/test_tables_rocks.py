"""The store on disk: what Faust and the fence keep beside the snapshots is no snapshot."""

from pathlib import Path
from typing import cast

import faust
import pytest
from faust.types import TP

from tables.budgets import budgets_table
from tables.store import CLAIM_PREFIX, RocksStore, pack

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
