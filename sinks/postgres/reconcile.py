"""
`z0 reconcile`: what a partition could not check when it decided. Owns: comparing a fact's proof with the fact that it names.

A fact on another ledger is named with proof (its id, ledger, seq and hash), of which the deciding partition sees the form
only. Here both facts are in one store. Reads in pieces, so memory does not grow with the log; writes nothing.

All that was in the log at the call is judged. A named fact was in the log before the one that names it, but Postgres may
have the second first, and the ends of the partitions are not read at one moment. So the order is:

    1. the ends of the log are read           facts below them are judged
    2. they are read again                    what those facts name lies below these
    3. the store is waited for                up to the second ends
    4. facts are compared                     below the first ends

Where the store does not come so far in time, what it has is judged: nothing is said to be missing, and how many records
below the first ends it did not have is said (`behind`).
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, Final, NamedTuple

import psycopg

from sinks import sql
from sinks.base import StoreUnavailable
from z0.errors import no_answer, refused

PIECE_ROWS: Final = 5_000  # one join of this many rows takes milliseconds, and is what memory holds at once
LOOK_AGAIN_S: Final = 0.2


class Kind(StrEnum):
    """What does not fit, in the order of looking; the names are stable."""

    ID = "id"  # `source_id` and the proof name two facts
    MISSING = "missing"  # there is no such fact
    TENANT = "tenant"
    LEDGER = "ledger"
    SEQ = "seq"
    HASH = "hash"
    TYPE = "type"  # a charge names an outcome, a cost an invocation
    TIME = "time"  # the charge is earlier than the outcome


class Finding(NamedTuple):
    """A fact whose proof does not fit, what it claims and what is there."""

    finding: str
    fact_id: str
    source_id: str
    expected: str | int | None
    found: str | int | None


class Piece(NamedTuple):
    """What was compared in one go; `waiting`: named facts that the store may still get."""

    checked: int
    findings: Sequence[Finding]
    waiting: int


class Run(NamedTuple):
    """How many facts there are to compare, the records that the store did not have in time, and the comparison."""

    total: int
    behind: int
    pieces: Iterator[Piece]


class Reconciliation:
    """One run over one store; use it as a context manager."""

    def __init__(self, url: str, *, piece_rows: int = PIECE_ROWS) -> None:
        self._url = url
        self._rows = piece_rows
        self._queries = {name: text.encode() for name, text in sql.queries("sinks.postgres", "reconcile.sql").items()}

    @contextmanager
    def opened(self) -> Iterator["Reconciliation"]:
        """
        Connected, read-only.

        Raises:
            StoreUnavailable: Postgres does not answer.
        """
        try:
            with psycopg.connect(self._url, autocommit=True, application_name="z0-reconcile") as connection:
                connection.read_only = True
                self._connection = connection
                yield self
        except psycopg.OperationalError as error:
            raise StoreUnavailable(no_answer("Postgres", error)) from error
        except psycopg.ProgrammingError as error:
            raise StoreUnavailable(refused("Postgres", "a question", error)) from error

    def positions(self) -> dict[int, int]:
        """The next offset of every partition that the store does not have yet."""
        return dict(self._connection.execute(self._queries["positions"]).fetchall())

    def wait(self, ends: Mapping[int, int], timeout_s: float) -> dict[int, int]:
        """The positions of the store once it came to these ends of the log, or when the time is up."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = self.positions()
            if not _behind(ends, found) or time.monotonic() >= deadline:
                return found
            time.sleep(LOOK_AGAIN_S)

    def count(self, upto: Mapping[int, int]) -> int:
        """How many facts there are to compare."""
        given = {"partitions": list(upto), "ends": list(upto.values())}
        row = self._connection.execute(self._queries["count_unproved"], given).fetchone()
        assert row is not None, "a count is one row"
        return int(row[0])

    def pieces(self, upto: Mapping[int, int], *, complete: bool) -> Iterator[Piece]:
        """Compare everything below these positions; `complete`: what is not there now will not come."""
        for partition, end in sorted(upto.items()):
            start = 0
            while rows := self._unproved(partition, start, end):
                yield _piece(rows, complete=complete)
                start = rows[-1][0] + 1

    def _unproved(self, partition: int, start: int, upto: int) -> list[tuple[Any, ...]]:
        given = {"partition": partition, "start": start, "upto": upto, "limit": self._rows}
        return self._connection.execute(self._queries["unproved"], given).fetchall()


def run(reconciliation: Reconciliation, ends: Callable[[], Mapping[int, int]], *, wait_s: float) -> Run:
    """All of it, in the order of this module's docstring."""
    judged = ends()
    named = ends()
    there = reconciliation.wait(named, wait_s)
    upto = {partition: min(end, there.get(partition, 0)) for partition, end in judged.items()}
    complete = not _behind(named, there)
    return Run(reconciliation.count(upto), _behind(judged, there), reconciliation.pieces(upto, complete=complete))


def _behind(ends: Mapping[int, int], there: Mapping[int, int]) -> int:
    """Records below these ends that a store at these positions does not have."""
    return sum(max(0, end - there.get(partition, 0)) for partition, end in ends.items())


def _piece(rows: list[tuple[Any, ...]], *, complete: bool) -> Piece:
    found = [_finding(row) for row in rows if row[3] is not None]
    if complete:
        return Piece(len(rows), found, 0)
    sure = [finding for finding in found if finding.finding != Kind.MISSING]
    return Piece(len(rows), sure, len(found) - len(sure))


def _finding(row: tuple[Any, ...]) -> Finding:
    _, fact_id, proof_id, kind, source_id, tenant, ledger, seq, hash_, type_, at, *named = row
    n_tenant, n_ledger, n_seq, n_hash, n_type, n_at = named
    compared: dict[Kind, tuple[str | int | None, str | int | None]] = {
        Kind.ID: (source_id, proof_id),
        Kind.MISSING: (proof_id, None),
        Kind.TENANT: (tenant, n_tenant),
        Kind.LEDGER: (ledger, n_ledger),
        Kind.SEQ: (seq, n_seq),
        Kind.HASH: (hash_, n_hash),
        Kind.TYPE: ("outcome" if type_ == "charge" else "invocation", n_type),
        Kind.TIME: (at, n_at),
    }
    return Finding(kind, fact_id, proof_id, *compared[Kind(kind)])
