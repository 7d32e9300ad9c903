"""The producer of whole batches: what shares a request, what is sent again, what is given up."""

import asyncio
import gc
import weakref
from io import BytesIO
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.api import RequestHeader_v1
from aiokafka.protocol.produce import ProduceRequest_v7, ProduceResponse_v7
from aiokafka.record.memory_records import MemoryRecords

from tests.unit.producer_world import TIME_MS, TOPIC, Broker, at, numbers, producer_of, records_of, sequence_of
from z0.errors import Unreachable
from z0.log import kafka as kafka_module
from z0.log import producer as module
from z0.log.kafka import KafkaLog, KafkaOutbox
from z0.log.ports import Appended, Message
from z0.log.produce_request import BatchesLanded, ProduceBatches
from z0.log.producer import RECORDS_BYTES_MAX, BatchProducer


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    """A broker, and no pause before what it refused goes out again."""
    monkeypatch.setattr(module, "RETRY_PAUSE_S", 0)
    return Broker()


@pytest.fixture
def elsewhere() -> Broker:
    """What is found where the settings say that brokers are, when those that were known are gone."""
    return Broker()


@pytest.fixture
async def producer(broker: Broker, elsewhere: Broker) -> BatchProducer:
    """A producer with that broker."""

    async def connect() -> Broker:
        return elsewhere

    return BatchProducer(broker, 7, 0, connect=connect)


async def test_what_is_handed_in_in_one_turn_is_one_request_for_each_leader(broker: Broker, producer: BatchProducer) -> None:
    """A request costs more than a batch."""
    broker.leaders = {0: 1, 1: 2, 2: 1}
    acks = [producer.append(at(partition), [(b"k", b"%d" % partition)]) for partition in range(3)]
    await asyncio.gather(*acks)
    assert [(node, [where.partition for where, _ in batches]) for node, batches in broker.requests] == [(1, [0, 2]), (2, [1])]


async def test_a_request_does_not_wait_for_the_ack_of_another(broker: Broker, producer: BatchProducer) -> None:
    """Of other partitions, that is; those of one come one by one."""
    first = producer.append(at(0), [(b"k", b"v")])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(broker.requests) == 1
    assert not first.done()
    second = producer.append(at(1), [(b"k", b"v")])
    await asyncio.gather(first, second)
    assert len(broker.requests) == 2


async def test_an_ack_has_the_offset_of_the_first_record_and_the_logs_time(producer: BatchProducer) -> None:
    """An epoch lives by it."""
    await producer.append(at(0), [(b"a", b"1"), (b"b", b"2")])
    landed = await producer.append(at(0), [(b"c", b"3")])
    assert (landed.base_offset, landed.log_time_ms) == (2, TIME_MS)


async def test_sequence_numbers_count_the_records_of_each_partition(broker: Broker, producer: BatchProducer) -> None:
    """The broker refuses a gap, and knows by them what it has."""
    for count in (2, 3, 1):
        await producer.append(at(0), [(b"k", b"v")] * count)
    await producer.append(at(1), [(b"k", b"v")])
    assert [sequence_of(batches[0][1]) for _, batches in broker.requests] == [0, 2, 5, 0]


RESET = RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")  # uvloop's words


@pytest.mark.parametrize(
    "error", [KafkaConnectionError(), {0: NotLeaderForPartitionError}, RESET], ids=["broken", "moved", "reset"]
)
async def test_what_is_refused_for_now_goes_to_the_leader_of_then_byte_for_byte(
    broker: Broker, producer: BatchProducer, error: Exception | dict[int, type[Exception]]
) -> None:
    """Only the same bytes with the same sequence number are known as the same batch."""
    broker.refusals = [error]
    broker.on_update = lambda: broker.leaders.__setitem__(0, 2)
    await producer.append(at(0), [(b"k", b"v")])
    (first, again) = broker.requests
    assert (first[0], again[0]) == (1, 2)
    assert first[1] == again[1]


async def test_batches_of_a_partition_go_one_by_one_in_the_order_in_which_they_were_handed_in(
    broker: Broker, producer: BatchProducer
) -> None:
    """The second would be refused, or be there first, where the first is sent again; the other partition waits for nobody."""
    broker.refusals = [{0: NotLeaderForPartitionError}]
    acks = [producer.append(at(0), [(b"k", b"v")] * count) for count in (2, 1, 3)]
    acks.append(producer.append(at(1), [(b"k", b"v")]))
    assert [ack.base_offset for ack in await asyncio.gather(*acks)] == [0, 2, 3, 0]
    sent = [[(where.partition, sequence_of(content)) for where, content in batches] for _, batches in broker.requests]
    assert sent == [[(0, 0), (1, 0)], [(0, 0)], [(0, 2)], [(0, 3)]]


