"""
What waits for a partition. Owns: the two doors' queues, their bounds, and the check that Kafka batches follow each other.
"""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final, Protocol, final

from mypy_extensions import mypyc_attr

from z0.domain.answer import Answer

NOTHING_READ: Final = -1  # `follows` of a batch at the start of the topic
# While the direct door is in use, Kafka's commands go in small helpings, so that a backlog does not hold up those who wait:
# the smallest where somebody waits now, a small one where somebody did in one of the last rounds.
KAFKA_HELPING_SHARED: Final = 128
KAFKA_HELPING_LATELY_SHARED: Final = 512
LATELY_ROUNDS: Final = 100


class KafkaRecord(Protocol):
    """One record of `z0.commands`, as the Kafka client hands it over: a copy of each would cost half a microsecond."""

    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


@final
@mypyc_attr(acyclic=True)
class KafkaCommand:
    """A `KafkaRecord` of our own."""

    def __init__(self, offset: int, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()) -> None:
        self.offset: Final = offset
        self.key: Final = key
        self.value: Final = value
        self.headers: Final = headers


class CommandBatch:
    """
    Consecutive records of one partition as they were fetched. `follows` is the offset of the record read before.

    `acknowledge` is called once, when every record has been decided and what it left is durable.
    """

    def __init__(self, follows: int, records: Sequence[KafkaRecord], acknowledge: Callable[[], None]) -> None:
        self.follows = follows
        self.records = records
        self.size = sum([len(record.value or b"") for record in records])
        self.acknowledge = acknowledge


class DirectGroup:
    """Commands that came in together by the direct door; `done` is called once, when all are answered."""

    def __init__(self, commands: Sequence[bytes], done: Callable[["DirectGroup"], None]) -> None:
        self.commands = commands
        self.answers: list[Answer | None] = [None] * len(commands)
        self.missing = len(commands)
        self.done = done

    def answer(self, index: int, answer: Answer) -> None:
        """Give one answer; the last one completes the group."""
        self.answers[index] = answer
        self.missing -= 1
        if not self.missing:
            self.done(self)

    def answer_all(self, answer: Answer) -> None:
        """Give every command the same answer."""
        for index in range(len(self.commands)):
            self.answer(index, answer)


@final
@mypyc_attr(acyclic=True)
class Direct:
    """One direct command to decide."""

    def __init__(self, group: DirectGroup, place: int) -> None:
        self.group: Final = group
        self.place: Final = place


def deliver(answers: list[tuple[Direct, Answer]]) -> None:
    """Give each command its answer."""
    for item, answer in answers:
        item.group.answer(item.place, answer)


@final
@mypyc_attr(acyclic=True)
class Kafka:
    """One Kafka command to decide; `completes` is its batch where it is the last record of it."""

    def __init__(self, command: KafkaRecord, completes: CommandBatch | None) -> None:
        self.command: Final = command
        self.completes: Final = completes


