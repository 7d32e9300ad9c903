"""
Reading `z0.commands`: an aiokafka consumer without a group, on the worker's own loop. Owns: positions and fetches.

Faust's consumer has the group and lives in a thread of its own, for its heartbeats. Commands fetched there waited for that thread
to get the interpreter's lock, for the hand-over, and for the next fetch, which began only then. Here a seek is a plain call,
nothing lies between a fetch and its delivery, and the next fetch is under way while this one is decided.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import FetchResult

from z0 import kafka_url
from z0.log.inbox import KafkaRecord
from z0.log.kafka import start_client
from z0.names import COMMANDS

# How many records of a partition are taken out of a fetch at once: for 1 ms, in which callers of the direct door wait too.
TAKEN_MAX: Final = 1_000
# How long the broker holds a fetch that finds nothing; a fetch from another position waits behind it.
FETCH_MAX_WAIT_MS: Final = 100


class CommandReader:
    """Committed records only: producers may use transactions. Reads nothing until it is assigned something."""

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self._consumer: Any = None
        self._arrived: asyncio.Future[bool] | None = None

    async def start(self) -> None:
        """
        Connect.

        Raises:
            Unreachable: Kafka does not answer.
        """
        self._consumer = AIOKafkaConsumer(
            **kafka_url.options(self._servers),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
        )
        await start_client(self._consumer)
        self._watch(self._consumer._fetcher)

    async def stop(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await self._consumer.stop()

    def assign(self, positions: Mapping[int, int]) -> None:
        """Read these partitions from these offsets on, and no others."""
        self._consumer.assign([_at(partition) for partition in positions])
        for partition, offset in positions.items():
            self._consumer.seek(_at(partition), offset)

    def partitions(self) -> set[int]:
        """What is assigned."""
        return {tp.partition for tp in self._consumer.assignment()}

    def seek(self, partition: int, offset: int) -> None:
        """Go on from another offset, where the partition is assigned."""
        if partition in self.partitions():
            self._consumer.seek(_at(partition), offset)

    def position(self, partition: int) -> int | None:
        """Where reading goes on, where that is known without asking anybody."""
        subscription = self._consumer._subscription.subscription
        state = subscription.assignment.state_value(_at(partition)) if subscription is not None else None
        return int(state.position) if state is not None and state.has_valid_position else None

    async def fetch(self, partitions: Iterable[int], timeout_s: float) -> Mapping[int, Sequence[KafkaRecord]]:
        """
        What has come of these partitions, or comes within the time.

        Between the step of the positions and the return nothing else runs: no seek can come between.
        """
        wanted = list(partitions)
        fetched = await self._take(wanted)
        if not fetched and await self._arrival(timeout_s):
            fetched = await self._take(wanted)
        return fetched

    async def _take(self, wanted: Sequence[int]) -> Mapping[int, Sequence[KafkaRecord]]:
        """Of each partition some: each engine is to have something to decide."""
        taken: dict[int, Sequence[KafkaRecord]] = {}
        for partition in wanted:
            for records in (await self._consumer.getmany(_at(partition), max_records=TAKEN_MAX)).values():
                taken[partition] = records
        return taken

    async def _arrival(self, timeout_s: float) -> bool:
        """
        Whether a fetch ended within the time. aiokafka's own waiting takes four turns of the loop, in each of which other
        partitions decide.
        """
        loop = asyncio.get_running_loop()
        self._arrived = loop.create_future()
        timer = loop.call_later(timeout_s, partial(self._arrive, came=False))
        try:
            return await self._arrived
        finally:
            timer.cancel()

    def _arrive(self, *, came: bool = True) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(came)

    def _watch(self, fetcher: Any) -> None:
        """
        Hear of the ends of fetches, and have the records as aiokafka's compiled reader makes them: they have all that a
        command needs. The fetcher offers no setting for either; of each record it makes a second object, for 2 us.
        """
        fetch = fetcher._proc_fetch_request

        async def fetch_and_tell(*args: Any) -> Any:
            came = await fetch(*args)
            for result in fetcher._records.values():
                if type(result) is FetchResult and result.has_more():
                    result._partition_records._consumer_record = _as_it_is
            self._arrive()
            return came

        fetcher._proc_fetch_request = fetch_and_tell


def _at(partition: int) -> TopicPartition:
    return TopicPartition(COMMANDS, partition)


def _as_it_is(_: TopicPartition, record: Any) -> Any:
    return record
