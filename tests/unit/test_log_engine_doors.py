"""Both doors of the engine: what comes in by Kafka, what comes in directly, and that an id counts once for both."""

import asyncio
import base64

import msgspec
import pytest

from tests.unit.test_log_engine_world import WAIT_S, World
from tests.unit.test_log_world import LEDGER, NOW, OTHER, add, create, deduct, note, read
from z0.codec import encode_command
from z0.domain.facts import Cause
from z0.domain.outcome import Outcome
from z0.errors import LogBroken
from z0.log.deciding import ROUND_COMMANDS_MAX
from z0.log.engine import BACKLOG_MIN, Limits
from z0.log.inbox import KafkaCommand
from z0.log.memory import MemoryLog
from z0.names import COMMANDS, DEAD_LETTERS


async def test_a_kafka_command_leaves_a_fact_that_names_its_place_and_is_acknowledged_after_it() -> None:
    """`cause` is topic, partition and offset; a direct command has none."""
    async with World() as world:
        world.produce(create(), add("a1", "10"))
        await world.until_committed()
        await world.ask(deduct("d1"))
        found = await world.check()
        assert [f.cause for f in found.facts] == [Cause(COMMANDS, 0, 0), Cause(COMMANDS, 0, 1), None]


async def test_commands_read_again_after_a_crash_have_no_second_effect() -> None:
    """The applied offset is in the log, the committed offset only says where to start reading."""
    async with World(forget_index=True) as world:
        world.produce(create(), add("a1", "10"), deduct("d1", "3"))
        await world.until_committed()
        world.committed = -1  # the commit was lazy
        await world.crash()
        await world.again()
        world.produce(deduct("d2", "2"))
        await world.until_committed()
        assert (await world.view()).budgets["USD"].available == "5"
        found = await world.check()
        assert [f.command_id for f in found.facts] == ["create", "a1", "d1", "d2"]


@pytest.mark.parametrize("kafka_first", [True, False])
async def test_an_id_that_comes_by_both_doors_has_one_effect(kafka_first: bool) -> None:
    """The second is a repeat, whichever door it takes."""
    async with World() as world:
        await world.ask(create(), add("a1", "10"))
        if kafka_first:
            world.produce(deduct("d1", "3"))
            await world.until_committed()
        [answer] = await world.ask(deduct("d1", "3"))
        assert answer.repeated is kafka_first
        world.produce(deduct("d1", "3"))
        await world.until_committed()
        assert (await world.view()).budgets["USD"].available == "7"
        assert world.outbox.sent == []
        await world.check()


async def test_an_id_decided_while_the_index_is_written_is_known_until_it_is_written_itself() -> None:
    """The index then gets what was acked before, and nothing but the decider's memory knows the rest."""
    first = [deduct(f"d{n}", "1") for n in range(ROUND_COMMANDS_MAX)]
    backlog = [read()] * BACKLOG_MIN  # leaves nothing, and is decided without waiting for the round before
    async with World() as world:
        await world.ask(create(), add("a1", "10000"))
        world.log.hold_acks = asyncio.Event()
        async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as callers:
            callers.create_task(world.once(*first, deduct("late", "1"), *backlog))
            while world.engine._decided is None or len(world.log.records[0]) < ROUND_COMMANDS_MAX:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0)
            world.log.hold_acks.set()
            again = callers.create_task(world.once(deduct("late", "1")))
        assert [answer.repeated for answer in again.result()] == [True]
        assert len((await world.check()).facts) == 2 + ROUND_COMMANDS_MAX + 1


async def test_the_same_id_with_another_body_is_refused_and_leaves_nothing() -> None:
    """`id_reused`; by Kafka it becomes a dead letter."""
    async with World() as world:
        await world.ask(create(), add("a1", "10"))
        [answer] = await world.ask(add("a1", "11"))
        assert (answer.outcome, answer.seq) == (Outcome.ID_REUSED, 0)
        world.produce(add("a1", "12"))
        await world.until_committed()
        assert [msgspec.json.decode(m.value)["reason"] for m in world.outbox.sent] == ["id_reused"]
        assert len((await world.check()).facts) == 2


