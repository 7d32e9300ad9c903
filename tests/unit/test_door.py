"""The worker's end of the direct door: groups in, each answered as a whole, and everything of one turn in one frame."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest

from streams.door import DoorServer
from streams.host import EngineHost
from tests.conftest import free_ports
from tests.unit.direct_world import BOUND_S, answer, read_frame
from z0.client.frames import STRETCH_BYTES_MAX, VERSION, Ask, Hello, Reply, decode_replies, encode, frame
from z0.config import from_env
from z0.domain.answer import Answer
from z0.domain.outcome import Outcome
from z0.log.inbox import DirectGroup


class HostInHand:
    """A twin of the engines: it keeps what it is offered until the test answers."""

    def __init__(self) -> None:
        self.offered: asyncio.Queue[tuple[int, DirectGroup]] = asyncio.Queue()

    def offer_direct(self, partition: int, group: DirectGroup) -> None:
        """Keep a group."""
        self.offered.put_nowait((partition, group))

    async def next(self) -> tuple[int, DirectGroup]:
        """The group that came next."""
        return await asyncio.wait_for(self.offered.get(), BOUND_S)


class Client:
    """One connection to the door."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def say(self, body: bytes) -> None:
        """Send one frame."""
        self.writer.write(frame(body))

    async def heard(self) -> list[Reply]:
        """The replies of the next frame."""
        return decode_replies(await read_frame(self._reader))

    async def is_sent_away(self) -> bool:
        """Whether the door hangs up and says nothing more."""
        return await asyncio.wait_for(self._reader.read(), BOUND_S) == b""


@pytest.fixture
def host() -> HostInHand:
    """The engines."""
    return HostInHand()


@pytest.fixture
async def client(host: HostInHand) -> AsyncIterator[Client]:
    """A client that said hello."""
    config = from_env().model_copy(update={"door_port": free_ports()["door_port"]})
    door = DoorServer(config, cast(EngineHost, host))
    await door.start()
    client = Client(*await asyncio.open_connection("127.0.0.1", config.door_port))
    client.say(encode(Hello(VERSION, "")))
    yield client
    client.writer.close()
    await door.stop()


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
    """Nothing of it is offered."""
    client.say(body)
    assert await client.is_sent_away()
    assert host.offered.empty()


async def test_a_client_of_another_version_is_sent_away(host: HostInHand) -> None:
    """It would take the groups for something else."""
    config = from_env().model_copy(update={"door_port": free_ports()["door_port"]})
    door = DoorServer(config, cast(EngineHost, host))
    await door.start()
    old = Client(*await asyncio.open_connection("127.0.0.1", config.door_port))
    old.say(encode(Hello(VERSION - 1, "")))
    assert await old.is_sent_away()
    old.writer.close()
    await door.stop()


async def test_a_client_that_went_away_is_told_nothing(client: Client, host: HostInHand) -> None:
    """What it asked is decided all the same, and the next one is served."""
    client.say(encode([Ask(1, 0, [b"a"])]))
    _, group = await host.next()
    client.writer.close()
    await client.writer.wait_closed()
    group.answer(0, answer("a"))
