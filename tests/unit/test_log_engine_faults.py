"""What happens when an append goes wrong: the epoch dies, the next one claims, and nobody notices but by the time it took."""

import asyncio

import pytest

from tests.unit.test_log_engine_world import Fault, World
from tests.unit.test_log_world import LEDGER, NOW, TENANT, add, create, deduct, note, reserve
from z0.domain.commands import Command, Confirm
from z0.domain.outcome import Outcome
from z0.errors import LogBroken, Unreachable
from z0.log import recovery as recovery_module
from z0.log.claims import Floor, decode_claim
from z0.log.engine import Limits
from z0.log.ports import CommandBounds
from z0.log.validity import Standing
from z0.names import CLAIM_KEY

LANDED = (Fault.LOSE_ACK, Fault.UNKNOWN_OFFSET)
FOR_EVER = 10**9  # failures
LOST = (Fault.LOSE_BATCH, Fault.ZOMBIE_BEFORE, Fault.DELAY)


@pytest.mark.parametrize("fault", LANDED + LOST)
async def test_after_any_fault_the_same_id_gets_one_effect_and_its_first_outcome(fault: Fault) -> None:
    """The caller hears `not_owner`, asks again under the same id, and the ledger holds the command once."""
    async with World() as world:
        await world.ask(create(), add("a1", "10"))
        world.log.faults.append(fault)
        [told] = await world.once(deduct("d1", "3"))
        assert told.outcome is Outcome.NOT_OWNER
        [answer] = await world.ask(deduct("d1", "3"))
        assert (answer.outcome, answer.available) == (Outcome.ACCEPTED, "7")
        assert answer.repeated is (fault in LANDED)
        assert len(world.epochs) == 2
        found = await world.check()
        assert [f.command_id for f in found.facts] == ["create", "a1", "d1"]


@pytest.mark.parametrize("fault", LANDED + LOST)
async def test_a_fault_under_a_round_of_many_loses_and_doubles_none_of_them(fault: Fault) -> None:
    """Rounds are atomic: all of a batch counts or nothing."""
    commands: list[Command] = [create(), add("a1", "1000"), *(deduct(f"d{i}") for i in range(300)), deduct("too-much", "5000")]
    async with World() as world:
        world.log.faults.append(fault)
        answers = await world.ask(*commands)
        assert [a.outcome for a in answers] == [Outcome.ACCEPTED] * 302 + [Outcome.BUDGET_EXHAUSTED]
        assert (await world.view()).budgets["USD"].available == "700"
        found = await world.check()
        assert len(found.facts) == len(commands)


async def test_an_answer_that_never_comes_kills_the_epoch_too() -> None:
    """A time-out is not a failure of the batch: it landed, and the retry finds it."""
    async with World(limits=Limits(ack_timeout_s=0.01)) as world:
        await world.ask(create())
        world.log.faults.append(Fault.NO_ANSWER)
        [answer] = await world.ask(add("a1"))
        assert answer.repeated
        assert len((await world.check()).facts) == 2


async def test_a_delayed_batch_that_lands_after_the_new_claim_is_void() -> None:
    """Tried on a real broker, too: without the claim it would count a second time."""
    async with World() as world:
        await world.ask(create(), add("a1", "10"))
        world.log.faults.append(Fault.DELAY)
        await world.ask(deduct("d1", "3"))
        world.log.release()
        found = await world.check()
        standings = [r.standing for r in found.reads if r.fact is not None and r.fact.command_id == "d1"]
        assert standings == [Standing.VALID, Standing.VOID]


async def test_a_delayed_batch_pushes_the_successor_off_its_offset_and_it_claims_again() -> None:
    """What a zombie wrote takes an offset; the batch behind it is void, its commands are decided once more."""
    async with World() as world:
        await world.ask(create(), add("a1", "10"))
        world.log.faults.append(Fault.DELAY)
        await world.ask(deduct("d1", "3"))
        world.log.release()
        [answer] = await world.ask(deduct("d2", "2"))
        assert (answer.outcome, answer.available, answer.repeated) == (Outcome.ACCEPTED, "5", False)
        assert len(world.epochs) == 3
        await world.check()


async def test_five_faults_in_a_row_are_five_claims_and_one_effect() -> None:
    """However long it takes, an id is decided once."""
    async with World() as world:
        await world.ask(create())
        world.log.faults.extend([Fault.LOSE_BATCH, Fault.DELAY, Fault.ZOMBIE_BEFORE, Fault.DELAY, Fault.LOSE_ACK])
        [answer] = await world.ask(add("a1", "10"))
        assert (answer.outcome, answer.available) == (Outcome.ACCEPTED, "10")
        world.log.release()
        await world.ask(note("after"))
        assert (await world.view()).budgets["USD"].deposited == "10"
        await world.check()


