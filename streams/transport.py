"""
Delivery in batches. Owns: the Faust consumer that hands over one message per fetch.

Faust's own loop costs two tasks and an interval tree entry per message (1,800 events a second, measured). Here a fetch of
`z0.commands` is one message whose `batches` hold the records of each partition; the offset to commit is simply "last acked + 1",
because an engine finishes its batches in order. A fetch of a changelog is one message for each partition: Faust's recovery makes
a task and a timer for each, which took most of two minutes for a million entities.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from aiokafka import TopicPartition
from faust.transport.consumer import RecordMap
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from mode import Service

from streams.reading import CommandReader
from tables.store import ChangelogMessage
from z0.log.inbox import NOTHING_READ, KafkaRecord
from z0.names import COMMANDS

M = TypeVar("M", bound=ConsumerMessage)

FETCH_WAIT_S = 1.0  # for changelogs
# How long the broker holds a fetch that finds nothing. Whatever else is asked of it on that connection waits behind (the
# questions of a table's recovery, a fetch from another position), up to Faust's 1.5 s each time.
FETCH_MAX_WAIT_MS = 100
# What may be read is looked up again this soon: an engine that was full has room, a table recovers, partitions are assigned.
LOOK_AGAIN_S = 0.05


class FetchedCommands(NamedTuple):
    """Consecutive records of one partition; `follows` is the offset of the record read before."""

    partition: int
    follows: int
    records: Sequence[KafkaRecord]


class BatchMessage(ConsumerMessage):
    """A Faust message that stands for many records."""

    batches: Sequence[FetchedCommands]


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """aiokafka in a thread of its own: the group, and the changelogs. Commands are read elsewhere (`streams.reading`)."""

    app: Any  # our LedgerApp, with its host

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS
        return consumer

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """In the thread, and before its fetcher can see them: a new assignment forgets what was paused in the one before."""
        self._ensure_consumer().pause(*(TopicPartition(*tp) for tp in assigned if tp.topic == COMMANDS))
        await super().on_partitions_assigned(assigned, generation_id)

    def still_reads(self) -> None:
        """
        Tell aiokafka, which leaves the group when nobody asks its consumer for records, and then does not join before somebody
        does; commands are read elsewhere.
        """
        if self._consumer is not None:
            self._consumer._subscription._last_fetch_ended = monotonic()

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """The group's offsets of commands, in one request. aiokafka asks for one after the other, of the changelogs too."""
        offsets: Mapping[TP, int] = await self.call_thread(self._committed)
        return offsets

    async def _committed(self) -> Mapping[TP, int]:
        consumer = self._ensure_consumer()
        mine = [TopicPartition(*tp) for tp in self.assignment() if tp.topic == COMMANDS]
        found = await consumer._coordinator.fetch_committed_offsets(mine)
        return {TP(*tp): known.offset for tp, known in found.items()}

    async def on_start(self) -> None:
        await super().on_start()
        self.app.host.lease.watch(self._ensure_consumer()._coordinator)


