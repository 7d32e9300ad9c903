"""The worker's end of the direct door, with engines that the test holds in its hand; the sockets are real."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from streams.door import DoorServer
from streams.host import EngineHost
from tests.conftest import free_ports
from tests.unit.direct_world import BOUND_S, read_frame, replies_in
from z0.client.frames import VERSION, Hello, Reply, decode_replies, encode, frame
from z0.config import Config, from_env
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
        return replies_in(await read_frame(self._reader))

    async def told(self) -> str:
        """Why the door hangs up, which it does then."""
        reason = decode_replies(await read_frame(self._reader))
        assert isinstance(reason, str)
        assert await self.read_to_the_end() == 0
        return reason

    async def read_to_the_end(self) -> int:
        """How many bytes still come before the door hangs up."""
        count = 0
        try:
            while piece := await asyncio.wait_for(self._reader.read(2**20), BOUND_S):
                count += len(piece)
        except ConnectionError:
            pass
        return count


class Door:
    """The door of a worker."""

    def __init__(self, config: Config, host: HostInHand) -> None:
        self._config = config
        self.host = host
        self.server = DoorServer(config, cast(EngineHost, host))
        self.clients: list[Client] = []

    @property
    def address(self) -> str:
        """Where it is."""
        return f"{self._config.door_host}:{self._config.door_port}"

    async def stranger(self) -> Client:
        """A connection that has not said hello."""
        client = Client(*await asyncio.open_connection(self._config.door_host, self._config.door_port))
        self.clients.append(client)
        return client

    async def client(self, *, secret: str = "", version: int = VERSION) -> Client:
        """A connection that said hello."""
        client = await self.stranger()
        client.say(encode(Hello(version, secret)))
        return client


@asynccontextmanager
async def open_door(**settings: Any) -> AsyncIterator[Door]:
    """A door with these settings; it and its clients are gone at the end."""
    door = Door(from_env().model_copy(update={"door_port": free_ports()["door_port"], **settings}), HostInHand())
    await door.server.start()
    try:
        yield door
    finally:
        for client in door.clients:
            client.writer.close()
        await door.server.stop()
