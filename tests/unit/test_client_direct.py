"""The client by the direct door: what goes out as one group, and what becomes of one that is answered in part or not at all."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.unit.direct_world import Announcements, OwnerInHand, answer, client_and_owners, command
from z0.client.direct import DirectLedger
from z0.client.frames import STRETCH_BYTES_MAX, Ask, Reply
from z0.codec import decode_command, encode_command
from z0.domain.answer import Answer
from z0.domain.commands import Command
from z0.domain.outcome import Outcome

World = tuple[DirectLedger, Announcements, OwnerInHand, OwnerInHand]


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A client and two owners."""
    async with client_and_owners(monkeypatch) as world:
        yield world


def ids(ask: Ask) -> list[str]:
    """The ids of a group's commands, in its order."""
    commands = [decode_command(raw) for raw in ask.commands]
    return [it.id for it in commands if isinstance(it, Command)]


def reply(ask: Ask, *outcomes: Outcome) -> Reply:
    """The answers to a group: accepted, or what is given for each."""
    said = outcomes or (Outcome.ACCEPTED,) * len(ask.commands)
    return Reply(ask.number, [answer(name, outcome) for name, outcome in zip(ids(ask), said, strict=True)])


def named(answers: list[Answer]) -> list[tuple[str, Outcome]]:
    """Which command was told what."""
    return [(it.command_id, it.outcome) for it in answers]


async def test_what_goes_to_one_partition_in_one_turn_is_one_group(world: World) -> None:
    """Whoever asks, one at a time or many; all groups in one frame, and each caller gets its own answers."""
    ledger, _, owner, _ = world
    asked = asyncio.gather(
        ledger.submit_many([command(0, "a"), command(1, "b"), command(0, "c")]),
        ledger.submit_many([command(0, "d")]),
        ledger.submit_many([command(1, "e")]),
    )
    groups = await owner.heard()
    assert {group.partition: ids(group) for group in groups} == {0: ["a", "c", "d"], 1: ["b", "e"]}
    owner.say(*(reply(group) for group in reversed(groups)))
    assert [[it.command_id for it in answers] for answers in await asked] == [["a", "b", "c"], ["d"], ["e"]]


async def test_of_a_group_only_what_the_owner_could_not_decide_is_asked_again(world: World) -> None:
    """Under the same ids, as the same bytes, in their order."""
    ledger, _, owner, _ = world
    asked = asyncio.create_task(ledger.submit_many([command(0, name) for name in "abcd"]))
    (group,) = await owner.heard()
    owner.say(reply(group, Outcome.BUDGET_EXHAUSTED, Outcome.NOT_OWNER, Outcome.ACCEPTED, Outcome.WARMING_UP))
    (again,) = await owner.heard()
    assert again.commands == [group.commands[1], group.commands[3]]
    owner.say(reply(again))
    assert named(await asked) == [
        ("a", Outcome.BUDGET_EXHAUSTED),
        ("b", Outcome.ACCEPTED),
        ("c", Outcome.ACCEPTED),
        ("d", Outcome.ACCEPTED),
    ]


async def test_a_group_may_be_answered_in_parts(world: World) -> None:
    """Its answers may be too large for one frame."""
    ledger, _, owner, _ = world
    asked = asyncio.create_task(ledger.submit_many([command(0, name) for name in "abc"]))
    (group,) = await owner.heard()
    answers = reply(group).answers
    owner.say(Reply(group.number, answers[:2]))
    owner.say(Reply(group.number, answers[2:]))
    assert named(await asked) == [(name, Outcome.ACCEPTED) for name in "abc"]


