"""
Reading past what is no fact. Owns: what becomes of a record that is neither fact nor claim. Does not own: the validity rule.

`FactReader` raises at such a record. A sink must not stop for one of them, and every reader behind a sink (the archive's
verifier, the counts) has to step over it in the same way, or their positions would differ. The rule: it is void, it
changes no epoch, and only if it bears the claim's key it is a claim, since there the key alone decides.
"""

from collections.abc import Sequence
from typing import NamedTuple

from z0.errors import FormatError
from z0.log.ports import Record
from z0.log.reader import FactReader, Read
from z0.log.validity import Position, Standing, Validity
from z0.names import CLAIM_KEY


class Poison(NamedTuple):
    """A record that is neither fact nor claim, and why."""

    offset: int
    value: bytes
    reason: str


class SteppingReader:
    """A `FactReader` that steps over poison and says where."""

    def __init__(self, partition: int, position: Position) -> None:
        self.partition = partition
        self._reader = FactReader(partition, position)

    @property
    def position(self) -> Position:
        """Where to go on after the last record read."""
        return self._reader.position

    def read(self, records: Sequence[Record]) -> tuple[list[Read], list[Poison]]:
        """
        Every record with its standing, and the poisonous ones once more with a reason.

        Raises:
            LogBroken: an offset is missing.
        """
        reads: list[Read] = []
        poison: list[Poison] = []
        while len(reads) < len(records):
            try:
                for read in self._reader.read(records[len(reads) :] if reads else records):
                    reads.append(read)  # one by one: what was read before an error is kept
            except FormatError as error:
                bad = records[len(reads)]
                poison.append(Poison(bad.offset, bad.value, str(error)))
                reads.append(self._step_over(bad))
        return reads, poison

    def _step_over(self, bad: Record) -> Read:
        claim = bad.key == CLAIM_KEY
        standing = Standing.CLAIM if claim else Standing.VOID
        epoch = bad.offset if claim else self._reader.position.epoch
        self._reader = FactReader(self.partition, Position(bad.offset + 1, epoch))
        return Read(bad.offset, standing, bad.value, bad.timestamp_ms, None, None)


class SelectiveReader(SteppingReader):
    """
    Decodes whole only what is written under keys of one prefix; of other valid facts epoch and offset, and gives no `fact`.

    The standings and the position are those of a `SteppingReader`: what is not valid by its place alone is read whole.
    """

    def __init__(self, partition: int, position: Position, prefix: bytes) -> None:
        super().__init__(partition, position)
        self._prefix = prefix

    def read(self, records: Sequence[Record]) -> tuple[list[Read], list[Poison]]:
        reads: list[Read] = []
        poison: list[Poison] = []
        for record in records:
            passed = None if record.key.startswith(self._prefix) else self._reader.pass_by(record)
            if passed is not None:
                reads.append(passed)
                continue
            whole, bad = super().read([record])
            reads += whole
            poison += bad
        return reads, poison


def position_after(start: Position, reads: Sequence[Read]) -> Position:
    """The reader's position after some records that it has given, for a sink that cuts where the runner did not."""
    validity = Validity(start)
    for read in reads:
        if read.standing is Standing.CLAIM:
            validity.claim(read.offset)
        elif read.fact is not None:
            validity.fact(read.offset, read.fact)
        else:
            validity = Validity(Position(read.offset + 1, validity.epoch))
    return validity.position
