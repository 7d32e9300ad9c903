"""
Batches on their way to Kafka under one producer id: facts, snapshots, whatever a worker writes. Owns: sequence numbers, which
batches share a request, what is sent again.

aiokafka's connections, metadata and record batches, without its producer. That is made for single messages: a batch costs it a
task, four futures and a walk through schemas, a quarter of a worker's time at 10,000 commands a second. And it sends a broker one
request after the other; here the next one is on its way meanwhile, though a broker takes those of a connection in turn.

What a batch goes through, and what it means if the process dies or the broker goes after each step:
 1. Handed in; it waits until its partition's batch before   lost; nobody was told anything
    it is acked or given up, and gets its sequence number.
 2. Sent with all whose turn comes at the same moment.       a fact is void or valid: the next claim's replay tells; a snapshot
                                                             has landed or not: it is read at the next recovery, or written again
 3. Acked, or refused for good: the future has it.           as the engine's order of effects says
 4. Refused for now, or the connection broke: the same bytes again after a pause, to the leader of then. The broker knows a batch
    that it has by its sequence number, and answers with the offset that it had. Not sent again after `REQUEST_TIMEOUT_MS`, nor
    when nobody waits for it any more: behind a later claim it would be void, and put that claim's first batch in a wrong place.
Two batches of one partition are never under way at once: the second would be refused where the first is sent again. After one
that was given up, the partition's next goes out under the next producer epoch, with sequence number 0, as Kafka's own producer
does it: it leaves no gap, and from then on the broker refuses the one before, wherever that was held up. So what is handed in
later never lies below what was handed in before. An epoch after the last (32,767) is that of a new producer id: only the very
last batch before it is not refused, should it have been held up.

Where none of the brokers that are known tells the leaders, it connects anew with those that the settings name: all may have
moved, and aiokafka's own task for metadata dies of an error that it does not expect.
"""

import asyncio
import logging
import time
from asyncio import Future
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, Final

from aiokafka import AIOKafkaClient, TopicPartition
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    LeaderNotAvailableError,
    ProducerClosed,
    RequestTimedOutError,
    for_code,
)
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from z0 import kafka_url
from z0.cut import cut
from z0.log.ports import Appended
from z0.log.produce_request import Landed, ProduceBatches

logger = logging.getLogger(__name__)

BATCH_BYTES_MAX: Final = 8 * 1024 * 1024  # `max.message.bytes` of the topics
RECORDS_BYTES_MAX: Final = BATCH_BYTES_MAX // 2  # of keys and values, where they are cut into batches: with room for the rest
REQUEST_BYTES_MAX: Final = 32 * 1024 * 1024  # a broker takes 100 MiB, `socket.request.max.bytes`
REQUEST_TIMEOUT_MS: Final = 12_000  # under the engine's ack time-out, so that a failure arrives before it
BROKER_TIMEOUT_MS: Final = 9_000  # under that: the broker says that replicas lag, and the connection with its neighbours lives
RETRY_PAUSE_S: Final = 0.1
METADATA_WAIT_S: Final = 5.0
STOP_TIMEOUT_S: Final = 15.0  # as long as an ack is waited for at most: by then each batch has landed or never will
CLOSE_TIMEOUT_S: Final = 1.0  # what a broker does not read, a connection would wait for ever to get rid of
_MAGIC: Final = 2
_NOT_YET: Final = -1
_NOT_SAID: Final = Landed(RequestTimedOutError.errno, -1, -1)
_SEQUENCE_END: Final = 2**31
_EPOCH_END: Final = 2**15
Connect = Callable[[], Awaitable[AIOKafkaClient]]
Headers = Sequence[tuple[str, bytes]]


def _filled(records: Sequence[tuple[bytes, bytes]], headers: Headers) -> DefaultRecordBatchBuilder:
    """
    A batch of (key, value) records, as of now.

    Raises:
        ValueError: they do not fit one batch.
    """
    builder = DefaultRecordBatchBuilder(_MAGIC, 0, 0, _NOT_YET, _NOT_YET, _NOT_YET, BATCH_BYTES_MAX)
    append, now_ms, same = builder.append, time.time_ns() // 1_000_000, list(headers)
    for offset, (key, value) in enumerate(records):
        if append(offset, now_ms, key, value, same) is None:
            raise ValueError(f"{len(records)} records do not fit one batch of {BATCH_BYTES_MAX} bytes")
    return builder


class _Lane:
    """A partition: its batches, of which the first is under way, and the producer id, epoch and sequence number of the next."""

    __slots__ = ("at", "batches", "epoch", "producer_id", "sequence")

    def __init__(self, at: TopicPartition, producer_id: int, epoch: int) -> None:
        self.at = at
        self.batches: deque[_Batch] = deque()
        self.producer_id = producer_id
        self.epoch = epoch
        self.sequence = 0


