"""How an epoch begins: what the replay brings back, from where, and what does not fit."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from tests.unit.test_log_engine_world import FailingSnapshots, World
from tests.unit.test_log_world import LEDGER, NOW, TENANT, Bench, add, create, deduct, note
from z0.domain.commands import Append
from z0.domain.facts import Reference
from z0.domain.outcome import Outcome
from z0.errors import EpochDead, LogBroken
from z0.log import recovery
from z0.log.claims import Floor
from z0.log.entry import RETENTION_MS, Entry
from z0.log.index import NOTHING, MemoryIndex
from z0.log.ports import Appended, Record
from z0.log.recovery import Replay, begin
from z0.log.snapshot import LedgerSnapshot, take
from z0.log.validity import Position
from z0.log.working_set import WorkingSet

_base: dict[str, Any] = {"tenant_id": TENANT, "ledger_id": LEDGER}


async def test_a_log_whose_beginning_was_deleted_stops_the_worker() -> None:
    """The replay would need what is gone: a state without it would look like any other."""
    async with World() as world:
        await world.ask(create(), add("a1"))
        await world.crash()

        async def bounds(partition: int) -> tuple[int, int]:
            return 2, len(world.log.records[0])

        world.log.bounds = bounds  # type: ignore[method-assign]
        with pytest.raises(LogBroken, match="facts were deleted"):
            await world.new_engine().run()


async def test_a_replay_that_ends_before_its_claim_stops_the_worker() -> None:
    """Decided on what it has found, the next command would not know the facts between."""
    async with World() as world:
        await world.ask(create(), add("a1"))
        await world.crash()
        read = world.log.read

        async def short(partition: int, start: int, end: int) -> AsyncIterator[list[Record]]:
            async for records in read(partition, start, end - 1):
                yield records

        world.log.read = short  # type: ignore[method-assign]
        with pytest.raises(LogBroken, match="the replay ended at"):
            await world.new_engine().run()


async def test_a_claim_of_which_the_broker_does_not_say_the_offset_opens_no_epoch() -> None:
    """It may be anywhere: an epoch without a number could not be told from none."""
    world = World()
    writer = await world.log.writer(0)

    async def claims(partition: int) -> Any:
        async def unsaid(records: Any) -> Appended:
            await type(writer).append(writer, records)
            return Appended(-1, NOW)

        writer.append = unsaid  # type: ignore[method-assign, assignment]
        return writer

    world.log.writer = claims  # type: ignore[method-assign]
    working = WorkingSet(0, world.snapshots, live_entities_max=10)
    ports: dict[str, Any] = {"log": world.log, "snapshots": world.snapshots, "index": world.index, "clock": world.clock}
    with pytest.raises(EpochDead, match="has no offset"):
        await begin(0, owner="w", address="a:1", working=working, **ports)


async def test_time_goes_on_from_the_last_fact_though_the_clock_is_behind_it() -> None:
    """A clock may differ by some seconds; a reservation that has ended must not come back, nor a window of a limit."""
    async with World() as world:
        world.pass_time(4_000)
        [first] = await world.ask(create())
        await world.crash()
        world.pass_time(-4_000)
        await world.again()
        [next_one] = await world.ask(note("n"))
        assert next_one.recorded_at == first.recorded_at == NOW + 4_000


async def test_ids_of_an_epoch_that_goes_on_beyond_the_35_days_are_known_after_the_index_was_lost() -> None:
    """The rebuild begins in the middle of that epoch: read without it, its facts would all look void."""
    async with World(forget_index=True) as world:
        await world.ask(create(), add("old", "1"))
        world.pass_time(RETENTION_MS)
        await world.ask(add("kept", "1"), add("too", "1"))
        world.pass_time(1)
        await world.stop()
        await world.again()
        answers = await world.ask(add("kept", "1"), add("too", "1"))
        assert [answer.repeated for answer in answers] == [True, True]
        assert (await world.view()).budgets["USD"].deposited == "3"


async def test_an_id_is_free_again_after_35_days_though_the_index_still_has_it() -> None:
    """By the batch's time: it does not depend on when a store compacts, nor on which worker is asked."""
    async with World() as world:
        await world.ask(create(), add("a", "1"))
        world.pass_time(RETENTION_MS)
        [answer] = await world.ask(add("a", "1"))
        assert answer.repeated
        world.pass_time(1)
        [answer] = await world.ask(add("a", "1"))
        assert not answer.repeated
        assert (await world.view()).budgets["USD"].deposited == "2"