async def test_a_group_too_large_for_a_frame_goes_as_several(world: World) -> None:
    """Each with a number of its own, answered in whatever order."""
    ledger, _, owner, _ = world
    commands = [command(0, letter * (STRETCH_BYTES_MAX // 3)) for letter in "abcde"]
    raws = [encode_command(it) for it in commands]
    asked = asyncio.create_task(ledger.submit_many(commands))
    groups = [group for _ in range(3) for group in await owner.heard()]
    assert [len(group.commands) for group in groups] == [2, 2, 1]
    assert [raw for group in groups for raw in group.commands] == raws
    assert len({group.number for group in groups}) == 3
    for group in reversed(groups):
        owner.say(Reply(group.number, [answer(str(raws.index(raw))) for raw in group.commands]))
    assert [it.command_id for it in await asked] == ["0", "1", "2", "3", "4"]


async def test_what_waits_at_an_earlier_owner_is_asked_at_the_next(world: World) -> None:
    """Of that partition alone, and only what was not answered; what the earlier one still says of it is not looked at."""
    ledger, announcements, first, second = world
    asked = asyncio.create_task(ledger.submit_many([command(0, name) for name in "abc"]))
    elsewhere = asyncio.create_task(ledger.submit(command(1, "d")))
    here, there = await first.heard()
    first.say(Reply(here.number, [answer("a")]))
    first.say(Reply(there.number, [answer("d", Outcome.ENTITY_EXISTS)]))
    assert (await elsewhere).outcome is Outcome.ENTITY_EXISTS
    announcements.announce(second.owns(0, 2))
    (again,) = await second.heard()
    assert ids(again) == ["b", "c"]
    late = asyncio.create_task(ledger.submit(command(1, "e")))
    first.say(
        Reply(here.number, [answer("b", Outcome.ENTITY_EXISTS), answer("c", Outcome.ENTITY_EXISTS)]),
        reply((await first.heard())[0]),
    )
    await late
    assert not asked.done()
    second.say(reply(again))
    assert named(await asked) == [(name, Outcome.ACCEPTED) for name in "abc"]


async def test_what_is_lost_with_a_connection_is_asked_again(world: World) -> None:
    """It may have been decided; the same id finds out."""
    ledger, _, owner, _ = world
    asked = asyncio.create_task(ledger.submit_many([command(0, name) for name in "abc"]))
    (group,) = await owner.heard()
    owner.say(Reply(group.number, [answer("a")]))
    owner.hang_up()
    (again,) = await owner.heard()
    assert ids(again) == ["b", "c"]
    owner.say(reply(again))
    assert named(await asked) == [(name, Outcome.ACCEPTED) for name in "abc"]


async def test_an_owner_that_sends_the_client_away_is_asked_again_after_a_while(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its reason is logged; at once it would only say the same."""
    monkeypatch.setattr("z0.client.direct.REFUSED_AGAIN_S", 1.0)
    ledger, _, owner, _ = world
    asked = asyncio.create_task(ledger.submit(command(0, "a")))
    await owner.heard()
    refused_at = asyncio.get_running_loop().time()
    owner.refuse("the secret is another")
    (again,) = await owner.heard()
    assert asyncio.get_running_loop().time() - refused_at >= 1.0
    assert [record.getMessage().partition(" sent ")[2] for record in caplog.records] == [
        "this client away: the secret is another"
    ]
    owner.say(reply(again))
    assert (await asked).outcome is Outcome.ACCEPTED


async def test_an_owner_that_answers_more_than_was_asked_is_left(world: World) -> None:
    """Whose answers these are, nobody knows; the commands are asked again."""
    ledger, _, owner, _ = world
    asked = asyncio.create_task(ledger.submit(command(0, "a")))
    (group,) = await owner.heard()
    owner.say(Reply(group.number, [answer("a"), answer("b")]))
    (again,) = await owner.heard()
    assert owner.clients == 2
    owner.say(reply(again))
    assert (await asked).outcome is Outcome.ACCEPTED


async def test_a_caller_that_went_away_wants_no_retries(world: World) -> None:
    """The others of its group do."""
    ledger, _, owner, _ = world
    gone, stays = (asyncio.create_task(ledger.submit(command(0, name))) for name in "ab")
    (group,) = await owner.heard()
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    owner.say(reply(group, Outcome.NOT_OWNER, Outcome.NOT_OWNER))
    (again,) = await owner.heard()
    assert ids(again) == ["b"]
    owner.say(reply(again))
    assert (await stays).outcome is Outcome.ACCEPTED


async def test_at_the_deadline_a_caller_gets_what_is_there(world: World) -> None:
    """Each its own deadline, though they ask in one turn and go in one group; the rest is a time-out."""
    ledger, _, owner, _ = world
    soon = asyncio.create_task(ledger.submit_many([command(0, "a"), command(0, "b")], timeout_ms=300))
    soon_too = asyncio.create_task(ledger.submit(command(0, "c"), timeout_ms=300))
    later = asyncio.create_task(ledger.submit(command(0, "d")))
    (group,) = await owner.heard()
    owner.say(Reply(group.number, [answer("a")]))
    assert named(await soon) == [("a", Outcome.ACCEPTED), ("b", Outcome.TIMEOUT)]
    assert (await soon_too).outcome is Outcome.TIMEOUT
    assert not later.done()
    owner.say(Reply(group.number, [answer("b"), answer("c"), answer("d")]))
    assert (await later).outcome is Outcome.ACCEPTED


async def test_a_caller_that_leaves_takes_nobodys_deadline_with_it(world: World) -> None:
    """Not that of who asked beside it, nor of who asks in the same turn after it left."""
    ledger, _, _, _ = world
    leaving = ledger.submit(command(0, "a"), timeout_ms=300)
    leaving.send(None)
    leaving.close()  # at once: the turn is still the same
    beside = [asyncio.create_task(ledger.submit(command(0, name), timeout_ms=300)) for name in "bc"]
    assert [(await task).outcome for task in beside] == [Outcome.TIMEOUT, Outcome.TIMEOUT]


async def test_where_one_command_cannot_be_written_none_is_asked(world: World) -> None:
    """The caller hears why, and no answer would find it any more."""
    ledger, _, owner, _ = world
    with pytest.raises(UnicodeEncodeError):
        await ledger.submit_many([command(0, "a"), command(0, "\ud800")])
    asked = asyncio.create_task(ledger.submit(command(0, "b")))
    (group,) = await owner.heard()
    assert ids(group) == ["b"]
    owner.say(reply(group))
    await asked
