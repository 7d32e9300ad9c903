"""
Answers: what a caller is told. Owns: the answer's fields and the state view. Does not own: how it travels.

An answer is only ever built from facts that the log holds, or, for reads, from a state at a named position.
"""

from msgspec import Struct

from z0.domain.outcome import Outcome


class Answer(Struct, frozen=True, array_like=True, omit_defaults=True):
    """The outcome of one command. `partition` and `offset` are the log position that it reflects (`as_of`)."""

    command_id: str
    ledger_id: str
    outcome: Outcome
    repeated: bool = False  # the first outcome again, no new effect
    partition: int = -1
    offset: int = -1
    seq: int = 0  # of the fact that the command left; 0: none
    recorded_at: int = 0
    currency: str | None = None
    available: str | None = None  # after the fact
    reservation_id: str | None = None
    expires_at: int | None = None
    detail: str | None = None
    state: bytes = b""  # of a read: `StateView` as JSON


class BudgetView(Struct, frozen=True):
    """One currency, amounts as decimal strings."""

    deposited: str
    credits: str
    spent: str
    transferred_in: str
    transferred_out: str
    reserved: str
    remaining: str
    available: str


class ReservationView(Struct, frozen=True):
    """One open reservation."""

    currency: str
    amount: str
    expires_at: int
    created_at: int
    workflow_id: str | None