@pytest.mark.parametrize("forget_index", [False, True])
async def test_an_outcome_is_known_to_its_charge_at_once_and_after_a_restart(forget_index: bool) -> None:
    """In the round that follows it, where the index does not have it yet; and where a lost index was rebuilt."""
    outcome = Append(id="o", type="outcome", **_base)
    async with World(forget_index=forget_index) as world:
        await world.ask(create(), add("a1", "10"))
        [named] = await world.ask(outcome)
        charge: dict[str, Any] = {"type": "charge", "amount": "1", "currency": "USD", "source_id": f"{LEDGER}.{named.seq}"}
        [at_once] = await world.ask(Append(id="c1", **charge, **_base))
        await world.crash()
        await world.again()
        [after] = await world.ask(Append(id="c2", **charge, **_base))
        assert [answer.outcome for answer in (at_once, after)] == [Outcome.ACCEPTED] * 2


class CountedIndex:
    """An index, and how many entries came at once."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self._index = MemoryIndex()
        self.get_many, self.references = self._index.get_many, self._index.references
        self.position, self.close = self._index.position, self._index.close

    def put(self, entries: Mapping[str, Entry], position: Position, references: Mapping[str, Reference] = NOTHING) -> None:
        self.sizes.append(len(entries))
        self._index.put(entries, position, references)


async def test_a_long_replay_writes_the_index_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for it is in memory: a log of years would not fit."""
    monkeypatch.setattr(recovery, "INDEX_BATCH", 10)
    async with World() as world:
        world.produce(create(), *(add(f"a{n}", "1") for n in range(1_200)))
        await world.until_committed()
        await world.crash()
        index = CountedIndex()
        world.index = index  # type: ignore[assignment]  # the world's own is in memory only
        await world.again()
        assert sum(index.sizes) == 1_201
        assert max(index.sizes) < 600 + 10  # a piece of the log, and what is put


async def test_a_snapshot_in_mid_replay_is_not_written_of_an_entity_whose_parts_are_ahead() -> None:
    """It would say that it is as old as the replay has come, and the next replay would fold into it what it has."""
    bench = Bench()
    bench.decide(create(), add("a1", "10"))
    early = take(bench.state(), 2, 0)
    bench.decide(deduct("d1", "4"), deduct("d2", "3"))
    late = take(bench.state(), 4, 0)
    await bench.snapshots.save(0, 0, {LEDGER: LedgerSnapshot(early.ledger, late.budget)})
    working = WorkingSet(0, bench.snapshots, live_entities_max=1)
    replay = Replay(0, Position(), Floor(), MemoryIndex(), working)
    replay.fold(bench.records[:4])  # up to the first of the two
    assert working.is_crowded
    await recovery._relieve(0, 0, replay.folded_to, bench.snapshots, working)
    assert bench.snapshots.load(0, LEDGER) == LedgerSnapshot(early.ledger, late.budget)
    replay.fold(bench.records[4:])
    await recovery._relieve(0, 0, replay.folded_to, bench.snapshots, working)
    assert bench.snapshots.load(0, LEDGER) == take(bench.state(), 4, 0)
    assert not working.is_crowded


async def test_what_a_replay_has_written_need_not_be_written_again() -> None:
    """Else every piece of a long log would write all that came before it."""
    async with World() as world:
        world.produce(*[create("c", f"account_acct_{n}") for n in range(1_200)])
        await world.until_committed()
        await world.crash()
        world.snapshots = FailingSnapshots()
        world.limits = world.limits._replace(live_entities_max=400)
        await world.again()
        assert world.snapshots.saved <= 1_200
