"""The fence of the tables: a stale snapshot behind the successor's is void, whichever of the two compaction keeps."""

from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from tables.store import CLAIM_PREFIX, MemoryStore, pack

KEY = b"account_acct_1"
TOPIC = TP("z0.ledgers-changelog", 0)
Record = tuple[bytes, bytes | None]


@pytest.fixture
def store() -> MemoryStore:
    """A store as Faust makes it, without an app."""
    table: Any = SimpleNamespace(name="ledgers", changelog_topic_name=TOPIC.topic)
    return MemoryStore("memory://", SimpleNamespace(), table)


def recover(store: MemoryStore, *records: Record) -> None:
    """Read records of the changelog, as Faust's recovery does."""
    events = [
        SimpleNamespace(message=SimpleNamespace(tp=TOPIC, partition=0, offset=offset, key=key, value=value))
        for offset, (key, value) in enumerate(records)
    ]
    store.apply_changelog_batch(events, lambda key: key, lambda value: value)


def claim(epoch: int) -> Record:
    return CLAIM_PREFIX + b"%020d" % epoch, pack(epoch, b"")


def snapshot(epoch: int, text: bytes, key: bytes = KEY) -> Record:
    return key, pack(epoch, text)


def test_the_newest_snapshot_of_the_newest_epoch_is_what_is_there(store: MemoryStore) -> None:
    """The ordinary story."""
    recover(store, claim(5), snapshot(5, b"old"), snapshot(5, b"new"), claim(9), snapshot(9, b"newer"))
    assert store.fetch(0, KEY) == b"newer"
    assert store.epoch(0) == 9
    assert not store.has_void(0)


def test_a_stale_snapshot_after_the_successors_claim_leaves_the_key_without_one(store: MemoryStore) -> None:
    """The valid one may have been compacted away; the entity is rebuilt from its facts."""
    recover(store, claim(5), snapshot(5, b"old"), claim(9), snapshot(9, b"newer"), snapshot(5, b"stale"))
    assert store.fetch(0, KEY) is None
    assert store.has_void(0)


def test_compaction_that_kept_only_the_stale_one_is_noticed_by_the_claim(store: MemoryStore) -> None:
    """Claims have keys of their own, so they survive it."""
    recover(store, claim(5), claim(9), snapshot(5, b"stale"))
    assert store.fetch(0, KEY) is None
    assert store.has_void(0)


def test_the_owners_next_snapshot_heals_the_key(store: MemoryStore) -> None:
    """By the changelog, and by a write of its own."""
    recover(store, claim(9), snapshot(5, b"stale"), snapshot(5, b"stale", b"other"), snapshot(9, b"good"))
    assert store.fetch(0, KEY) == b"good"
    assert store.has_void(0)
    store.put_all(0, [(b"other", pack(9, b"good"))])
    assert not store.has_void(0)


def test_the_largest_epoch_is_remembered_over_restarts_of_the_recovery(store: MemoryStore) -> None:
    """A later batch of the changelog is judged by the claims of an earlier one."""
    recover(store, claim(9), snapshot(9, b"good"))
    recover(store, snapshot(5, b"stale", b"other"))
    assert store.fetch(0, KEY) == b"good"
    assert store.fetch(0, b"other") is None


def test_a_tombstone_or_a_record_without_a_key_is_stepped_over(store: MemoryStore) -> None:
    """Nobody writes them; a recovery must not die of one."""
    recover(store, claim(1), (KEY, None), snapshot(1, b"good"))
    assert store.fetch(0, KEY) == b"good"


def test_partitions_are_fenced_each_by_their_own_epoch(store: MemoryStore) -> None:
    """Epochs are offsets, and offsets of two partitions say nothing of each other."""
    recover(store, claim(9))
    assert (store.epoch(0), store.epoch(1)) == (9, -1)
