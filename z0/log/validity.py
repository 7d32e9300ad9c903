"""
The validity rule of `z0.facts`. Owns: which records count. Published in `docs/reference/validity.md`.

A record counts if its epoch is the newest claim before it and the offset it carries is the offset it has; the first
mismatch under an epoch voids the rest of that epoch. Every reader keeps (next offset, epoch) per partition and no more.
"""

from enum import StrEnum

from msgspec import Struct

from z0.domain.facts import StoredFact
from z0.errors import LogBroken

NO_EPOCH = -1


class Standing(StrEnum):
    """What a record is to a reader."""

    CLAIM = "claim"
    VALID = "valid"
    VOID = "void"


class Position(Struct, frozen=True):
    """A reader's place in one partition: the next offset to read and the epoch in force there (-1: none, or voided)."""

    next_offset: int = 0
    epoch: int = NO_EPOCH


class Place(Struct, frozen=True):
    """What the rule looks at in a fact."""

    epoch: int
    offset: int


class Validity:
    """Applies the rule to one partition, record by record, in order."""

    __slots__ = ("epoch", "next_offset")

    def __init__(self, position: Position) -> None:
        self.next_offset = position.next_offset
        self.epoch = position.epoch

    @property
    def position(self) -> Position:
        """Where a reader may go on later."""
        return Position(self.next_offset, self.epoch)

    def claim(self, offset: int) -> Standing:
        """A claim record at `offset` opens its epoch."""
        self._step(offset)
        self.epoch = offset
        return Standing.CLAIM

    def takes(self, offset: int, fact: StoredFact | Place) -> bool:
        """Whether a fact at `offset` would be valid; changes nothing."""
        return fact.epoch == self.epoch != NO_EPOCH and fact.offset == offset

    def fact(self, offset: int, fact: StoredFact | Place) -> Standing:
        """A fact record at `offset`."""
        self._step(offset)
        if fact.epoch != self.epoch or self.epoch == NO_EPOCH:
            return Standing.VOID
        if fact.offset == offset:
            return Standing.VALID
        self.epoch = NO_EPOCH  # a batch before it was lost: what follows was decided on top of that
        return Standing.VOID

    def _step(self, offset: int) -> None:
        # Offsets in a topic without transactions or compaction are contiguous; a gap means that records are gone.
        if offset != self.next_offset:
            raise LogBroken(f"expected offset {self.next_offset} of z0.facts, read {offset}: records are missing")
        self.next_offset = offset + 1
