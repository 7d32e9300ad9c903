"""
The direct door: a server on the worker's own event loop. Owns: frames in, groups to the engines, frames out.

The object's stub of the design: a caller's command skips two broker hops and costs one produce. Inside only: it binds to
loopback by default, and needs the shared secret beyond it. Replies that become ready in one turn go out in one frame.

Nobody makes the worker keep more than a bound: who has not said hello is kept for a moment and in a few bytes, who does not read
its answers is not listened to, and then hung up on. Who is sent away is told why, and what to do.
"""

import asyncio
import hmac
import logging
import socket
from functools import partial
from typing import Final, cast

import msgspec

from streams.host import EngineHost
from z0.client.frames import (
    FRAME_BYTES_MAX,
    HELLO_BYTES_MAX,
    STRETCH_BYTES_MAX,
    VERSION,
    FrameBuffer,
    Reply,
    decode_asks,
    decode_hello,
    encode,
    frame,
    reply_frames,
)
from z0.config import Config
from z0.domain.answer import Answer
from z0.errors import FormatError
from z0.log.inbox import DirectGroup

logger = logging.getLogger(__name__)

BACKLOG: Final = 128
CLIENTS_MAX: Final = 128  # a process that asks has one connection, and a few dozen of them keep a worker busy
HELLO_TIMEOUT_S: Final = 5.0  # a hello is the first thing that a client sends
LEAVE_TIMEOUT_S: Final = 1.0  # a client that was told why it must go closes at once
UNREAD_PAUSE_BYTES: Final = STRETCH_BYTES_MAX  # one full frame may wait at the socket
# What was taken from a client before that is still answered. Beyond this, what earlier turns answered was not read for long.
UNREAD_BYTES_MAX: Final = 32 * 1024 * 1024
# All clients at their bound would be 4 GiB. Beyond this, whoever has more than its share of it unread is hung up on at its next
# answer, so that all of them together never have twice as much, and what one turn answers.
UNREAD_BY_ALL_BYTES_MAX: Final = 128 * 1024 * 1024
UNREAD_SHARE_BYTES: Final = UNREAD_BY_ALL_BYTES_MAX // CLIENTS_MAX


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

    def unread_bytes(self) -> int:
        """Answers that wait for all clients to read them."""
        return sum(visitor.unread_bytes() for visitor in self.connections)

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
        self._buffer = FrameBuffer(HELLO_BYTES_MAX)
        self._welcome = False
        self._replies: list[Reply] = []
        self._transport: asyncio.Transport | None = None
        self._hello: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it
        self._loop = asyncio.get_running_loop()
        if len(self._door.connections) >= CLIENTS_MAX:
            self._send_away(f"{CLIENTS_MAX} clients are here already, the most: end some, or ask through fewer processes")
            return
        self._door.connections.add(self)
        # A client whose machine went away without a word would keep its place for ever.
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._transport.set_write_buffer_limits(high=UNREAD_PAUSE_BYTES)
        self._hello = self._loop.call_later(HELLO_TIMEOUT_S, self._send_away, f"no hello within {HELLO_TIMEOUT_S:g} s")

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._end_wait()
        self._door.connections.discard(self)

    def close(self) -> None:
        """Hang up; what was asked may still be decided, the caller asks again."""
        if self._transport is not None:
            self._transport.close()

    def _send_away(self, reason: str) -> None:
        """Say why, here and there, and be done with it."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            logger.warning("direct door: the client at %s was sent away: %s", self._peer, reason)
            transport.write(frame(encode(reason)))
            transport.write_eof()
            transport.set_protocol(_SentAway(transport, self._loop))
            self.connection_lost(None)

    @property
    def _peer(self) -> object:
        return self._transport and self._transport.get_extra_info("peername")

    def _end_wait(self) -> None:
        if self._hello is not None:
            self._hello.cancel()

    # In ------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._buffer.feed(data):
                self._frame(body)
        except FormatError as error:
            self._send_away(str(error))
        except msgspec.DecodeError as error:
            self._send_away(f"this is no frame of version {VERSION} of the door: {error}")

    def _frame(self, body: bytes) -> None:
        if not self._welcome:
            self._greet(body)
            return
        for ask in decode_asks(body):
            self._host.offer_direct(ask.partition, DirectGroup(ask.commands, partial(self._answered, ask.number)))

    def _greet(self, body: bytes) -> None:
        hello = decode_hello(body)
        if hello.version != VERSION:
            raise FormatError(f"the door speaks version {VERSION}, the client {hello.version}: run both from one release of z0")
        if not hmac.compare_digest(hello.secret.encode(), self._secret.encode()):
            raise FormatError("the secret is not the worker's: give Z0_DOOR_SECRET the same value at both ends")
        self._welcome = True
        self._end_wait()
        self._buffer.bytes_max = FRAME_BYTES_MAX

    # Out -----------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """The client does not read its answers: nothing more is taken from it."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It has read."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _answered(self, number: int, group: DirectGroup) -> None:
        if not self._replies:
            self._loop.call_soon(self._flush)
        self._replies.append(Reply(number, cast(list[Answer], group.answers)))  # a group is done when none is missing

    def _flush(self) -> None:
        replies, self._replies = self._replies, []
        if self._transport is None:
            return
        if self._leaves_too_much_unread():
            self._hang_up()
            return
        for stretch in reply_frames(replies):
            self._transport.write(stretch)

    def unread_bytes(self) -> int:
        """Answers that wait for this client to read them."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def _leaves_too_much_unread(self) -> bool:
        unread = self.unread_bytes()
        if unread <= UNREAD_SHARE_BYTES:  # nearly always
            return False
        return unread > UNREAD_BYTES_MAX or self._door.unread_bytes() > UNREAD_BY_ALL_BYTES_MAX

    def _hang_up(self) -> None:
        """Drop what the client has not read, which a mere close would keep; it asks again what it still wants to know."""
        assert self._transport is not None, "connected"
        unread = self.unread_bytes()
        logger.warning("direct door: hung up on the client at %s: it left %d bytes of answers unread", self._peer, unread)
        self._transport.abort()


class _SentAway(asyncio.Protocol):
    """
    Who was told why, and has not left yet. What it still says is read and dropped: a connection that is closed before what came
    was read is reset, and the client may lose the reason.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._patience = loop.call_later(LEAVE_TIMEOUT_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._patience.cancel()
