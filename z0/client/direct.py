"""
The ledger by the direct door: routes each command to its partition's owner. Owns: routing, batching, retries, deadlines.

Everything submitted in one turn of the event loop goes out in one frame per owner, a group per partition. What comes back
`not_owner` or `warming_up`, or is lost with a connection, is asked again under the same id until the caller's deadline; then
the answer is `timeout`, and the caller may ask again under the same id at any time.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self, cast

import msgspec

from z0.client.calls import Call, Deadline, Group, Groups
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
CONNECT_TIMEOUT_S: Final = 2.0  # an owner that is there takes a connection in milliseconds; then whoever owns it now is asked
REFUSED_AGAIN_S: Final = 2.0  # an owner that sends us away would say the same again; each time is a line in two logs
_ASK_AGAIN: Final = frozenset({Outcome.NOT_OWNER, Outcome.WARMING_UP})


class _Connection(asyncio.Protocol):
    """One connection to one owner."""

    def __init__(self, client: "DirectLedger", address: str, secret: str) -> None:
        self._client = client
        self._hello = frame(encode(Hello(VERSION, secret)))
        self._buffer = FrameBuffer()
        self.address = address
        self._number = 0
        self.pending: dict[int, Group] = {}
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it
        self.transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._buffer.feed(data):
                replies = decode_replies(body)
                if isinstance(replies, str):
                    self._client.on_refused(self, replies)
                    return
                for reply in replies:
                    self._on_reply(reply)
        except (FormatError, msgspec.DecodeError) as error:
            logger.warning("the owner at %s sent no frame: %s", self.address, error)
            assert self.transport is not None, "connected"
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.on_lost(self)

    def _on_reply(self, reply: Reply) -> None:
        group = self.pending.get(reply.number)
        if group is None:
            return  # it was taken back
        rest = len(group.commands) - len(reply.answers)
        if rest < 0:
            raise FormatError("more answers than commands")
        if rest:
            self.pending[reply.number] = group.part(len(reply.answers))
        else:
            del self.pending[reply.number]
        self._client.on_answers(group, reply.answers)

    def take_back(self, partition: int) -> list[Group]:
        """What was asked of a partition and not answered, in its order; an answer that still comes is not looked at."""
        numbers = [number for number, group in self.pending.items() if group.partition == partition]
        return [self.pending.pop(number) for number in numbers]

    def send(self, groups: list[Group]) -> None:
        """Send groups, in one frame where they fit."""
        if sum([group.bytes for group in groups]) <= STRETCH_BYTES_MAX:
            self._send(groups)
            return
        for stretch in cut([part for group in groups for part in group.parts()], lambda part: part.bytes, STRETCH_BYTES_MAX):
            self._send(stretch)

    def _send(self, groups: Sequence[Group]) -> None:
        assert self.transport is not None, "connected"
        first, self._number = self._number, self._number + len(groups)
        self.pending.update(enumerate(groups, first))
        asks = [Ask(number, group.partition, group.commands) for number, group in enumerate(groups, first)]
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
        self._refused_until: dict[str, float] = {}  # by address, on the loop's clock
        self._outgoing = Groups()
        self._deadlines: dict[int, Deadline] = {}  # of this turn
        self._flush_scheduled = False
        self._again: asyncio.TimerHandle | None = None
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
        call = self._hand_in((command,), timeout_ms)
        try:
            await call.future
        finally:
            call.end()
        return self._named(call.answers[0], command)

    async def submit_many(self, commands: Sequence[Command], *, timeout_ms: int | None = None) -> list[Answer]:
        if not commands:
            return []
        call = self._hand_in(commands, timeout_ms)
        try:
            await call.future
        finally:
            call.end()
        return [self._named(answer, command) for answer, command in zip(call.answers, commands, strict=True)]

    def _named(self, answer: Answer | None, command: Command) -> Answer:
        if answer is None:
            return Answer(command.id, command.ledger_id, Outcome.TIMEOUT, partition=self.partition_of(command.ledger_id))
        if answer.command_id:
            return answer
        return msgspec.structs.replace(answer, command_id=command.id, ledger_id=command.ledger_id)

    # Out ----------------------------------------------------------------------------------------

    def _hand_in(self, commands: Sequence[Command], timeout_ms: int | None) -> Call:
        """All or, where one cannot be written, none."""
        encoded = [encode_command(command) for command in commands]
        call = Call(len(commands), self._loop.create_future(), self._deadline(timeout_ms or self._config.command_timeout_ms))
        for place, command in enumerate(commands):
            self._outgoing[partition_of(command.ledger_id, self._partitions)].add(encoded[place], call, place)
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)
        return call

    def _deadline(self, timeout_ms: int) -> Deadline:
        deadline = self._deadlines.get(timeout_ms)
        if deadline is None or not deadline.open:
            deadline = self._deadlines[timeout_ms] = Deadline(self._loop, timeout_ms / 1000)
        return deadline

    def _flush(self) -> None:
        self._flush_scheduled = False
        self._deadlines.clear()
        by_connection: dict[_Connection, list[Group]] = defaultdict(list)
        for partition in list(self._outgoing):
            connection = self._route(partition)
            if connection is not None:
                by_connection[connection].append(self._outgoing.pop(partition))
        for connection, groups in by_connection.items():
            connection.send(groups)
        if self._outgoing:
            self._flush_later()

    def _flush_later(self) -> None:
        if self._again is None and not self._closed:
            self._again = self._loop.call_later(ASK_AGAIN_S, self._flush_again)

    def _flush_again(self) -> None:
        self._again = None
        waiting, self._outgoing = self._outgoing, Groups()
        self._ask_again(waiting.values())
        self._flush()

    def _ask_again(self, groups: Iterable[Group]) -> None:
        """With the next flush, what of these somebody still waits for."""
        for group in groups:
            if any(call.missing for call in group.calls):
                self._outgoing[group.partition].add_waiting(group)

    def _route(self, partition: int) -> _Connection | None:
        owner = self._owners.get(partition)
        if owner is None:
            return None
        connection = self._connections.get(owner.address)
        if connection is None:
            self._connect(owner.address)
        return connection

    def _connect(self, address: str) -> None:
        if address in self._connections or address in self._connecting or self._closed:
            return
        if self._loop.time() >= self._refused_until.get(address, 0.0):
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

    def on_answers(self, group: Group, answers: Sequence[Answer]) -> None:
        """The first answers of a group came; transient ones of an owner that is not ready are asked again."""
        again = False
        for command, call, place, answer in zip(group.commands, group.calls, group.places, answers, strict=False):
            if answer.outcome not in _ASK_AGAIN:
                call.answer(place, answer)
            elif call.missing:
                self._outgoing[group.partition].add(command, call, place)
                again = True
        if again:
            self._flush_later()

    def on_refused(self, connection: _Connection, reason: str) -> None:
        """The owner hangs up and says why. The callers' deadlines go on: it may take us later."""
        logger.warning("the owner at %s sent this client away: %s", connection.address, reason)
        self._refused_until[connection.address] = self._loop.time() + REFUSED_AGAIN_S

    def on_lost(self, connection: _Connection) -> None:
        """What was under way is asked again: it may have been decided, and the same id finds out."""
        if self._connections.get(connection.address) is connection:
            del self._connections[connection.address]
        self._ask_again(connection.pending.values())
        connection.pending.clear()
        if self._outgoing:
            self._flush_later()

    def _on_owner(self, owner: Owner) -> None:
        """What waits at an earlier owner is asked again here: that one may be frozen, with its connection standing."""
        for connection in self._connections.values():
            if connection.address != owner.address:
                self._ask_again(connection.take_back(owner.partition))
        if owner.partition in self._outgoing:
            self._flush()
