"""
Work by way of Kafka topics, ours or a peer's. Owns: writing commands to one topic and watching another for what they left:
all at once (a catch-up, by the broker's clock) or at fixed times (an open loop, by ours).
"""

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from z0 import kafka_url
from z0.bench import openloop
from z0.bench.figures import Figure
from z0.bench.openloop import Schedule, Tally
from z0.client.partitioner import partition_of
from z0.errors import Z0Error
from z0.log.kafka import new_producer, new_reader

PATIENCE_S = 600.0  # a bound against waiting for ever, not a target
POLL_S = 0.1
GRACE_S = 5.0
PRODUCE_BATCH = 2_000
LINGER_S = 0.005  # the default of Kafka's own producer since 4.0
Pair = tuple[str, bytes]


class Through(NamedTuple):
    """The way of the work: from topic `source` to topic `sink`, whose records carry the work's id in field `id_field`."""

    servers: str
    source: str
    sink: str
    partitions: int
    id_field: str
    settings: Mapping[str, Any] = {}  # of the reader


async def make_topics(servers: str, partitions: int, topics: Mapping[str, Mapping[str, str]]) -> None:
    """Create topics with one replica."""
    admin = AIOKafkaAdminClient(**kafka_url.options(servers))
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=dict(given)) for name, given in topics.items()])
    finally:
        await admin.close()


async def preload(servers: str, topic: str, partitions: int, *, records: Iterable[Pair]) -> int:
    """Write records in batches to the partition of their key, and wait for the acks; how many there were."""
    producer = new_producer(servers)
    await producer.start()
    try:
        return await _send_all(producer, topic, partitions, records=records)
    finally:
        await producer.stop()


async def preload_at_once(servers: str, topic: str, partitions: int, *, records: Iterable[Pair]) -> int:
    """The same in one transaction: readers of committed records see nothing of it, and at its end everything."""
    producer = new_producer(servers, transactional_id=f"preload-{topic}")
    await producer.start()
    try:
        async with producer.transaction():
            return await _send_all(producer, topic, partitions, records=records)
    finally:
        await producer.stop()


async def _send_all(producer: AIOKafkaProducer, topic: str, partitions: int, *, records: Iterable[Pair]) -> int:
    waiting: dict[int, list[Pair]] = {p: [] for p in range(partitions)}
    count, acks = 0, []
    for record in records:
        partition = partition_of(record[0], partitions)
        waiting[partition].append(record)
        count += 1
        if len(waiting[partition]) == PRODUCE_BATCH:
            acks.append(await send(producer, topic, partition, records=waiting[partition]))
            waiting[partition] = []
    acks += [await send(producer, topic, p, records=rest) for p, rest in waiting.items() if rest]
    await asyncio.gather(*acks)
    return count


async def send(producer: AIOKafkaProducer, topic: str, partition: int, *, records: Iterable[Pair]) -> "asyncio.Future[object]":
    """Hand one batch to the producer; the future is its ack."""
    batch = producer.create_batch()
    for key, value in records:
        batch.append(key=key.encode(), value=value, timestamp=None)
    batch.close()
    sent: asyncio.Future[object] = await producer.send_batch(batch, topic, partition=partition)
    return sent


# Catch-up ----------------------------------------------------------------------------------------


@asynccontextmanager
async def watched(servers: str, topic: str, partitions: int) -> AsyncIterator[Callable[[], Awaitable[dict[int, int]]]]:
    """A function that asks where the partitions of a topic end, over one connection."""
    reader = new_reader(servers)
    await reader.start()

    async def look() -> dict[int, int]:
        found = await reader.end_offsets([TopicPartition(topic, p) for p in range(partitions)])
        return {at.partition: end for at, end in found.items()}

    try:
        yield look
    finally:
        await reader.stop()


async def ends(through: Through) -> dict[int, int]:
    """Where the sink's partitions end now: what comes behind is the work's."""
    async with watched(through.servers, through.sink, through.partitions) as look:
        return await look()


async def wait_for_records(look: Callable[[], Awaitable[dict[int, int]]], expected: int, what: str) -> None:
    """
    Wait until the ends of a topic's partitions add up to a number.

    Raises:
        Z0Error: they do not for a long time.
    """
    deadline = time.monotonic() + PATIENCE_S
    while sum((await look()).values()) < expected:
        if time.monotonic() > deadline:
            raise Z0Error(f"fewer than {expected} records on {what} after {PATIENCE_S:.0f} s")
        await asyncio.sleep(POLL_S)


