"""
What a decision comes to: the draft of a fact, or a refusal. Owns: their shape, and the fact that a refusal leaves.
"""

from typing import Any, Final, final

import msgspec
from msgspec import Raw
from mypy_extensions import mypyc_attr

from z0.domain.commands import Command
from z0.domain.facts import NO_DATA, FactType, Reference
from z0.domain.outcome import Outcome
from z0.domain.payloads import RefusedData
from z0.domain.policy import NO_POLICY, Policy
from z0.domain.state import Budget, LedgerState
from z0.domain.views import budget_view

NO_BUDGET: Final = Budget()
_encode: Final = msgspec.json.Encoder().encode


@final
@mypyc_attr(acyclic=True)
class Refusal:
    """Why a command was refused: the outcome, the name of the rule, and words for a person."""

    def __init__(self, outcome: Outcome, rule: str, currency: str | None = None, detail: str | None = None) -> None:
        self.outcome: Final = outcome
        self.rule: Final = rule
        self.currency: Final = currency
        self.detail: Final = detail


@final
@mypyc_attr(acyclic=True, free_list_len=1)
class Case:
    """
    What a decision knows beside state and command; the engine looked it up before.

    `units` is the command's amount in units of 1e-12, checked before; `now_ms` the batch's time; `reference` the fact in
    `source_id`, where this partition has it; `refusal` what the copy of all configs says against the command; `unproven` what
    another ledger of this partition says against the fact in `source_id`, which the partition does not have (any more).
    """

    def __init__(
        self,
        units: int | None,
        now_ms: int,
        policy: Policy = NO_POLICY,
        reference: Reference | None = None,
        refusal: Refusal | None = None,
        unproven: Refusal | None = None,
    ) -> None:
        self.units: Final = units
        self.now_ms: Final = now_ms
        self.policy: Final = policy
        self.reference: Final = reference
        self.refusal: Final = refusal
        self.unproven: Final = unproven


@final
@mypyc_attr(acyclic=True, free_list_len=1)
class Draft:
    """A fact before it gets its place in a ledger; `extras` are fields that few facts have, by name."""

    def __init__(
        self,
        type: str,  # noqa: A002 - the field's name on the wire
        subtype: str | None = None,
        amount: str | None = None,
        currency: str | None = None,
        held: str | None = None,
        available: str | None = None,
        reservation_id: str | None = None,
        expires_at: int | None = None,
        data: Raw = NO_DATA,
        counted: dict[str, int] | None = None,
        extras: dict[str, Any] | None = None,
    ) -> None:
        self.type: Final = type
        self.subtype: Final = subtype
        self.amount: Final = amount
        self.currency: Final = currency
        self.held: Final = held
        self.available: Final = available
        self.reservation_id: Final = reservation_id
        self.expires_at: Final = expires_at
        self.data: Final = data
        self.counted: Final = counted
        self.extras: Final = extras

    def with_extras(self, extras: dict[str, Any]) -> "Draft":
        """The same with more of them."""
        return Draft(
            self.type,
            self.subtype,
            self.amount,
            self.currency,
            self.held,
            self.available,
            self.reservation_id,
            self.expires_at,
            self.data,
            self.counted,
            {**(self.extras or {}), **extras},
        )


def refusal_draft(state: LedgerState, command: Command, refusal: Refusal, request: bytes) -> Draft:
    """The fact of a final refusal."""
    budget = state.budgets.get(refusal.currency, NO_BUDGET) if refusal.currency else None
    balance = budget_view(budget) if budget is not None else None
    op = str(command.__struct_config__.tag)
    data = RefusedData(refusal.outcome, refusal.rule, op, Raw(request), balance, balance, refusal.detail)
    available = balance.available if balance is not None else None
    return Draft(FactType.DECISION, FactType.REFUSED, currency=refusal.currency, available=available, data=Raw(_encode(data)))