async def test_after_a_batch_that_was_given_up_the_next_begins_a_producer_epoch(broker: Broker, producer: BatchProducer) -> None:
    """It leaves no gap, and should the one before arrive yet the broker refuses it."""
    await producer.append(at(0), [(b"k", b"v")])
    broker.refusals = [{0: MessageSizeTooLargeError}]
    lost, next_ack = producer.append(at(0), [(b"k", b"v")]), producer.append(at(0), [(b"k", b"v")])
    assert (await next_ack).base_offset == 1
    assert isinstance(lost.exception(), MessageSizeTooLargeError)
    await asyncio.gather(producer.append(at(0), [(b"k", b"v")]), producer.append(at(1), [(b"k", b"v")]))
    assert numbers(broker) == [(0, 0), (0, 1), (1, 0), (1, 1), (0, 0)]


async def test_after_the_last_producer_epoch_comes_another_producer_id(broker: Broker, producer: BatchProducer) -> None:
    """The broker would refuse all that begins with epoch 0 again. Other partitions keep theirs."""
    await producer.append(at(0), [(b"k", b"v")])
    producer._lanes[at(0)].epoch = 2**15 - 1
    broker.refusals = [{0: MessageSizeTooLargeError}]
    lost, after = producer.append(at(0), [(b"k", b"v")] * 2), producer.append(at(0), [(b"k", b"v")])
    await asyncio.gather(after, producer.append(at(1), [(b"k", b"v")]))
    await producer.append(at(0), [(b"k", b"v")])
    sent = [(where.partition, producer_of(content)) for _, batches in broker.requests for where, content in batches]
    assert isinstance(lost.exception(), MessageSizeTooLargeError)
    assert [partition_and_id for partition_and_id in sent if partition_and_id[0] == 0] == [(0, 7), (0, 7), (0, 101), (0, 101)]
    assert (1, 7) in sent
    assert [number for number in numbers(broker) if number[0] == 0][-2:] == [(0, 0), (0, 1)]


async def test_where_no_other_id_is_given_the_batch_hears_why_and_the_next_asks_again(
    broker: Broker, producer: BatchProducer
) -> None:
    """Or the partition would need another start of the worker."""
    await producer.append(at(0), [(b"k", b"v")])
    producer._lanes[at(0)].epoch = 2**15
    broker.refusals = [TopicAuthorizationFailedError()]
    with pytest.raises(TopicAuthorizationFailedError):
        await producer.append(at(0), [(b"k", b"v")])
    assert (await producer.append(at(0), [(b"k", b"v")])).base_offset == 1


async def test_sequence_numbers_go_on_from_zero_within_a_batch(broker: Broker, producer: BatchProducer) -> None:
    """After 2^31 records, as the broker counts them."""
    await producer.append(at(0), [(b"k", b"v")])
    producer._lanes[at(0)].sequence = 2**31 - 2
    for _ in range(2):
        await producer.append(at(0), [(b"k", b"v")] * 5)
    assert numbers(broker) == [(0, 0), (0, 2**31 - 2), (0, 3)]


async def test_what_nobody_waits_for_when_its_turn_comes_is_not_sent(broker: Broker, producer: BatchProducer) -> None:
    """And leaves no gap."""
    acks = [producer.append(at(0), [(b"k", b"%d" % n)]) for n in range(3)]
    acks[1].cancel()
    assert (await acks[2]).base_offset == 1
    assert numbers(broker) == [(0, 0), (0, 1)]


async def test_every_record_has_the_headers_of_its_batch(broker: Broker, producer: BatchProducer) -> None:
    """A forward says where it comes from."""
    await producer.append(at(0), [(b"a", b"1"), (b"b", b"2")], (("from", b"7"),))
    batch = MemoryRecords(bytes(broker.requests[0][1][0][1])).next_batch()
    assert [(record.key, list(record.headers)) for record in batch] == [(b"a", [("from", b"7")]), (b"b", [("from", b"7")])]


async def test_what_goes_to_the_same_place_with_the_same_headers_is_one_batch(broker: Broker, producer: BatchProducer) -> None:
    """A hostile producer can cause a dead letter with every command."""
    headers = (("from", b"7"),)
    forwards = [Message(TOPIC, b"k", b"%d" % n, n % 2, headers) for n in range(10)]
    await KafkaOutbox(producer).send([*forwards, Message("letters", b"k", b"v", 0)])
    [(_, batches)] = broker.requests
    assert [(where, records_of(content)) for where, content in batches] == [
        (at(0), 5),
        (at(1), 5),
        (TopicPartition("letters", 0), 1),
    ]