async def span_ms(through: Through, start: Mapping[int, int], marks: tuple[bytes, ...], *, expected: int) -> int:
    """
    Wait until `expected` records with all `marks` are behind `start`; milliseconds from first to last by the broker's clock.

    Raises:
        Z0Error: they do not come.
    """
    reader = new_reader(through.servers, max_poll_records=5_000, **through.settings)
    await reader.start()
    try:
        # Looking at the ends only: reading along would take CPU from what is measured.
        async with watched(through.servers, through.sink, through.partitions) as look:
            await wait_for_records(look, sum(start.values()) + expected, through.sink)
        _seek(reader, through, start)
        return await _span(reader, marks, expected)
    finally:
        await reader.stop()


def _seek(reader: AIOKafkaConsumer, through: Through, start: Mapping[int, int]) -> None:
    reader.assign([TopicPartition(through.sink, p) for p in range(through.partitions)])
    for partition, offset in start.items():
        reader.seek(TopicPartition(through.sink, partition), offset)


async def _span(reader: AIOKafkaConsumer, marks: tuple[bytes, ...], expected: int) -> int:
    first, last, seen = 2**62, 0, 0
    deadline = time.monotonic() + PATIENCE_S
    while seen < expected and time.monotonic() < deadline:
        for records in (await reader.getmany(timeout_ms=1_000)).values():
            for record in records:
                if all(mark in record.value for mark in marks):
                    seen += 1
                    first, last = min(first, record.timestamp), max(last, record.timestamp)
    if seen < expected:
        raise Z0Error(f"{seen} of {expected} records came")
    return max(1, last - first)


# Open loop ---------------------------------------------------------------------------------------


class _Producing:
    """
    The way in, as Kafka's own producer goes by default: what is due within 5 ms goes out together, each partition in its order.

    Without that, thousands of batches of three records a second keep the broker busy, and this process.
    """

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self._waiting: dict[int, list[Pair]] = defaultdict(list)
        self._task: asyncio.Task[None] | None = None

    def add(self, partition: int, record: Pair) -> None:
        self._waiting[partition].append(record)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self._waiting:
            next_at = time.perf_counter() + LINGER_S
            waiting, self._waiting = self._waiting, defaultdict(list)
            cut = ((partition, some) for partition, rest in waiting.items() for some in _cut(rest))
            acks = [await send(self._producer, self._topic, partition, records=some) for partition, some in cut]
            await asyncio.gather(*acks)
            await asyncio.sleep(max(0.0, next_at - time.perf_counter()))

    async def finish(self) -> None:
        if self._task is not None:
            await self._task


def _cut(records: list[Pair]) -> Iterator[list[Pair]]:
    for start in range(0, len(records), PRODUCE_BATCH):
        yield records[start : start + PRODUCE_BATCH]


async def through_topics(
    through: Through, records: Iterator[tuple[str, str, bytes]], schedule: Callable[[], Schedule]
) -> Mapping[str, Figure]:
    """From due (then produced) to what it left being seen by a reader. `records` are (key, id, value)."""
    producer, reader = new_producer(through.servers), new_reader(through.servers, **through.settings)
    await producer.start()
    await reader.start()
    try:
        _seek(reader, through, await ends(through))
        tally = Tally(schedule())
        due: dict[tuple[bytes, bytes], int] = {}
        watching = asyncio.create_task(_watch(reader, through.id_field, due, tally))
        await _hand_out(through, producer, records, due, tally)
        await _until_empty(due, watching)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        return tally.figures()
    finally:
        await producer.stop()
        await reader.stop()


async def _hand_out(
    through: Through,
    producer: AIOKafkaProducer,
    records: Iterator[tuple[str, str, bytes]],
    due: dict[tuple[bytes, bytes], int],
    tally: Tally,
) -> None:
    way = _Producing(producer, through.source)

    def hand(first: int, count: int) -> None:
        for item, (key, name, value) in enumerate(islice(records, count), first):
            due[key.encode(), name.encode()] = item
            way.add(partition_of(key, through.partitions), (key, value))

    await openloop.drive(tally.schedule, hand)
    await way.finish()


async def _watch(reader: AIOKafkaConsumer, id_field: str, due: dict[tuple[bytes, bytes], int], tally: Tally) -> None:
    find = re.compile(rb'"%s":"([^"]+)"' % id_field.encode()).search
    while True:
        for records in (await reader.getmany(timeout_ms=100)).values():
            for record in records:
                found = find(record.value)
                item = due.pop((record.key, found[1]), None) if found else None
                if item is not None:
                    tally.done(range(item, item + 1))


async def _until_empty(due: dict[tuple[bytes, bytes], int], watching: "asyncio.Task[None]") -> None:
    deadline = time.perf_counter() + GRACE_S
    while due and not watching.done() and time.perf_counter() < deadline:  # noqa: ASYNC110 - a dictionary has no event
        await asyncio.sleep(POLL_S)
