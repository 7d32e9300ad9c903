"""
The one reader of `z0.facts`. Owns: turning records into facts with their standing. Recovery and every sink use it.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from z0.codec import decode_fact
from z0.domain.facts import StoredFact
from z0.log.claims import Claim, decode_claim
from z0.log.ports import Record
from z0.log.validity import Place, Position, Standing, Validity
from z0.names import CLAIM_KEY

_place = msgspec.json.Decoder(Place).decode


class Read(NamedTuple):
    """One record of the fact log as a reader sees it; `fact` is None for a claim and `claim` for anything else."""

    offset: int
    standing: Standing
    value: bytes
    timestamp_ms: int
    fact: StoredFact | None
    claim: Claim | None


class FactReader:
    """Reads one partition from a position on; hand it the records in order."""

    def __init__(self, partition: int, position: Position) -> None:
        self.partition = partition
        self._validity = Validity(position)

    @property
    def position(self) -> Position:
        """Where to go on after the last record read: keep it with the data."""
        return self._validity.position

    def read(self, records: Iterable[Record]) -> Iterator[Read]:
        """
        Every record with its standing; sinks take the valid ones, the archive keeps all.

        Raises:
            LogBroken: an offset is missing.
            FormatError: a record is neither fact nor claim.
        """
        for record in records:
            if record.key == CLAIM_KEY:
                standing = self._validity.claim(record.offset)
                yield Read(record.offset, standing, record.value, record.timestamp_ms, None, decode_claim(record.value))
            else:
                fact = decode_fact(record.value)
                standing = self._validity.fact(record.offset, fact)
                yield Read(record.offset, standing, record.value, record.timestamp_ms, fact, None)

    def pass_by(self, record: Record) -> Read | None:
        """
        The record as a valid fact of which nothing but its place was read; None: it is not valid by its place, read it.

        A valid place leaves the epoch as it is, so that what else stands in the record makes no difference to those after it.
        """
        try:
            place = _place(record.value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        if record.key == CLAIM_KEY or not self._validity.takes(record.offset, place):
            return None
        return Read(record.offset, self._validity.fact(record.offset, place), record.value, record.timestamp_ms, None, None)
