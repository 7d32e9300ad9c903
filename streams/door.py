"""
The direct door: a server on the worker's own event loop. Owns: frames in, groups to the engines, frames out.

The object's stub of the design: a caller's command skips two broker hops and costs one produce. Inside only: it binds to
loopback by default, and needs the shared secret beyond it. Replies that become ready in one turn go out in one frame.
"""

import asyncio
import hmac
import logging
from functools import partial
from typing import Final, cast

import msgspec

from streams.host import EngineHost
from z0.client.frames import VERSION, FrameBuffer, Reply, decode_asks, decode_hello, reply_frames
from z0.config import Config
from z0.domain.answer import Answer
from z0.errors import FormatError
from z0.log.inbox import DirectGroup

logger = logging.getLogger(__name__)

BACKLOG: Final = 128


class DoorServer:
    """Listens for clients."""

    def __init__(self, config: Config, host: EngineHost) -> None:
        self._config = config
        self._host = host
        self._server: asyncio.Server | None = None
        self.connections: set[_Visitor] = set()

    async def start(self) -> None:
        """Open the door; the port is `Z0_DOOR_PORT`."""
        secret = self._config.door_secret.get_secret_value() if self._config.door_secret else ""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Visitor(self, self._host, secret), self._config.door_host, self._config.door_port, backlog=BACKLOG
        )

    async def stop(self) -> None:
        """Close the door and every connection."""
        if self._server is not None:
            self._server.close()
        for visitor in list(self.connections):
            visitor.close()


class _Visitor(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, door: DoorServer, host: EngineHost, secret: str) -> None:
        self._door = door
        self._host = host
        self._secret = secret
        self._buffer = FrameBuffer()
        self._welcome = False
        self._replies: list[Reply] = []
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it
        self._loop = asyncio.get_running_loop()
        self._door.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._door.connections.discard(self)

    def close(self) -> None:
        """Hang up; what was asked may still be decided, the caller asks again."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._buffer.feed(data):
                self._frame(body)
        except (FormatError, msgspec.DecodeError) as error:
            logger.warning("direct door: a client was sent away: %s", error)
            self.close()

    def _frame(self, body: bytes) -> None:
        if not self._welcome:
            self._greet(body)
            return
        for ask in decode_asks(body):
            self._host.offer_direct(ask.partition, DirectGroup(ask.commands, partial(self._answered, ask.number)))

    def _greet(self, body: bytes) -> None:
        hello = decode_hello(body)
        if hello.version != VERSION or not hmac.compare_digest(hello.secret.encode(), self._secret.encode()):
            raise FormatError("wrong version or secret (Z0_DOOR_SECRET)")
        self._welcome = True

    def _answered(self, number: int, group: DirectGroup) -> None:
        if not self._replies:
            self._loop.call_soon(self._flush)
        self._replies.append(Reply(number, cast(list[Answer], group.answers)))  # a group is done when none is missing

    def _flush(self) -> None:
        replies, self._replies = self._replies, []
        for stretch in reply_frames(replies):
            if self._transport is not None:
                self._transport.write(stretch)
