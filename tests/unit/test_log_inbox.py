"""What waits for a partition: order, bounds, and batches that must follow each other."""

import pytest

from z0.domain.answer import Answer
from z0.domain.outcome import Outcome
from z0.log.inbox import (
    KAFKA_HELPING_LATELY_SHARED,
    KAFKA_HELPING_SHARED,
    LATELY_ROUNDS,
    CommandBatch,
    Direct,
    DirectGroup,
    Inbox,
    Kafka,
    KafkaCommand,
)


def batch(first: int, last: int, follows: int | None = None) -> CommandBatch:
    records = [KafkaCommand(offset, b"k", b"v%d" % offset) for offset in range(first, last + 1)]
    return CommandBatch(first - 1 if follows is None else follows, records, lambda: None)


def group(*commands: bytes) -> DirectGroup:
    return DirectGroup(commands, lambda _: None)


def offsets(inbox: Inbox, limit: int = 1_000) -> list[int]:
    """Take; the offsets of Kafka's commands."""
    return [item.command.offset for item in inbox.take(limit, 10**9) if isinstance(item, Kafka)]


def test_batches_that_follow_each_other_are_taken_in_their_order() -> None:
    """Gaps in the offsets are normal: transactions of producers leave markers."""
    inbox = Inbox(queue_commands_max=10, queue_bytes_max=10**9)
    assert inbox.offer_kafka(batch(5, 7))
    assert inbox.offer_kafka(batch(9, 10, follows=7))
    assert inbox.kafka_waiting == 5
    assert offsets(inbox) == [5, 6, 7, 9, 10]
    assert inbox.kafka_waiting == 0


def test_a_batch_that_does_not_follow_is_refused() -> None:
    """Records between were dropped; taken now, they would be skipped for ever."""
    inbox = Inbox(queue_commands_max=10, queue_bytes_max=10**9)
    assert inbox.offer_kafka(batch(0, 4))
    assert not inbox.offer_kafka(batch(10, 12))
    assert offsets(inbox) == [0, 1, 2, 3, 4]


def test_after_a_drop_everything_since_the_last_durable_batch_must_be_read_again() -> None:
    """The story of a rewind: what was queued is gone, the next batch under way is refused, the repetition is taken."""
    inbox = Inbox(queue_commands_max=10, queue_bytes_max=10**9)
    durable = batch(0, 4)
    inbox.offer_kafka(durable)
    inbox.offer_kafka(batch(5, 9))
    offsets(inbox)
    inbox.finished(durable)
    inbox.drop()
    assert not inbox.offer_kafka(batch(10, 14))  # was fetched already when the epoch died
    assert inbox.offer_kafka(batch(5, 9))
    assert inbox.offer_kafka(batch(10, 14))
    assert offsets(inbox) == list(range(5, 15))


def test_what_comes_twice_is_queued_twice() -> None:
    """A rewind goes to the committed offset, which is behind; the applied offset sorts it out."""
    inbox = Inbox(queue_commands_max=10, queue_bytes_max=10**9)
    inbox.offer_kafka(batch(0, 4))
    inbox.offer_kafka(batch(5, 9))
    assert inbox.offer_kafka(batch(0, 4))
    assert inbox.offer_kafka(batch(10, 11))
    assert offsets(inbox) == [*range(10), *range(5), 10, 11]


def test_a_drop_before_anything_was_durable_goes_back_to_the_beginning() -> None:
    """The first batch ever tells where reading began."""
    inbox = Inbox(queue_commands_max=10, queue_bytes_max=10**9)
    inbox.offer_kafka(batch(7, 9))
    inbox.drop()
    assert not inbox.offer_kafka(batch(10, 12))
    assert inbox.offer_kafka(batch(7, 9))


def test_the_last_record_of_a_batch_completes_it() -> None:
    """A batch is acknowledged when its last record is durable, however many rounds it takes."""
    inbox = Inbox(queue_commands_max=10, queue_bytes_max=10**9)
    both = batch(0, 2)
    inbox.offer_kafka(both)
    taken = [*inbox.take(2, 10**9), *inbox.take(2, 10**9)]
    assert [item.completes for item in taken if isinstance(item, Kafka)] == [None, None, both]


def test_a_group_that_does_not_fit_is_refused_whole() -> None:
    """Half a group would be answered in two ways."""
    inbox = Inbox(queue_commands_max=3, queue_bytes_max=10**9)
    assert inbox.offer_direct(group(b"1", b"2"))
    assert not inbox.offer_direct(group(b"3", b"4"))
    assert inbox.offer_direct(group(b"3"))
    assert len(inbox) == 3


def test_an_empty_group_is_done_at_once() -> None:
    """Nothing waits in it, and nothing waits behind it."""
    done: list[DirectGroup] = []
    inbox = Inbox(queue_commands_max=3, queue_bytes_max=10**9)
    assert inbox.offer_direct(DirectGroup([], done.append))
    assert inbox.offer_direct(group(b"1"))
    assert len(done) == 1
    assert len(list(inbox.take(10, 10**9))) == 1


