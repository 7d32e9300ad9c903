"""
The log on Kafka, by aiokafka. Owns: readers and writers of `z0.facts`, the outbox.

One producer for all partitions and all their epochs. A claim goes out when the partition's batch before it is acked or given up:
that one lies before the claim and is folded, or the broker refuses it from then on. Other workers' may land at any time.
No transactions: they cost 25 ms a cycle back to back; an idempotent produce costs 1 ms.
"""

import asyncio
import logging
from asyncio import Future
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError, OffsetOutOfRangeError

from z0 import kafka_url
from z0.cut import cut
from z0.errors import LogBroken, Unreachable, no_answer
from z0.log.pace import Pace
from z0.log.ports import Appended, Message, Record
from z0.log.producer import BATCH_BYTES_MAX, RECORDS_BYTES_MAX, REQUEST_TIMEOUT_MS, BatchProducer, Headers, open_producer
from z0.names import FACTS

logger = logging.getLogger(__name__)

READ_BATCH: Final = 2_000  # some megabytes: what a reader of the log holds at once
READ_STALL_S: Final = 30.0  # longer than a leader's election takes; then whoever reads hears of it


def new_producer(servers: str, **settings: Any) -> AIOKafkaProducer:
    """aiokafka's idempotent producer, acks=all, without linger, for whoever writes single messages."""
    return AIOKafkaProducer(
        **kafka_url.options(servers),
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
        **kafka_url.options(servers),
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_partition_fetch_bytes=BATCH_BYTES_MAX,
        **settings,
    )


def _new_asker(servers: str) -> AIOKafkaConsumer:
    """For questions of a claim, which need not wait longer than for its batches."""
    return new_reader(servers, request_timeout_ms=REQUEST_TIMEOUT_MS)


async def start_client(client: Any) -> None:
    """
    Start a producer, consumer or admin client; one that cannot connect is closed again.

    Raises:
        Unreachable: Kafka does not answer.
    """
    try:
        with _listening() as heard:
            await client.start()
    except KafkaConnectionError as error:
        await (client.close() if hasattr(client, "close") else client.stop())
        raise _unreachable(error, heard) from error


def _unreachable(error: KafkaError, heard: Sequence[str] = ()) -> Unreachable:
    return Unreachable(no_answer("Kafka", heard[-1] if heard else error))


@contextmanager
def _listening() -> Iterator[list[str]]:
    """What aiokafka says meanwhile: why it was not let in stands in its log only, not in its error."""
    heard: list[str] = []
    listener = logging.Handler(logging.ERROR)
    listener.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]  # a class for one line
    aiokafka = logging.getLogger("aiokafka")
    aiokafka.addHandler(listener)
    try:
        yield heard
    finally:
        aiokafka.removeHandler(listener)


async def connect_producer(servers: str, *topics: str) -> BatchProducer:
    """
    A producer of whole batches for these topics.

    Raises:
        Unreachable: Kafka does not answer.
    """
    try:
        return await open_producer(servers, *topics)
    except KafkaError as error:
        raise _unreachable(error) from error


class KafkaWriter:
    """One partition's writer for one epoch."""

    def __init__(self, producer: BatchProducer, at: TopicPartition, pace: Pace) -> None:
        self._producer = producer
        self.at = at
        self._pace = pace

    def ready(self) -> "Future[bool]":
        return self._pace.turn()

    def append(self, records: Sequence[tuple[bytes, bytes]]) -> "Future[Appended]":
        return self._producer.append(self.at, records)


class KafkaLog:
    """The fact log of a cluster; the topic is `z0.facts` but for tests of the log itself."""

    def __init__(self, servers: str, topic: str = FACTS) -> None:
        self._servers = servers
        self.topic = topic
        self._producer: BatchProducer | None = None
        self._pace = Pace()
        self._asker: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Connect the producer, and a consumer for questions: a claim asks several, and connecting takes its time."""
        self._producer = await connect_producer(self._servers, self.topic)
        self._asker = _new_asker(self._servers)
        await start_client(self._asker)

    async def stop(self) -> None:
        """Disconnect; what was sent and not acked is void or valid, the next claim tells."""
        if self._producer is not None:
            await self._producer.stop()
        if self._asker is not None:
            await self._asker.stop()

    async def writer(self, partition: int) -> KafkaWriter:
        assert self._producer is not None, "started"
        return KafkaWriter(self._producer, TopicPartition(self.topic, partition), self._pace)

    async def read(self, partition: int, start: int, end: int) -> AsyncIterator[list[Record]]:
        if start >= end:
            return
        at = TopicPartition(self.topic, partition)
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
        raise Unreachable(f"{at.topic} {at.partition}: no record below {end} came for {READ_STALL_S:.0f} s")

    async def bounds(self, partition: int) -> tuple[int, int]:
        return await self.bounds_of(self.topic, partition)

    async def bounds_of(self, topic: str, partition: int) -> tuple[int, int]:
        """The same for any topic."""
        at = TopicPartition(topic, partition)
        async with self._asking() as consumer:
            first, end = await asyncio.gather(consumer.beginning_offsets([at]), consumer.end_offsets([at]))
        return int(first[at]), int(end[at])

    async def offset_at(self, partition: int, timestamp_ms: int) -> int:
        at = TopicPartition(self.topic, partition)
        async with self._asking() as consumer:
            found = (await consumer.offsets_for_times({at: timestamp_ms}))[at]
            return int(found.offset) if found is not None else int((await consumer.end_offsets([at]))[at])

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[AIOKafkaConsumer]:
        """
        A consumer to ask; one of its own where the log was not started.

        Raises:
            Unreachable: Kafka does not answer.
        """
        is_new = self._asker is None
        consumer = self._asker or _new_asker(self._servers)
        try:
            if is_new:
                await start_client(consumer)
            yield consumer
            if is_new and self._producer is not None:
                self._asker = self._asker or consumer
        except KafkaError as error:
            # A leader that stands still: aiokafka gives the question up before the request, and learns of no other leader by it.
            self._asker = None
            raise _unreachable(error) from error
        finally:
            if consumer is not self._asker:
                await consumer.stop()


class KafkaOutbox:
    """Forwards and dead letters: one batch for all that goes to the same place with the same headers."""

    def __init__(self, producer: BatchProducer) -> None:
        self._producer = producer

    async def send(self, messages: Sequence[Message]) -> None:
        together: dict[tuple[TopicPartition, Headers], list[tuple[bytes, bytes]]] = defaultdict(list)
        for message in messages:
            together[TopicPartition(message.topic, message.partition), message.headers].append((message.key, message.value))
        acks = [
            self._producer.append(at, some, headers)
            for (at, headers), records in together.items()
            for some in cut(records, lambda record: len(record[0]) + len(record[1]), RECORDS_BYTES_MAX)
        ]
        await asyncio.gather(*acks)