async def test_letters_that_outgrow_a_batch_are_several(broker: Broker, producer: BatchProducer) -> None:
    """Or the commands that caused them would be read again for ever."""
    large = b"x" * (RECORDS_BYTES_MAX // 2 - 100)
    await KafkaOutbox(producer).send([Message(TOPIC, b"k", large, 0)] * 5)
    assert [records_of(batches[0][1]) for _, batches in broker.requests] == [2, 2, 1]


async def test_a_refusal_for_good_is_the_ack_of_that_batch_alone(broker: Broker, producer: BatchProducer) -> None:
    """Others in the request are as durable as the broker says."""
    broker.refusals = [{0: OutOfOrderSequenceNumber, 2: MessageSizeTooLargeError}]
    acks = [producer.append(at(partition), [(b"k", b"v")]) for partition in range(3)]
    done = await asyncio.gather(*acks, return_exceptions=True)
    assert [type(one) for one in done] == [OutOfOrderSequenceNumber, Appended, MessageSizeTooLargeError]
    assert len(broker.requests) == 1


async def test_a_batch_without_a_leader_waits_for_one(broker: Broker, producer: BatchProducer) -> None:
    """While a cluster elects."""
    broker.leaders = {0: None}
    broker.on_update = lambda: broker.leaders.__setitem__(0, 3 if broker.updates > 2 else -1)
    await producer.append(at(0), [(b"k", b"v")])
    assert [node for node, _ in broker.requests] == [3]


async def test_it_is_given_up_after_the_time_that_a_request_may_take(
    broker: Broker, producer: BatchProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the epoch is dead, and whoever claims next finds out what became of it."""
    monkeypatch.setattr(module, "REQUEST_TIMEOUT_MS", 0)
    broker.refusals = [KafkaConnectionError()] * 5
    with pytest.raises(KafkaConnectionError):
        await producer.append(at(0), [(b"k", b"v")])
    assert len(broker.requests) == 1


async def test_what_waited_in_its_partition_until_its_time_was_over_is_not_sent(broker: Broker, producer: BatchProducer) -> None:
    """A broker that swallows everything would take as long again for each of the forty batches of a pass of snapshots."""
    broker.refusals = [KafkaConnectionError()]
    acks = [producer.append(at(0), [(b"k", b"v")]) for _ in range(3)]
    for batch in producer._lanes[at(0)].batches:
        batch.give_up_s = 0.0
    assert [type(one) for one in await asyncio.gather(*acks, return_exceptions=True)] == [
        KafkaConnectionError,
        RequestTimedOutError,
        RequestTimedOutError,
    ]
    await producer.append(at(0), [(b"k", b"v")])
    assert numbers(broker) == [(0, 0), (1, 0)]


async def test_a_fault_of_our_own_is_told_and_not_tried_again(broker: Broker, producer: BatchProducer) -> None:
    """An ack that never comes would look like a slow broker."""
    broker.refusals = [NotImplementedError("versions")]
    with pytest.raises(NotImplementedError, match="versions"):
        await producer.append(at(0), [(b"k", b"v")])


async def test_a_request_is_no_larger_than_a_broker_takes(
    broker: Broker, producer: BatchProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many partitions a worker has."""
    monkeypatch.setattr(module, "REQUEST_BYTES_MAX", 2_500)
    await asyncio.gather(*[producer.append(at(partition), [(b"k", b"v" * 1_000)]) for partition in range(5)])
    assert [len(batches) for _, batches in broker.requests] == [2, 2, 1]


async def test_records_that_do_not_fit_a_batch_are_refused_and_take_no_sequence_number(
    broker: Broker, producer: BatchProducer
) -> None:
    """The engine cuts its rounds below that."""
    with pytest.raises(ValueError, match="do not fit"):
        producer.append(at(0), [(b"k", b"v" * module.BATCH_BYTES_MAX)] * 2)
    await producer.append(at(0), [(b"k", b"v")])
    assert sequence_of(broker.requests[0][1][0][1]) == 0


async def test_one_that_is_stopped_sends_what_waits_and_takes_nothing_more(broker: Broker, producer: BatchProducer) -> None:
    """What lands before the next claim is folded, what lands behind it is void."""
    broker.refusals = [KafkaConnectionError()]
    ack = producer.append(at(0), [(b"k", b"v")])
    await producer.stop()
    assert ack.result().base_offset == 0
    with pytest.raises(ProducerClosed):
        await producer.append(at(0), [(b"k", b"v")])


async def test_what_nobody_waits_for_any_more_is_not_sent_again(broker: Broker, producer: BatchProducer) -> None:
    """Behind the next claim it would be void, and put that claim's first batch in a wrong place."""
    broker.refusals = [KafkaConnectionError()]
    ack = producer.append(at(0), [(b"k", b"v")])
    await asyncio.sleep(0)
    ack.cancel()
    await producer.stop()
    assert len(broker.requests) == 1


async def test_the_time_is_looked_at_again_when_the_pause_is_over(broker: Broker, producer: BatchProducer) -> None:
    """An update of the metadata may take as long as all the rest."""
    broker.refusals = [KafkaConnectionError()]
    ack = producer.append(at(0), [(b"k", b"v")])
    batch = producer._waiting[0]
    broker.on_update = lambda: setattr(batch, "give_up_s", 0.0)
    with pytest.raises(KafkaConnectionError):
        await ack
    assert len(broker.requests) == 1


async def test_a_metadata_update_that_never_ends_is_one_of_another_connection(
    broker: Broker, elsewhere: Broker, producer: BatchProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka's own task for it can die; then it is asked in vain, and every later leader would be missed."""
    monkeypatch.setattr(module, "METADATA_WAIT_S", 0.01)
    never = asyncio.get_running_loop().create_future()
    monkeypatch.setattr(broker, "force_metadata_update", lambda: asyncio.shield(never))
    broker.leaders, elsewhere.leaders = {0: None}, {0: 5}
    assert (await asyncio.wait_for(producer.append(at(0), [(b"k", b"v")]), 5)).base_offset == 0
    assert [node for node, _ in elsewhere.requests] == [5]
    assert broker.closed


async def test_brokers_that_have_all_moved_are_found_where_the_settings_say(
    broker: Broker, elsewhere: Broker, producer: BatchProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are known answer nothing any more; all batches that miss a leader look once."""
    answers = iter([False, True])

    async def update() -> bool:
        return next(answers)

    monkeypatch.setattr(broker, "force_metadata_update", update)
    broker.refusals = [KafkaConnectionError()] * 2
    first = producer.append(at(0), [(b"k", b"v")])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second = producer.append(at(1), [(b"k", b"v")])
    assert [ack.base_offset for ack in await asyncio.gather(first, second)] == [0, 0]
    assert len(broker.requests) == 2


async def test_where_nothing_is_found_there_either_it_is_tried_until_the_time_is_over(
    broker: Broker, producer: BatchProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that is away for some seconds costs nobody an epoch."""
    tries = 0

    async def connect() -> Broker:
        nonlocal tries
        tries += 1
        raise KafkaConnectionError

    async def update() -> bool:
        return tries == 3

    producer._connect = connect
    monkeypatch.setattr(broker, "force_metadata_update", update)
    broker.refusals = [KafkaConnectionError()] * 4
    assert (await producer.append(at(0), [(b"k", b"v")])).base_offset == 0
    assert not broker.closed


async def test_one_that_is_stopped_waits_no_longer_than_its_bound(
    broker: Broker, producer: BatchProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that ends must end, also where a broker swallows everything."""
    monkeypatch.setattr(module, "STOP_TIMEOUT_S", 0.01)
    monkeypatch.setattr(broker, "send", lambda node, request: asyncio.get_running_loop().create_future())
    acks = [producer.append(at(0), [(b"k", b"v")]) for _ in range(2)]
    await asyncio.wait_for(producer.stop(), 5)
    assert [type(one) for one in await asyncio.gather(*acks, return_exceptions=True)] == [ProducerClosed, ProducerClosed]


async def test_a_connection_that_does_not_end_holds_nobody_up(
    broker: Broker, producer: BatchProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends when all that was written is read, and a broker that stands still reads nothing."""
    monkeypatch.setattr(module, "CLOSE_TIMEOUT_S", 0.01)
    monkeypatch.setattr(broker, "close", lambda: asyncio.get_running_loop().create_future())
    await asyncio.wait_for(producer.stop(), 5)


async def test_a_client_whose_task_died_is_closed_all_the_same(
    broker: Broker, producer: BatchProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka's tells what it died of, and leaves the connections as they are."""
    close, broker._sync_task = broker.close, "died"

    async def close_or_tell() -> None:
        if broker._sync_task is not None:
            raise RESET
        await close()

    monkeypatch.setattr(broker, "close", close_or_tell)
    await producer.stop()
    assert broker.closed


async def test_an_answer_that_leaves_a_batch_out_is_none(broker: Broker, producer: BatchProducer) -> None:
    """It is asked again; the others have their acks."""
    send, left_out = broker.send, iter([at(0)])

    async def leave_one_out(node: int, request: ProduceBatches) -> BatchesLanded:
        landed = dict((await send(node, request)).partitions)
        landed.pop(next(left_out, at(7)), None)
        return BatchesLanded(landed)

    broker.send = leave_one_out  # type: ignore[method-assign]
    acks = await asyncio.gather(*[producer.append(at(partition), [(b"k", b"v")]) for partition in range(2)])
    assert acks[1].base_offset == 0
    assert len(broker.requests) == 2


async def test_what_failed_leaves_no_cycle_that_holds_its_batches(broker: Broker, producer: BatchProducer) -> None:
    """A worker's collector looks at old objects nearly never."""
    broker.refusals = [NotImplementedError("versions")]
    gc.collect()
    gc.disable()
    try:
        ack = producer.append(at(0), [(b"k", b"v")])
        batch = weakref.ref(producer._waiting[0])
        with pytest.raises(NotImplementedError):
            await ack
        del ack
        broker.requests.clear()
        await asyncio.sleep(0)
        assert batch() is None
    finally:
        gc.enable()


async def test_who_stopped_waiting_is_left_alone(producer: BatchProducer) -> None:
    """An engine cancels what takes too long; its batch may land all the same."""
    ack = producer.append(at(0), [(b"k", b"v")])
    ack.cancel()
    assert (await producer.append(at(0), [(b"k", b"v")])).base_offset == 1


async def test_after_a_question_without_an_answer_the_next_goes_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka's consumer goes on asking a leader that stands still, for as long as its metadata is young: five minutes."""
    opened: list[Asker] = []

    def new_reader(servers: str, **settings: Any) -> Asker:
        opened.append(Asker(answers=bool(opened)))
        return opened[-1]

    monkeypatch.setattr(kafka_module, "new_reader", new_reader)
    log = KafkaLog("nowhere")
    log._producer, log._asker = Asker(answers=True), new_reader("nowhere")  # type: ignore[assignment]
    with pytest.raises(Unreachable):
        await log.bounds(0)
    assert [await log.bounds(0), await log.bounds(0)] == [(3, 3), (3, 3)]
    await log.stop()
    assert [asker.stopped for asker in opened] == [True, True]


class Asker:
    """Stands for a consumer that is asked for offsets."""

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers
        self.stopped = False

    async def start(self) -> None:
        """It is connected."""

    async def stop(self) -> None:
        self.stopped = True

    async def end_offsets(self, asked: list[TopicPartition]) -> dict[TopicPartition, int]:
        if not self.answers:
            raise KafkaTimeoutError
        return dict.fromkeys(asked, 3)

    beginning_offsets = end_offsets


async def test_without_a_broker_a_worker_hears_what_to_do() -> None:
    """Its log is the first that it opens."""
    with pytest.raises(Unreachable, match="start the stack with `z0 up`"):
        await KafkaLog("127.0.0.1:1").start()


def test_the_request_has_the_bytes_that_aiokafka_gives_it() -> None:
    """Header and body, for two topics."""
    batches = [(at(0), b"one"), (TopicPartition("öther", 5), b"two"), (at(3), b"")]
    ours = ProduceBatches(batches, 1_234)
    theirs = ProduceRequest_v7(None, -1, 1_234, [(TOPIC, [(0, b"one"), (3, b"")]), ("öther", [(5, b"two")])])
    header = RequestHeader_v1(theirs, correlation_id=77, client_id="z0-é")
    assert ours.build_request_header(77, "z0-é").encode() + ours.encode() == header.encode() + theirs.encode()


def test_the_answer_is_read_as_aiokafka_reads_it() -> None:
    """Of two topics, with an error in one."""
    theirs = ProduceResponse_v7(
        topics=[(TOPIC, [(0, 0, 2**40, TIME_MS, 0), (3, 6, -1, -1, -1)]), ("öther", [(5, 0, 9, -1, 2)])], throttle_time_ms=0
    )
    landed = BatchesLanded.decode(BytesIO(theirs.encode())).partitions
    assert landed == {at(0): (0, 2**40, TIME_MS), at(3): (6, -1, -1), TopicPartition("öther", 5): (0, 9, -1)}


def test_a_broker_that_does_not_know_the_version_is_told_apart_from_a_broken_one() -> None:
    """Its own words say what it takes."""
    with pytest.raises(NotImplementedError, match="versions 9 to 12"):
        ProduceBatches([], 1).prepare({0: (9, 12)})