async def test_an_id_is_unique_per_ledger_only() -> None:
    """Another ledger may use it."""
    async with World() as world:
        answers = await world.ask(create("c"), create("c", OTHER), add("a"), add("a", ledger=OTHER))
        assert [(a.outcome, a.repeated) for a in answers] == [(Outcome.ACCEPTED, False)] * 4


GOOD = encode_command(add("a1"))
BAD = [
    (KafkaCommand(0, LEDGER.encode(), b"{not json"), "malformed"),
    (KafkaCommand(0, LEDGER.encode(), None), "malformed"),
    (KafkaCommand(0, LEDGER.encode(), b"\xff\xfe"), "malformed"),
    (KafkaCommand(0, b"account_acct_2", GOOD), "wrong_key"),
    (KafkaCommand(0, None, GOOD), "wrong_key"),
    (KafkaCommand(0, OTHER.encode(), encode_command(add("a1", ledger=OTHER))), "unknown_entity"),
    (KafkaCommand(0, LEDGER.encode(), GOOD.replace(b'"100"', b'"1e2"')), "bad_amount"),
    (KafkaCommand(0, LEDGER.encode(), GOOD.replace(b"add_budget", b"add_money")), "unknown_command"),
    (KafkaCommand(0, b"acct_1", GOOD.replace(b"account_acct_1", b"acct_1")), "bad_ledger_id"),
]


@pytest.mark.parametrize(("command", "reason"), BAD, ids=[f"{reason}-{i}" for i, (_, reason) in enumerate(BAD)])
async def test_what_cannot_be_on_a_ledger_becomes_a_dead_letter(command: KafkaCommand, reason: str) -> None:
    """With its reason, topic, partition, offset, and the bytes as they came."""
    async with World() as world:
        await world.ask(create())
        world.produce(note("n1"), command)
        await world.until_committed()
        [letter] = world.outbox.sent
        assert (letter.topic, letter.key) == (DEAD_LETTERS, b"z0.commands-0-1")
        body = msgspec.json.decode(letter.value)
        assert (body["reason"], body["topic"], body["partition"], body["offset"]) == (reason, COMMANDS, 0, 1)
        assert body["key"] == (command.key.decode() if command.key is not None else None)
        stored = base64.b64decode(body["value_base64"]) if "value_base64" in body else body["value"]
        assert (stored.encode() if isinstance(stored, str) else stored) == command.value
        assert len((await world.check()).facts) == 2


async def test_a_command_on_the_wrong_partition_is_forwarded_once_under_its_own_id() -> None:
    """Producers with another partitioner than murmur2 are not punished; the header ends a round trip."""
    elsewhere = deduct("d1", ledger="account_acct_3")  # 3 % 2 = 1
    async with World(partitions=2) as world:
        world.produce(elsewhere)
        await world.until_committed()
        [forward] = world.outbox.sent
        assert (forward.topic, forward.partition, forward.key) == (COMMANDS, 1, b"account_acct_3")
        assert forward.value == encode_command(elsewhere)
        world.produce(KafkaCommand(0, forward.key, forward.value, forward.headers))
        await world.until_committed()
        assert [m.topic for m in world.outbox.sent] == [COMMANDS, DEAD_LETTERS]
        assert msgspec.json.decode(world.outbox.sent[1].value)["reason"] == "wrong_key"


async def test_a_direct_command_on_the_wrong_partition_is_told_to_ask_the_owner() -> None:
    """The client routes by itself; nothing is forwarded for it."""
    async with World(partitions=2) as world:
        [answer] = await world.once(add("a1", ledger="account_acct_3"))
        assert answer.outcome is Outcome.NOT_OWNER
        assert world.outbox.sent == []


