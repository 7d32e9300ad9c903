"""
When a range that is not full is sealed all the same. Owns: that policy, and gathering records into ranges. Does no I/O.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sinks.archive.parquet import Columns
from sinks.reading import position_after
from z0.log.reader import Read
from z0.log.validity import Position

# A range holds 10,000 records of up to 256 KiB; it is ended early rather than held in memory.
RANGE_BYTES_MAX: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class SealPolicy:
    """
    A tail is sealed when its partition has been quiet for `idle_ms`, but then not again before `spacing_ms`, and in any
    case at `age_ms`.

    Quiet: so that what happened can be proved soon. Spacing: a fact every few seconds would make an object each. Age: the
    most that is lost with the log. All in milliseconds.
    """

    idle_ms: int = 5_000
    spacing_ms: int = 15_000
    age_ms: int = 900_000


class Gathering:
    """A range of one partition that is being filled; `end` is the reader's position after what it holds."""

    def __init__(self, partition: int, start: Position, now_ms: int) -> None:
        self.partition = partition
        self.start = self.end = start
        self.columns = Columns()
        self.began_ms = self.changed_ms = now_ms

    def take(self, reads: list[Read], end: Position, now_ms: int) -> None:
        """Take consecutive records."""
        assert reads[0].offset == self.end.next_offset, "ranges have no holes"
        self.columns.extend(reads)
        self.end, self.changed_ms = end, now_ms

    def is_due(self, policy: SealPolicy, *, sealed_ms: int | None, now_ms: int) -> bool:
        """Whether what there is, is sealed now; `sealed_ms`: when the partition's last tail was."""
        quiet = now_ms - self.changed_ms >= policy.idle_ms
        spaced = sealed_ms is None or now_ms - sealed_ms >= policy.spacing_ms
        return len(self.columns) > 0 and ((quiet and spaced) or now_ms - self.began_ms >= policy.age_ms)


def split(reads: Sequence[Read], start: Position, *, end: Position, cut: int) -> tuple[list[Read], Position, list[Read]]:
    """The records below offset `cut`, the position after them, and the rest. `end` is the position after all of them."""
    if end.next_offset <= cut:
        return list(reads), end, []
    head = [read for read in reads if read.offset < cut]
    return head, position_after(start, head), list(reads[len(head) :])
