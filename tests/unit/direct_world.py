"""Both ends of the direct door, each against a twin that the test holds in its hand; the sockets between them are real."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count

import pytest

from tests.waiting import until
from z0.client.direct import DirectLedger
from z0.client.frames import LENGTH_BYTES, Ask, Reply, decode_asks, decode_hello, decode_replies, encode, frame
from z0.client.owners import Owner
from z0.client.partitioner import partition_of
from z0.config import from_env
from z0.domain.answer import Answer
from z0.domain.commands import Command, CreateEntity
from z0.domain.outcome import Outcome

PARTITIONS = 2
BOUND_S = 10.0


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """The next frame's body."""
    length = int.from_bytes(await asyncio.wait_for(reader.readexactly(LENGTH_BYTES), BOUND_S), "big")
    return await asyncio.wait_for(reader.readexactly(length), BOUND_S)


def replies_in(body: bytes) -> list[Reply]:
    """The replies of a frame that is no refusal."""
    replies = decode_replies(body)
    assert not isinstance(replies, str), replies
    return replies


def command(partition: int, command_id: str) -> Command:
    """A command for a ledger of a partition."""
    ledger_id = next(it for n in count() if partition_of(it := f"account_acct_{n}", PARTITIONS) == partition)
    return CreateEntity(id=command_id, tenant_id="tenant_a", ledger_id=ledger_id)


def answer(command_id: str, outcome: Outcome = Outcome.ACCEPTED) -> Answer:
    """What an owner says to a command."""
    return Answer(command_id, "account_acct_1", outcome, partition=0, offset=1, seq=1)


class Announcements:
    """A twin of `Owners`: the test announces."""

    def __init__(self, on_change: Callable[[Owner], None]) -> None:
        self._on_change = on_change
        self._owners: dict[int, Owner] = {}

    def announce(self, *owners: Owner) -> None:
        """These own these partitions from now on."""
        for owner in owners:
            self._owners[owner.partition] = owner
            self._on_change(owner)

    def get(self, partition: int) -> Owner | None:
        """The owner that was announced last."""
        return self._owners.get(partition)

    def all(self) -> Mapping[int, Owner]:
        """All of them."""
        return self._owners

    async def start(self) -> None:
        """There is no topic."""

    async def stop(self) -> None:
        """There is no topic."""


class OwnerInHand:
    """An owner that hears asks and says what the test has it say."""

    def __init__(self) -> None:
        self._frames: asyncio.Queue[list[Ask]] = asyncio.Queue()
        self._writer: asyncio.StreamWriter | None = None
        self.clients = 0

    async def start(self) -> None:
        """Listen on a port of its own."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        """Hang up."""
        self._server.close()
        self.hang_up()

    def owns(self, partition: int, epoch: int = 1) -> Owner:
        """Its announcement."""
        port = self._server.sockets[0].getsockname()[1]
        return Owner(partition, epoch, f"127.0.0.1:{port}", "worker")

    def refuse(self, reason: str) -> None:
        """Say why, and end the connection."""
        assert self._writer is not None, "a client is here"
        self._writer.write(frame(encode(reason)))
        self._writer.close()

    def hang_up(self) -> None:
        """End the connection."""
        if self._writer is not None:
            self._writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.clients += 1
        try:
            decode_hello(await read_frame(reader))
            while True:
                self._frames.put_nowait(decode_asks(await read_frame(reader)))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def heard(self) -> list[Ask]:
        """The groups of the next frame."""
        return await asyncio.wait_for(self._frames.get(), BOUND_S)

    def say(self, *replies: Reply) -> None:
        """Send replies, in one frame."""
        assert self._writer is not None, "a client is here"
        self._writer.write(frame(encode(replies)))


@asynccontextmanager
async def client_and_owners(
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[tuple[DirectLedger, Announcements, OwnerInHand, OwnerInHand]]:
    """A client, connected to the first of two owners, which has both partitions."""
    monkeypatch.setattr("z0.client.direct.Owners", lambda servers, on_change: Announcements(on_change))
    first, second = OwnerInHand(), OwnerInHand()
    await first.start()
    await second.start()
    config = from_env().model_copy(update={"partitions": PARTITIONS, "command_timeout_ms": round(BOUND_S * 1000)})
    async with DirectLedger(config) as ledger:
        announcements = ledger._owners
        assert isinstance(announcements, Announcements)
        announcements.announce(first.owns(0), first.owns(1))

        async def ready() -> bool:
            return ledger.is_ready()

        await until(ready, "the client is connected", BOUND_S)
        yield ledger, announcements, first, second
    await first.stop()
    await second.stop()