async def test_what_waits_behind_a_lost_batch_is_told_as_well() -> None:
    """Rounds decided on top of a lost one die with it; nobody waits for ever."""
    async with World() as world:
        await world.ask(create(), add("a1", "1000"))
        world.log.faults.append(Fault.LOSE_BATCH)
        groups = [asyncio.ensure_future(world.once(*(deduct(f"d{g}-{i}") for i in range(400)))) for g in range(5)]
        told = [answer.outcome for group in await asyncio.gather(*groups) for answer in group]
        assert len(told) == 2_000
        assert set(told) <= {Outcome.NOT_OWNER, Outcome.WARMING_UP, Outcome.ACCEPTED, Outcome.BUDGET_EXHAUSTED}
        await world.ask(*(deduct(f"d{g}-{i}") for g in range(5) for i in range(400)))
        assert (await world.view()).budgets["USD"].spent == "1000"
        await world.check()


async def test_a_crash_between_ack_and_snapshot_loses_nothing() -> None:
    """Tables are disposable: the log alone rebuilds the state and the index."""
    async with World(forget_index=True) as world:
        await world.ask(create(), add("a1", "10"), reserve("r1", "4"))
        await world.crash()
        await world.again()
        view = await world.view()
        assert (view.budgets["USD"].available, view.seq) == ("6", 3)
        [answer] = await world.ask(reserve("r1", "4"))
        assert (answer.repeated, answer.available) == (True, "6")
        await world.check()


async def test_a_failed_snapshot_holds_the_floor_and_the_next_pass_tries_again() -> None:
    """The floor is written only after every snapshot below it is acked."""
    async with World(limits=Limits(snapshot_interval_ms=1_000)) as world:
        await world.ask(create(), add("a1", "10"))
        world.snapshots.failures = 1
        world.clock.advance(1_000)
        world.broker_clock.advance(1_000)
        await world.ask(note("n1"))
        assert world.snapshots.floors == []
        await world.stop()
        assert world.snapshots.floors[-1].fact_offset == len(world.log.records[0])
        await world.again()
        assert (await world.view()).budgets["USD"].available == "10"
        await world.check()


async def test_while_no_snapshot_can_be_written_memory_holds_no_more_than_the_working_set() -> None:
    """A broker may be away for minutes, and only for the changelogs: those who ask about others wait until theirs are written."""
    async with World(limits=Limits(live_entities_max=40, snapshot_interval_ms=1_000)) as world:
        world.snapshots.failures = FOR_EVER
        asking = asyncio.ensure_future(_open_accounts(world, groups=40, size=10))
        await world.until(lambda: world.snapshots.failures < FOR_EVER - 200, world.snapshots.failed)
        assert 40 <= len(world.engine._working) < 40 + 10
        assert not asking.done()
        world.snapshots.failures = 0
        await asking
        await world.stop()
        await world.again()
        await world.check()


async def _open_accounts(world: World, groups: int, size: int) -> None:
    for group in range(groups):
        ledgers = [f"account_acct_{group}-{n}-0" for n in range(size)]
        answers = await world.ask(*(create(ledger=ledger) for ledger in ledgers))
        assert {answer.outcome for answer in answers} == {Outcome.ACCEPTED}


async def test_a_claim_repeats_the_floor_that_its_worker_started_from() -> None:
    """So a reader of the log alone knows what the owner believed."""
    async with World() as world:
        await world.ask(create(), add("a1"))
        await world.stop()
        floor = world.snapshots.floor(0)
        await world.again()
        claims = [decode_claim(record.value) for record in world.log.records[0] if record.key == CLAIM_KEY]
        assert [claim.floor.fact_offset for claim in claims] == [0, 3]
        assert claims[1].floor == floor
        assert floor.batch_time == NOW


async def test_a_claim_that_is_not_acked_is_followed_by_another() -> None:
    """An epoch without its claim's offset has no number."""
    async with World() as world:
        await world.ask(create())
        await world.crash()
        failures = iter([OSError("no leader"), OSError("no leader")])

        def fail() -> None:
            for error in failures:
                raise error

        world.log.before_claim = fail
        await world.again()
        assert (await world.view()).seq == 1


async def test_a_claim_that_nobody_ever_answers_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """The partition would wait for that ack for ever, and its callers with it."""
    monkeypatch.setattr(recovery_module, "ACK_TIMEOUT_S", 0.01)
    async with World() as world:
        await world.ask(create())
        await world.crash()
        world.log.silent_claims = 2
        await world.again()
        assert (await world.view()).seq == 1


async def test_a_fence_or_an_announcement_that_is_not_acked_costs_a_claim_and_no_worker() -> None:
    """A broker that is slow for a moment must not stop the process with all of its partitions."""
    async with World() as world:
        await world.ask(create())
        await world.crash()
        world.snapshots.claim_failures = world.announce_failures = 1
        await world.again()
        assert (await world.view()).seq == 1
        claims = [record for record in world.log.records[0] if record.key == CLAIM_KEY]
        assert len(claims) == 4


