"""
Batches on their way to Kafka under one producer id. Owns: sequence numbers, which batches share a request, what is sent again.

aiokafka's connections, metadata and record batches, without its producer. That is made for single messages: a batch costs it a
task, four futures and a walk through schemas, a quarter of a worker's time at 10,000 commands a second. And it sends a broker one
request after the other; here the next one is on its way meanwhile, though a broker takes those of a connection in turn.

What a batch goes through, and what it means if the process dies or the broker goes after each step:
 1. Built, with the next sequence number of its partition.   lost; nobody was told anything
 2. Sent with all that is handed in during the same turn.    void or valid: the next claim's replay tells
 3. Acked, or refused for good: the future has it.           as the engine's order of effects says
 4. Refused for now, or the connection broke: the same bytes again after a pause, to the leader of then. The broker knows a batch
    that it has by its sequence number, and answers with the offset that it had. Not sent again after `REQUEST_TIMEOUT_MS`, nor
    when nobody waits for it any more: behind a later claim it would be void, and put that claim's first batch in a wrong place.
Two batches of one partition must not be under way at once: the second would be refused where the first is sent again.
"""

import asyncio
import time
from asyncio import Future
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

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

from z0.cut import cut
from z0.log.ports import Appended
from z0.log.produce_request import Landed, ProduceBatches

BATCH_BYTES_MAX: Final = 8 * 1024 * 1024  # `max.message.bytes` of the topics
REQUEST_BYTES_MAX: Final = 32 * 1024 * 1024  # a broker takes 100 MiB, `socket.request.max.bytes`
REQUEST_TIMEOUT_MS: Final = 12_000  # under the engine's ack time-out, so that a failure arrives before it
BROKER_TIMEOUT_MS: Final = 9_000  # under that: the broker says that replicas lag, and the connection with its neighbours lives
RETRY_PAUSE_S: Final = 0.1
METADATA_WAIT_S: Final = 5.0
STOP_TIMEOUT_S: Final = 15.0
_MAGIC: Final = 2
_SEQUENCE_END: Final = 2**31
_NO_HEADERS: Final[list[tuple[str, bytes | None]]] = []


def fill(builder: DefaultRecordBatchBuilder, records: Sequence[tuple[bytes, bytes]]) -> None:
    """
    Put (key, value) records into a batch, as of now.

    Raises:
        ValueError: they do not fit one batch.
    """
    append, now_ms = builder.append, time.time_ns() // 1_000_000
    for offset, (key, value) in enumerate(records):
        if append(offset, now_ms, key, value, _NO_HEADERS) is None:
            raise ValueError(f"{len(records)} records do not fit one batch of {BATCH_BYTES_MAX} bytes")


class _Batch:
    """One batch until its ack."""

    __slots__ = ("__weakref__", "ack", "at", "content", "give_up_s")

    def __init__(self, at: TopicPartition, content: bytes, ack: "Future[Appended]", give_up_s: float) -> None:
        self.at = at
        self.content = content
        self.ack = ack
        self.give_up_s = give_up_s


