"""
What a decision comes to: the draft of a fact, or a refusal. Owns: their shape, and the fact that a refusal leaves.
"""

from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw, Struct

from z0.domain.commands import Command
from z0.domain.facts import NO_DATA, FactType
from z0.domain.outcome import Outcome
from z0.domain.policy import NO_POLICY, Policy
from z0.domain.state import Budget, LedgerState
from z0.domain.views import budget_view

NO_BUDGET: Final = Budget()
_encode = msgspec.json.Encoder().encode


class Reference(Struct, frozen=True, gc=False):
    """A fact of this partition that another fact names: enough to check the name. `timestamp` is its event time."""

    type: str
    timestamp: int
    hash: str


class Case(Struct, frozen=True, gc=False):
    """What a decision knows beside state and command; the engine looked it up before."""

    units: int | None  # the command's amount in units of 1e-12, checked before
    now_ms: int  # the batch's time
    policy: Policy = NO_POLICY
    reference: Reference | None = None  # the fact in `source_id`, where this partition has it
    refusal: "Refusal | None" = None  # what the copy of all configs says against the command


class Draft(Struct, frozen=True, gc=False):
    """A fact before it gets its place in a ledger."""

    type: str
    subtype: str | None = None
    amount: str | None = None
    currency: str | None = None
    held: str | None = None
    available: str | None = None
    reservation_id: str | None = None
    expires_at: int | None = None
    data: Raw = NO_DATA
    counted: dict[str, int] | None = None
    extras: dict[str, Any] | None = None  # fields that few facts have, by name


class Refusal(NamedTuple):
    """Why a command was refused: the outcome, the name of the rule, and words for a person."""

    outcome: Outcome
    rule: str
    currency: str | None = None
    detail: str | None = None


class RefusedData(Struct, frozen=True, omit_defaults=True):
    """Payload of `decision/refused`: what was asked, which rule said no, the balance before and after (the same)."""

    code: str
    rule: str
    op: str
    request: Raw  # the command as it was decided, byte for byte
    before: Any
    after: Any
    detail: str | None = None


def refusal_draft(state: LedgerState, command: Command, refusal: Refusal, request: bytes) -> Draft:
    """The fact of a final refusal."""
    budget = state.budgets.get(refusal.currency, NO_BUDGET) if refusal.currency else None
    balance = budget_view(budget) if budget is not None else None
    op = str(command.__struct_config__.tag)
    data = RefusedData(refusal.outcome, refusal.rule, op, Raw(request), balance, balance, refusal.detail)
    available = balance.available if balance is not None else None
    return Draft(FactType.DECISION, FactType.REFUSED, currency=refusal.currency, available=available, data=Raw(_encode(data)))
