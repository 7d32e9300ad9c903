"""One contract for the log, kept by the twin in memory and by Kafka."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import InvalidProducerEpoch, KafkaConnectionError, MessageSizeTooLargeError, for_code

from z0.config import Config
from z0.errors import LogBroken
from z0.log.kafka import KafkaLog, start_client
from z0.log.memory import MemoryLog
from z0.log.ports import Log, Record
from z0.log.producer import _Lane, open_producer

LATER_MS = 10 * 365 * 24 * 3600 * 1000


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.stack)])
async def log(request: pytest.FixtureRequest) -> AsyncIterator[Log]:
    """An empty log of one partition."""
    if request.param == "memory":
        yield MemoryLog(1)
        return
    config: Config = request.getfixturevalue("stack")
    topic = f"contract-{uuid.uuid4().hex}"
    await _make(config, topic)
    log = KafkaLog(config.kafka_servers, topic)
    await log.start()
    yield log
    await log.stop()


@pytest.fixture
async def rival(log: Log, request: pytest.FixtureRequest) -> AsyncIterator[Log]:
    """The same log in another worker's hands."""
    if not isinstance(log, KafkaLog):
        yield log
        return
    config: Config = request.getfixturevalue("stack")
    rival = KafkaLog(config.kafka_servers, log.topic)
    await rival.start()
    yield rival
    await rival.stop()


async def _make(config: Config, topic: str) -> None:
    admin: Any = AIOKafkaAdminClient(bootstrap_servers=config.kafka_servers)
    await start_client(admin)
    await admin.create_topics([NewTopic(topic, 1, 1, topic_configs={"message.timestamp.type": "LogAppendTime"})])
    await admin.close()


async def all_of(log: Log, start: int, end: int) -> list[Record]:
    """Every record of a stretch."""
    return [record async for batch in log.read(0, start, end) for record in batch]


async def test_a_batch_lands_whole_and_is_answered_with_the_offset_of_its_first_record(log: Log) -> None:
    """The ack's offset is what an epoch lives by."""
    writer = await log.writer(0)
    first = await writer.append([(b"a", b"1")])
    second = await writer.append([(b"b", b"2"), (b"c", b"3")])
    assert (first.base_offset, second.base_offset) == (0, 1)
    assert second.log_time_ms >= first.log_time_ms > 0
    assert [(r.offset, r.key, r.value) for r in await all_of(log, 1, 3)] == [(1, b"b", b"2"), (2, b"c", b"3")]
    assert await log.bounds(0) == (0, 3)


async def test_what_is_read_ends_where_it_was_asked_to(log: Log) -> None:
    """Over many batches; an empty stretch gives nothing."""
    writer = await log.writer(0)
    await writer.append([(b"k", b"%d" % n) for n in range(3_000)])
    assert [r.offset for r in await all_of(log, 5, 2_998)] == list(range(5, 2_998))
    assert await all_of(log, 7, 7) == []


async def test_reading_from_beyond_the_end_stops_loudly(log: Log) -> None:
    """A stored position beyond the end means a topic that was truncated or made anew."""
    with pytest.raises(LogBroken):
        await all_of(log, 5, 6)


async def test_two_writers_are_ordered_by_the_log_alone(log: Log, rival: Log) -> None:
    """The one that comes second sees it in its ack: that is the whole fence."""
    first, second = await log.writer(0), await rival.writer(0)
    landed = [await first.append([(b"a", b"")]), await second.append([(b"b", b"")]), await first.append([(b"c", b"")])]
    assert [appended.base_offset for appended in landed] == [0, 1, 2]


async def test_a_time_gives_the_first_offset_at_or_after_it(log: Log) -> None:
    """And the log's end where there is none."""
    writer = await log.writer(0)
    first = later = await writer.append([(b"k", b"1")])
    while later.log_time_ms == first.log_time_ms:  # the broker's clock counts in milliseconds
        later = await writer.append([(b"k", b"2")])
    end = later.base_offset + 1
    assert await log.offset_at(0, first.log_time_ms) == 0
    assert await log.offset_at(0, first.log_time_ms + 1) == later.base_offset
    assert await log.offset_at(0, later.log_time_ms) == later.base_offset
    assert await log.offset_at(0, later.log_time_ms + LATER_MS) == end


