"""The fence of the snapshot tables: what a worker that lost its partition writes later does not count."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from faust.types import TP

from tables.store import CLAIM_PREFIX, Fenced, pack, unpack

CHANGELOG = TP("z0.ledgers-changelog", 0)


class DictStore(Fenced):
    """The fence over a dictionary."""

    def __init__(self) -> None:
        self.data: dict[bytes, bytes] = {}
        self.persisted = -1

    def put_raw(self, partition: int, key: bytes, value: bytes) -> None:
        self.data[key] = value

    def fetch_raw(self, partition: int, key: bytes) -> bytes | None:
        return self.data.get(key)

    def delete_raw(self, partition: int, key: bytes) -> None:
        self.data.pop(key, None)

    def raw_items(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        yield from self.data.items()

    def has_prefix(self, partition: int, prefix: bytes) -> bool:
        return any(key.startswith(prefix) for key in self.data)

    def persisted_offset(self, tp: TP) -> int | None:
        return self.persisted

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        self.persisted = offset


def record(offset: int, key: bytes, epoch: int, payload: bytes = b"") -> Any:
    """A changelog event as Faust's recovery hands it over."""
    message = SimpleNamespace(tp=CHANGELOG, partition=0, offset=offset, key=key, value=pack(epoch, payload))
    return SimpleNamespace(message=message)


def claim(offset: int, epoch: int) -> Any:
    """The claim of an epoch."""
    return record(offset, CLAIM_PREFIX + b"%020d" % epoch, epoch)


def recover(*events: Any) -> DictStore:
    """A store that has read these records."""
    store = DictStore()
    store.apply_changelog_batch(events, lambda key: key, lambda value: value)
    return store


def test_a_value_carries_its_epoch() -> None:
    """Eight bytes before the payload."""
    assert unpack(pack(7, b"state")) == (7, b"state")


def test_the_newest_snapshot_of_the_newest_epoch_counts() -> None:
    """The plain story: a claim, snapshots, the latest wins."""
    store = recover(claim(0, 5), record(1, b"a", 5, b"old"), record(2, b"a", 5, b"new"))
    assert store.fetch(0, b"a") == b"new"
    assert not store.has_void(0)
    assert store.persisted == 2


def test_a_stale_snapshot_behind_the_successors_is_void_and_its_entity_is_rebuilt_from_its_facts() -> None:
    """The zombie (epoch 5) writes behind its successor's (epoch 9) snapshot."""
    store = recover(
        claim(0, 5), record(1, b"a", 5, b"first"), claim(2, 9), record(3, b"a", 9, b"valid"), record(4, b"a", 5, b"stale")
    )
    assert store.fetch(0, b"a") is None
    assert store.has_void(0)


def test_after_compaction_a_stale_snapshot_alone_does_not_count_either() -> None:
    """Compaction keeps the newest record of a key: the stale one. The claims have keys of their own and stay."""
    store = recover(claim(0, 5), claim(2, 9), record(4, b"a", 5, b"stale"))
    assert store.fetch(0, b"a") is None
    assert store.has_void(0)


def test_a_local_snapshot_is_not_believed_once_a_void_record_of_its_key_was_read() -> None:
    """The valid record between may have been compacted away, and the floor moved with it."""
    store = recover(claim(0, 5), record(1, b"a", 5, b"local"))
    store.apply_changelog_batch([claim(2, 9), record(4, b"a", 5, b"stale")], lambda key: key, lambda value: value)
    assert store.fetch(0, b"a") is None


def test_the_next_valid_snapshot_ends_the_void() -> None:
    """A rebuilt entity gets a new snapshot, and the partition needs no full replay any more."""
    store = recover(claim(0, 5), claim(2, 9), record(4, b"a", 5, b"stale"), record(5, b"a", 9, b"rebuilt"))
    assert store.fetch(0, b"a") == b"rebuilt"
    assert not store.has_void(0)


def test_a_claim_that_arrives_late_does_not_lower_the_epoch() -> None:
    """The largest epoch seen counts."""
    assert recover(claim(0, 9), claim(1, 5)).epoch(0) == 9


def test_values_that_landed_after_a_changelog_was_lost_are_no_claim() -> None:
    """Their writer was still there, or its last batch on its way; everything before them is gone."""
    store = recover(record(7, b"a", 5, b"landed late"))
    assert (store.epoch(0), store.has_claim(0, 5)) == (5, False)
    store = recover(claim(0, 9), claim(1, 5), record(2, b"a", 9))
    assert (store.has_claim(0, 9), store.has_claim(0, 5), store.has_claim(0, 7)) == (True, True, False)
    store.raise_epoch(0, 12)
    assert (store.has_claim(0, 9), store.has_claim(0, 12)) == (True, True)


def test_a_fetch_that_begins_again_voids_nothing_under_the_claim_that_was_written_since() -> None:
    """The worker has recovered and claimed; a fetch from before its claim comes late, with the claim at its end."""
    store = recover(claim(0, 1), record(1, b"a", 1, b"snapshot"))
    store.raise_epoch(0, 7)
    again = SimpleNamespace(tp=CHANGELOG, partition=0, offset=2)
    again.records = [event.message for event in (claim(0, 1), record(1, b"a", 1, b"snapshot"), claim(2, 7))]
    store.apply_changelog_batch([SimpleNamespace(message=again)], lambda key: key, lambda value: value)
    assert store.fetch(0, b"a") == b"snapshot"
    assert not store.has_void(0)
    assert (store.epoch(0), store.persisted) == (7, 2)


def test_the_owners_own_snapshot_ends_the_void_of_its_key() -> None:
    """Else every later claim would fold the whole log anew, for an entity that has long been written again."""
    store = recover(claim(0, 5), record(1, b"a", 5, b"old"), claim(2, 9), record(3, b"a", 5, b"stale"))
    assert store.has_void(0)
    store.put_all(0, [(b"b", pack(9, b"another"))])
    assert store.has_void(0)
    store.put_all(0, [(b"a", pack(9, b"new"))])
    assert not store.has_void(0)
    assert store.fetch(0, b"a") == b"new"


def test_a_claim_of_an_older_epoch_of_ones_own_does_not_lower_it_either() -> None:
    """It was acked late; what that epoch still sends must stay void."""
    store = recover(claim(0, 9))
    store.raise_epoch(0, 5)
    assert store.epoch(0) == 9
