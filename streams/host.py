"""
The host of a worker's partition engines. Owns: which engines run here, their start, their end, and their owners' records.

A partition is taken when its tables have recovered and given up before Faust lets the group go on. An engine that meets a
broken log stops the worker: a person must look.
"""

import asyncio
import logging
from asyncio import Future
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from aiokafka import TopicPartition

from streams.lease import GroupLease
from streams.transport import FetchedCommands
from tables.snapshots import TableSnapshots
from z0.client.owners import Owner, encode_owner
from z0.client.partitioner import partition_of
from z0.clock import Clock
from z0.config import Config
from z0.configs.reader import ConfigReader
from z0.domain.answer import Answer
from z0.domain.outcome import Outcome
from z0.log.engine import Host, Limits, PartitionEngine, Ports
from z0.log.inbox import CommandBatch, DirectGroup
from z0.log.index import CommandIndex, RocksIndex
from z0.log.kafka import KafkaLog, KafkaOutbox, connect_producer
from z0.log.ports import Appended, CommandBounds
from z0.log.producer import BatchProducer
from z0.log.topics import topics
from z0.names import COMMANDS, OWNERS

logger = logging.getLogger(__name__)

RELEASE_TIMEOUT_S: Final = 10.0  # a rebalance waits no longer for the last snapshots; the log has everything


class EngineHost:
    """The engines of one worker. `connect` first; `crash` is called where the worker must stop."""

    def __init__(self, config: Config, clock: Clock, lease: GroupLease, index_folder: Path) -> None:
        self._config = config
        self.clock = clock
        self.lease = lease
        self._index_folder = index_folder
        self._log = KafkaLog(config.kafka_servers)
        self._configs = ConfigReader(config.kafka_servers)
        self._producer: BatchProducer | None = None  # of all but facts, which must not wait behind snapshots
        self._engines: dict[int, PartitionEngine] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._epochs: dict[int, int] = {}  # as announced
        self._limits = Limits(
            config.queue_commands_max, config.live_entities_max, config.snapshot_interval_ms, config.queue_bytes_max
        )
        self.snapshots: TableSnapshots | None = None
        self.crash: Callable[[BaseException], None] = lambda error: None
        self.rewind: Callable[[int], Coroutine[Any, Any, None]] | None = None
        self.committed: Callable[[int], int] = lambda partition: 0  # of `z0.commands`, by the group

    async def connect(self) -> None:
        """Connect the producers, and read all configs: no engine decides without them."""
        await self._log.start()
        await self._configs.start()
        self._producer = await connect_producer(self._config.kafka_servers, *(topic.name for topic in topics(self._config)))

    async def close(self) -> None:
        """Give everything up and disconnect."""
        await self.release(self.partitions())
        await self._configs.stop()
        await self._log.stop()
        if self._producer is not None:
            await self._producer.stop()

    def send_batch(self, topic: str, partition: int, records: Sequence[tuple[bytes, bytes]]) -> "Future[Appended]":
        """One batch of snapshots on its changelog; those of a partition land in the order of the calls."""
        assert self._producer is not None, "connected"
        return self._producer.append(TopicPartition(topic, partition), records)

    # Partitions ----------------------------------------------------------------------------------

    def take(self, partitions: Iterable[int]) -> None:
        """Run an engine for each partition that has none."""
        for partition in partitions:
            if partition not in self._engines:
                engine = self._engines[partition] = self._new_engine(partition)
                self._tasks[partition] = asyncio.create_task(self._run(engine), name=f"partition-{partition}")

    async def release(self, partitions: set[int]) -> None:
        """Stop engines: what is in flight is finished, snapshots are written, both within a bound."""
        mine = partitions & self.partitions()
        for partition in mine:
            self._engines[partition].stop()
        tasks = [self._tasks[partition] for partition in mine]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=RELEASE_TIMEOUT_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for partition in mine:  # a stop and a rebalance may both be here
            self._engines.pop(partition, None)
            self._tasks.pop(partition, None)
            self._epochs.pop(partition, None)

    def partitions(self) -> set[int]:
        """The partitions that have an engine."""
        return set(self._engines)

    def _new_engine(self, partition: int) -> PartitionEngine:
        assert self.snapshots is not None, "the app sets it"
        assert self._producer is not None, "connected"
        ports = Ports(
            log=self._log,
            snapshots=self.snapshots,
            outbox=KafkaOutbox(self._producer),
            lease=self.lease,
            clock=self.clock,
            policies=self._configs.book,
            open_index=self._open_index,
            partition_of=lambda ledger_id: partition_of(ledger_id, self._config.partitions),
            command_bounds=self._command_bounds,
        )
        host = Host(self._config.worker_id, self.address, self._announce, self._rewind)
        return PartitionEngine(partition, ports, host, self._limits)

    def tick(self) -> None:
        """Time has passed: every engine looks what is due."""
        for engine in self._engines.values():
            engine.tick()

    async def _run(self, engine: PartitionEngine) -> None:
        try:
            await engine.run()
        except Exception as error:
            logger.exception("partition %d stops this worker", engine.partition)
            self.crash(error)

    def _open_index(self, partition: int) -> CommandIndex:
        return RocksIndex(self._index_folder / f"partition-{partition}")

    @property
    def address(self) -> str:
        """Where the direct door is."""
        return f"{self._config.door_host}:{self._config.door_port}"

    async def _command_bounds(self, partition: int) -> CommandBounds:
        return CommandBounds(*await self._log.bounds_of(COMMANDS, partition), self.committed(partition))

    async def _announce(self, partition: int, epoch: int) -> None:
        self._epochs[partition] = epoch
        await self._send_announcement(partition, epoch)

    async def announce_again(self) -> None:
        """
        Say once more who answers here. A worker that slept may announce itself behind its successor, and compaction would
        keep its word alone: a client that starts then hears of the right owner at the next announcement.
        """
        # An engine serves a moment before it announces itself: until then there is no epoch to say.
        serving = [partition for partition, engine in self._engines.items() if engine.is_serving and partition in self._epochs]
        if self.lease.holds():
            said = [self._send_announcement(partition, self._epochs[partition]) for partition in serving]
            for error in await asyncio.gather(*said, return_exceptions=True):
                if isinstance(error, Exception):
                    logger.info("an owner was not announced again: %r", error)

    async def _send_announcement(self, partition: int, epoch: int) -> None:
        assert self._producer is not None, "connected"
        owner = Owner(partition, epoch, self.address, self._config.worker_id)
        await self._producer.append(TopicPartition(OWNERS, 0), [(b"%d" % partition, encode_owner(owner))])

    async def _rewind(self, partition: int) -> None:
        if self.rewind is not None:
            await self.rewind(partition)

    # Doors ---------------------------------------------------------------------------------------

    def has_room(self, partition: int) -> bool:
        """Whether more of a partition should be fetched."""
        engine = self._engines.get(partition)
        return engine is None or engine.has_room

    def offer_kafka(self, fetched: FetchedCommands, acknowledge: Callable[[], None]) -> bool:
        """Hand a batch to its engine; False: it must be read again. Where no engine runs, the next owner reads it."""
        engine = self._engines.get(fetched.partition)
        if engine is None:
            return True
        return engine.offer_kafka(CommandBatch(fetched.follows, fetched.records, acknowledge))

    def offer_direct(self, partition: int, group: DirectGroup) -> None:
        """Hand a group to its engine; it is always answered."""
        engine = self._engines.get(partition)
        if engine is not None:
            engine.offer_direct(group)
            return
        group.answer_all(Answer("", "", Outcome.NOT_OWNER, partition=partition))
