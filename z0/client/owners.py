"""
Who owns which partition. Owns: the announcement's form, and following `z0.owners` (a plain reader of a compacted topic).

The highest epoch counts, not the latest record: a worker that lost its partition may still announce itself.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec import Struct

from z0.log.kafka import new_reader, start_client
from z0.names import OWNERS

logger = logging.getLogger(__name__)


class Owner(Struct, frozen=True):
    """An announcement: from this epoch on, this worker answers for this partition."""

    partition: int
    epoch: int
    address: str  # host:port of its direct door
    worker: str


encode_owner = msgspec.json.Encoder().encode
decode_owner = msgspec.json.Decoder(Owner).decode


class Owners:
    """The newest owner of each partition."""

    def __init__(self, servers: str, on_change: Callable[[Owner], None]) -> None:
        self._servers = servers
        self._on_change = on_change
        self._owners: dict[int, Owner] = {}
        self._task: asyncio.Task[None] | None = None
        self._consumer: AIOKafkaConsumer | None = None

    def get(self, partition: int) -> Owner | None:
        """The owner with the highest epoch, or None."""
        return self._owners.get(partition)

    def all(self) -> Mapping[int, Owner]:
        """The newest owner of each partition that has one."""
        return dict(self._owners)

    def __len__(self) -> int:
        return len(self._owners)

    async def start(self) -> None:
        """Read the topic from its beginning, up to its present end, then follow it."""
        consumer = self._consumer = new_reader(self._servers)
        await start_client(consumer)
        at = TopicPartition(OWNERS, 0)
        consumer.assign([at])
        first, end = (await consumer.beginning_offsets([at]))[at], (await consumer.end_offsets([at]))[at]
        consumer.seek(at, first)
        while await consumer.position(at) < end:
            self._fold((await consumer.getmany(at, timeout_ms=500)).get(at, []))
        self._task = asyncio.create_task(self._follow(consumer))

    async def stop(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._consumer is not None:
            await self._consumer.stop()

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=1_000)).values():
                self._fold(records)

    def _fold(self, records: list) -> None:  # type: ignore[type-arg]  # aiokafka's ConsumerRecord
        for record in records:
            try:
                owner = decode_owner(record.value)
            except msgspec.DecodeError as error:
                logger.warning("z0.owners offset %d is not an announcement: %s", record.offset, error)
                continue
            known = self._owners.get(owner.partition)
            if known is None or owner.epoch >= known.epoch:
                self._owners[owner.partition] = owner
                self._on_change(owner)
