"""What time does to a ledger that nobody touches: reservations end, ids are forgotten, a lost index is rebuilt in part."""

from collections.abc import AsyncIterator
from typing import Any

from tests.unit.test_log_engine_world import World
from tests.unit.test_log_world import LEDGER, TENANT, add, create, reserve
from tests.waiting import until
from z0.domain.commands import Confirm, Release
from z0.log.entry import RETENTION_MS
from z0.log.ports import Record

_base: dict[str, Any] = {"tenant_id": TENANT, "ledger_id": LEDGER}


async def test_a_lost_index_is_rebuilt_from_35_days_ago_and_no_further() -> None:
    """Older ids are free again anyway; the rebuild begins with the epoch that was in force then."""
    async with World(forget_index=True) as world:
        await world.ask(create(), add("old", "1"))
        await world.stop()
        world.pass_time(RETENTION_MS // 2)
        await world.again()
        await world.ask(add("middle", "1"))
        world.pass_time(RETENTION_MS // 2 + 1)
        await world.ask(add("new", "1"))
        await world.stop()
        starts: list[int] = []
        read = world.log.read

        def watched(partition: int, start: int, end: int) -> AsyncIterator[list[Record]]:
            starts.append(start)
            return read(partition, start, end)

        world.log.read = watched  # type: ignore[method-assign]
        await world.again()
        assert min(starts) == world.epochs[1]
        answers = await world.ask(add("middle", "1"), add("new", "1"), add("old", "1"))
        assert [answer.repeated for answer in answers] == [True, True, False]
        assert (await world.view()).budgets["USD"].deposited == "4"


async def test_a_late_outcome_is_told_the_same_after_the_index_was_lost() -> None:
    """What became of the reservation stands on the refusal's fact."""
    async with World(forget_index=True) as world:
        await world.ask(create(), add("a1", "10"), reserve("r1", "4"))
        await world.ask(Release(id="free", reservation_id="r1", **_base))
        late = Confirm(id="late", reservation_id="r1", **_base)
        [first] = await world.ask(late)
        assert (first.detail or "").startswith("released at ")
        await world.crash()
        await world.again()
        [again] = await world.ask(late)
        assert (again.repeated, again.detail) == (True, first.detail)


async def test_the_workers_timer_expires_what_nobody_asks_for() -> None:
    """At the first tick after its time, also after a restart, when only the snapshot knows of it."""
    async with World() as world:
        await world.ask(create(), add("a1", "10"), reserve("r1", "4", ttl_ms=1_000))
        await world.stop()
        await world.again()
        before = len(world.log.records[0])
        world.clock.advance(999)
        world.engine.tick()
        await world.ask(create("c2", "account_acct_2"))
        assert len(world.log.records[0]) == before + 1
        world.clock.advance(1)
        world.engine.tick()

        async def expired() -> bool:
            return len(world.log.records[0]) > before + 1

        await until(expired, "the reservation expires")
        assert (await world.view()).budgets["USD"].reserved == "0"
        await world.check()
