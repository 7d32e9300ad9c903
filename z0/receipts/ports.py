"""
What a receipt is asked for, and what it reads. Owns: the contract of a history, and what an id may be.

Implemented over the log (`from_log`) and over Postgres (`from_postgres`); both give the stored bytes.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import NamedTuple, Protocol

from z0.domain.facts import StoredFact
from z0.domain.ids import ledger_id, parse_fact_id, parse_ledger_id
from z0.errors import DecisionUnknown


class Stored(NamedTuple):
    """A fact that counts, with the bytes that its hash is over."""

    partition: int
    value: bytes
    fact: StoredFact


class Wanted(NamedTuple):
    """Which decision: the fact of `seq`, or the one of a command id."""

    ledger_id: str
    seq: int | None = None
    command_id: str | None = None

    def __str__(self) -> str:
        return f"{self.ledger_id}.{self.seq}" if self.seq is not None else f"command {self.command_id} on {self.ledger_id}"


class History(Protocol):
    """Facts as they were written. Void records are none: a reader leaves them out."""

    name: str  # "log", "postgres": said on the receipt
    behind: str  # what to do where something is not there (yet)

    def facts(self, ledger_id: str) -> AsyncGenerator[Sequence[Stored], None]:
        """A ledger's facts from the first on, in order, in pieces. The caller closes it when it has enough."""
        ...

    async def seq_of(self, ledger_id: str, command_id: str) -> int | None:
        """The newest fact of a command id: ids are free again after 35 days."""
        ...

    async def versions(self, wanted: Mapping[str, int], tenant_id: str) -> Sequence[Stored]:
        """The facts of those versions of configs, of the tenant or the platform, as far as they are there; in any order."""
        ...


def wanted_of(text: str, ledger: str | None) -> Wanted:
    """
    What a person or a request means: a fact's id, or with a ledger (or an entity) a command's.

    Raises:
        DecisionUnknown: it is neither.
    """
    if ledger is not None:
        return Wanted(_ledger(ledger), command_id=text)
    named = parse_fact_id(text)
    if named is None or named[1] < 1:
        raise DecisionUnknown(f"{text!r} is no fact id, such as account_acct_1.42; a command id needs its ledger beside it")
    return Wanted(named[0], seq=named[1])


def _ledger(text: str) -> str:
    if parse_ledger_id(text) is not None:
        return text
    try:
        return ledger_id(text)
    except ValueError:
        raise DecisionUnknown(f"{text!r} is no ledger, such as account_acct_1, and no entity, such as acct_1") from None
