"""The worker's end of the direct door: groups in, each answered as a whole, and everything of one turn in one frame."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.direct_world import answer
from tests.unit.door_world import Client, HostInHand, open_door
from z0.client.frames import STRETCH_BYTES_MAX, Ask, Reply, encode
from z0.domain.answer import Answer
from z0.domain.outcome import Outcome


@pytest.fixture
async def world() -> AsyncIterator[tuple[Client, HostInHand]]:
    """A client that said hello, and the engines."""
    async with open_door() as door:
        yield await door.client(), door.host


@pytest.fixture
def client(world: tuple[Client, HostInHand]) -> Client:
    """The client."""
    return world[0]


@pytest.fixture
def host(world: tuple[Client, HostInHand]) -> HostInHand:
    """The engines."""
    return world[1]


async def test_each_group_is_offered_whole_and_answered_under_its_number(client: Client, host: HostInHand) -> None:
    """In its own order, whichever command or group is decided first; what is done in one turn goes out in one frame."""
    client.say(encode([Ask(7, 3, [b"a", b"b"]), Ask(8, 1, [b"c"])]))
    (three, first), (one, second) = await host.next(), await host.next()
    assert (three, first.commands, one, second.commands) == (3, [b"a", b"b"], 1, [b"c"])
    second.answer(0, answer("c"))
    first.answer(1, answer("b"))
    first.answer(0, answer("a"))
    assert await client.heard() == [Reply(8, [answer("c")]), Reply(7, [answer("a"), answer("b")])]


async def test_a_group_waits_for_its_last_answer(client: Client, host: HostInHand) -> None:
    """Others do not wait for it."""
    client.say(encode([Ask(1, 0, [b"a", b"b"]), Ask(2, 0, [b"c"])]))
    (_, first), (_, second) = await host.next(), await host.next()
    first.answer(0, answer("a"))
    second.answer(0, answer("c"))
    assert await client.heard() == [Reply(2, [answer("c")])]
    first.answer(1, answer("b", Outcome.NOT_OWNER))
    assert await client.heard() == [Reply(1, [answer("a"), answer("b", Outcome.NOT_OWNER)])]


async def test_a_group_whose_states_fill_two_frames_comes_in_two(client: Client, host: HostInHand) -> None:
    """A frame of any size would be refused, and its commands asked again for ever."""
    client.say(encode([Ask(1, 0, [b"a", b"b"])]))
    _, group = await host.next()
    large = Answer("a", "account_acct_1", Outcome.ACCEPTED, state=b"x" * (STRETCH_BYTES_MAX // 2 + 1))
    group.answer_all(large)
    assert [await client.heard(), await client.heard()] == [[Reply(1, [large])], [Reply(1, [large])]]


@pytest.mark.parametrize("body", [b"\xff", encode([(1, 0, b"not in a list")]), encode([(1, 0, [])]), encode([(1, 0)])])
async def test_a_malformed_frame_sends_the_client_away(client: Client, host: HostInHand, body: bytes) -> None:
    """Nothing of it is offered; the client is told what was read as a frame of which version."""
    client.say(body)
    assert "no frame of version" in await client.told()
    assert host.offered.empty()


async def test_a_client_that_went_away_is_told_nothing(client: Client, host: HostInHand) -> None:
    """What it asked is decided all the same, and the next one is served."""
    client.say(encode([Ask(1, 0, [b"a"])]))
    _, group = await host.next()
    client.writer.close()
    await client.writer.wait_closed()
    group.answer(0, answer("a"))
