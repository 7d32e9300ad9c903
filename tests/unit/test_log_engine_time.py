"""What time does to a ledger that nobody touches: reservations end, ids are forgotten, a lost index is rebuilt in part."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from tests.unit.test_log_engine_world import World
from tests.unit.test_log_world import LEDGER, TENANT, add, create, deduct, reserve
from tests.waiting import until
from z0.domain.commands import Append, Command, Confirm, Release, Settle
from z0.domain.outcome import Outcome
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
        await world.stop()
        await world.again()  # an epoch of its own, at which a rebuild would begin that goes back less far
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


async def test_a_repeat_is_told_the_same_in_every_field_after_the_index_was_lost() -> None:
    """From the facts, whatever kind they are: also of those that name a currency and change no balance."""
    async with World(forget_index=True) as world:
        await world.ask(create(), add("a1", "10"), Append(id="o", type="outcome", **_base))
        due: dict[str, Any] = {"amount": "4", "currency": "USD", "source_id": f"{LEDGER}.3"} | _base
        commands: list[Command] = [
            Append(id="owed", type="charge", subtype="incurred", **due),
            Settle(id="settle", charge_id=f"{LEDGER}.4", stage="settled", **_base),
            reserve("r1", "2"),
            Confirm(id="part", reservation_id="r1", amount="0.5", **_base),
            Confirm(id="late", reservation_id="r1", **_base),
            deduct("much", "99"),
            Append(id="priced", type="note", amount="3", currency="USD", **_base),
        ]
        first = await world.ask(*commands)
        await world.crash()
        await world.again()
        again = await world.ask(*commands)
        assert [answer.repeated for answer in again] == [True] * len(commands)
        assert [msgspec.structs.replace(answer, repeated=False) for answer in again] == first


async def test_a_charge_still_finds_its_outcome_after_the_index_was_lost() -> None:
    """The rebuild keeps the facts that others may name, as deciding them did."""
    async with World(forget_index=True) as world:
        await world.ask(create(), add("a1", "10"), Append(id="o", type="outcome", **_base), Append(id="n", type="note", **_base))
        await world.crash()
        await world.again()
        due: dict[str, Any] = {"type": "charge", "amount": "4", "currency": "USD"} | _base
        answers = await world.ask(*(Append(id=f"c{seq}", source_id=f"{LEDGER}.{seq}", **due) for seq in (3, 4)))
        assert [answer.outcome for answer in answers] == [Outcome.ACCEPTED, Outcome.SOURCE_INVALID]


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
