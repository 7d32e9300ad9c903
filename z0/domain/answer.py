"""
Answers: what a caller is told. Owns: the answer's fields and the state view. Does not own: how it travels.

An answer is only ever built from facts that the log holds, or, for reads, from a state at a named position.
"""

from msgspec import Struct

from z0.domain.outcome import Outcome


class Answer(Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
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
    eligibility: bytes = b""  # of `check` and `authorize`: `Eligibility` as JSON


class LimitView(Struct, frozen=True, omit_defaults=True):
    """One limit as a decision saw it, amounts and counts as decimal strings; `resets_at` in Unix milliseconds."""

    rule: str  # "cap.cfg_1/daily", "budget.USD"
    max: str
    left: str
    resets_at: int | None = None


class Eligibility(Struct, frozen=True, omit_defaults=True):
    """What `check` and `authorize` found: the first rule that failed, and what is left of each limit (after an `authorize`)."""

    eligible: bool
    outcome: Outcome
    rule: str | None = None  # the first that failed
    amount: str | None = None  # asked for, or priced
    currency: str | None = None
    limits: tuple[LimitView, ...] = ()
    configs: dict[str, int] = {}  # config id -> version, of all that were looked at


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
    """One open reservation; one without a currency holds a place only."""

    currency: str | None
    amount: str
    expires_at: int
    created_at: int
    workflow_id: str | None


class SettlementView(Struct, frozen=True):
    """Charges of one currency: exposure by stage, and what is left of prepaid money (credits are spent first)."""

    prepaid: str
    incurred: str
    pending: str


class ChargeView(Struct, frozen=True):
    """One unsettled charge."""

    currency: str
    amount: str
    stage: str
    incurred_at: int


class CounterView(Struct, frozen=True):
    """What one limit has counted since the beginning of its window."""

    start: int
    count: int
    amount: str
