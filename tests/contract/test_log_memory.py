"""What only the twins in memory promise; what they share with Kafka stands in `test_log.py`."""

from tests.unit.test_log_world import LEDGER, NOW, Bench, add, create
from z0.clock import ManualClock
from z0.log.claims import Floor
from z0.log.memory import MemoryLog, MemorySnapshots
from z0.log.ports import Appended, Record
from z0.log.snapshot import take


async def all_of(log: MemoryLog, start: int, end: int) -> list[Record]:
    return [record async for batch in log.read(0, start, end) for record in batch]


async def test_a_batch_is_appended_whole_and_answered_with_its_offset_and_the_brokers_time() -> None:
    """Never in the same turn of the event loop: an ack takes time everywhere."""
    log = MemoryLog(1, ManualClock(NOW))
    writer = await log.writer(0)
    await writer.append([(b"a", b"1")])
    ack = writer.append([(b"b", b"2"), (b"c", b"3")])
    assert not ack.done()
    assert await ack == Appended(1, NOW)
    assert [(r.offset, r.key, r.value, r.timestamp_ms) for r in await all_of(log, 1, 3)] == [
        (1, b"b", b"2", NOW),
        (2, b"c", b"3", NOW),
    ]


async def test_a_snapshot_of_an_older_epoch_after_a_claim_is_void() -> None:
    """The fence: a worker that lost its partition writes a stale snapshot behind its successor's back."""
    bench = Bench()
    bench.decide(create())
    old = take(bench.state(), 1, 0)
    bench.decide(add("a1", "5"))
    new = take(bench.state(), 2, 7)
    snapshots = MemorySnapshots()
    await snapshots.save(0, 0, {LEDGER: old})
    await snapshots.claim(0, 7)
    await snapshots.save(0, 7, {LEDGER: new})
    await snapshots.save_floor(0, 7, Floor(3, -1, NOW, 7))
    await snapshots.save(0, 0, {LEDGER: old})
    await snapshots.save_floor(0, 0, Floor(2, -1, NOW, 0))
    assert snapshots.load(0, LEDGER) == new
    assert snapshots.floor(0).fact_offset == 3
    assert snapshots.floor(1) == Floor()
    assert snapshots.load(1, LEDGER) is None