class BatchProducer:
    """An idempotent producer of whole batches, acks=all, without linger: the engine batches."""

    def __init__(self, client: AIOKafkaClient, producer_id: int, producer_epoch: int) -> None:
        self._client = client
        self._id = producer_id
        self._epoch = producer_epoch
        self._loop = asyncio.get_running_loop()
        self._sequences: dict[TopicPartition, int] = defaultdict(int)
        self._waiting: list[_Batch] = []
        self._requests: set[asyncio.Task[None]] = set()
        self._closed = False

    async def stop(self) -> None:
        """Send what waits, wait for what is under way, both within a bound, and disconnect."""
        self._closed = True
        give_up_s = self._loop.time() + STOP_TIMEOUT_S
        while (self._waiting or self._requests) and (left_s := give_up_s - self._loop.time()) > 0:
            await asyncio.wait(self._requests, timeout=left_s) if self._requests else await asyncio.sleep(0)
        for request in self._requests:
            request.cancel()
        await self._client.close()

    def append(self, at: TopicPartition, records: Sequence[tuple[bytes, bytes]]) -> "Future[Appended]":
        """
        Hand in (key, value) records as one batch; the future is its ack.

        Raises:
            ValueError: they do not fit one batch.
        """
        ack: Future[Appended] = self._loop.create_future()
        if self._closed:
            ack.set_exception(ProducerClosed())
        else:
            content = self._build(records, self._sequences[at])
            self._sequences[at] = (self._sequences[at] + len(records)) % _SEQUENCE_END
            self._hand_in([_Batch(at, content, ack, self._loop.time() + REQUEST_TIMEOUT_MS / 1000)])
        return ack

    def _build(self, records: Sequence[tuple[bytes, bytes]], sequence: int) -> bytes:
        builder = DefaultRecordBatchBuilder(_MAGIC, 0, 0, self._id, self._epoch, sequence, BATCH_BYTES_MAX)
        fill(builder, records)
        content: bytes = builder.build()
        return content

    def _hand_in(self, batches: Sequence[_Batch]) -> None:
        if batches and not self._waiting:
            self._loop.call_soon(self._flush)  # behind everybody who was woken in this turn, too
        self._waiting += batches

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        leader_of = self._client.cluster.leader_for_partition
        by_leader: dict[int | None, list[_Batch]] = defaultdict(list)
        for batch in waiting:
            by_leader[leader_of(batch.at)].append(batch)
        for leader, batches in by_leader.items():
            for some in cut(batches, lambda batch: len(batch.content), REQUEST_BYTES_MAX):  # as a broker takes them
                request = self._loop.create_task(self._request(leader, some))
                self._requests.add(request)
                request.add_done_callback(self._requests.discard)

    async def _request(self, leader: int | None, batches: Sequence[_Batch]) -> None:
        try:
            if leader is None or leader < 0:
                raise LeaderNotAvailableError
            request = ProduceBatches([(batch.at, batch.content) for batch in batches], BROKER_TIMEOUT_MS)
            refused = _give_acks(batches, (await self._client.send(leader, request)).partitions)
        except Exception as error:
            known = _known(error)
            refused = [(batch, known) for batch in batches]
        if again := self._for_now(refused):
            await asyncio.sleep(RETRY_PAUSE_S)
            await _update_metadata(self._client)
            self._hand_in([batch for batch, _ in self._for_now(again)])

    def _for_now(self, refused: Iterable[tuple[_Batch, Exception]]) -> list[tuple[_Batch, Exception]]:
        """Those that may be sent again; who waits for one of the others hears why."""
        again = []
        for batch, error in refused:
            if batch.ack.done():
                continue
            if _is_for_now(error) and self._loop.time() < batch.give_up_s:
                again.append((batch, error))
            else:
                batch.ack.set_exception(error)
        return again


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


async def _update_metadata(client: AIOKafkaClient) -> None:
    """Within a bound: aiokafka asks one broker after the other, and waits for ever where its own task has died."""
    with suppress(TimeoutError):
        await asyncio.wait_for(client.force_metadata_update(), METADATA_WAIT_S)


_NOT_SAID: Final = Landed(RequestTimedOutError.errno, -1, -1)


def _give_acks(batches: Iterable[_Batch], landed: dict[TopicPartition, Landed]) -> list[tuple[_Batch, Exception]]:
    """Tell those that are durable; the others, with what the broker says of them."""
    refused = []
    for batch in batches:
        code, offset, log_time_ms = landed.get(batch.at, _NOT_SAID)
        if code:
            refused.append((batch, for_code(code)()))
        elif not batch.ack.done():  # its engine may have stopped waiting
            batch.ack.set_result(Appended(offset, log_time_ms))
    return refused


async def open_producer(servers: str, topic: str) -> BatchProducer:
    """
    Connect, get a producer id, and know the leaders of a topic from there on.

    Raises:
        KafkaError: there is no cluster at `servers`, or it gives no id.
    """
    client = AIOKafkaClient(bootstrap_servers=servers, request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await client.bootstrap()
        producer = BatchProducer(client, *await _producer_id(client))
        client.add_topic(topic)
        await _update_metadata(client)
    except BaseException:
        await client.close()
        raise
    return producer


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
