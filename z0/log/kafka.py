"""
The log on Kafka, by aiokafka. Owns: producers and readers of `z0.facts`, the outbox, batches for the snapshot changelogs.

A partition whose epoch died moves to another producer: a batch that timed out for us may still be sent by the old one.
No transactions: they cost 25 ms a cycle back to back; an idempotent produce costs 1 ms.
"""

import asyncio
import logging
from asyncio import Future
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError, OffsetOutOfRangeError

from z0.errors import LogBroken, Unreachable
from z0.log.ports import Appended, Message, Record
from z0.names import FACTS

logger = logging.getLogger(__name__)

BATCH_BYTES_MAX: Final = 8 * 1024 * 1024  # `max.message.bytes` of the topics
READ_BATCH: Final = 2_000
REQUEST_TIMEOUT_MS: Final = 12_000  # under the engine's ack time-out, so that a failure arrives before it
READ_STALL_S: Final = 30.0


def new_producer(servers: str, **settings: Any) -> AIOKafkaProducer:
    """An idempotent producer, acks=all, without linger: the engine batches."""
    return AIOKafkaProducer(
        bootstrap_servers=servers,
        acks="all",
        enable_idempotence=True,
        max_batch_size=BATCH_BYTES_MAX,
        max_request_size=BATCH_BYTES_MAX + 1024 * 1024,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        **settings,
    )


def new_reader(servers: str, *topics: str, **settings: Any) -> AIOKafkaConsumer:
    """A consumer without a group: it reads what it is assigned, from where it is told."""
    return AIOKafkaConsumer(
        *topics,
        bootstrap_servers=servers,
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_partition_fetch_bytes=BATCH_BYTES_MAX,
        **settings,
    )


async def start_client(client: Any) -> None:
    """
    Start a producer, consumer or admin client; one that cannot connect is closed again.

    Raises:
        Unreachable: Kafka does not answer.
    """
    try:
        await client.start()
    except KafkaConnectionError as error:
        await (client.close() if hasattr(client, "close") else client.stop())
        raise Unreachable(f"Kafka does not answer ({error}); start the stack with `z0 up`, or correct Z0_KAFKA") from error


async def send_batch(producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[tuple[bytes, bytes]]) -> Appended:
    """Send records as one batch and wait for the ack."""
    batch = producer.create_batch()
    for key, value in records:
        if batch.append(key=key, value=value, timestamp=None) is None:
            raise ValueError(f"{len(records)} records do not fit one batch of {BATCH_BYTES_MAX} bytes")
    batch.close()
    landed = await (await producer.send_batch(batch, topic, partition=partition))
    return Appended(landed.offset, landed.timestamp if landed.timestamp is not None else -1)


class KafkaWriter:
    """One partition's writer for one epoch."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, partition: int) -> None:
        self._producer = producer
        self._topic = topic
        self._partition = partition

    def append(self, records: Sequence[tuple[bytes, bytes]]) -> "Future[Appended]":
        return asyncio.ensure_future(send_batch(self._producer, self._topic, self._partition, records))


class KafkaLog:
    """The fact log of a cluster; the topic is `z0.facts` but for tests of the log itself."""

    def __init__(self, servers: str, topic: str = FACTS) -> None:
        self._servers = servers
        self._topic = topic
        self._producers: list[AIOKafkaProducer] = []
        self._next_of: dict[int, int] = {}
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Connect the first producer."""
        await self._producer(0)

    async def stop(self) -> None:
        """Disconnect; what was sent and not acked is void or valid, the next claim tells."""
        for producer in self._producers:
            await producer.stop()

    async def writer(self, partition: int) -> KafkaWriter:
        number = self._next_of.get(partition, 0)
        self._next_of[partition] = number + 1
        return KafkaWriter(await self._producer(number), self._topic, partition)

    async def _producer(self, number: int) -> AIOKafkaProducer:
        async with self._lock:
            while len(self._producers) <= number:
                producer = new_producer(self._servers)
                await start_client(producer)
                self._producers.append(producer)
        return self._producers[number]

    async def read(self, partition: int, start: int, end: int) -> AsyncIterator[list[Record]]:
        if start >= end:
            return
        at = TopicPartition(self._topic, partition)
        consumer = new_reader(self._servers)
        await start_client(consumer)
        try:
            consumer.assign([at])
            consumer.seek(at, start)
            while start < end:
                records = await self._next(consumer, at, end)
                start = records[-1].offset + 1
                yield records
        finally:
            await consumer.stop()

    async def _next(self, consumer: AIOKafkaConsumer, at: TopicPartition, end: int) -> list[Record]:
        deadline = asyncio.get_running_loop().time() + READ_STALL_S
        while asyncio.get_running_loop().time() < deadline:
            try:
                fetched = (await consumer.getmany(at, timeout_ms=1_000, max_records=READ_BATCH)).get(at, [])
            except OffsetOutOfRangeError as error:
                raise LogBroken(f"{at.topic} {at.partition} does not hold what is to be read: {error}") from error
            records = [Record(r.offset, r.key or b"", r.value or b"", r.timestamp) for r in fetched if r.offset < end]
            if records:
                return records
        raise LogBroken(f"{at.topic} {at.partition}: no record below {end} came for {READ_STALL_S:.0f} s")

    async def bounds(self, partition: int) -> tuple[int, int]:
        at = TopicPartition(self._topic, partition)
        consumer = new_reader(self._servers)
        await start_client(consumer)
        try:
            first, end = await consumer.beginning_offsets([at]), await consumer.end_offsets([at])
            return int(first[at]), int(end[at])
        finally:
            await consumer.stop()

    async def offset_at(self, partition: int, timestamp_ms: int) -> int:
        at = TopicPartition(self._topic, partition)
        consumer = new_reader(self._servers)
        await start_client(consumer)
        try:
            found = (await consumer.offsets_for_times({at: timestamp_ms}))[at]
            return int(found.offset) if found is not None else int((await consumer.end_offsets([at]))[at])
        finally:
            await consumer.stop()


class KafkaOutbox:
    """Forwards and dead letters."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def send(self, messages: Sequence[Message]) -> None:
        acks = [
            await self._producer.send(m.topic, key=m.key, value=m.value, partition=m.partition, headers=list(m.headers))
            for m in messages
        ]
        await asyncio.gather(*acks)
