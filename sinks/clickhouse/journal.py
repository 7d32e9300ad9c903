"""
The journal of ranges. Owns: which range of offsets is being written, by whom, and what is done. Does not own: the rows.

ClickHouse has no transaction over two inserts and no conditional write (KeeperMap needs a Keeper). It has one thing that
is enough: an insert whose token was seen before is dropped. So the intent to write from offset F of a partition is
inserted under a token made of partition and F alone. Of two writers only the first one's row is kept, and both read back
whose it is. That is a compare-and-set: one range, and one writer, for each first offset.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct

from sinks import sql
from sinks.clickhouse.client import Store
from z0.errors import SinkStopped
from z0.log.validity import NO_EPOCH, Position
from z0.names import FACTS

TABLE: Final = "sink_ranges"
_encode = msgspec.json.Encoder().encode


class State(StrEnum):
    """How far a range is."""

    INTENDED = "intended"
    DONE = "done"


class Range(Struct, frozen=True):
    """Offsets `first_offset` to `last_offset` of a partition, both included; `facts` of them are valid, with that digest."""

    partition: int
    state: str
    first_offset: int
    last_offset: int
    digest: str
    facts: int
    epoch_before: int
    epoch_after: int
    writer: str

    @property
    def start(self) -> Position:
        """Where a reader of this range begins."""
        return Position(self.first_offset, self.epoch_before)

    @property
    def end(self) -> Position:
        """Where the next range begins."""
        return Position(self.last_offset + 1, self.epoch_after)

    def token(self, digest: str | None = None) -> str:
        """The token of an insert: it names exact content, because a token wins over content."""
        return f"{FACTS}-{self.partition}-{self.first_offset}-{self.last_offset}-{digest or self.digest}"


class Journal:
    """Reads and writes `sink_ranges`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read = sql.queries("sinks.clickhouse")["read_ranges"]

    def newest(self) -> tuple[dict[int, Range], dict[int, Range]]:
        """The newest intended and the newest done range of every partition."""
        found = [Range(*row) for row in self._store.query(self._read)]
        intended = {range_.partition: range_ for range_ in found if range_.state == State.INTENDED}
        return intended, {range_.partition: range_ for range_ in found if range_.state == State.DONE}

    def resume(self) -> tuple[dict[int, Position], dict[int, Range]]:
        """
        Stored positions, and the ranges that were intended and are not done: they must be written first, exactly as they are.

        Raises:
            SinkStopped: the journal contradicts itself.
        """
        intended, done = self.newest()
        positions = {partition: range_.end for partition, range_ in done.items()}
        pending: dict[int, Range] = {}
        for partition, range_ in intended.items():
            at = positions.get(partition, Position(0, NO_EPOCH))
            if range_.first_offset > at.next_offset:
                raise SinkStopped(
                    f"the journal lacks offsets {at.next_offset} to {range_.first_offset - 1} of partition {partition}"
                )
            if range_.first_offset == at.next_offset:
                pending[partition] = range_
                positions[partition] = range_.start
        return positions, pending

    def intend(self, ranges: Iterable[Range]) -> None:
        """
        Store intents; each is an insert of its own, because each has its own token.

        Raises:
            SinkStopped: another writer was first.
        """
        ours = {range_.partition: range_ for range_ in ranges}
        for partition, range_ in ours.items():
            self._store.insert(TABLE, [_encode(range_)], f"intent-{FACTS}-{partition}-{range_.first_offset}")
        kept, _ = self.newest() if ours else ({}, {})
        for partition, range_ in ours.items():
            if kept.get(partition) != range_:
                raise SinkStopped(
                    f"another writer writes partition {partition} of the ClickHouse sink from {range_.first_offset} on"
                )

    def finish(self, ranges: Mapping[int, Range]) -> None:
        """Mark ranges done: one insert for all of them."""
        lines = [_encode(msgspec.structs.replace(range_, state=State.DONE.value)) for range_ in ranges.values()]
        token = "-".join(range_.token() for range_ in ranges.values())
        self._store.insert(TABLE, lines, f"done-{token}")
