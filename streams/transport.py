"""
Delivery in batches. Owns: the Faust consumer that hands over one message per (partition, fetched records).

Faust's own loop costs two tasks and an interval tree entry per message (1,800 events a second, measured). Here a fetch
of `z0.commands` is one message whose `batch` holds the records; the offset to commit is simply "last acked + 1", because
an engine finishes its batches in order. A fetch of a changelog is one message too: Faust's recovery makes a task and a timer
for each, which took most of two minutes for a million entities.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from aiokafka.errors import IllegalStateError
from faust.transport.consumer import RecordMap
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from tables.store import ChangelogMessage
from z0.log.inbox import NOTHING_READ, KafkaRecord
from z0.names import COMMANDS

M = TypeVar("M", bound=ConsumerMessage)

FETCH_WAIT_S = 1.0
# How long the broker holds a fetch that finds nothing. Whatever else is asked of it on that connection waits behind (the
# questions of a table's recovery, a fetch from another position), up to Faust's 1.5 s each time.
FETCH_MAX_WAIT_MS = 100
FULL_WAIT_S = 0.02  # while an engine is full its partition is left out of the fetch, but looked at again this soon


class FetchedCommands(NamedTuple):
    """Consecutive records of one partition; `follows` is the offset of the record read before."""

    partition: int
    follows: int
    records: Sequence[KafkaRecord]


class BatchMessage(ConsumerMessage):
    """A Faust message that stands for many records."""

    batch: FetchedCommands


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """aiokafka in a thread of its own, reading committed records only: producers may use transactions."""

    app: Any  # our LedgerApp, with its host

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = FETCH_MAX_WAIT_MS
        return consumer

    async def seek_soon(self, tp: Any, offset: int) -> None:
        """
        Seek in the consumer's own thread: a seek from another races with its fetch.

        Not by the queue of calls, and without waiting for a position as Faust's seeks do: a call that waits for an assignment
        there would keep the rebalance waiting that is to give it. Such a rebalance seeks by itself.
        """

        async def seek() -> None:
            with suppress(IllegalStateError):
                self._ensure_consumer().seek(tp, offset)

        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(seek(), self.thread_loop))

    def position_now(self, tp: Any) -> int | None:
        """Where reading goes on, where that is known without asking anybody."""
        subscription = self._ensure_consumer()._subscription.subscription
        state = subscription.assignment.state_value(tp) if subscription is not None and subscription.assignment else None
        return int(state.position) if state is not None and state.has_valid_position else None

    async def on_start(self) -> None:
        await super().on_start()
        self.app.host.lease.watch(self._ensure_consumer()._coordinator)


class BatchConsumer(driver.Consumer):
    """Delivers `z0.commands` in batches and commits the last acked offset + 1."""

    app: Any  # our LedgerApp, with its host
    _thread: BatchConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._follows: dict[TP, int] = {}
        self._acked_to: dict[TP, int] = {}
        self._join_began_ms = 0
        self._rewound: set[TP] = set()
        self._going_back: Counter[TP] = Counter()
        self.is_settled = False
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # Delivery ------------------------------------------------------------------------------------

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> RecordMap:
        active = active_partitions or set()
        full = {tp for tp in active if tp.topic == COMMANDS and not self.app.host.has_room(tp.partition)}
        if full and full == active:
            await self.sleep(FULL_WAIT_S)
            return {}
        return await super()._getmany(active - full, FULL_WAIT_S if full else timeout)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        """One message per partition."""
        self._rewound = {tp for tp, under_way in self._going_back.items() if under_way}
        fetched_now, active = await self._wait_next_records(timeout)
        records = dict(fetched_now or {})
        while self._rewound:  # fetched before the rewind, or the fetch moved the position after it: go back once more
            tp = self._rewound.pop()
            records.pop(tp, None)
            await self._go_back(tp)
        if not self.flow_active:
            await self.perform_seek()  # what was fetched while a rebalance began is fetched again
            return
        if not records and self.is_settled:
            self._pass_markers(active or set())
        for tp, fetched in records.items():
            if active is not None and tp not in active and tp not in self._buffered_partitions:
                continue
            if tp.topic == COMMANDS:
                yield tp, self._batch_message(tp, fetched)
            else:
                yield tp, self._changelog_message(tp, fetched)

    def _pass_markers(self, active: set[TP]) -> None:
        """
        Transactions leave markers and aborted records, which nobody is given: once all before them is done, they are done.

        Else a topic whose last records expired would look as if commands had expired unread.
        """
        for tp in active:
            done = self._acked_to.get(tp) or self._committed_offset[tp] or 0
            if tp.topic == COMMANDS and done == self._follows.get(tp, NOTHING_READ) + 1:
                position = self._thread.position_now(self._new_topicpartition(tp.topic, tp.partition))
                if self.is_settled and position is not None and position > done:
                    self._acked_to[tp] = position

    def _changelog_message(self, tp: TP, fetched: list[Any]) -> ChangelogMessage:
        message = self._message(ChangelogMessage, tp, fetched[-1])
        read = self._read_offset[tp]
        message.records = fetched if read is None else [record for record in fetched if record.offset >= read]
        return message

    def _batch_message(self, tp: TP, fetched: list[Any]) -> BatchMessage:
        message = self._message(BatchMessage, tp, fetched[-1])
        message.batch = FetchedCommands(tp.partition, self._follows.get(tp, NOTHING_READ), fetched)
        self._follows[tp] = message.offset
        return message

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

    async def _drain_messages(self, fetcher: Any) -> None:
        """Fetch and deliver until the fetcher stops. No gap bookkeeping: it costs more than all the rest together."""
        fetcher_stopped = fetcher._stopped.is_set
        try:
            while not (self.should_stop or fetcher_stopped()):
                await asyncio.sleep(0)
                messages = [message async for _, message in self.getmany(timeout=FETCH_WAIT_S)]
                if messages:
                    await self.wait_first(self._deliver(messages), self.suspend_flow.wait())
        except self.consumer_stopped_errors:
            if not self.transport.app.should_stop:
                raise
        finally:
            self.log.debug("fetcher ended")

    async def _deliver(self, messages: list[Any]) -> None:
        """
        All partitions of `z0.commands` at once, anything else in its order.

        One after the other, each delivery would wait for turns of the event loop in which other partitions decide: 60 ms
        instead of 3 at 5,000 commands a second (measured).
        """
        await asyncio.gather(*(self.callback(m) for m in messages if m.topic == COMMANDS))
        for message in messages:
            read = self._read_offset[message.tp]
            if message.topic != COMMANDS and (read is None or message.offset >= read):
                await self.callback(message)
            self._read_offset[message.tp] = message.offset

    async def perform_seek(self) -> None:
        """Go back to the committed offsets; the next batch of each partition follows the record before it."""
        mine = {tp for tp in self.assignment() if tp.topic == COMMANDS}
        self._rewound |= mine  # what is being fetched comes from where reading was before
        self._going_back.update(mine)
        try:
            await super().perform_seek()
        finally:
            self._going_back.subtract(mine)
        for tp, offset in self._read_offset.items():
            if tp.topic == COMMANDS:
                self._follows[tp] = offset - 1 if offset is not None else NOTHING_READ

    async def rewind(self, partition: int) -> None:
        """Deliver a partition again from its committed offset."""
        tp = next((tp for tp in self.assignment() if tp.topic == COMMANDS and tp.partition == partition), None)
        if tp is not None:
            self._rewound.add(tp)
            self._going_back[tp] += 1  # a fetch that begins before the seek has arrived still reads from the old position
            try:
                await self._go_back(tp)
            finally:
                self._going_back[tp] -= 1

    def committed(self, partition: int) -> int:
        """Everything below was decided, as far as the group knows; 0 where it knows nothing."""
        tp = TP(COMMANDS, partition)
        return max(self._acked_to.get(tp, 0), self._committed_offset.get(tp) or 0)

    async def _go_back(self, tp: TP) -> None:
        committed = self._acked_to.get(tp) or self._committed_offset[tp]
        if committed is None:
            committed = 0  # where the topic begins later, the consumer goes to its beginning
        await self._thread.seek_soon(self._new_topicpartition(tp.topic, tp.partition), committed)
        self._follows[tp] = committed - 1

    # Commits -------------------------------------------------------------------------------------

    def track_message(self, message: Any) -> None:
        """Nothing waits for single messages; the engines finish theirs before a partition is given up."""

    def ack(self, message: Any) -> bool:
        """Everything up to this message is done."""
        if message.acked:
            return False
        message.acked = True
        if message.tp.topic == COMMANDS:
            self._acked_to[message.tp] = max(message.offset + 1, self._acked_to.get(message.tp, 0))
        return True

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Any:
        return list(self._acked_to)

    def _new_offset(self, tp: TP) -> int | None:
        return self._acked_to.get(tp)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish what is in flight and write the snapshots, then let go. The join that follows is sent after this."""
        self.is_settled = False
        self._join_began_ms = self.app.host.clock.alive_ms()
        await self.app.host.release({tp.partition for tp in revoked if tp.topic == COMMANDS})
        await self.commit()
        for tp in revoked:
            self._acked_to.pop(tp, None)
            self._follows.pop(tp, None)
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


class BatchTransport(driver.Transport):
    """Faust's aiokafka transport with the consumer above."""

    Consumer = BatchConsumer


__all__ = ["BatchConsumer", "BatchMessage", "BatchTransport", "FetchedCommands"]
