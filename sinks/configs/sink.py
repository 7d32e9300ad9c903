"""
The sink of configs: facts `config/versioned` to the compacted topic `z0.configs`. Owns: the topic's records.

    <config id>/<version>      the version as JSON, the very bytes of its fact; written once, never changed
    !position/<partition>      {"next_offset", "epoch"}: where this sink goes on

Order of effects of a flush, and what a crash after each step does:

    1. the versions are sent and acked         the next start reads their facts again and finds them there
    2. the positions are sent and acked        nothing: that is all

The value of a key is determined by its fact, so two writers write the same, and neither needs to be fenced: a position that goes
back makes the next start read more. Positions are stored when a version was, at the end, and every 10 s: each flush would fill
the topic that every worker reads at its start.
"""

import asyncio
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from msgspec import Raw, Struct

from sinks.base import Probe, StoreUnavailable, no_probe
from z0.clock import Clock, SystemClock
from z0.domain.config import topic_key
from z0.domain.facts import FactType, StoredFact
from z0.errors import SinkStopped, Unreachable, no_answer
from z0.log.following import read_all
from z0.log.kafka import new_producer, start_client
from z0.log.ports import Record
from z0.log.reader import Read
from z0.log.validity import Position, Standing
from z0.names import CONFIGS, CONFIGS_POSITION_PREFIX, SINK_CONFIGS

KEY_PREFIX: Final = b"config_"  # of the ledgers whose facts matter; others are not decoded (`sinks.reading.SelectiveReader`)
STORE_POSITIONS_MS: Final = 10_000
_NO_ANSWER: Final = (KafkaError, Unreachable, OSError, TimeoutError)


class _Data(Struct, frozen=True):
    config: Raw


class _Names(Struct, frozen=True):
    """All that the sink needs to know of a version: what a newer release adds is for those who read it."""

    id: str
    version: int


_encode = msgspec.json.Encoder().encode
_data = msgspec.json.Decoder(_Data).decode
_names = msgspec.json.Decoder(_Names).decode
_position = msgspec.json.Decoder(Position).decode


class ConfigsSink:
    """`sinks.base.Sink` over a compacted topic."""

    name = SINK_CONFIGS

    def __init__(self, servers: str, topic: str = CONFIGS, *, clock: Clock | None = None, probe: Probe = no_probe) -> None:
        self._servers = servers
        self._topic = topic
        self._clock = clock or SystemClock()
        self._probe = probe
        self._producer: AIOKafkaProducer | None = None
        self._known: dict[bytes, bytes] = {}  # key -> digest of what stands there
        self._stored: dict[int, Position] = {}
        self._reached: dict[int, Position] = {}
        self._new: dict[bytes, bytes] = {}
        self._stored_ms = 0

    @property
    def waiting(self) -> int:
        return sum(at.next_offset - self._stored.get(p, Position()).next_offset for p, at in self._reached.items())

    async def start(self) -> Mapping[int, Position]:
        self._known, self._stored, self._reached, self._new = {}, {}, {}, {}
        try:
            await read_all(self._servers, self._topic, self._take)
        except _NO_ANSWER as error:
            raise _unavailable(error) from error
        self._stored_ms = self._clock.alive_ms()
        return dict(self._stored)

    def add(self, partition: int, reads: Sequence[Read], position: Position) -> None:
        for read in reads:
            if read.standing is Standing.VALID and read.fact is not None:
                self._add(read.fact)
        self._reached[partition] = position

    async def flush(self, *, final: bool = False) -> Mapping[int, Position]:
        try:
            await self._flush(final=final)
        except _NO_ANSWER as error:
            await self.close()  # a producer may have failed for good
            raise _unavailable(error) from error
        return dict(self._stored)

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def _flush(self, *, final: bool) -> None:
        if self._new:
            await self._send(self._new)
            self._probe(1)
        if self._new or final or self._clock.alive_ms() - self._stored_ms >= STORE_POSITIONS_MS:
            await self._store_positions()
            self._probe(2)

    def _take(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.key.startswith(CONFIGS_POSITION_PREFIX):
                self._stored[int(record.key.removeprefix(CONFIGS_POSITION_PREFIX))] = _position(record.value)
            else:
                self._known[record.key] = sha256(record.value).digest()

    def _add(self, fact: StoredFact) -> None:
        if (fact.type, fact.subtype) != (FactType.CONFIG, FactType.VERSIONED):
            return
        try:
            value = bytes(_data(fact.data).config)
            names = _names(value)
        except msgspec.DecodeError as error:
            raise SinkStopped(f"fact {fact.id} carries no version of a config: {error}") from error
        key = topic_key(names.id, names.version)
        digest = sha256(value).digest()
        known = self._known.get(key)
        if known is not None and known != digest:
            raise SinkStopped(f"fact {fact.id} says another thing of {key.decode()} than {self._topic} holds: another log")
        if known is None:
            self._known[key] = digest
            self._new[key] = value

    async def _store_positions(self) -> None:
        moved = {p: at for p, at in self._reached.items() if at != self._stored.get(p)}
        await self._send({CONFIGS_POSITION_PREFIX + b"%d" % p: _encode(at) for p, at in moved.items()})
        self._stored |= moved
        self._new = {}
        self._stored_ms = self._clock.alive_ms()

    async def _send(self, records: Mapping[bytes, bytes]) -> None:
        if self._producer is None:
            producer = new_producer(self._servers)
            await start_client(producer)
            self._producer = producer
        sent = [await self._producer.send(self._topic, key=key, value=value, partition=0) for key, value in records.items()]
        await asyncio.gather(*sent)


def _unavailable(error: Exception) -> StoreUnavailable:
    """An `Unreachable` says already what a person is to do."""
    return StoreUnavailable(str(error) if isinstance(error, Unreachable) else no_answer("Kafka", error))
