"""The live entities and their snapshots: what may leave memory, and what a lost snapshot costs."""

import asyncio
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from tests.unit.test_log_engine_world import FailingSnapshots, World
from tests.unit.test_log_world import LEDGER, NOW, TENANT, Bench, add, audit, create, deduct, note, read, reserve, values
from z0.configs.book import Book
from z0.domain.commands import GrantAccess, RevokeAccess
from z0.domain.config import ConfigVersion
from z0.domain.facts import ConfigType, Scope
from z0.domain.outcome import Outcome
from z0.domain.state import Counter
from z0.log import working_set
from z0.log.claims import Floor
from z0.log.engine import Limits
from z0.log.memory import MemorySnapshots
from z0.log.snapshot import LedgerSnapshot, take
from z0.log.snapshotting import STEP_ENTITIES_MAX, Snapshotter
from z0.log.working_set import WorkingSet


def account(n: int) -> str:
    return f"account_acct_{n}"


async def test_an_entity_touched_by_an_unacked_round_stays_in_memory() -> None:
    """Its snapshot is older than the round: decided on that, the next command would see money that is spent."""
    bench = Bench(live_entities_max=8)
    for n in range(30):
        bench.decide(create("c", account(n)), add("a", "10", account(n)))
    await bench.let_go()
    others = [deduct("d", "7", account(n)) for n in range(10, 30)]
    answers = bench.decide(deduct("d", "7", account(0)), *others, deduct("e", "7", account(0)))
    assert [a.outcome for a in answers] == [Outcome.ACCEPTED] * 21 + [Outcome.BUDGET_EXHAUSTED]
    audit(bench.records)


async def test_a_new_entity_of_an_unacked_round_stays_in_memory() -> None:
    """It has no snapshot at all: let go, it would not exist."""
    bench = Bench(live_entities_max=8)
    for n in range(1, 30):
        bench.decide(create("c", account(n)))
    await bench.let_go()
    others = [note("n", account(n)) for n in range(1, 30)]
    answers = bench.decide(create("c", account(0)), *others, add("a", "1", account(0)))
    assert {a.outcome for a in answers} == {Outcome.ACCEPTED}
    audit(bench.records)


async def test_an_entity_whose_snapshot_is_under_way_stays_in_memory() -> None:
    """Until the ack, only memory knows its newest state."""
    async with World(limits=Limits(live_entities_max=16, snapshot_interval_ms=1_000)) as world:
        for n in range(40):
            await world.ask(create("c", account(n)), add("a", "10", account(n)))
        await world.stop()
        await world.again()
        await world.ask(*(deduct("d", "7", account(n)) for n in range(3)))
        world.snapshots.gate = asyncio.Event()
        world.clock.advance(1_000)
        await world.ask(note("n", account(0)))  # a pass begins, and is not acked
        await world.ask(*(deduct("d", "7", account(n)) for n in range(3, 6)))
        await world.ask(*(read(f"r{n}", account(n)) for n in range(6, 40)))  # others come in, and some must go
        answers = await world.ask(*(deduct("e", "7", account(n)) for n in range(6)))
        assert {a.outcome for a in answers} == {Outcome.BUDGET_EXHAUSTED}
        world.snapshots.gate.set()
        await world.check()


async def test_a_set_that_fills_is_not_written_again_at_once_when_that_failed() -> None:
    """Half of it, over and over, would keep the worker from its work; the next pass comes at its time."""
    snapshots = FailingSnapshots()
    working = WorkingSet(0, snapshots, live_entities_max=2)
    working.get_or_new(account(1))
    working.dirty[account(1)] = None
    snapshotter = Snapshotter(0, 0, snapshots=snapshots, working=working, interval_ms=1_000)
    snapshots.failures = 1
    assert snapshotter.due_in_ms(0) == 0
    await snapshotter.finish(Floor(1))
    assert snapshotter.due_in_ms(0) == 1_000
    await snapshotter.finish(Floor(1))
    working.dirty[account(1)] = None
    assert snapshotter.due_in_ms(0) == 0


