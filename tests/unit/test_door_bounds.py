"""What the direct door keeps for a client at most, and what it says to one that it sends away."""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from pydantic import SecretStr

from streams import door as bounds
from tests.unit.direct_world import BOUND_S, Announcements, answer, command
from tests.unit.door_world import Client, Door, open_door
from tests.waiting import until
from z0.client.direct import DirectLedger
from z0.client.frames import HELLO_BYTES_MAX, LENGTH_BYTES, VERSION, Ask, Hello, Reply, encode, frame
from z0.client.owners import Owner
from z0.config import SECRET_BYTES_MAX, from_env
from z0.domain.answer import Answer
from z0.domain.outcome import Outcome

MIB = 1024 * 1024
STATE = Answer("a", "account_acct_1", Outcome.ACCEPTED, state=b"x" * MIB)
# A worker's loop is uvloop's, whose transports are its own.
Run = Callable[[Coroutine[Any, Any, None]], None]
LOOPS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run])


def asks(count: int) -> bytes:
    """That many groups of one command."""
    return encode([Ask(number, 0, [b"{}"]) for number in range(count)])


async def numbers(client: Client, count: int) -> list[int]:
    """Those of the next replies."""
    heard: list[Reply] = []
    while len(heard) < count:
        heard += await client.heard()
    return [reply.number for reply in heard]


async def asks_on(client: Client) -> None:
    """Ask until the connection is gone."""
    while True:
        client.say(asks(1))
        await client.writer.drain()


async def nobody_is_here(door: Door) -> None:
    """Wait until the door has no client."""

    async def empty() -> bool:
        return not door.server.connections

    await until(empty, "the door has hung up on its clients")


# Answers that nobody reads ------------------------------------------------------------------------


@LOOPS
def test_who_leaves_too_many_answers_unread_is_hung_up_on(run: Run) -> None:
    """What was taken before the door stopped listening counts too; what is decided later is kept for nobody."""

    async def main() -> None:
        async with open_door() as door:
            client = await door.client()
            client.say(asks(100))
            most = 0
            for _ in range(100):
                _, group = await door.host.next()
                group.answer_all(STATE)
                await asyncio.sleep(0)  # a turn of its own
                most = max(most, door.server.unread_bytes())
            await nobody_is_here(door)
            assert bounds.UNREAD_PAUSE_BYTES < most <= bounds.UNREAD_BYTES_MAX + 2 * MIB
            assert await client.read_to_the_end() < 100 * MIB

    run(main())


@LOOPS
def test_clients_who_together_leave_too_many_answers_unread_are_hung_up_on(run: Run) -> None:
    """None of them comes to its own bound; who reads is served all along."""

    async def main() -> None:
        async with open_door() as door:
            reader = await door.client()
            lazy = [await door.client() for _ in range(12)]
            for client in lazy:
                client.say(asks(24))
            groups = [(await door.host.next())[1] for _ in range(24 * len(lazy))]
            most = 0
            for turn in range(24):
                for group in groups[turn::24]:
                    group.answer_all(STATE)
                reader.say(asks(1))
                (await door.host.next())[1].answer_all(answer("a"))
                assert await numbers(reader, 1) == [0]
                most = max(most, door.server.unread_bytes())
            assert len(door.server.connections) < 1 + len(lazy)
            assert most <= bounds.UNREAD_BY_ALL_BYTES_MAX + len(lazy) * MIB * 2

    run(main())


@LOOPS
def test_who_does_not_read_is_not_listened_to_until_it_does(run: Run) -> None:
    """Others are; and then nothing of it was lost."""

    async def main() -> None:
        async with open_door() as door:
            lazy, other = await door.client(), await door.client()
            lazy.say(asks(28))
            for _ in range(28):  # more than the system holds
                (await door.host.next())[1].answer_all(STATE)
            await asyncio.sleep(0)
            lazy.say(encode([Ask(28, 0, [b"lazy"])]))
            for _ in range(3):  # the second and the third time around, the door has seen what came before the first
                other.say(encode([Ask(0, 0, [b"other"])]))
                _, group = await door.host.next()
                assert group.commands == [b"other"]
                group.answer_all(answer("a"))
                await other.heard()
            assert await numbers(lazy, 28) == list(range(28))
            _, group = await door.host.next()
            assert group.commands == [b"lazy"]

    run(main())


@LOOPS
def test_who_reads_gets_what_one_turn_answers_however_much(run: Run) -> None:
    """Hung up on, it would ask for all of it again, and again."""

    async def main() -> None:
        count = bounds.UNREAD_BYTES_MAX // MIB + 8
        async with open_door() as door:
            client = await door.client()
            client.say(asks(count))
            groups = [(await door.host.next())[1] for _ in range(count)]
            for group in groups:
                group.answer_all(STATE)
            assert await numbers(client, count) == list(range(count))

    run(main())


# Strangers ----------------------------------------------------------------------------------------