class Inbox:
    """The queues of one partition."""

    def __init__(self, *, queue_commands_max: int, queue_bytes_max: int) -> None:
        self._max = queue_commands_max
        self._bytes_max = queue_bytes_max
        self._direct_bytes = self._kafka_bytes = 0  # counted by groups and batches: what is half taken counts whole
        self._direct: deque[DirectGroup] = deque()
        self._direct_index = 0
        self._direct_waiting = 0
        self._kafka: deque[CommandBatch] = deque()
        self._kafka_index = 0
        self.kafka_waiting = 0
        self._last_read: int | None = None
        self._finished: int | None = None
        self._rounds_alone = LATELY_ROUNDS

    def __len__(self) -> int:
        return self._direct_waiting + self.kafka_waiting

    def offer_direct(self, group: DirectGroup) -> bool:
        """Queue a group; False: full, the caller answers `overloaded`."""
        if not group.commands:
            group.done(group)
            return True
        group_bytes = sum(map(len, group.commands))
        if self._direct_waiting + len(group.commands) > self._max or self._direct_bytes + group_bytes > self._bytes_max:
            return False
        self._direct.append(group)
        self._direct_bytes += group_bytes
        self._direct_waiting += len(group.commands)
        return True

    @property
    def kafka_has_room(self) -> bool:
        """Whether more should be read. What was read is always taken, so one fetch may go beyond the bounds."""
        return self.kafka_waiting < self._max and self._kafka_bytes < self._bytes_max

    def offer_kafka(self, batch: CommandBatch) -> bool:
        """
        Queue a batch; False: records between it and the one before were dropped, and must be read again.

        What comes twice after such a rewind is queued twice; the applied offset keeps it from having effect twice.
        """
        if self._last_read is None:
            self._last_read = self._finished = batch.follows
        if batch.follows > self._last_read:
            return False
        self._kafka.append(batch)
        self._kafka_bytes += batch.size
        self.kafka_waiting += len(batch.records)
        self._last_read = max(self._last_read, batch.records[-1].offset)
        return True

    def finished(self, batch: CommandBatch) -> None:
        """Everything up to the end of this batch is durable."""
        self._finished = max(self._finished if self._finished is not None else NOTHING_READ, batch.records[-1].offset)

    def take(self, limit: int, bytes_max: int) -> list[Direct | Kafka]:
        """Commands to decide next, those who wait first; at most `limit`, and no more once they have `bytes_max` bytes."""
        kafka_limit = min(limit, self._kafka_helping(limit))
        taken: list[Direct | Kafka] = []
        bytes_max = self._take_direct(taken, limit, bytes_max)
        while self._kafka and kafka_limit > 0 and bytes_max > 0:
            before = len(taken)
            bytes_max = self._take_kafka(taken, kafka_limit, bytes_max)
            kafka_limit -= len(taken) - before
        return taken

    def _kafka_helping(self, limit: int) -> int:
        if self._direct_waiting:
            self._rounds_alone = 0
            return KAFKA_HELPING_SHARED
        self._rounds_alone += 1
        return limit if self._rounds_alone > LATELY_ROUNDS else KAFKA_HELPING_LATELY_SHARED

    def _take_direct(self, taken: list[Direct | Kafka], limit: int, bytes_max: int) -> int:
        while self._direct and limit > 0 and bytes_max > 0:
            group = self._direct[0]
            index = self._direct_index
            self._direct_index += 1
            self._direct_waiting -= 1
            limit -= 1
            if self._direct_index == len(group.commands):
                self._direct.popleft()
                self._direct_bytes -= sum(map(len, group.commands))
                self._direct_index = 0
            taken.append(Direct(group, index))
            bytes_max -= len(group.commands[index])
        return bytes_max

    def _take_kafka(self, taken: list[Direct | Kafka], limit: int, bytes_max: int) -> int:
        """Of the batch that came first; what is left of `bytes_max`."""
        batch = self._kafka[0]
        start, count = self._kafka_index, 0
        for record in islice(batch.records, start, start + limit):
            taken.append(Kafka(record, None))
            count += 1
            bytes_max -= len(record.value or b"")
            if bytes_max <= 0:
                break
        self._kafka_index += count
        self.kafka_waiting -= count
        if self._kafka_index == len(batch.records):
            taken[-1] = Kafka(batch.records[-1], batch)
            self._kafka.popleft()
            self._kafka_bytes -= batch.size
            self._kafka_index = 0
        return bytes_max

    def drop(self) -> list[Direct]:
        """Forget everything queued; the direct commands that were not taken are returned, to be told."""
        left = [
            Direct(group, i)
            for n, group in enumerate(self._direct)
            for i in range(0 if n else self._direct_index, len(group.commands))
        ]
        self._direct.clear()
        self._kafka.clear()
        self._direct_index = self._kafka_index = self._direct_waiting = self.kafka_waiting = 0
        self._direct_bytes = self._kafka_bytes = 0
        self._last_read = self._finished
        return left
