"""
`z0 bench engine`: the engine alone. The real engine and the real index (RocksDB, in a temporary folder) on the twins of log
and snapshots in memory; no Kafka, no sockets.

Method: the records are made before (in a worker the Kafka client makes them), and handed in by the Kafka door in batches as
large as a fetch; the rate is commands / (last acknowledgement - first hand-over). Reading, checking, deciding, encoding, hashing
and the index are all in it. On a machine with other work, compare the CPU time of a decision instead: it is near the time by the
clock where nothing else runs.
"""

import asyncio
import gc
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from z0.bench.figures import Figure
from z0.bench.load import setup, work
from z0.bench.sampling import Sampler
from z0.client.memory import MemoryLedger
from z0.client.partitioner import partition_of
from z0.codec import encode_command
from z0.compiled import is_in_use
from z0.domain.commands import Command
from z0.errors import Z0Error
from z0.log.inbox import NOTHING_READ, CommandBatch, KafkaCommand
from z0.log.index import RocksIndex
from z0.log.memory import MemoryLog
from z0.log.ports import Appended
from z0.process import collect_little, keep_freed_memory

FETCH_RECORDS = 4_000  # what a worker takes from its consumer at once
FETCHES_AHEAD = 2  # one is decided while the next one waits


class Size(NamedTuple):
    """How much work."""

    commands: int
    accounts: int
    partitions: int


async def measure(size: Size, sampler: Sampler | None = None) -> Mapping[str, Figure]:
    """All figures of `z0 bench engine`; a sampler, where one is given, watches the measured part."""
    with tempfile.TemporaryDirectory(prefix="z0-bench-engine-") as folder:
        ledger = MemoryLedger(size.partitions, open_index=lambda p: RocksIndex(Path(folder, f"partition-{p}")))
        ledger.log = CountingLog(size.partitions)
        async with ledger:
            feed = Feed(ledger)
            await feed.through(list(setup(size.accounts, "e")))
            before = sum(engine.facts_appended for engine in ledger.engines)
            prepared = feed.batches(islice(work(size.accounts, "e"), size.commands))
            seconds, cpu_s = await _timed(feed, prepared, sampler)
            facts = sum(engine.facts_appended for engine in ledger.engines) - before
    if facts != size.commands:
        raise Z0Error(f"{size.commands} commands left {facts} facts")
    rates = {"decisions_per_s": size.commands / seconds, "cpu_us_per_decision": cpu_s / size.commands * 1e6}
    return {"compiled": int(is_in_use()), **size._asdict(), **rates}


async def _timed(feed: "Feed", prepared: list[list[list[KafkaCommand]]], sampler: Sampler | None) -> tuple[float, float]:
    thresholds = gc.get_threshold()
    collect_little()
    keep_freed_memory()
    gc.collect()
    gc.freeze()
    try:
        with sampler or nullcontext():
            began, cpu_began = time.perf_counter(), time.process_time()
            await feed.offer(prepared)
            return time.perf_counter() - began, time.process_time() - cpu_began
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


class CountingLog(MemoryLog):
    """Acks as the twin does, and keeps only how many records there are: a list of all facts is not the engine's work."""

    def __init__(self, partitions: int) -> None:
        super().__init__(partitions)
        self._ends = [0] * partitions

    def land(self, partition: int, records: Sequence[tuple[bytes, bytes]]) -> Appended:
        base = self._ends[partition]
        self._ends[partition] += len(records)
        return Appended(base, self._clock.wall_ms())

    async def bounds(self, partition: int) -> tuple[int, int]:
        return 0, self._ends[partition]


class Feed:
    """The Kafka door of engines in this process: hands each the next batch when it is done with the one before."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self._next = [0] * ledger.partitions
        self._waiting: list[deque[list[KafkaCommand]]] = [deque() for _ in self._next]
        self._missing = 0
        self._done = asyncio.Event()

    async def through(self, commands: list[Command]) -> None:
        """Hand commands over and wait until all are durable."""
        await self.offer(self.batches(iter(commands)))

    def batches(self, commands: Iterator[Command]) -> list[list[list[KafkaCommand]]]:
        """By partition, as large as a fetch."""
        records: list[list[KafkaCommand]] = [[] for _ in self._next]
        for command in commands:
            partition = partition_of(command.ledger_id, len(self._next))
            record = KafkaCommand(self._next[partition], command.ledger_id.encode(), encode_command(command))
            records[partition].append(record)
            self._next[partition] += 1
        return [[mine[first : first + FETCH_RECORDS] for first in range(0, len(mine), FETCH_RECORDS)] for mine in records]

    async def offer(self, batches: list[list[list[KafkaCommand]]]) -> None:
        """Hand batches over and wait until all are acknowledged."""
        self._missing = sum(map(len, batches))
        self._done.clear()
        for partition, mine in enumerate(batches):
            self._waiting[partition] = deque(mine)
            for _ in range(FETCHES_AHEAD):
                self._hand_over(partition)
        if self._missing:
            await self._done.wait()

    def _hand_over(self, partition: int) -> None:
        if not self._waiting[partition]:
            return
        records = self._waiting[partition].popleft()
        follows = records[0].offset - 1 if records[0].offset else NOTHING_READ
        batch = CommandBatch(follows, records, lambda: self._acknowledge(partition))
        if not self._ledger.engines[partition].offer_kafka(batch):
            raise Z0Error("a batch does not follow the one before")

    def _acknowledge(self, partition: int) -> None:
        self._missing -= 1
        self._hand_over(partition)
        if not self._missing:
            self._done.set()