class _Batch:
    """One batch until its ack; `content` is there when its turn has come."""

    __slots__ = ("__weakref__", "ack", "builder", "content", "count", "give_up_s", "lane")

    def __init__(self, lane: _Lane, builder: DefaultRecordBatchBuilder, count: int, ack: "Future[Appended]") -> None:
        self.lane = lane
        self.builder = builder
        self.count = count
        self.ack = ack
        self.content = b""
        self.give_up_s = ack.get_loop().time() + REQUEST_TIMEOUT_MS / 1000

    def refuse(self, error: Exception) -> None:
        """Tell why it is given up, if somebody still waits."""
        if not self.ack.done():
            self.ack.set_exception(error)


class BatchProducer:
    """An idempotent producer of whole batches, acks=all, without linger: the engine batches. `connect` opens another client."""

    def __init__(self, client: AIOKafkaClient, producer_id: int, producer_epoch: int, *, connect: Connect) -> None:
        self._client = client
        self._connect = connect
        self._id = producer_id
        self._loop = asyncio.get_running_loop()
        self._epoch = producer_epoch
        self._lanes: dict[TopicPartition, _Lane] = {}
        self._waiting: list[_Batch] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._search: asyncio.Task[None] | None = None
        self._closed = False

    async def stop(self) -> None:
        """Send what waits, wait for what is under way, both within a bound, and disconnect; the rest hears `ProducerClosed`."""
        self._closed = True
        give_up_s = self._loop.time() + STOP_TIMEOUT_S
        while (self._waiting or self._tasks) and (left_s := give_up_s - self._loop.time()) > 0:
            await asyncio.wait(self._tasks, timeout=left_s) if self._tasks else await asyncio.sleep(0)
        if self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)
        for lane in self._lanes.values():
            for batch in lane.batches:
                batch.refuse(ProducerClosed())
        await _close(self._client)

    def append(self, at: TopicPartition, records: Sequence[tuple[bytes, bytes]], headers: Headers = ()) -> "Future[Appended]":
        """
        Hand in (key, value) records as one batch, each with these headers; the future is its ack.

        Raises:
            ValueError: they do not fit one batch.
        """
        ack: Future[Appended] = self._loop.create_future()
        if self._closed:
            ack.set_exception(ProducerClosed())
            return ack
        lane = self._lanes.get(at) or self._lanes.setdefault(at, _Lane(at, self._id, self._epoch))
        lane.batches.append(_Batch(lane, _filled(records, headers), len(records), ack))
        if len(lane.batches) == 1:
            self._begin(lane)
        return ack

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _begin(self, lane: _Lane) -> None:
        if lane.epoch == _EPOCH_END:
            self._start(self._begin_with_another_id(lane))
            return
        batch = lane.batches[0]
        batch.builder.set_producer_state(lane.producer_id, lane.epoch, lane.sequence)
        batch.content = batch.builder.build()
        lane.sequence = (lane.sequence + batch.count) % _SEQUENCE_END
        self._hand_in([batch])

    async def _begin_with_another_id(self, lane: _Lane) -> None:
        try:
            lane.producer_id, lane.epoch = await _producer_id(self._client)
        except Exception as error:
            lane.batches.popleft().refuse(_known(error))
        self._begin_next(lane)

    def _end(self, lane: _Lane, *, is_acked: bool) -> None:
        lane.batches.popleft()
        if not is_acked:
            lane.epoch, lane.sequence = lane.epoch + 1, 0
        self._begin_next(lane)

    def _begin_next(self, lane: _Lane) -> None:
        """The next batch that somebody waits for has its turn; those whose time is over are not sent, or each would wait anew."""
        waiting = lane.batches
        while waiting and not self._is_wanted(waiting[0]):
            waiting.popleft().refuse(RequestTimedOutError())
        if waiting:
            self._begin(lane)

    def _is_wanted(self, batch: _Batch) -> bool:
        return not batch.ack.done() and self._loop.time() < batch.give_up_s

    def _hand_in(self, batches: Sequence[_Batch]) -> None:
        if batches and not self._waiting:
            self._loop.call_soon(self._flush)  # behind everybody who was woken in this turn, too
        self._waiting += batches

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        leader_of = self._client.cluster.leader_for_partition
        by_leader: dict[int | None, list[_Batch]] = defaultdict(list)
        for batch in waiting:
            by_leader[leader_of(batch.lane.at)].append(batch)
        for leader, batches in by_leader.items():
            for some in cut(batches, lambda batch: len(batch.content), REQUEST_BYTES_MAX):  # as a broker takes them
                self._start(self._request(leader, some))

    async def _request(self, leader: int | None, batches: Sequence[_Batch]) -> None:
        try:
            if leader is None or leader < 0:
                raise LeaderNotAvailableError
            request = ProduceBatches([(batch.lane.at, batch.content) for batch in batches], BROKER_TIMEOUT_MS)
            landed = (await self._client.send(leader, request)).partitions
        except Exception as error:
            known = _known(error)
            refused = [(batch, known) for batch in batches]
        else:
            refused = self._give_acks(batches, landed)
        if again := self._for_now(refused):
            await asyncio.sleep(RETRY_PAUSE_S)
            await self._find_leaders()
            self._hand_in([batch for batch, _ in self._for_now(again)])

    async def _find_leaders(self) -> None:
        """One search for all who miss a leader at the same time."""
        if self._search is None or self._search.done():
            self._search = self._start(self._look_for_leaders())
        await asyncio.wait([self._search])

    async def _look_for_leaders(self) -> None:
        if await _update_metadata(self._client):
            return
        try:
            client = await asyncio.wait_for(self._connect(), METADATA_WAIT_S)
        except Exception as error:  # whoever asked asks again
            logger.info("no other way to the brokers: %r", error)
            return
        before, self._client = self._client, client
        await _close(before)

    def _for_now(self, refused: Iterable[tuple[_Batch, Exception]]) -> list[tuple[_Batch, Exception]]:
        """Those that may be sent again; who waits for one of the others hears why."""
        again = []
        for batch, error in refused:
            if _is_for_now(error) and self._is_wanted(batch):
                again.append((batch, error))
                continue
            batch.refuse(error)
            self._end(batch.lane, is_acked=False)
        return again

    def _give_acks(self, batches: Iterable[_Batch], landed: dict[TopicPartition, Landed]) -> list[tuple[_Batch, Exception]]:
        """Tell those that are durable; the others, with what the broker says of them."""
        refused = []
        for batch in batches:
            code, offset, log_time_ms = landed.get(batch.lane.at, _NOT_SAID)
            if code:
                refused.append((batch, for_code(code)()))
                continue
            if not batch.ack.done():  # its engine may have stopped waiting
                batch.ack.set_result(Appended(offset, log_time_ms))
            self._end(batch.lane, is_acked=True)
        return refused


