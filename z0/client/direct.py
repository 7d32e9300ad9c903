"""
The ledger by the direct door: routes each command to its partition's owner. Owns: routing, batching, retries, deadlines.

Everything submitted in one turn of the event loop goes out in one frame per owner. What comes back `not_owner` or
`warming_up`, or is lost with a connection, is asked again under the same id until the caller's deadline; then the
answer is `timeout`, and the caller may ask again under the same id at any time.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self, cast

import msgspec

from z0.client.frames import STRETCH_BYTES_MAX, VERSION, Ask, FrameBuffer, Hello, Reply, decode_replies, encode, frame
from z0.client.owners import Owner, Owners
from z0.client.partitioner import partition_of
from z0.codec import encode_command
from z0.config import Config
from z0.cut import cut
from z0.domain.answer import Answer
from z0.domain.commands import Command
from z0.domain.outcome import Outcome
from z0.errors import FormatError

logger = logging.getLogger(__name__)

ASK_AGAIN_S: Final = 0.05  # an owner that is gone has a successor after seconds; 20 questions a second cost nothing
CONNECT_TIMEOUT_S: Final = 2.0
_ASK_AGAIN: Final = frozenset({Outcome.NOT_OWNER, Outcome.WARMING_UP})


class _Call:
    """What one caller waits for."""

    __slots__ = ("answers", "commands", "future", "missing")

    def __init__(self, commands: Sequence[Command], future: "asyncio.Future[None]") -> None:
        self.commands = commands
        self.answers: list[Answer | None] = [None] * len(commands)
        self.missing = len(commands)
        self.future = future

    def answer(self, index: int, answer: Answer) -> None:
        if self.answers[index] is None:
            self.answers[index] = answer
            self.missing -= 1
            if not self.missing and not self.future.done():
                self.future.set_result(None)


class _Pending:
    """One command on its way."""

    __slots__ = ("ask", "call", "index")

    def __init__(self, call: _Call, index: int, ask: Ask) -> None:
        self.call = call
        self.index = index
        self.ask = ask


class _Connection(asyncio.Protocol):
    """One connection to one owner."""

    def __init__(self, client: "DirectLedger", address: str, secret: str) -> None:
        self._client = client
        self._hello = frame(encode(Hello(VERSION, secret)))
        self._buffer = FrameBuffer()
        self.address = address
        self.pending: dict[int, _Pending] = {}
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it
        self.transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._buffer.feed(data):
                for reply in decode_replies(body):
                    self._client.on_reply(self, reply)
        except (FormatError, msgspec.DecodeError) as error:
            logger.warning("the owner at %s sent no frame: %s", self.address, error)
            assert self.transport is not None, "connected"
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.on_lost(self)

    def take_back(self, partition: int) -> list[_Pending]:
        """What was asked of a partition and not answered, in its order; an answer that still comes is not looked at."""
        numbers = [number for number, item in self.pending.items() if item.ask.partition == partition]
        items = [self.pending.pop(number) for number in numbers]
        return [item for item in items if item.call.missing]

    def send(self, items: list[_Pending]) -> None:
        """Send asks, in one frame where they fit."""
        assert self.transport is not None, "connected"
        self.pending.update((item.ask.number, item) for item in items)
        for asks in cut([item.ask for item in items], lambda ask: len(ask.command), STRETCH_BYTES_MAX):
            self.transport.write(frame(encode(asks)))


class DirectLedger:
    """A `Ledger` over the direct doors of a cluster's workers."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._partitions = config.partitions
        self._secret = config.door_secret.get_secret_value() if config.door_secret else ""
        self._owners = Owners(config.kafka_servers, self._on_owner)
        self._connections: dict[str, _Connection] = {}
        self._connecting: dict[str, asyncio.Task[None]] = {}
        self._outgoing: dict[int, list[_Pending]] = defaultdict(list)
        self._flush_scheduled = False
        self._again: asyncio.TimerHandle | None = None
        self._number = 0
        self._closed = False

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        await self._owners.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closed = True
        if self._again is not None:
            self._again.cancel()
        for task in self._connecting.values():
            task.cancel()
        for connection in list(self._connections.values()):
            if connection.transport is not None:
                connection.transport.close()
        await self._owners.stop()

    # The `Ledger` protocol ----------------------------------------------------------------------

    def partition_of(self, ledger_id: str) -> int:
        return partition_of(ledger_id, self._partitions)

    def is_ready(self) -> bool:
        owners = (self._owners.get(partition) for partition in range(self._partitions))
        addresses = {owner.address if owner is not None else "" for owner in owners}
        for address in addresses - {""}:
            self._connect(address)
        return all(address in self._connections for address in addresses)

    def owners(self) -> Mapping[int, Owner]:
        """Who owns which partition, as far as it was announced."""
        return self._owners.all()

    async def submit(self, command: Command, *, timeout_ms: int | None = None) -> Answer:
        return (await self.submit_many([command], timeout_ms=timeout_ms))[0]

    async def submit_many(self, commands: Sequence[Command], *, timeout_ms: int | None = None) -> list[Answer]:
        if not commands:
            return []
        call = _Call(commands, self._loop.create_future())
        for index, command in enumerate(commands):
            self._enqueue(_Pending(call, index, self._ask(command)))
        timeout_s = (timeout_ms or self._config.command_timeout_ms) / 1000
        deadline = self._loop.call_later(timeout_s, self._expire, call)
        try:
            await call.future
        finally:
            deadline.cancel()
            call.missing = 0  # a caller that went away wants no retries
        return [self._named(answer, command) for answer, command in zip(call.answers, commands, strict=True)]

    def _named(self, answer: Answer | None, command: Command) -> Answer:
        if answer is None:
            return Answer(command.id, command.ledger_id, Outcome.TIMEOUT, partition=self.partition_of(command.ledger_id))
        if answer.command_id:
            return answer
        return msgspec.structs.replace(answer, command_id=command.id, ledger_id=command.ledger_id)

    # Out ----------------------------------------------------------------------------------------

    def _ask(self, command: Command) -> Ask:
        self._number += 1
        return Ask(self._number, self.partition_of(command.ledger_id), encode_command(command))

    def _enqueue(self, item: _Pending) -> None:
        self._outgoing[item.ask.partition].append(item)
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        by_connection: dict[_Connection, list[_Pending]] = defaultdict(list)
        for partition in list(self._outgoing):
            connection = self._route(partition)
            if connection is not None:
                by_connection[connection] += self._outgoing.pop(partition)
        for connection, items in by_connection.items():
            connection.send(items)
        if self._outgoing:
            self._flush_later()

    def _flush_later(self) -> None:
        if self._again is None and not self._closed:
            self._again = self._loop.call_later(ASK_AGAIN_S, self._flush_again)

    def _flush_again(self) -> None:
        self._again = None
        for partition, items in list(self._outgoing.items()):
            self._outgoing[partition] = [item for item in items if item.call.missing]
            if not self._outgoing[partition]:
                del self._outgoing[partition]
        self._flush()

    def _route(self, partition: int) -> _Connection | None:
        owner = self._owners.get(partition)
        if owner is None:
            return None
        connection = self._connections.get(owner.address)
        if connection is None:
            self._connect(owner.address)
        return connection

    def _connect(self, address: str) -> None:
        if address not in self._connections and address not in self._connecting and not self._closed:
            self._connecting[address] = self._loop.create_task(self._open(address))

    async def _open(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        connection = _Connection(self, address, self._secret)
        try:
            await asyncio.wait_for(self._loop.create_connection(lambda: connection, host, int(port)), CONNECT_TIMEOUT_S)
            if connection.transport is None or connection.transport.is_closing():
                raise OSError("closed at once")
            self._connections[address] = connection
            self._flush()
        except (OSError, TimeoutError) as error:
            logger.debug("no connection to the owner at %s: %s", address, error)
            await asyncio.sleep(ASK_AGAIN_S)
        finally:
            self._connecting.pop(address, None)

    # In -----------------------------------------------------------------------------------------

    def on_reply(self, connection: _Connection, reply: Reply) -> None:
        """An answer came; transient ones of an owner that is not ready are asked again."""
        item = connection.pending.pop(reply.number, None)
        if item is None:
            return
        if reply.answer.outcome in _ASK_AGAIN:
            if item.call.missing:
                self._outgoing[item.ask.partition].append(item)
                self._flush_later()
        else:
            item.call.answer(item.index, reply.answer)

    def on_lost(self, connection: _Connection) -> None:
        """What was under way is asked again: it may have been decided, and the same id finds out."""
        if self._connections.get(connection.address) is connection:
            del self._connections[connection.address]
        for item in connection.pending.values():
            if item.call.missing:
                self._outgoing[item.ask.partition].append(item)
        connection.pending.clear()
        if self._outgoing:
            self._flush_later()

    def _on_owner(self, owner: Owner) -> None:
        """What waits at an earlier owner is asked again here: that one may be frozen, with its connection standing."""
        for connection in self._connections.values():
            if connection.address != owner.address:
                self._outgoing[owner.partition] += connection.take_back(owner.partition)
        if self._outgoing[owner.partition]:
            self._flush()
        else:
            del self._outgoing[owner.partition]

    def _expire(self, call: _Call) -> None:
        if not call.future.done():
            call.future.set_result(None)
