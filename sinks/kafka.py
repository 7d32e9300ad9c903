"""
The ports of the runner over Kafka. Owns: the consumer's and the producer's settings. Does not own: what is done with records.

Partitions are assigned by hand and offsets live in the stores; the group `z0-sink-NAME` only carries what is shown.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import OffsetAndMetadata

from sinks.source import SourceUnavailable
from z0 import kafka_url
from z0.errors import LogBroken, no_answer
from z0.log.ports import Record
from z0.log.validity import Position
from z0.names import DEAD_LETTERS, FACTS, SINK_GROUP_PREFIX

logger = logging.getLogger(__name__)
# The broker holds a fetch back until there is something worth a batch, or for this long: a trickle costs few wake-ups.
FETCH_BYTES_MIN: Final = 64 * 1024
FETCH_WAIT_MS: Final = 100
PARTITION_FETCH_BYTES: Final = 4 << 20
METADATA_TIMEOUT_S: Final = 10.0  # the start is tried again, and says why it waits
SHOW_TIMEOUT_S: Final = 5.0  # shown for people only; nothing waits for it


class KafkaSource:
    """`sinks.source.Source` over a topic."""

    def __init__(self, servers: str, name: str, topic: str = FACTS) -> None:
        self._servers = servers
        self._group = SINK_GROUP_PREFIX + name
        self._topic = topic
        self._consumer: AIOKafkaConsumer | None = None
        self._assigned: list[TopicPartition] = []

    async def start(self) -> Mapping[int, tuple[int, int]]:
        try:
            if self._consumer is None:
                await self._connect()
            return await self._bounds()
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            raise SourceUnavailable(no_answer("Kafka", error)) from error

    def seek(self, offsets: Mapping[int, int]) -> None:
        for partition, offset in offsets.items():
            self._open.seek(TopicPartition(self._topic, partition), offset)

    async def poll(self, rows_max: int, timeout_ms: int) -> Mapping[int, Sequence[Record]]:
        try:
            polled = await self._open.getmany(timeout_ms=timeout_ms, max_records=rows_max)
        except OffsetOutOfRangeError as error:
            raise LogBroken(f"an offset of {self._topic} is not there any more: {error}") from error
        return {
            place.partition: [Record(r.offset, r.key or b"", r.value or b"", r.timestamp) for r in records]
            for place, records in polled.items()
        }

    async def ends(self) -> Mapping[int, int]:
        """From the answers to fetches: asking costs nothing. A partition that was not fetched yet is left out."""
        marks = {place.partition: self._open.highwater(place) for place in self._assigned}
        return {partition: mark for partition, mark in marks.items() if mark is not None}

    async def show(self, positions: Mapping[int, Position]) -> None:
        offsets = {
            TopicPartition(self._topic, p): OffsetAndMetadata(at.next_offset, str(at.epoch)) for p, at in positions.items()
        }
        if not offsets:
            return
        try:
            async with asyncio.timeout(SHOW_TIMEOUT_S):
                await self._open.commit(offsets)
        except (KafkaError, TimeoutError) as error:
            logger.warning("positions could not be shown to Kafka: %s", error)

    async def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    @property
    def _open(self) -> AIOKafkaConsumer:
        assert self._consumer is not None, "the source was started"
        return self._consumer

    async def _connect(self) -> None:
        self._consumer = AIOKafkaConsumer(
            **kafka_url.options(self._servers),
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="none",  # a position that is not there must not become another one
            fetch_min_bytes=FETCH_BYTES_MIN,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
        )
        await self._consumer.start()
        self._assigned = [TopicPartition(self._topic, partition) for partition in await self._partitions()]
        self._consumer.assign(self._assigned)

    async def _partitions(self) -> list[int]:
        async with asyncio.timeout(METADATA_TIMEOUT_S):
            await self._open._client.force_metadata_update()  # the public way answers only for subscribed topics
            await self._open.topics()
        found = self._open.partitions_for_topic(self._topic)
        if not found:
            raise SourceUnavailable(f"there is no topic {self._topic}; run `z0 migrate`")
        return sorted(found)

    async def _bounds(self) -> dict[int, tuple[int, int]]:
        starts = await self._open.beginning_offsets(self._assigned)
        ends = await self._open.end_offsets(self._assigned)
        return {place.partition: (starts[place], ends[place]) for place in self._assigned}


class KafkaDeadLetters:
    """`sinks.source.DeadLetters` over the dead-letter topic; connects at the first letter."""

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self._producer: AIOKafkaProducer | None = None

    async def send(self, letters: Sequence[tuple[bytes, bytes]]) -> None:
        if self._producer is None:
            producer = AIOKafkaProducer(**kafka_url.options(self._servers), acks="all", enable_idempotence=True)
            await producer.start()
            self._producer = producer
        sent = [await self._producer.send(DEAD_LETTERS, key=key, value=value) for key, value in letters]
        await asyncio.gather(*sent)

    async def close(self) -> None:
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None
