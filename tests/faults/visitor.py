"""A connection to one worker's direct door, whoever owns what. Owns: asking a worker that a client would no longer ask."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.faults.cluster import Worker
from tests.unit.direct_world import replies_in
from tests.waiting import until
from z0.client.frames import VERSION, Ask, FrameBuffer, Hello, encode, frame
from z0.codec import encode_command
from z0.domain.answer import Answer
from z0.domain.commands import Command

ANSWERS_S = 30.0


class Visitor:
    """Asks one worker, which keeps it in its sockets while it is frozen."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._frames = FrameBuffer()
        self._answers: deque[Answer] = deque()
        self._asked = 0

    async def greet(self, secret: str) -> None:
        """The first frame of every client."""
        self._writer.write(frame(encode(Hello(VERSION, secret))))
        await self._writer.drain()

    async def ask(self, partition: int, command: Command) -> None:
        """Send a command; `answer` waits for it."""
        self._asked += 1
        self._writer.write(frame(encode([Ask(self._asked, partition, [encode_command(command)])])))
        await self._writer.drain()

    async def answer(self) -> Answer:
        """The next one to come."""
        async with asyncio.timeout(ANSWERS_S):
            while not self._answers:
                data = await self._reader.read(65_536)
                assert data, "it hung up"
                for body in self._frames.feed(data):
                    self._answers += [answer for reply in replies_in(body) for answer in reply.answers]
        return self._answers.popleft()


@asynccontextmanager
async def visiting(worker: Worker) -> AsyncIterator[Visitor]:
    """A visitor of a worker, as soon as its door is open."""

    async def opened() -> tuple[StreamReader, StreamWriter] | None:
        try:
            return await asyncio.open_connection("127.0.0.1", worker.config.door_port)
        except ConnectionError:
            return None

    reader, writer = await until(opened, f"the door of {worker.config.worker_id}", ANSWERS_S)
    try:
        visitor = Visitor(reader, writer)
        secret = worker.config.door_secret
        await visitor.greet(secret.get_secret_value() if secret else "")
        yield visitor
    finally:
        writer.close()
