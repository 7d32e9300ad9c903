"""The command index, by one contract for both twins: on disk and in memory."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from rocksdict import AccessType

from tests.waiting import until
from z0.domain.facts import Reference
from z0.domain.outcome import Outcome
from z0.log import index as index_module
from z0.log.entry import RETENTION_MS, Entry, entry_of
from z0.log.index import CommandIndex, MemoryIndex, RocksIndex, key_of, reference_key
from z0.log.validity import NO_EPOCH, Position


@pytest.fixture(params=["memory", "rocksdb"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CommandIndex]:
    """A new index of each kind."""
    opened: CommandIndex = MemoryIndex() if request.param == "memory" else RocksIndex(tmp_path / "index")
    yield opened
    opened.close()


def entry(offset: int) -> Entry:
    return Entry("d" * 32, Outcome.ACCEPTED, offset, offset, 1_800_000_000_000, "USD", "9" * 26 + ".5", "r1", 7)


def test_an_index_begins_empty_at_the_logs_beginning(index: CommandIndex) -> None:
    """The rebuild then reads everything."""
    assert index.position() == Position(0, NO_EPOCH)
    assert index.get_many(["a", "b"]) == {}
    assert index.get_many([]) == {}


def test_what_is_put_is_found_and_nothing_else(index: CommandIndex) -> None:
    """Many keys at once; those never seen are absent, not None."""
    index.put({"a": entry(1), "b": Entry("e", Outcome.BUDGET_EXHAUSTED, 2, 2, 3)}, Position(3, 0))
    assert index.get_many(["a", "x", "b"]) == {"a": entry(1), "b": Entry("e", Outcome.BUDGET_EXHAUSTED, 2, 2, 3)}
    assert index.position() == Position(3, 0)


def test_a_position_may_move_without_entries(index: CommandIndex) -> None:
    """A stretch of claims and expiries has no command ids."""
    index.put({}, Position(9, 8))
    assert index.position() == Position(9, 8)


def test_keys_do_not_run_into_each_other(index: CommandIndex) -> None:
    """Tenant, ledger and command id are told apart, also beyond ASCII."""
    keys = [
        key_of("t", "account_acct_1", "c"),
        key_of("tä", "account_acct_1", "c"),
        key_of("t", "account_acct_11", "c"),
        "position",
    ]
    index.put({key: entry(n) for n, key in enumerate(keys)}, Position(4, 0))
    assert index.get_many(keys) == {key: entry(n) for n, key in enumerate(keys)}


def test_a_reference_is_found_by_its_fact_and_is_no_command_id(index: CommandIndex) -> None:
    """Both live in one store, under keys that cannot meet."""
    reference = Reference("outcome", 1_800_000_000_000, "ab" * 32)
    key = reference_key("t", "account_acct_1", 7)
    index.put({key_of("t", "account_acct_1", "7"): entry(1)}, Position(2, 0), {key: reference})
    assert index.references([key, reference_key("t", "account_acct_1", 8)]) == {key: reference}
    assert index.get_many([key_of("t", "account_acct_1", "8")]) == {}


def test_long_ids_that_begin_alike_are_told_apart(index: CommandIndex) -> None:
    """The index on disk hashes only the beginning of a key."""
    keys = [key_of("t", "account_acct_1", f"{'a' * 300}{n}") for n in range(300)]
    index.put({key: entry(n) for n, key in enumerate(keys[:-1])}, Position(299, 0))
    assert index.get_many(keys) == {key: entry(n) for n, key in enumerate(keys[:-1])}


def test_the_index_on_disk_survives_its_process(tmp_path: Path) -> None:
    """Entries and position are written together, so neither can be ahead."""
    first = RocksIndex(tmp_path / "index")
    first.put({"a": entry(1)}, Position(2, 0))
    first.close()
    second = RocksIndex(tmp_path / "index")
    assert second.position() == Position(2, 0)
    assert second.get_many(["a"]) == {"a": entry(1)}
    second.close()


def test_a_worker_that_opens_the_indexes_of_its_partitions_again_forgets_nothing(tmp_path: Path) -> None:
    """
    In one process, and however often they are compacted. Where an index takes over what it was opened with before, RocksDB puts
    one filter of what is too old around the other, and the inner one takes the last bytes of an entry for its time.
    """
    folders = [tmp_path / f"partition-{n}" for n in range(3)]
    kept: dict[str, Entry] = {}
    for time in range(4):
        indexes = [RocksIndex(folder) for folder in folders]
        new = {key_of("t", "account_acct_1", f"c{time}.{n}"): Entry("d" * 32, Outcome.ACCEPTED, n, n, 1) for n in range(100)}
        kept |= new
        for index in indexes:
            assert index.position().next_offset == time
            index.put(new, Position(time + 1, 0))
            index._db.flush()
            index._db.compact_range(None, None)
            assert index.get_many(list(kept)) == kept
            index.close()


def test_an_index_that_may_have_lost_entries_is_built_again(tmp_path: Path) -> None:
    """Those of before were, and nothing in them says so: their position counts no more."""
    index = RocksIndex(tmp_path / "index")
    index._db[b"\xff position"] = msgspec.msgpack.encode(Position(7, 0))
    index.close()
    again = RocksIndex(tmp_path / "index")
    assert again.position() == Position(0, NO_EPOCH)
    again.close()


def test_what_no_longer_fits_memory_is_found_on_disk(tmp_path: Path) -> None:
    """Several write buffers full; the first entries left memory long ago."""
    index, keys = RocksIndex(tmp_path / "index"), [key_of("t", f"account_{n % 1000}", f"c{n}") for n in range(3 * 50_000)]
    for first in range(0, len(keys), 1_000):
        index.put({key: entry(first + n) for n, key in enumerate(keys[first : first + 1_000])}, Position(first + 1_000, 0))
    some = {key: entry(n) for n, key in enumerate(keys) if n % 997 == 0}
    assert index.get_many([*some, key_of("t", "account_0", "never")]) == some
    assert list((tmp_path / "index").glob("*.sst")), "nothing was written to disk"
    index.close()


class _Soon:
    """Stands for RocksDB's kinds of access: what is to expire expires after a second, and for how long was asked is kept."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def with_ttl(self, seconds: int) -> AccessType:
        self.asked.append(seconds)
        return AccessType.with_ttl(1)