def _known(error: Exception) -> Exception:
    """
    An error as Kafka's clients name it. uvloop says `RuntimeError` where a connection was reset and aiokafka has not seen it yet.

    Without its traceback, which holds the frame that holds the batches: the worker makes no cycles, and so looks for none.
    """
    if type(error) is RuntimeError or isinstance(error, OSError):  # KafkaError is a RuntimeError, too
        error = KafkaConnectionError(repr(error))
    return error.with_traceback(None)


def _is_for_now(error: Exception) -> bool:
    return isinstance(error, KafkaError) and bool(error.retriable)


async def _update_metadata(client: AIOKafkaClient) -> bool:
    """Whether it came in time: aiokafka asks one broker after the other, and waits for ever where its own task has died."""
    try:
        return bool(await asyncio.wait_for(client.force_metadata_update(), METADATA_WAIT_S))
    except TimeoutError:
        return False


async def _close(client: AIOKafkaClient) -> None:
    """Within a bound, and whatever its task for metadata died of: aiokafka says that instead of closing the connections."""
    for _ in range(2):
        try:
            await asyncio.wait_for(client.close(), CLOSE_TIMEOUT_S)
        except TimeoutError:
            return  # all are told to end
        except Exception as error:
            logger.info("a client ended before it was closed: %r", error)
            client._sync_task = None
        else:
            return


async def _connected(servers: str, topics: Sequence[str]) -> AIOKafkaClient:
    """
    A client that knows the leaders of these topics.

    Raises:
        KafkaError: there is no cluster at `servers`.
    """
    client = AIOKafkaClient(**kafka_url.options(servers), request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await client.bootstrap()
        for topic in topics:
            client.add_topic(topic)
        await _update_metadata(client)
    except BaseException:
        await _close(client)
        raise
    return client


async def open_producer(servers: str, *topics: str) -> BatchProducer:
    """
    Connect, get a producer id, and know the leaders of these topics from there on.

    Raises:
        KafkaError: there is no cluster at `servers`, or it gives no id.
    """
    connect = partial(_connected, servers, topics)
    client = await connect()
    try:
        return BatchProducer(client, *await _producer_id(client), connect=connect)
    except BaseException:
        await _close(client)
        raise


async def _producer_id(client: AIOKafkaClient) -> tuple[int, int]:
    """(id, epoch); a broker that starts has none to give for a moment."""
    give_up_s = time.monotonic() + REQUEST_TIMEOUT_MS / 1000
    while True:
        try:
            given = await client.send(client.get_random_node(), InitProducerIdRequest(None, REQUEST_TIMEOUT_MS))
            if not given.error_code:
                return given.producer_id, given.producer_epoch
            error: Exception = for_code(given.error_code)()
        except Exception as failed:
            error = _known(failed)
        if not _is_for_now(error) or time.monotonic() > give_up_s:
            raise error
        await asyncio.sleep(RETRY_PAUSE_S)
        await _update_metadata(client)
