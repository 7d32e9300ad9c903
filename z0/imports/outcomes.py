"""
Hearing of outcomes over Kafka. Owns: following `z0.facts` and `z0.dead-letters`, and which record answers which command.

A command over Kafka is answered by the fact that carries its id. A repeat leaves no new fact: its answer is the old one,
so a run that may be a second one follows the log from where the first began.
"""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from z0 import kafka_url
from z0.codec import decode_fact
from z0.domain.facts import StoredFact
from z0.log.ports import Record
from z0.log.reader import FactReader
from z0.log.validity import Position, Standing
from z0.names import CLAIM_KEY, DEAD_LETTERS, FACTS

POLL_MS: Final = 200
RECORDS_MAX: Final = 2_000  # some megabytes; decoded in 15 ms, in which nothing is sent


class CommandKey(NamedTuple):
    """What a command id is unique in, and the id."""

    tenant_id: str
    ledger_id: str
    command_id: str


class Heard(NamedTuple):
    """An outcome that stands in the log; `digest` of the command's body, None for a dead letter."""

    key: CommandKey
    outcome: str
    digest: str | None


class FactTail:
    """Valid facts of one partition from anywhere in it on."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._reader: FactReader | None = None

    def read(self, records: list[Record]) -> list[StoredFact]:
        """The valid facts among the next records, in order."""
        if self._reader is None:
            records = self._begin(records)
        if self._reader is None:
            return []
        reads = self._reader.read(records)
        return [read.fact for read in reads if read.standing is Standing.VALID and read.fact is not None]

    def _begin(self, records: list[Record]) -> list[Record]:
        """
        Skip to a record that tells the epoch in force: a claim, or a fact at the offset that it expected.

        What a dead writer sent late lies behind a claim that it did not know of, so its offsets do not fit.
        """
        for index, record in enumerate(records):
            epoch = _epoch_at(record)
            if epoch is not None:
                self._reader = FactReader(self._partition, Position(record.offset, epoch))
                return records[index:]
        return []


def _epoch_at(record: Record) -> int | None:
    if record.key == CLAIM_KEY:
        return record.offset
    fact = decode_fact(record.value)
    return fact.epoch if fact.offset == record.offset else None


class Outcomes:
    """Follows the log; use it as a context manager and iterate `batches()`."""

    def __init__(self, servers: str, *, facts: int, dead_letters: int) -> None:
        """Of so many partitions; a producer is asked for them, a consumer only knows the topics that it subscribed to."""
        self._facts = [TopicPartition(FACTS, p) for p in range(facts)]
        self._letters = [TopicPartition(DEAD_LETTERS, p) for p in range(dead_letters)]
        self._consumer = AIOKafkaConsumer(
            **kafka_url.options(servers),
            enable_auto_commit=False,
            isolation_level="read_committed",
            max_poll_records=RECORDS_MAX,
            fetch_max_wait_ms=50,
        )
        self._tails: dict[int, FactTail] = {}
        self.end: dict[int, int] = {}  # of the fact log when this began

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        everything = [*self._facts, *self._letters]
        self._consumer.assign(everything)
        ends = await self._consumer.end_offsets(everything)
        self.end = {tp.partition: ends[tp] for tp in self._facts}
        self._tails = {tp.partition: FactTail(tp.partition) for tp in self._facts}
        for tp in everything:
            self._consumer.seek(tp, ends[tp])
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._consumer.stop()

    def start_at(self, offsets: Mapping[int, int]) -> None:
        """Begin earlier than at the end: where an earlier run began."""
        for partition, offset in offsets.items():
            if partition in self._tails:
                self._consumer.seek(TopicPartition(FACTS, partition), min(offset, self.end[partition]))

    async def earlier(self) -> AsyncIterator[Heard]:
        """What the log held when this began, from `start_at` on; to be read before `batches`."""
        while not await self._reached():
            for heard in await self._poll(until=self.end):
                yield heard

    async def _reached(self) -> bool:
        for partition, end in self.end.items():
            if await self._consumer.position(TopicPartition(FACTS, partition)) < end:
                return False
        return True

    async def batches(self) -> AsyncIterator[list[Heard]]:
        """New outcomes, for ever; an empty list where there are none."""
        while True:
            yield await self._poll()

    async def _poll(self, until: Mapping[int, int] | None = None) -> list[Heard]:
        heard: list[Heard] = []
        for tp, records in (await self._consumer.getmany(timeout_ms=POLL_MS)).items():
            if tp.topic == DEAD_LETTERS:
                heard += filter(None, (_letter(record.value) for record in records))
                continue
            plain = [Record(record.offset, record.key or b"", record.value or b"", record.timestamp) for record in records]
            heard += filter(None, (_fact(fact) for fact in self._tails[tp.partition].read(plain)))
        return heard


def _fact(fact: StoredFact) -> Heard | None:
    if fact.command_id is None or fact.outcome is None:
        return None
    return Heard(CommandKey(fact.tenant_id, fact.ledger_id, fact.command_id), fact.outcome, fact.digest)


def _letter(value: bytes) -> Heard | None:
    """A dead letter that quotes a command; others are not ours to judge."""
    try:
        letter: Any = json.loads(value)
        command: Any = json.loads(letter["value"])
        return Heard(CommandKey(command["tenant_id"], command["ledger_id"], command["id"]), letter["reason"], None)
    except (ValueError, KeyError, TypeError):
        return None
