"""
Which producer writes which partition. Owns: opening, sharing and closing the producers of `z0.facts`.

A partition never goes back to a producer: a batch of a dead epoch that timed out for us may still wait in it. A worker's
partitions share one where they can, and a producer is closed when all of them have moved on or were given up. Closing
sends what still waits; that lands before the next claim and is folded, or behind it and is void.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from z0.log.producer import BatchProducer

logger = logging.getLogger(__name__)

NEVER: Final = -1


class Producers:
    """The open producers of one log, by number; numbers only grow."""

    def __init__(self, open_producer: Callable[[], Awaitable[BatchProducer]]) -> None:
        self._open = open_producer
        self._producers: dict[int, BatchProducer] = {}
        self._opened = 0
        self._last_of: dict[int, int] = {}
        self._using: dict[int, int] = {}
        self._lock = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._producers)

    async def start(self) -> None:
        """Open the first producer: whoever cannot connect should know at once."""
        async with self._lock:
            await self._open_next()

    async def stop(self) -> None:
        """Close them all."""
        for number in list(self._producers):
            self._close(number)
        await asyncio.gather(*self._closing)

    async def next_of(self, partition: int) -> BatchProducer:
        """A producer that this partition never used; from here on it uses no other."""
        async with self._lock:
            last = self._last_of.get(partition, NEVER)
            newer = [number for number in self._producers if number > last]
            number = min(newer) if newer else await self._open_next()
            self._last_of[partition] = self._using[partition] = number
            self._close_unused()
            return self._producers[number]

    def release(self, partition: int) -> None:
        """The partition was given up."""
        self._using.pop(partition, None)
        self._close_unused()

    async def _open_next(self) -> int:
        producer = await self._open()
        number = self._opened
        self._opened += 1
        self._producers[number] = producer
        return number

    def _close_unused(self) -> None:
        """The newest stays for partitions that never used it."""
        used = {*self._using.values(), self._opened - 1}
        for number in [number for number in self._producers if number not in used]:
            self._close(number)

    def _close(self, number: int) -> None:
        task = asyncio.create_task(_stop(self._producers.pop(number)), name=f"close-producer-{number}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _stop(producer: BatchProducer) -> None:
    try:
        await producer.stop()
    except Exception as error:  # it is of no more use either way
        logger.info("a producer did not close in order: %r", error)
