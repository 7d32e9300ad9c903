"""
The processing phase: two imports at once, one over HTTP and one straight to Kafka. Owns: who goes through which door.

They share no ledger: the first tenant's rows go over HTTP (about half of all), the others' over Kafka. So each ledger
hears its commands in the order of the file.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from rich.console import Console

from z0.config import Config
from z0.demo.world import MAPPING, TRACE, World
from z0.domain.commands import Confirm
from z0.domain.outcome import Outcome
from z0.imports.doors import Decided
from z0.imports.http_door import HttpDoor
from z0.imports.kafka_door import KafkaDoor
from z0.imports.load import load
from z0.imports.progress import shown
from z0.imports.run import Job, Prepared, prepare, run
from z0.imports.tally import Tally

HTTP_CHUNK_ROWS: Final = 100  # a batch of reserves, then one of twice as many: invocations and confirms
KAFKA_CHUNK_ROWS: Final = 50
WINDOW: Final = 600


@dataclass
class Book:
    """The client's own book: what it was told is spent, by account."""

    spent: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def note(self, decided: Decided) -> None:
        command = decided.step.command
        if isinstance(command, Confirm) and decided.outcome == Outcome.ACCEPTED and command.amount is not None:
            self.spent[command.ledger_id.removeprefix("account_")] += Decimal(command.amount)


@dataclass(frozen=True)
class Flow:
    """What the processing phase came to."""

    http: Tally
    kafka: Tally
    book: Book
    seconds: float

    @property
    def both(self) -> tuple[Tally, Tally]:
        return self.http, self.kafka

    @property
    def decisions(self) -> int:
        return sum(tally.decisions for tally in self.both)


async def process(config: Config, world: World, keys: Mapping[str, str], *, rows: int | None, console: Console | None) -> Flow:
    """Import the trace through both doors at once; ends when every command has its outcome."""
    first, *others = world.tenants
    http, kafka = _prepared(config, world, [first], rows), _prepared(config, world, others, rows)
    book = Book()
    flow = Tally(book.note), Tally(book.note)
    over_kafka = KafkaDoor(config.kafka_servers, began=kafka.began, window=WINDOW, prefix=kafka.id_prefix)
    began = time.monotonic()
    async with shown({"over HTTP": flow[0], "over Kafka": flow[1]}, console):
        await asyncio.gather(
            run(http, HttpDoor(config.api_url, keys[first]), flow[0]),
            run(kafka, over_kafka, flow[1]),
        )
    return Flow(*flow, book, time.monotonic() - began)


def _prepared(config: Config, world: World, tenants: list[str], rows: int | None) -> Prepared:
    loaded = load(MAPPING, {"run": world.run})
    kept = config.home / "imports"
    chunk = HTTP_CHUNK_ROWS if tenants == [world.tenants[0]] else KAFKA_CHUNK_ROWS
    rejected = kept / f"demo-{world.run}-{tenants[0]}.rejected.jsonl"
    where = {"tenant": frozenset(tenants)}
    return prepare(Job(TRACE, loaded, kept, rejected, where=where, rows_max=rows, chunk_rows=chunk))
