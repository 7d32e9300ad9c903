"""
A light HTTP/1.1 client for measuring: connections that are kept, one request at a time on each. Owns: the bytes of requests
and the parsing of answers. It shares the machine with what it measures, so it does nothing that a benchmark does not need.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, cast

import httptools

CONNECTIONS_MAX = 128  # more requests than this under way wait; they are late from when they were due, like any other


class Answer(NamedTuple):
    """An answer; status 0 where the connection was lost before it came."""

    status: int
    body: bytes


LOST = Answer(0, b"")
Done = Callable[[Answer], None]


def post(path: str, host: str, key: str, body: bytes) -> bytes:
    """The bytes of a POST with a JSON body."""
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class _Connection(asyncio.Protocol):
    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._done: Done | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it

    def ask(self, request: bytes, done: Done) -> None:
        assert self.transport is not None, "connected"
        self._done = done
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        answer = Answer(self._parser.get_status_code(), b"".join(self._body))
        done, self._done, self._body = self._done, None, []
        self._pool.free(self)
        if done is not None:
            done(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        done, self._done = self._done, None
        self._pool.lost(self)
        if done is not None:
            done(LOST)


class Pool:
    """Connections to one server."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._all: set[_Connection] = set()
        self._free: list[_Connection] = []
        self._waiting: deque[tuple[bytes, Done]] = deque()

    async def open(self, connections: int = CONNECTIONS_MAX) -> None:
        """Connect."""
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, connection = await loop.create_connection(lambda: _Connection(self), self._host, self._port)
            self._all.add(connection)
            self._free.append(connection)

    def close(self) -> None:
        """Disconnect."""
        for connection in list(self._all):
            if connection.transport is not None:
                connection.transport.close()

    def ask(self, request: bytes, done: Done) -> None:
        """Send a request on a free connection, now or when there is one."""
        if self._free:
            self._free.pop().ask(request, done)
        else:
            self._waiting.append((request, done))

    async def answer(self, request: bytes) -> Answer:
        """Send a request and wait for its answer."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.ask(request, future.set_result)
        return await future

    def free(self, connection: _Connection) -> None:
        """A connection can take the next request."""
        if self._waiting:
            connection.ask(*self._waiting.popleft())
        else:
            self._free.append(connection)

    def lost(self, connection: _Connection) -> None:
        """A connection is gone; where it was the last one, nobody waits for ever."""
        self._all.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        while not self._all and self._waiting:
            self._waiting.popleft()[1](LOST)
