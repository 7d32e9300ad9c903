"""A broker as aiokafka's client shows it, for the tests of the producer of whole batches. Owns: what it was sent, and refuses."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.record.memory_records import MemoryRecords

from z0.log.produce_request import BatchesLanded, Landed

TOPIC = "facts"
TIME_MS = 1_700_000_000_000


def at(partition: int) -> TopicPartition:
    """A partition of the one topic."""
    return TopicPartition(TOPIC, partition)


class Broker:
    """Stands for aiokafka's client: takes requests, answers as it is told, refuses for a while as it is told."""

    def __init__(self) -> None:
        self.cluster = self
        self.leaders: dict[int, int | None] = {}
        self.requests: list[tuple[int, list[tuple[TopicPartition, bytes]]]] = []
        self.refusals: list[Exception | dict[int, type[Exception]]] = []
        self.updates = 0
        self.on_update: Callable[[], None] = lambda: None
        self.ends: dict[TopicPartition, int] = {}
        self.ids_given = 0
        self._sync_task: str | None = None
        self.closed = False

    def get_random_node(self) -> int:
        return 1

    def leader_for_partition(self, partition: TopicPartition) -> int | None:
        return self.leaders.get(partition.partition, 1)

    async def force_metadata_update(self) -> bool:
        self.updates += 1
        self.on_update()
        return True

    async def send(self, node: int, request: Any) -> Any:
        if isinstance(request, InitProducerIdRequest):
            return self._give_id()
        self.requests.append((node, list(request._batches)))
        refusal = self.refusals.pop(0) if self.refusals else {}
        await asyncio.sleep(0)
        if isinstance(refusal, Exception):
            raise refusal
        landed = {}
        for where, content in request._batches:
            error: Any = refusal.get(where.partition)
            offset = self.ends.get(where, 0)
            if error is None:
                self.ends[where] = offset + records_of(content)
            landed[where] = Landed(error.errno, -1, -1) if error else Landed(0, offset, TIME_MS)
        return BatchesLanded(landed)

    def _give_id(self) -> Any:
        refusal: Any = self.refusals.pop(0) if self.refusals else None
        self.ids_given += refusal is None
        return SimpleNamespace(error_code=refusal.errno if refusal else 0, producer_id=100 + self.ids_given, producer_epoch=0)

    async def close(self) -> None:
        self.closed = True


def records_of(content: bytes) -> int:
    """How many records a batch has."""
    batch = MemoryRecords(bytes(content)).next_batch()
    return sum(1 for _ in batch)


def sequence_of(content: bytes) -> int:
    """The sequence number of a batch's first record."""
    return int.from_bytes(content[53:57], "big")


def epoch_of(content: bytes) -> int:
    """The producer epoch of a batch."""
    return int.from_bytes(content[51:53], "big")


def producer_of(content: bytes) -> int:
    """The producer id of a batch."""
    return int.from_bytes(content[43:51], "big")


def numbers(broker: Broker) -> list[tuple[int, int]]:
    """(producer epoch, sequence number) of every batch in the order of the requests."""
    return [(epoch_of(content), sequence_of(content)) for _, batches in broker.requests for _, content in batches]