async def test_nothing_large_is_kept_of_who_has_not_said_hello() -> None:
    """It is sent away at the length that it announces."""
    async with open_door() as door:
        stranger = await door.stranger()
        stranger.writer.write((HELLO_BYTES_MAX + 1).to_bytes(LENGTH_BYTES, "big"))
        assert await stranger.told() == f"a frame of {HELLO_BYTES_MAX + 1} bytes; the most is {HELLO_BYTES_MAX}"


async def test_asks_may_come_with_the_hello_however_large() -> None:
    """A client waits for nothing before it asks; the longest secret is a hello's too."""
    secret = "x" * SECRET_BYTES_MAX
    async with open_door(door_secret=SecretStr(secret)) as door:
        client = await door.stranger()
        client.writer.write(frame(encode(Hello(VERSION, secret))) + frame(encode([Ask(0, 3, [b"c" * MIB])])))
        partition, group = await door.host.next()
        assert (partition, group.commands) == (3, [b"c" * MIB])


async def test_who_says_no_hello_is_sent_away_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the middle of one; who said it stays."""
    monkeypatch.setattr(bounds, "HELLO_TIMEOUT_S", 0.2)
    async with open_door() as door:
        client, silent, slow = await door.client(), await door.stranger(), await door.stranger()
        slow.writer.write(frame(encode(Hello(VERSION, "")))[:-1])
        assert await silent.told() == await slow.told() == "no hello within 0.2 s"
        client.say(asks(1))
        (await door.host.next())[1].answer_all(answer("a"))
        assert await client.heard() == [Reply(0, [answer("a")])]


async def test_one_client_too_many_is_told_so(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Those who are here are served; when one has left there is a place again."""
    monkeypatch.setattr(bounds, "CLIENTS_MAX", 2)
    async with open_door() as door:
        first, second = await door.client(), await door.client()
        for client in (first, second):
            client.say(asks(1))
            (await door.host.next())[1].answer_all(answer("a"))
            assert await client.heard()
        assert (await (await door.client()).told()).startswith("2 clients are here already")
        assert "was sent away: 2 clients are here already" in caplog.text
        first.writer.close()

        async def left() -> bool:
            return len(door.server.connections) == 1

        await until(left, "the first has left")
        (await door.client()).say(asks(1))
        await door.host.next()


async def test_a_client_whose_machine_is_gone_does_not_keep_its_place() -> None:
    """The system asks after it."""
    async with open_door() as door:
        client = await door.client()
        client.say(asks(1))
        await door.host.next()
        (visitor,) = door.server.connections
        assert visitor._transport is not None
        assert visitor._transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


# Why ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "secret", "why"),
    [
        (VERSION - 1, "right", f"the door speaks version {VERSION}, the client {VERSION - 1}: run both from one release of z0"),
        (VERSION + 1, "wrong", f"the door speaks version {VERSION}, the client {VERSION + 1}: run both from one release of z0"),
        (VERSION, "wrong", "the secret is not the worker's: give Z0_DOOR_SECRET the same value at both ends"),
        (VERSION, "", "the secret is not the worker's: give Z0_DOOR_SECRET the same value at both ends"),
    ],
)
async def test_who_is_sent_away_is_told_which_it_was(
    version: int, secret: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """So is the log; nobody is told anything of a secret but that it is another."""
    async with open_door(door_secret=SecretStr("right")) as door:
        client = await door.client(secret=secret, version=version)
        client.say(asks(1))
        assert await client.told() == why
        assert why in caplog.text
        assert door.host.offered.empty()


@LOOPS
def test_the_reason_reaches_who_goes_on_asking(run: Run) -> None:
    """A connection that is closed on what nobody read is reset, and the reason with it."""

    async def main() -> None:
        async with open_door() as door:
            client = await door.client(secret="wrong")
            for _ in range(50):
                client.say(asks(100))
                await asyncio.sleep(0)
            assert (await client.told()).startswith("the secret is not the worker's")
            assert door.host.offered.empty()

    run(main())


async def test_who_is_sent_away_and_stays_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was told, and what it says is not heard any more."""
    monkeypatch.setattr(bounds, "LEAVE_TIMEOUT_S", 0.2)
    async with open_door() as door:
        client = await door.client(secret="wrong")
        assert await client.told()
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(asks_on(client), BOUND_S)
        assert not door.server.connections


async def test_a_ledger_with_another_secret_says_why_nobody_answers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Both ends log it, once for each time that the client tries."""
    monkeypatch.setattr("z0.client.direct.Owners", lambda servers, on_change: Announcements(on_change))
    wrong = from_env().model_copy(update={"partitions": 2, "door_secret": SecretStr("wrong")})
    async with open_door(door_secret=SecretStr("right")) as door, DirectLedger(wrong) as ledger:
        assert isinstance(ledger._owners, Announcements)
        ledger._owners.announce(Owner(0, 1, door.address, "worker"))
        assert (await ledger.submit(command(0, "a"), timeout_ms=1_000)).outcome is Outcome.TIMEOUT
    said = [
        record.name for record in caplog.records if record.levelno == logging.WARNING and "Z0_DOOR_SECRET" in record.getMessage()
    ]
    assert sorted(said) == ["streams.door", "z0.client.direct"]
