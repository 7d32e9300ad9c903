"""What one round may hold, and what an engine owes between rounds: nothing grows with what waits."""

import asyncio
from typing import Any

import pytest

from tests.unit.test_log_engine_world import World
from tests.unit.test_log_world import Bench, add, create, deduct, note, reserve
from tests.waiting import until
from z0.codec import encode_command
from z0.domain.outcome import Outcome
from z0.log import engine as engine_module
from z0.log.deciding import EXPIRY_LEDGERS_MAX, ROUND_BYTES_MAX
from z0.log.engine import INDEX_ROUNDS_MAX, RECLAIM_PAUSE_MAX_S, RECLAIM_PAUSE_S, reclaim_pause_s
from z0.log.inbox import CommandBatch, DirectGroup, KafkaCommand
from z0.log.round import Round

LARGE = "x" * 100_000


def account(n: int) -> str:
    return f"account_acct_{n}"


def waiting(bench: Bench, *commands: Any) -> None:
    """By the direct door, not decided yet."""
    bench.inbox.offer_direct(DirectGroup([encode_command(command) for command in commands], lambda _: None))


def rounds(bench: Bench) -> list[Round]:
    """Until nothing waits."""
    found = []
    while len(bench.inbox) or bench.decider.carried:
        found.append(bench.decider.decide_round(bench.inbox, len(bench.records), bench.now))
        bench.ack(found[-1])
    return found


@pytest.mark.parametrize("door", ["direct", "kafka"])
def test_a_round_ends_when_it_has_its_bytes_whichever_door_they_came_by(door: str) -> None:
    """One record batch, acked in milliseconds; and what was not decided goes first into the next."""
    bench = Bench()
    bench.one(create())
    commands = [note(f"n{n}", text=LARGE) for n in range(60)]
    if door == "direct":
        waiting(bench, *commands)
    else:
        records = [KafkaCommand(n, c.ledger_id.encode(), encode_command(c)) for n, c in enumerate(commands)]
        bench.inbox.offer_kafka(CommandBatch(-1, records, lambda: None))
    found = rounds(bench)
    assert all(round_.bytes <= ROUND_BYTES_MAX + 2 * len(LARGE) for round_ in found)
    assert [fact.command_id for fact in bench.facts[1:]] == [command.id for command in commands]


def test_a_round_ends_when_its_facts_have_their_bytes_though_its_commands_have_not() -> None:
    """A fact is larger than its command, and a command may leave several: by commands alone a batch could outgrow a topic."""
    bench = Bench()
    bench.one(create())
    waiting(bench, *(note(f"n{n}", text="x" * 5_000) for n in range(400)))
    found = rounds(bench)
    largest = max(len(value) for round_ in found for _, value in round_.records)
    assert all(round_.bytes <= ROUND_BYTES_MAX + largest + 100 for round_ in found)
    assert len(bench.facts) == 401


def test_ledgers_with_many_reservations_expire_one_after_the_other() -> None:
    """What expires of one ledger is up to some megabytes: of several at once it would outgrow a record batch."""
    bench, holds = Bench(), 4_000
    for n in range(3):
        bench.decide(create("c", account(n)), add("a", str(holds), account(n)))
        bench.decide(*(reserve(f"{m:0200d}", "1", account(n), ttl_ms=1_000) for m in range(holds)))
    bench.now += 1_000
    expired = [{key for key, _ in round_.records} for round_ in (bench.tick(), bench.tick(), bench.tick())]
    assert [len(ledgers) for ledgers in expired] == [2, 1, 0]


def test_so_many_ledgers_expire_in_a_round_and_the_next_one_takes_the_next() -> None:
    """After a pause without a worker all are due at once: commands must come between."""
    bench = Bench(live_entities_max=10_000)
    ledgers = [account(n) for n in range(2 * EXPIRY_LEDGERS_MAX + 1)]
    for ledger in ledgers:
        bench.decide(create("c", ledger), add("a", "1", ledger), reserve("r", "1", ledger, ttl_ms=1_000))
    bench.now += 1_000
    assert [len(bench.tick().records) for _ in range(4)] == [EXPIRY_LEDGERS_MAX, EXPIRY_LEDGERS_MAX, 1, 0]


@pytest.mark.plain
async def test_the_index_is_written_after_so_many_rounds_however_busy_the_engine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is owed is kept in memory, and read again by the next owner."""
    monkeypatch.setattr(engine_module, "INDEX_PAUSE_S", 1_000.0)
    async with World() as world:
        for n in range(INDEX_ROUNDS_MAX):
            assert world.index.position().next_offset == world.epochs[-1] + 1
            await world.ask(create("c", account(n)))
        assert world.index.position().next_offset == world.epochs[-1] + 1 + INDEX_ROUNDS_MAX


async def test_the_index_is_written_when_nothing_comes_for_a_moment() -> None:
    """A worker that is killed in a quiet hour leaves an index that lacks nothing."""
    async with World() as world:
        await world.ask(create())

        async def written() -> bool:
            return world.index.position().next_offset == world.epochs[-1] + 2

        await until(written, "the index is written")


async def test_callers_of_a_round_whose_letter_is_lost_are_told_to_ask_again() -> None:
    """The round was decided and not sent: nobody else would answer them before their time is over."""
    async with World() as world:
        await world.ask(create())
        world.outbox.failures = 1
        world.produce(deduct("bad", "1", ledger="account_acct_7"))
        [answer] = await world.once(add("a1", "10"))
        assert answer.outcome is Outcome.NOT_OWNER
        await world.until_committed()
        assert (await world.ask(add("a1", "10")))[0].outcome is Outcome.ACCEPTED
        await world.check()


async def test_an_epoch_is_not_claimed_before_the_group_confirms_the_worker() -> None:
    """A worker that was replaced would void its successor's batches, and the successor its own, in turns."""
    async with World() as world:
        await world.ask(create())
        world.lease.held = False
        world.produce(deduct("bad", "1", ledger="account_acct_7"))
        claims = len(world.epochs)
        for _ in range(5):
            await asyncio.sleep(0.05)
            assert len(world.epochs) == claims
        world.lease.held = True
        await world.until_committed()
        assert len(world.epochs) == claims + 1


def test_claims_come_ever_less_often_while_no_round_succeeds_and_no_less_often_than_a_bound() -> None:
    """A clock that is wrong for a night must not fill the log with claims; one that is set must not wait for an hour."""
    pauses = [reclaim_pause_s(deaths, RECLAIM_PAUSE_S) for deaths in range(100)]
    assert pauses[:4] == [RECLAIM_PAUSE_S, RECLAIM_PAUSE_S, 2 * RECLAIM_PAUSE_S, 4 * RECLAIM_PAUSE_S]
    assert pauses == sorted(pauses)
    assert pauses[-1] == RECLAIM_PAUSE_MAX_S
    assert reclaim_pause_s(10**6, RECLAIM_PAUSE_S) == RECLAIM_PAUSE_MAX_S
