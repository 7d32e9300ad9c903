"""What the receipts' tests share: a log of records as a history, and every fact of it explained."""

from collections.abc import Sequence

import msgspec

from tests.unit.test_log_world import Bench
from z0.codec import decode_fact
from z0.configs.book import Book
from z0.domain.answer import Answer
from z0.domain.commands import Command
from z0.domain.config import version_of_fact
from z0.domain.facts import FactType
from z0.log.memory import MemoryLog
from z0.log.ports import Record
from z0.names import CLAIM_KEY
from z0.receipts import Receipt, Wanted, explain
from z0.receipts.from_log import LogHistory


class ConfiguredBench(Bench):
    """A bench whose own log decides its configs: each accepted version is in the copy before the next command."""

    def __init__(self) -> None:
        self.book = Book()
        super().__init__(policies=self.book)

    def one(self, command: Command | bytes) -> Answer:
        answer = super().one(command)
        newest = self.last
        if (newest.type, newest.subtype) == (FactType.CONFIG, FactType.VERSIONED):
            self.book.add(version_of_fact(newest.data))
        return answer


def history(*partitions: Sequence[Record]) -> LogHistory:
    """These records as a log; with several partitions, the one that has the ledger."""
    log = MemoryLog(len(partitions))
    log.records = [list(records) for records in partitions]
    places = {r.key.decode(): p for p, records in enumerate(partitions) for r in records}
    return LogHistory(log, lambda ledger: places.get(ledger, 0))


async def every(bench: Bench) -> list[Receipt]:
    """The receipt of every fact of a bench, in the log's order."""
    told = history(bench.records)
    return [await explain(told, Wanted(fact.ledger_id, fact.seq)) for fact in bench.facts]


async def newest(bench: Bench) -> Receipt:
    """The receipt of its newest fact."""
    fact = bench.last
    return await explain(history(bench.records), Wanted(fact.ledger_id, fact.seq))


def said(receipt: Receipt) -> str:
    """What a failing test shows."""
    return msgspec.json.encode(receipt).decode()


def forged(records: Sequence[Record], offset: int, old: bytes, new: bytes) -> list[Record]:
    """The same log with other bytes in one record."""
    changed = list(records)
    value = changed[offset].value
    assert old in value
    changed[offset] = changed[offset]._replace(value=value.replace(old, new))
    return changed


def offset_of(bench: Bench, seq: int) -> int:
    """Where the fact of a seq is, of the only ledger."""
    return next(r.offset for r in bench.records if r.key != CLAIM_KEY and decode_fact(r.value).seq == seq)
