"""
The loop that every sink shares. Owns: reading, batching, waiting for a store that is down, stopping. Knows no store.

Order of effects for each batch:

    1. records are polled and read, each decoded once
    2. poison is acked by the dead-letter topic     key topic-partition-offset
    3. everything is added to the sink
    4. the sink flushes: data and position together (its own docstring says how)
    5. positions are shown to Kafka's tools

A crash before 4 reads the batch again: nothing is lost, and poison is sent again under the same key. After 4 only the show
is behind. While a store is down step 4 is repeated and nothing is polled, so what waits is bounded by one batch.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from sinks.base import Sink, StoreUnavailable
from sinks.policy import PoisonCount, Policy
from sinks.reading import Poison, SteppingReader
from sinks.source import DeadLetters, Source, SourceUnavailable
from sinks.status import Phase, Status, lag_of
from z0.clock import Clock, SystemClock
from z0.errors import LogBroken
from z0.log.ports import Record
from z0.log.validity import Position
from z0.names import FACTS

logger = logging.getLogger(__name__)
POLL_MS: Final = 250  # how long a stop may go unnoticed
REPORT_MS: Final = 10_000
_POISON_BYTES_SHOWN: Final = 64 * 1024


class Runner:
    """Copies the log into one sink until it is told to stop."""

    def __init__(
        self,
        sink: Sink,
        source: Source,
        dead_letters: DeadLetters,
        *,
        policy: Policy | None = None,
        clock: Clock | None = None,
        reader: Callable[[int, Position], SteppingReader] = SteppingReader,
    ) -> None:
        self._sink = sink
        self._source = source
        self._dead_letters = dead_letters
        self._policy = policy or Policy()
        self._clock = clock or SystemClock()
        self._new_reader = reader
        self._poison = PoisonCount(self._policy.poison)
        self._readers: dict[int, SteppingReader] = {}
        self._positions: dict[int, Position] = {}
        self._ends: dict[int, int] = {}
        self._phase = Phase.STARTING
        self._rows = self._bytes = 0  # added since the last flush
        self._flushed_ms = self._reported_ms = self._clock.alive_ms()

    @property
    def status(self) -> Status:
        """How the sink is doing, as of the last look at the log's end."""
        return Status(
            sink=self._sink.name,
            phase=self._phase,
            positions=dict(self._positions),
            lag=lag_of(self._ends, self._positions),
            records=self._poison.seen,
            dead_letters=self._poison.poison,
        )

    async def run(self, stop: asyncio.Event, *, to_end: bool = False) -> None:
        """
        Copy until `stop` is set, then flush what there is. `to_end`: also stop at what is the log's end now.

        Raises:
            LogBroken: stored positions and the log do not fit.
            SinkStopped: what was read or stored contradicts itself, or too much of it is poison.
        """
        try:
            if await self._open(stop):
                until = dict(self._ends) if to_end else None
                await self._copy(stop, until)
        finally:
            self._phase = Phase.STOPPED
            await self._sink.close()
            await self._dead_letters.close()
            await self._source.close()

    async def _copy(self, stop: asyncio.Event, until: Mapping[int, int] | None) -> None:
        self._phase = Phase.RUNNING
        while not stop.is_set() and not self._reached(until):
            await self._fill()
            if self._is_due():
                await self._flush(stop)
            await self._report()
        await self._flush(stop, final=True)

    async def _open(self, stop: asyncio.Event) -> bool:
        """Connect both ends, check that they fit, and seek; False: stopped while waiting."""
        attempt = 0
        while not stop.is_set():
            try:
                bounds = await self._source.start()
                stored = dict(await self._sink.start())
            except (StoreUnavailable, SourceUnavailable) as error:
                await self._wait(stop, attempt, error)
                attempt += 1
                continue
            check_positions(stored, bounds)
            self._take_up(stored, bounds)
            return True
        return False

    def _take_up(self, stored: dict[int, Position], bounds: Mapping[int, tuple[int, int]]) -> None:
        self._positions = stored
        self._ends = {partition: end for partition, (_, end) in bounds.items()}
        self._readers = {partition: self._new_reader(partition, stored.get(partition, Position())) for partition in bounds}
        self._source.seek({partition: reader.position.next_offset for partition, reader in self._readers.items()})
        logger.info("sink %s starts, %d records behind", self._sink.name, self.status.lag_total, extra={"action": "sink_start"})

    async def _fill(self) -> None:
        batch = self._policy.batch
        rows_max = min(batch.poll_rows_max, max(1, batch.rows_max - self._rows))
        for partition, records in (await self._source.poll(rows_max, min(POLL_MS, batch.age_ms))).items():
            if records:
                await self._add(partition, records)

    async def _add(self, partition: int, records: Sequence[Record]) -> None:
        reader = self._readers[partition]
        reads, poison = reader.read(records)
        self._poison.count(partition, [read.offset for read in reads], [bad.offset for bad in poison])
        if poison:
            await self._dead_letters.send([self._letter(partition, bad) for bad in poison])
        if self._rows == 0:
            self._flushed_ms = self._clock.alive_ms()  # age counts from the first record of a batch
        self._sink.add(partition, reads, reader.position)
        self._rows += len(reads)
        self._bytes += sum(len(read.value) for read in reads)

    def _letter(self, partition: int, bad: Poison) -> tuple[bytes, bytes]:
        logger.warning("offset %d of partition %d is neither fact nor claim: %s", bad.offset, partition, bad.reason)
        place = {"topic": FACTS, "partition": partition, "offset": bad.offset, "sink": self._sink.name}
        value = bad.value[:_POISON_BYTES_SHOWN].decode("utf-8", "replace")
        letter = {"reason": bad.reason, **place, "value": value}
        return b"%b-%d-%d" % (FACTS.encode(), partition, bad.offset), msgspec.json.encode(letter)

    def _is_due(self) -> bool:
        """A sink may hold records back (a range that is not full): it is asked again at every age."""
        batch = self._policy.batch
        if self._rows >= batch.rows_max or self._bytes >= batch.bytes_max:
            return True
        return bool(self._rows or self._sink.waiting) and self._clock.alive_ms() - self._flushed_ms >= batch.age_ms

    async def _flush(self, stop: asyncio.Event, *, final: bool = False) -> None:
        attempt = 0
        while True:
            try:
                self._positions = dict(await self._sink.flush(final=final))
                break
            except StoreUnavailable as error:
                if stop.is_set():
                    logger.warning("sink %s stops while its store is down; it goes on from what is stored", self._sink.name)
                    return
                self._phase = Phase.STORE_DOWN
                await self._wait(stop, attempt, error)
                attempt += 1
        self._phase = Phase.RUNNING
        self._rows = self._bytes = 0
        self._flushed_ms = self._clock.alive_ms()

    async def _wait(self, stop: asyncio.Event, attempt: int, error: Exception) -> None:
        pause_ms = self._policy.backoff.pause_ms(attempt)
        logger.warning("sink %s waits %d ms: %s", self._sink.name, pause_ms, error, extra={"action": "sink_wait"})
        try:
            await asyncio.wait_for(stop.wait(), pause_ms / 1000)
        except TimeoutError:
            return

    def _reached(self, until: Mapping[int, int] | None) -> bool:
        if until is None:
            return False
        return all(self._readers[partition].position.next_offset >= end for partition, end in until.items())

    async def _report(self) -> None:
        now_ms = self._clock.alive_ms()
        if now_ms - self._reported_ms < REPORT_MS:
            return
        self._reported_ms = now_ms
        self._ends.update(await self._source.ends())
        await self._source.show(self._positions)
        status = self.status
        logger.info(
            "sink %s: %d records behind, %d read, %d dead letters",
            status.sink,
            status.lag_total,
            status.records,
            status.dead_letters,
        )


def check_positions(stored: Mapping[int, Position], bounds: Mapping[int, tuple[int, int]]) -> None:
    """
    Whether a store can go on from this log.

    Raises:
        LogBroken: the log is another one than the store was filled from, or has lost what the store needs.
    """
    for partition in stored:
        if partition not in bounds:
            raise LogBroken(f"the store knows partition {partition} of {FACTS}, and the log has none")
    for partition, (start, end) in bounds.items():
        at = stored.get(partition, Position()).next_offset
        if at > end:
            raise LogBroken(f"the store is at offset {at} of partition {partition}, beyond the log's end at {end}: another log")
        if at < start:
            raise LogBroken(
                f"the store is at offset {at} of partition {partition}, and the log begins at {start}: records are gone"
            )