async def test_a_small_working_set_decides_what_a_large_one_decides() -> None:
    """Letting go and loading again is invisible."""
    async with World(limits=Limits(live_entities_max=3, snapshot_interval_ms=1)) as world:
        for n in range(9):
            await world.ask(create("c", account(n)), add("a", "10", account(n)))
        for turn in range(6):
            world.clock.advance(2)
            answers = await world.ask(*(deduct(f"d{turn}", "3", account(n)) for n in range(9)))
            expected = Outcome.ACCEPTED if turn < 3 else Outcome.BUDGET_EXHAUSTED
            assert {a.outcome for a in answers} == {expected}
        await world.check()


async def test_the_last_pass_waits_for_the_snapshots_of_the_pass_that_it_cuts_short() -> None:
    """A floor above a snapshot that was never acked would lose its facts."""
    bench = Bench()
    ledgers = [account(n) for n in range(STEP_ENTITIES_MAX + 50)]
    bench.decide(*(create("c", ledger) for ledger in ledgers))
    snapshots = FailingSnapshots()
    snapshotter = Snapshotter(0, 0, snapshots=snapshots, working=bench.working, interval_ms=1)
    floor = Floor(len(bench.records), -1, bench.now, 0)
    snapshots.failures = 1  # the first step's save fails, and the pass is not over
    snapshotter.step(floor, 0)
    await asyncio.gather(snapshotter.finish(floor), return_exceptions=True)
    unsaved = [ledger for ledger in ledgers if snapshots.load(0, ledger) is None]
    assert not unsaved or snapshots.floors == []


async def test_a_pass_that_somebody_no_longer_waits_for_still_keeps_its_entities_in_memory() -> None:
    """Nor is it stopped: a batch under way would land on top of the next pass's. Let go, the ledger would begin at 1 again."""
    bench = Bench(live_entities_max=1)
    bench.decide(create("c", account(0)), add("a", "10", account(0)))
    snapshots = FailingSnapshots()
    snapshots.gate = asyncio.Event()
    snapshotter = Snapshotter(0, 0, snapshots=snapshots, working=bench.working, interval_ms=1)
    floor = Floor(len(bench.records), -1, bench.now, 0)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(snapshotter.finish(floor), 0.01)
    with pytest.raises(TimeoutError):  # asked again, it waits for the same pass
        await asyncio.wait_for(snapshotter.finish(floor), 0.01)
    bench.decide(create("c", account(1)))
    assert bench.decide(deduct("d", "7", account(0)))[0].outcome is Outcome.ACCEPTED
    audit(bench.records)
    snapshots.gate.set()
    await snapshotter.finish(floor)
    assert snapshots.floors[0] == floor


async def test_an_entity_that_changes_during_a_pass_is_written_by_the_next() -> None:
    """A pass has the entities that were dirty when it began; the floor is of that moment."""
    async with World(limits=Limits(snapshot_interval_ms=1_000)) as world:
        await world.ask(create(), add("a1", "10"))
        world.snapshots.gate = asyncio.Event()
        world.clock.advance(1_000)
        await world.ask(note("n1"))
        await world.ask(deduct("d1", "4"))
        world.snapshots.gate.set()
        world.snapshots.gate = None
        await world.crash()
        await world.again()
        assert (await world.view()).budgets["USD"].available == "6"
        await world.check()


async def test_memory_is_bounded_however_many_entities_are_made() -> None:
    """What is new waits for its snapshot; where that alone would fill the set, those who ask wait too."""
    async with World(limits=Limits(live_entities_max=50)) as world:
        for start in range(0, 1_000, 100):
            world.produce(*[create("c", account(n)) for n in range(start, start + 100)])
            await world.until_committed()
            assert len(world.engine._working) <= 50 + 2 * 100  # the set, the round that filled it, the one decided meanwhile
        assert world.snapshots.saved >= 700


@pytest.mark.plain
def test_newcomers_of_a_set_full_of_what_is_new_do_not_look_at_every_other() -> None:
    """Of 20,000 it is 2 ms for each, and a round has thousands: a worker that only makes entities would seem to hang."""
    looks = 0

    class Counted(dict[str, None]):
        def __contains__(self, key: object) -> bool:
            nonlocal looks
            looks += 1
            return super().__contains__(key)

    working = WorkingSet(0, MemorySnapshots(), live_entities_max=100)
    working.dirty, working.saving = Counted(), {}
    for n in range(2_000):
        working.get_or_new(account(n))
        (working.saving if n % 2 else working.dirty)[account(n)] = None  # half of them are on their way to a snapshot
    assert len(working) == 2_000
    assert looks <= 100