async def test_a_full_queue_answers_overloaded_and_takes_commands_again_afterwards() -> None:
    """Transient and never recorded."""
    async with World(limits=Limits(queue_commands_max=10)) as world:
        await world.ask(create())
        first = asyncio.ensure_future(world.once(*(note(f"a{i}") for i in range(10))))
        await asyncio.sleep(0)
        [answer] = await world.once(note("late"))
        assert answer.outcome is Outcome.OVERLOADED
        assert {a.outcome for a in await first} == {Outcome.ACCEPTED}
        [answer] = await world.once(note("late"))
        assert (answer.outcome, answer.repeated) == (Outcome.ACCEPTED, False)


async def test_a_read_is_not_given_without_the_lease_and_facts_are() -> None:
    """A read appends nothing and so proves nothing; an append is proved by its offset."""
    async with World() as world:
        await world.ask(create())
        world.lease.held = False
        assert [a.outcome for a in await world.once(note("n1"))] == [Outcome.ACCEPTED]
        assert [a.outcome for a in await world.once(read())] == [Outcome.NOT_OWNER]
        assert [a.outcome for a in await world.once(add("a1", ledger=OTHER))] == [Outcome.NOT_OWNER]
        [repeat] = await world.once(note("n1"))
        assert (repeat.outcome, repeat.repeated) == (Outcome.ACCEPTED, True)  # what is in the log is proved by it
        world.lease.held = True
        assert (await world.view()).seq == 2


async def test_an_answer_says_which_position_it_reflects() -> None:
    """`as_of` of a fact is its own offset; of a read the last one before it."""
    async with World() as world:
        answers = await world.ask(create(), note("n1"), read())
        assert [(a.partition, a.offset, a.seq) for a in answers] == [(0, 1, 1), (0, 2, 2), (0, 2, 0)]


async def test_a_clock_that_goes_back_never_takes_recorded_at_back() -> None:
    """Batch time is the largest seen, also over a new epoch and a snapshot."""
    async with World() as world:
        await world.ask(create())
        world.clock.advance(-3_000)
        await world.ask(note("n1"))
        await world.stop()
        await world.again()
        await world.ask(note("n2"))
        world.clock.advance(4_000)
        await world.ask(note("n3"))
        found = await world.check()
        assert [f.recorded_at - NOW for f in found.facts] == [0, 0, 0, 1_000]


async def test_a_stopped_engine_answers_not_owner_and_one_that_begins_answers_warming_up() -> None:
    """Nobody who asks is left without an answer."""
    async with World() as world:
        await world.stop()
        assert [a.outcome for a in await world.once(create(), read())] == [Outcome.NOT_OWNER] * 2
        world.engine = world.new_engine()
        assert [a.outcome for a in await world.once(create())] == [Outcome.WARMING_UP]


async def test_a_log_shorter_than_what_was_read_before_stops_the_engine_loudly() -> None:
    """A topic created anew under the same name must not be taken for an empty ledger."""
    async with World() as world:
        await world.ask(create(), add("a1"))
        await world.stop()
        world.log.records = MemoryLog(1).records
        with pytest.raises(LogBroken, match="truncated or created anew"):
            await world.new_engine().run()
        world.log.records = MemoryLog(1).records


async def test_many_waiting_commands_are_decided_in_their_order_over_several_rounds() -> None:
    """Rounds are bounded; the next is decided while one is under way."""
    async with World() as world:
        await world.ask(create(), add("a1", "5000"))
        world.produce(*(deduct(f"k{i}") for i in range(1_500)))
        direct = await world.ask(*(deduct(f"d{i}") for i in range(2_500)))
        await world.until_committed()
        seqs = [a.seq for a in direct]
        assert seqs == sorted(seqs)
        found = await world.check()
        kafka = [f.command_id for f in found.facts if f.cause is not None]
        assert kafka == [f"k{i}" for i in range(1_500)]
        assert (await world.view()).budgets["USD"].spent == "4000"