@pytest.mark.stack
async def test_a_batch_that_was_given_up_and_arrives_late_is_refused(stack: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot would lie on top of the next pass's. What came after it in the same partition is not held up."""
    topic = f"contract-{uuid.uuid4().hex}"
    await _make(stack, topic)
    producer = await open_producer(stack.kafka_servers, topic)
    place, send = TopicPartition(topic, 0), producer._client.send
    held: list[tuple[int, Any]] = []

    async def hold_the_second_back(node: int, request: Any) -> Any:
        if not held and b"held" in request._batches[0][1]:
            held.append((node, request))
            raise MessageSizeTooLargeError
        return await send(node, request)

    monkeypatch.setattr(producer._client, "send", hold_the_second_back)
    first = await producer.append(place, [(b"k", b"1")])
    given_up, after = producer.append(place, [(b"k", b"held")]), producer.append(place, [(b"k", b"2"), (b"k", b"3")])
    landed = [first.base_offset, (await after).base_offset, (await producer.append(place, [(b"k", b"4")])).base_offset]
    assert isinstance(given_up.exception(), MessageSizeTooLargeError)
    late = (await send(*held[0])).partitions[place]
    await producer.stop()
    assert landed == [0, 1, 3]
    assert for_code(late.error_code) is InvalidProducerEpoch
    reader = KafkaLog(stack.kafka_servers, topic)
    assert await reader.bounds(0) == (0, 4)


@pytest.mark.stack
async def test_a_batch_whose_ack_was_lost_is_sent_again_and_lands_once(stack: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker knows it by its sequence number, and answers with the offset that it had."""
    topic = f"contract-{uuid.uuid4().hex}"
    await _make(stack, topic)
    producer = await open_producer(stack.kafka_servers, topic)
    send, sent = producer._client.send, []

    async def lose_the_second_ack(node: int, request: Any) -> Any:
        landed = await send(node, request)
        sent.append(landed)
        if len(sent) == 2:
            raise KafkaConnectionError("the ack was on its way")
        return landed

    monkeypatch.setattr(producer._client, "send", lose_the_second_ack)
    acks = [await producer.append(TopicPartition(topic, 0), [(b"k", b"1"), (b"k", b"2")]) for _ in range(3)]
    await producer.stop()
    assert [ack.base_offset for ack in acks] == [0, 2, 4]
    assert len(sent) == 4
    reader = KafkaLog(stack.kafka_servers, topic)
    assert await reader.bounds(0) == (0, 6)


@pytest.mark.stack
async def test_a_batch_of_an_epoch_that_died_here_does_not_land_behind_the_next_claim(
    stack: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be void there, and put the first facts of that claim in a wrong place: one lost ack would cost two epochs."""
    topic = f"contract-{uuid.uuid4().hex}"
    await _make(stack, topic)
    log = KafkaLog(stack.kafka_servers, topic)
    await log.start()
    assert log._producer is not None
    send = log._producer._client.send
    held: list[tuple[int, Any]] = []

    async def hold_the_facts_back(node: int, request: Any) -> Any:
        if not held and b"facts" in request._batches[0][1]:
            held.append((node, request))
            raise MessageSizeTooLargeError
        return await send(node, request)

    monkeypatch.setattr(log._producer._client, "send", hold_the_facts_back)
    dying = await log.writer(0)
    await dying.append([(b"k", b"claim")])
    with pytest.raises(MessageSizeTooLargeError):
        await dying.append([(b"k", b"facts")])
    after = await log.writer(0)
    claim = await after.append([(b"k", b"claim")])
    late = (await send(*held[0])).partitions[TopicPartition(topic, 0)]
    first = await after.append([(b"k", b"more")])
    await log.stop()
    assert for_code(late.error_code) is InvalidProducerEpoch
    assert (claim.base_offset, first.base_offset) == (1, 2)


@pytest.mark.stack
async def test_producer_epochs_and_sequence_numbers_may_come_to_their_ends(stack: Config) -> None:
    """After 2^31 records of a partition, within a batch; and after 32,768 batches that were given up."""
    topic = f"contract-{uuid.uuid4().hex}"
    await _make(stack, topic)
    producer, place = await open_producer(stack.kafka_servers, topic), TopicPartition(topic, 0)
    lane = producer._lanes[place] = _Lane(place, producer._id, 0)
    lane.sequence = 2**31 - 2
    landed = [await producer.append(place, [(b"k", b"v")] * 5) for _ in range(3)]
    lane.epoch, lane.sequence = 2**15 - 1, 0
    landed.append(await producer.append(place, [(b"k", b"v")] * 5))
    lane.epoch = 2**15  # as after one more that was given up
    landed += [await producer.append(place, [(b"k", b"v")] * 5) for _ in range(2)]
    await producer.stop()
    assert [ack.base_offset for ack in landed] == [0, 5, 10, 15, 20, 25]
    assert lane.producer_id != producer._id