async def test_memory_is_bounded_however_many_entities_are_only_looked_at() -> None:
    """None of them is new: each is read from its snapshot, and what came in first goes."""
    bench = Bench(live_entities_max=16)
    bench.decide(*(create("c", account(n)) for n in range(200)))
    await bench.let_go()
    for n in range(200):
        assert bench.working.get(account(n)) is not None
        assert len(bench.working) <= 16
    assert len(bench.working._as_of) <= 16


@pytest.mark.plain
async def test_what_is_known_of_when_reservations_end_does_not_grow_with_how_often_their_ledgers_come_and_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A ledger that comes back is scheduled anew; one entry for each is enough."""
    monkeypatch.setattr(working_set, "DUE_MIN", 100)
    bench = Bench(live_entities_max=4)
    for n in range(20):
        bench.decide(create("c", account(n)), add("a", "100", account(n)), reserve("r", "1", account(n)))
    await bench.let_go()
    for turn in range(40):
        for n in range(20):
            ledger = account(n)
            bench.one(reserve(f"r{turn}", "1", ledger, ttl_ms=3_000_000 - turn))
        as_of = len(bench.records) - 1
        await bench.snapshots.save(0, 0, bench.working.snapshot(list(bench.working.dirty), as_of, 0))
        bench.working.dirty.clear()
    assert len(bench.working._due) <= 100
    assert set(bench.working._scheduled) <= set(bench.working._live)
    first = sorted({ledger for _, ledger in bench.working._due})
    assert first == sorted(account(n) for n in range(20))


async def test_a_replay_of_everything_keeps_memory_bounded_and_comes_to_the_same() -> None:
    """Snapshots are written on the way, and the floor only moves at the end."""
    async with World() as world:
        world.produce(*[create("c", account(n)) for n in range(300)], *[add("a", "5", account(n)) for n in range(300)])
        await world.until_committed()
        await world.stop()
        world.snapshots = FailingSnapshots()
        world.limits = Limits(live_entities_max=20)
        await world.again()
        assert world.snapshots.saved >= 300
        (answer,) = await world.ask(deduct("d", "5", account(7)))
        assert (answer.outcome, answer.available) == (Outcome.ACCEPTED, "0")


async def test_a_part_that_alone_is_behind_is_written_again_before_its_entity_leaves_memory() -> None:
    """A crash between two tables' acks: what only the counters and the roles lack is folded, and must not be lost again."""
    cap = {"timezone": "UTC", "limits": [{"name": "n", "counts": "spend", "window": "total", "max_count": 1}]}
    given: dict[str, Any] = {"scope": Scope.TENANT, "applies_to": "account", "tenant_id": TENANT, "version": 1}
    book = Book()
    book.add(ConfigVersion(id="cfg_1", type=ConfigType.CAP, effective_at=0, settings=Raw(msgspec.json.encode(cap)), **given))
    bench = Bench(policies=book)
    bench.decide(create(), add("a", "10"), GrantAccess(id="g", tenant_id=TENANT, ledger_id=LEDGER, grantee_id="user_1", role="r"))
    behind = take(bench.state(), 3, 0)
    bench.decide(deduct("d", "1"), RevokeAccess(id="v", tenant_id=TENANT, ledger_id=LEDGER, grantee_id="user_1"))
    newest = take(bench.state(), 5, 0)
    torn = LedgerSnapshot(newest.ledger, newest.budget, behind.caps, behind.access)
    await bench.snapshots.save(0, 0, {LEDGER: torn})
    working = WorkingSet(0, bench.snapshots, live_entities_max=1)
    for fact in bench.facts:
        working.refold(fact)
    working.get_or_new(account(2))  # there is no room: what is clean is let go
    state = working.get(LEDGER)
    assert state is not None
    assert (state.access, list(state.caps or {})) == ({}, ["cfg_1/n"])
    assert values((state.caps or {})["cfg_1/n"]) == values(Counter(0, 1, 10**12, since=NOW))