async def test_a_dead_letter_that_is_not_acked_kills_the_epoch_before_its_facts_are_sent() -> None:
    """Otherwise the applied offset would pass something lost."""
    async with World() as world:
        await world.ask(create())
        world.outbox.failures = 1
        world.produce(add("a1", "10"), deduct("bad", "1", ledger="account_acct_7"))
        await world.until_committed()
        assert len(world.epochs) == 2
        assert [m.key for m in world.outbox.sent] == [b"z0.commands-0-1"]
        assert (await world.view(LEDGER)).budgets["USD"].deposited == "10"
        await world.check()


async def test_a_clock_six_seconds_off_gives_the_partition_up_and_a_set_clock_gets_it() -> None:
    """Batch time would be wrong for caps and expiries; five seconds are borne."""
    async with World() as world:
        await world.ask(create())
        await world.crash()
        tries: list[int] = []

        def note_try() -> None:
            tries.append(len(world.log.records[0]))
            if len(tries) == 3:
                world.clock.now = world.broker_clock.now + 5_000

        world.log.before_claim = note_try
        world.clock.now = world.broker_clock.now + 6_000
        served = len(world.epochs)
        await world.again()
        assert len(tries) == 3
        assert len(world.epochs) == served + 1
        assert (await world.view()).seq == 1


@pytest.mark.parametrize("moved_ms", [3_600_000, 6_000, -6_000, -3_600_000])
async def test_a_clock_that_is_moved_while_it_is_served_by_decides_nothing(moved_ms: int) -> None:
    """An hour ahead would expire what is not due, and the time that a partition once had stays."""
    async with World() as world:
        await world.ask(create(), add("a1", "10"), reserve("r1", "4", ttl_ms=600_000))
        facts = len(world.log.records[0])
        world.clock.ahead_ms = moved_ms

        def set_right() -> None:
            if len(world.log.records[0]) > facts + 1:  # the second claim under such a clock
                world.clock.ahead_ms = 0

        world.log.before_claim = set_right
        [confirmed] = await world.ask(Confirm(id="c1", tenant_id=TENANT, ledger_id=LEDGER, reservation_id="r1"))
        assert (confirmed.outcome, confirmed.recorded_at) == (Outcome.ACCEPTED, NOW)
        assert len(world.epochs) == 2
        await world.check()


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        pytest.param(CommandBounds(0, 2, 0), "created anew", id="made anew"),
        pytest.param(CommandBounds(6, 9, 5), "expired", id="expired unread"),
    ],
)
async def test_commands_that_are_gone_stop_the_worker(bounds: CommandBounds, said: str) -> None:
    """A person must look: what was never decided will never be."""
    async with World() as world:
        world.produce(create(), add("a1"), add("a2"))
        await world.until_committed()
        await world.stop()
        world.command_bounds = bounds
        with pytest.raises(LogBroken, match=said):
            await world.new_engine().run()


@pytest.mark.parametrize("bounds", [CommandBounds(3, 3, 0), CommandBounds(5, 5, 5), CommandBounds(0, 3, 0)])
async def test_commands_that_expired_after_they_were_decided_are_no_matter(bounds: CommandBounds) -> None:
    """By the log or by the group's offset, which also counts what left no fact."""
    async with World() as world:
        world.produce(create(), add("a1"), add("a2"))
        await world.until_committed()
        await world.stop()
        world.command_bounds = bounds
        await world.again()
        assert (await world.view()).seq == 3


async def test_an_unreachable_kafka_is_asked_again_without_a_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker outlives its broker: when it is back, the partition is served again."""
    world, asked = World(), 0
    bounds = world.log.bounds

    async def away(partition: int) -> tuple[int, int]:
        nonlocal asked
        asked += 1
        if asked < 5:
            raise Unreachable("nobody there")
        return await bounds(partition)

    monkeypatch.setattr(world.log, "bounds", away)
    async with world:
        await world.ask(create())
    assert asked == 5
    assert len(world.epochs) == 1


async def test_a_snapshot_fence_that_is_not_acked_is_tried_under_another_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a predecessor's late snapshots would be believed."""
    world, failures = World(), 1
    fence = world.snapshots.claim

    async def claim(partition: int, epoch: int) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise TimeoutError("not acked")
        await fence(partition, epoch)

    monkeypatch.setattr(world.snapshots, "claim", claim)
    async with world:
        await world.ask(create())
        assert world.epochs == [1]


async def test_a_full_replay_that_ends_early_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it wrote so far replaced what was void: the floor must not say any more that this is all there was."""
    world, order = World(), list[str]()
    async with world:
        await world.ask(create())
    assert world.snapshots.floor(0) != Floor()
    fence = world.snapshots.claim

    async def claim(partition: int, epoch: int) -> None:
        order.append(f"fenced above {world.snapshots.floor(0)}")
        await fence(partition, epoch)

    monkeypatch.setattr(world.snapshots, "needs_full_replay", lambda partition: True)
    monkeypatch.setattr(world.snapshots, "claim", claim)
    await world.again()
    await world.crash()
    assert order == [f"fenced above {Floor()}"]
    assert world.snapshots.floor(0) == Floor()
