"""
The sink itself. Owns: exactly once in effect, by deterministic ranges. Does not own: the journal's compare-and-set (`journal`).

Order of effects of `flush`:

    1. the ranges that will be written are stored as intended       fences a second writer: see `journal`
    2. facts are inserted, one block a range                        token = topic-partition-first-last-digest
    3. data points are inserted, one block a range                  the same token, on their own table
    4. the ranges are marked done                                   the stored position is the end of the newest done range

A crash before 1 leaves nothing. Between 1 and 4 the next start finds the intent and reads exactly that range again: its
digest must be the same. What of it is in a table already is left out by comparing offsets, whatever the age of the range
(that is the fallback where the deduplication window has moved on); what is still on its way there from the dead process
bears the same token and is dropped. A crash after 4 leaves nothing to do.

What remains: a writer that sleeps between 1 and 2 for more than 10,000 inserts while another has taken over would insert
its range a second time. It finds out at its next intent and stops; `count() - uniqExact((partition, offset))` shows it.
"""

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from sinks import sql
from sinks.base import Probe, no_probe
from sinks.clickhouse.client import Store
from sinks.clickhouse.journal import Journal, Range, State
from sinks.clickhouse.lines import fact_line, is_invocation, point_line
from z0.errors import SinkStopped
from z0.log.reader import Read
from z0.log.validity import Position, Standing
from z0.names import SINK_CLICKHOUSE

_FACTS: Final = "facts"
_POINTS: Final = "z0_invocations"


class Work(NamedTuple):
    """A range and its valid facts; `adopted`: it was intended before this process, so some of it may be there."""

    range: Range
    reads: list[Read]
    adopted: bool


class ClickHouseSink:
    """`sinks.base.Sink` over ClickHouse."""

    name = SINK_CLICKHOUSE

    def __init__(self, url: str, *, probe: Probe = no_probe) -> None:
        self._store = Store(url)
        self._journal = Journal(self._store)
        self._queries = sql.queries("sinks.clickhouse")
        self._probe = probe
        self._writer = uuid.uuid4().hex
        self._stored: dict[int, Position] = {}
        self._adopted: dict[int, Range] = {}
        self._reads: dict[int, list[Read]] = {}
        self._targets: dict[int, Position] = {}

    @property
    def waiting(self) -> int:
        return sum(target.next_offset - self._at(partition).next_offset for partition, target in self._targets.items())

    async def start(self) -> Mapping[int, Position]:
        self._stored, self._adopted = await asyncio.to_thread(self._journal.resume)
        return dict(self._stored)

    def add(self, partition: int, reads: Sequence[Read], position: Position) -> None:
        valid = Standing.VALID
        self._reads.setdefault(partition, []).extend([read for read in reads if read.standing is valid])
        self._targets[partition] = position

    async def flush(self, *, final: bool = False) -> Mapping[int, Position]:
        # Twice where a partition had an adopted range: that first, then what came after it.
        while works := self._works():
            await asyncio.to_thread(self._write, works)
            self._written(works)
        return dict(self._stored)

    async def close(self) -> None:
        await asyncio.to_thread(self._store.close)

    def _at(self, partition: int) -> Position:
        return self._stored.get(partition, Position())

    def _works(self) -> list[Work]:
        works = (self._work(partition, target) for partition, target in sorted(self._targets.items()))
        return [work for work in works if work is not None]

    def _work(self, partition: int, target: Position) -> Work | None:
        """The next range of a partition; None where an adopted range has not been read to its end yet."""
        adopted = self._adopted.get(partition)
        if adopted is not None:
            return self._adopt(adopted) if target.next_offset > adopted.last_offset else None
        reads, at = self._reads[partition], self._at(partition)
        intended = Range(
            partition,
            State.INTENDED.value,
            at.next_offset,
            target.next_offset - 1,
            digest_of(reads),
            len(reads),
            at.epoch,
            target.epoch,
            self._writer,
        )
        return Work(intended, reads, adopted=False)

    def _adopt(self, range_: Range) -> Work:
        reads = [read for read in self._reads[range_.partition] if read.offset <= range_.last_offset]
        if digest_of(reads) != range_.digest or len(reads) != range_.facts:
            raise SinkStopped(
                f"offsets {range_.first_offset} to {range_.last_offset} of partition {range_.partition} have other facts "
                f"than the ones that were intended for ClickHouse: the log is not the one that was read before"
            )
        return Work(range_, reads, adopted=True)

    def _write(self, works: list[Work]) -> None:
        self._journal.intend(work.range for work in works if not work.adopted)
        self._probe(1)
        for work in works:
            self._insert(_FACTS, "stored_facts", work, work.reads, fact_line)
            self._probe(2)
        for work in works:
            self._insert(_POINTS, "stored_points", work, [read for read in work.reads if is_invocation(read)], point_line)
            self._probe(3)
        self._journal.finish({work.range.partition: work.range for work in works})
        self._probe(4)

    def _insert(self, table: str, query: str, work: Work, reads: list[Read], line: Callable[[int, Read], bytes]) -> None:
        missing = self._missing(query, work, reads) if work.adopted else reads
        if missing:
            lines = [line(work.range.partition, read) for read in missing]
            digest = None if len(missing) == len(reads) else digest_of(missing)
            self._store.insert(table, lines, work.range.token(digest))

    def _missing(self, query: str, work: Work, reads: list[Read]) -> list[Read]:
        range_ = work.range
        given = {"partition": range_.partition, "first": range_.first_offset, "last": range_.last_offset}
        stored: dict[int, str] = {row[0]: row[1] for row in self._store.query(self._queries[query], given)}
        for read in reads:
            found, fact = stored.get(read.offset), read.fact
            if found and fact is not None and found != fact.hash:
                raise SinkStopped(f"fact {fact.id} has hash {fact.hash}, but ClickHouse holds {found}")
        return [read for read in reads if read.offset not in stored]

    def _written(self, works: list[Work]) -> None:
        for work in works:
            partition, end = work.range.partition, work.range.end
            self._stored[partition] = end
            self._adopted.pop(partition, None)
            self._reads[partition] = [read for read in self._reads[partition] if read.offset >= end.next_offset]
            if self._targets[partition].next_offset == end.next_offset:
                del self._targets[partition]


def digest_of(reads: Sequence[Read]) -> str:
    """A digest of the facts' hashes, in order: it names their exact bytes. 32 hex digits."""
    digest = sha256()
    for read in reads:
        assert read.fact is not None, "only valid facts are kept"
        digest.update(read.fact.hash.encode())
    return digest.hexdigest()[:32]