class BatchConsumer(driver.Consumer):
    """Delivers `z0.commands` in batches and commits the last acked offset + 1."""

    app: Any  # our LedgerApp, with its host
    _thread: BatchConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._follows: dict[int, int] = {}
        self._acked_to: dict[TP, int] = {}
        self._join_began_ms = 0
        self.is_settled = False
        super().__init__(*args, **kwargs)
        self._reader: CommandReader = self.app.commands

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def on_start(self) -> None:
        """The group may give partitions from here on."""
        await self._reader.start()
        await super().on_start()

    async def on_stop(self) -> None:
        await self._reader.stop()
        await super().on_stop()

    # Commands ------------------------------------------------------------------------------------

    @Service.task
    async def _reading(self) -> None:
        try:
            await self.read_commands()
        except self.consumer_stopped_errors:
            if not self.transport.app.should_stop:
                raise

    async def read_commands(self) -> None:
        """Fetch and deliver while this runs. No gap bookkeeping as Faust's: it costs more than all the rest together."""
        while not self.should_stop:
            self._thread.still_reads()  # here, since this goes on in a rebalance and without any partition
            wanted = [partition for partition in self._reader.partitions() if self.app.host.has_room(partition)]
            if not (wanted and self.flow_active):
                await asyncio.sleep(LOOK_AGAIN_S)
                continue
            fetched = await self._reader.fetch(wanted, LOOK_AGAIN_S)
            if fetched:
                await self.wait_first(self.callback(self._batch_message(fetched)), self.suspend_flow.wait())
            elif self.is_settled:
                self._pass_markers()

    def _batch_message(self, fetched: Mapping[int, Sequence[KafkaRecord]]) -> BatchMessage:
        """All partitions in one: of a message for each, the last would wait for as many turns of the loop as there are."""
        batches = [FetchedCommands(p, self._follows.get(p, NOTHING_READ), records) for p, records in fetched.items()]
        self._follows.update((batch.partition, batch.records[-1].offset) for batch in batches)
        message = self._message(BatchMessage, TP(COMMANDS, batches[-1].partition), batches[-1].records[-1])
        message.batches = batches
        return message

    def _pass_markers(self) -> None:
        """
        Transactions leave markers and aborted records, which nobody is given: once all before them is done, they are done.

        Else a topic whose last records expired would look as if commands had expired unread.
        """
        for partition in self._reader.partitions():
            done = self.committed(partition)
            if done > self._follows.get(partition, NOTHING_READ):  # by more than one where markers were passed before
                position = self._reader.position(partition)
                if position is not None and position > done:
                    self._acked_to[TP(COMMANDS, partition)] = position

    async def learn_committed(self) -> None:
        """What the group knows: an engine asks for it (`committed`) as it begins."""
        await super().perform_seek()

    async def perform_seek(self) -> None:
        """Read from the committed offsets; the next batch of each partition follows the record before it."""
        await self.learn_committed()
        if not self.is_settled:
            return  # the next rebalance has begun; these offsets are of the last assignment
        mine = {tp.partition: self.committed(tp.partition) for tp in self.assignment() if tp.topic == COMMANDS}
        self._reader.assign(mine)  # where the topic begins later, reading goes to its beginning
        self._follows = {partition: offset - 1 for partition, offset in mine.items()}

    async def rewind(self, partition: int) -> None:
        """Deliver a partition again from its committed offset."""
        committed = self.committed(partition)
        self._reader.seek(partition, committed)
        self._follows[partition] = committed - 1

    def committed(self, partition: int) -> int:
        """Everything below was decided, as far as the group knows; 0 where it knows nothing."""
        tp = TP(COMMANDS, partition)
        return max(self._acked_to.get(tp, 0), self._committed_offset.get(tp) or 0)

    # Changelogs ----------------------------------------------------------------------------------

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> RecordMap:
        # Faust goes on reading changelogs after a recovery where a table buffers one message; they hold what this worker wrote.
        changelogs = {tp for tp in active_partitions or () if tp.topic != COMMANDS}
        if changelogs and self.app.in_recovery:
            return await super()._getmany(changelogs, timeout)
        await self.sleep(LOOK_AGAIN_S)
        return {}

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        """One message per partition."""
        fetched, active = await self._wait_next_records(timeout)
        for tp, records in (fetched or {}).items():
            if self.flow_active and (active is None or tp in active or tp in self._buffered_partitions):
                yield tp, self._changelog_message(tp, records)

    def _changelog_message(self, tp: TP, fetched: list[Any]) -> ChangelogMessage:
        message = self._message(ChangelogMessage, tp, fetched[-1])
        read = self._read_offset[tp]
        message.records = fetched if read is None else [record for record in fetched if record.offset >= read]
        return message

    async def _drain_messages(self, fetcher: Any) -> None:
        """Fetch and deliver until the fetcher stops."""
        fetcher_stopped = fetcher._stopped.is_set
        try:
            while not (self.should_stop or fetcher_stopped()):
                await asyncio.sleep(0)
                async for tp, message in self.getmany(timeout=FETCH_WAIT_S):
                    await self.wait_first(self._deliver_changelog(tp, message), self.suspend_flow.wait())
        except self.consumer_stopped_errors:
            if not self.transport.app.should_stop:
                raise
        finally:
            self.log.debug("fetcher ended")

    async def _deliver_changelog(self, tp: TP, message: Any) -> None:
        read = self._read_offset[tp]
        if read is None or message.offset >= read:
            await self.callback(message)
        self._read_offset[tp] = message.offset

    def _message(self, of: type[M], tp: TP, last: Any) -> M:
        """A message that stands for all records up to the last."""
        return of(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000,
            last.timestamp_type,
            [],
            None,
            b"",
            None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    # Commits -------------------------------------------------------------------------------------

    def track_message(self, message: Any) -> None:
        """Nothing waits for single messages; the engines finish theirs before a partition is given up."""

    def acknowledge(self, batch: FetchedCommands) -> None:
        """Everything up to the end of this batch is done."""
        tp = TP(COMMANDS, batch.partition)
        self._acked_to[tp] = max(batch.records[-1].offset + 1, self._acked_to.get(tp, 0))

    def ack(self, message: Any) -> bool:
        """Of changelogs nothing is committed, of commands the batches are acknowledged."""
        return not message.acked

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Any:
        return list(self._acked_to)

    def _new_offset(self, tp: TP) -> int | None:
        return self._acked_to.get(tp)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish what is in flight and write the snapshots, then let go. The join that follows is sent after this."""
        self.is_settled = False
        self._reader.assign({})
        self._join_began_ms = self.app.host.clock.alive_ms()
        await self.app.host.release({tp.partition for tp in revoked if tp.topic == COMMANDS})
        await self.commit()
        for tp in revoked:
            self._acked_to.pop(tp, None)
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """The group accepted the join: that is as good as a heartbeat sent when it began."""
        self.app.host.lease.renew(self._join_began_ms)
        mine = {tp.partition for tp in assigned if tp.topic == COMMANDS}
        await self.app.host.release(self.app.host.partitions() - mine)
        await super().on_partitions_assigned(assigned, generation_id)
        self.is_settled = True

    async def wait_empty(self) -> None:
        """Nothing to wait for: see `track_message`."""
        await self.commit()

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's watch over what its thread reads: commands are not."""
        if tp.topic != COMMANDS:
            super().verify_event_path(now, tp)


class BatchTransport(driver.Transport):
    """Faust's aiokafka transport with the consumer above."""

    Consumer = BatchConsumer


__all__ = ["BatchConsumer", "BatchMessage", "BatchTransport", "FetchedCommands"]
