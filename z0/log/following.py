"""
Following a compacted topic of one partition. Owns: reading it to its end, then what comes, through failures of the connection.

Does not own: what the records mean. Records may come again, so taking one twice must change nothing.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from z0.log.kafka import new_reader, start_client
from z0.log.ports import Record

logger = logging.getLogger(__name__)
Take = Callable[[Sequence[Record]], None]
POLL_MS: Final = 1_000
RETRY_S: Final = 1.0  # doubled up to the next while nothing works, with jitter
RETRY_MAX_S: Final = 30.0  # a Kafka that is back after hours is followed within a minute


async def read_all(servers: str, topic: str, take: Take) -> None:
    """
    Hand over every record up to the topic's present end.

    Raises:
        Unreachable: Kafka does not answer.
    """
    consumer, _ = await _open(servers, topic, take)
    await consumer.stop()


class Follower:
    """Hands a topic's records to `take`, in order; from the first one again after a failure."""

    def __init__(self, servers: str, topic: str, take: Take) -> None:
        self._servers = servers
        self._topic = topic
        self._take = take
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None
        self._next = 0

    async def start(self) -> None:
        """
        Read to the present end, then follow.

        Raises:
            Unreachable: Kafka does not answer.
        """
        await self._connect()
        self._task = asyncio.create_task(self._run(), name=f"follow-{self._topic}")

    async def stop(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._close()

    @property
    def behind(self) -> int | None:
        """Records that were not taken yet, as far as the last fetch knows; None: not connected."""
        if self._consumer is None:
            return None
        end = self._consumer.highwater(TopicPartition(self._topic, 0))
        return max(0, (end or 0) - self._next)

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                consumer = self._consumer or await self._connect()
                failures = 0
                await self._follow(consumer)
            except Exception as error:  # whatever it is, a copy that silently stays behind would be worse
                await self._close()
                pause_s = min(RETRY_MAX_S, RETRY_S * 2**failures) * (0.5 + random.random())
                failures = min(failures + 1, 10)
                logger.warning("%s: %r; reading it again in %.1f s", self._topic, error, pause_s)
                await asyncio.sleep(pause_s)

    async def _connect(self) -> AIOKafkaConsumer:
        self._consumer, self._next = await _open(self._servers, self._topic, self._take)
        return self._consumer

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                self._take(_records(records))
                self._next = records[-1].offset + 1

    async def _close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()


async def _open(servers: str, topic: str, take: Take) -> tuple[AIOKafkaConsumer, int]:
    """A consumer that has read the topic to its end, and where it goes on."""
    consumer, at = new_reader(servers), TopicPartition(topic, 0)
    await start_client(consumer)
    try:
        consumer.assign([at])
        first, end = (await consumer.beginning_offsets([at]))[at], (await consumer.end_offsets([at]))[at]
        consumer.seek(at, first)
        while await consumer.position(at) < end:
            take(_records((await consumer.getmany(at, timeout_ms=POLL_MS)).get(at, [])))
        return consumer, int(await consumer.position(at))
    except BaseException:
        await consumer.stop()
        raise


def _records(fetched: list) -> list[Record]:  # type: ignore[type-arg]  # aiokafka's ConsumerRecord
    return [Record(r.offset, r.key or b"", r.value or b"", r.timestamp) for r in fetched]