async def test_what_is_older_than_an_id_is_kept_gives_its_disk_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By compaction, at twice that age: of the index on disk nothing else ever takes an entry out."""
    soon = _Soon()
    monkeypatch.setattr(index_module, "AccessType", soon)
    index = RocksIndex(tmp_path / "index")
    entries = {key_of("t", "account_acct_1", f"c{n}"): entry(n) for n in range(20_000)}
    index.put(entries, Position(20_000, 0), {reference_key("t", "account_acct_1", 7): Reference("outcome", 1, "ab" * 32)})
    index._db.flush()
    full = _bytes(tmp_path)

    async def is_given_back() -> bool:
        index._db.compact_range(None, None)
        return _bytes(tmp_path) < full / 100

    await until(is_given_back, "what has expired is off the disk")
    assert index.get_many(list(entries)) == {}
    assert index.references([reference_key("t", "account_acct_1", 7)]) == {}
    assert soon.asked == [2 * RETENTION_MS // 1000]
    index.close()


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*.sst"))


def test_an_entry_is_what_its_fact_says() -> None:
    """The index is rebuilt from the log alone, to the very same entries."""
    from tests.unit.test_log_world import Bench, add, create, deduct, reserve

    bench = Bench()
    bench.decide(create(), add("a1", "5"), deduct("d1", "9"), reserve("r1", "2"))
    for fact in bench.facts:
        assert fact.command_id is not None
        key = key_of(fact.tenant_id, fact.ledger_id, fact.command_id)
        assert bench.index.get_many([key]) == {key: entry_of(fact)}