def test_those_who_wait_go_first_and_a_backlog_gets_its_helping() -> None:
    """A caller's few commands do not queue behind a million imported ones; the import still moves."""
    inbox = Inbox(queue_commands_max=1_000, queue_bytes_max=10**9)
    inbox.offer_kafka(batch(0, 4_999))
    inbox.offer_direct(group(b"1", b"2"))
    taken = list(inbox.take(1_000, 10**9))
    assert [type(item) for item in taken[:3]] == [Direct, Direct, Kafka]
    assert len(taken) == 2 + KAFKA_HELPING_SHARED
    assert len(list(inbox.take(1_000, 10**9))) == KAFKA_HELPING_LATELY_SHARED


def test_a_backlog_gets_whole_rounds_once_nobody_has_waited_for_a_while() -> None:
    """Larger rounds cost less, and hold up nobody."""
    inbox = Inbox(queue_commands_max=1_000, queue_bytes_max=10**9)
    inbox.offer_direct(group(b"1"))
    assert len(list(inbox.take(1_000, 10**9))) == 1
    for _ in range(LATELY_ROUNDS):
        assert not list(inbox.take(1_000, 10**9))
    inbox.offer_kafka(batch(0, 4_999))
    assert len(list(inbox.take(1_000, 10**9))) == 1_000


@pytest.mark.parametrize("bytes_max", [1, 3, 5])
def test_a_helping_ends_when_it_has_its_bytes(bytes_max: int) -> None:
    """Large commands make small rounds; one always goes."""
    inbox = Inbox(queue_commands_max=100, queue_bytes_max=10**9)
    inbox.offer_direct(group(b"12", b"34", b"56"))
    assert len(list(inbox.take(100, bytes_max))) == -(-bytes_max // 2)


def test_a_drop_gives_back_the_direct_commands_that_nobody_took() -> None:
    """They must be told; those taken are told by who took them."""
    inbox = Inbox(queue_commands_max=100, queue_bytes_max=10**9)
    first, second = group(b"1", b"2", b"3"), group(b"4", b"5")
    inbox.offer_direct(first)
    inbox.offer_direct(second)
    list(inbox.take(1, 10**9))
    dropped = [(direct.group, direct.place) for direct in inbox.drop()]
    assert dropped == [(first, 1), (first, 2), (second, 0), (second, 1)]
    assert len(inbox) == 0
    assert inbox.drop() == []


def test_a_group_is_done_once_when_its_last_answer_is_there() -> None:
    """In whatever order they come."""
    done: list[DirectGroup] = []
    three = DirectGroup([b"1", b"2", b"3"], done.append)
    for place in (2, 0, 1):
        assert not done
        three.answer(place, Answer(str(place), "", Outcome.ACCEPTED))
    assert done == [three]
    assert [answer.command_id for answer in three.answers if answer is not None] == ["0", "1", "2"]


def test_the_direct_queue_is_bounded_by_bytes_too() -> None:
    """Few large commands take the memory of many small ones."""
    inbox = Inbox(queue_commands_max=100, queue_bytes_max=10)
    assert inbox.offer_direct(group(b"12345", b"123"))
    assert not inbox.offer_direct(group(b"123"))
    assert inbox.offer_direct(group(b"12"))
    taken = list(inbox.take(10, 10**9))
    assert len(taken) == 3
    assert inbox.offer_direct(group(b"1234567890"))
    inbox.drop()
    assert inbox.offer_direct(group(b"1234567890"))


def test_reading_from_kafka_pauses_above_either_bound() -> None:
    """What was fetched is taken all the same: it is read already."""
    inbox = Inbox(queue_commands_max=10, queue_bytes_max=9)
    assert inbox.kafka_has_room
    inbox.offer_kafka(batch(0, 3))  # two bytes each
    assert inbox.kafka_has_room
    inbox.offer_kafka(batch(4, 4))
    assert not inbox.kafka_has_room
    offsets(inbox)
    assert inbox.kafka_has_room
    inbox.offer_kafka(batch(5, 9))
    inbox.drop()
    assert inbox.kafka_has_room


def test_reading_from_kafka_pauses_above_the_bound_of_commands_however_small_they_are() -> None:
    """A thousand of some bytes cost what a thousand large ones cost, but for the bytes."""
    inbox = Inbox(queue_commands_max=5, queue_bytes_max=10**9)
    inbox.offer_kafka(batch(0, 3))
    assert inbox.kafka_has_room
    inbox.offer_kafka(batch(4, 4))
    assert not inbox.kafka_has_room
    offsets(inbox, 1)
    assert inbox.kafka_has_room


def test_a_helping_of_one_batch_ends_when_it_has_its_bytes() -> None:
    """A fetch of large commands is one batch: taken whole, its facts would not fit a round."""
    inbox = Inbox(queue_commands_max=1_000, queue_bytes_max=10**9)
    inbox.offer_kafka(batch(0, 9))  # two bytes each
    taken = [item.command.offset for item in inbox.take(1_000, 5) if isinstance(item, Kafka)]
    assert taken == [0, 1, 2]
    assert offsets(inbox) == list(range(3, 10))


def test_a_batch_that_came_again_does_not_take_back_what_is_durable() -> None:
    """After a drop, reading goes on behind the newest durable batch, not behind the last one that was finished."""
    inbox = Inbox(queue_commands_max=100, queue_bytes_max=10**9)
    first, second = batch(0, 4), batch(5, 9)
    inbox.offer_kafka(first)
    inbox.offer_kafka(second)
    inbox.offer_kafka(first)
    offsets(inbox)
    for done in (first, second, first):
        inbox.finished(done)
    inbox.drop()
    assert inbox.offer_kafka(batch(10, 12))
