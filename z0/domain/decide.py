"""
Decisions. Owns: what each command comes to on a given state, in the outcome's precedence, and the draft of its fact.

`decide(state, command, ...)` reads the state and changes nothing; the fold of its draft is `z0.domain.state.apply`.
The clock is an argument (the batch's time), so a replay decides the same.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw, Struct

from z0.domain.commands import (
    COMMAND_BYTES_MAX,
    TTL_MS_DEFAULT,
    AddBudget,
    Append,
    Command,
    Confirm,
    CreateEntity,
    DeductBudget,
    Read,
    Release,
    Reserve,
    UpdateEntity,
)
from z0.domain.entity import ARROWS, Entity, Status
from z0.domain.facts import NO_DATA, RESERVED_LIFECYCLE, RESERVED_TYPES, FactType
from z0.domain.ids import parse_ledger_id
from z0.domain.money import UNITS_MAX, format_amount
from z0.domain.outcome import Outcome
from z0.domain.state import HOLDS_MAX, Budget, CreatedData, ExpiredData, LedgerState, UpdatedData, changed, due_holds
from z0.domain.views import budget_view

EVENT_TIME_PAST_MAX_MS: Final = 366 * 24 * 3600 * 1000
EVENT_TIME_FUTURE_MAX_MS: Final = 24 * 3600 * 1000
EXPIRIES_PER_FACT_MAX: Final = 500  # a fact of 500 reservations stays under 256 KiB, whatever their ids
_NO_BUDGET: Final = Budget()
_encode = msgspec.json.Encoder().encode


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


class Refusal(NamedTuple):
    """Why a command was refused: the outcome and the name of the rule."""

    outcome: Outcome
    rule: str
    currency: str | None = None


class RefusedData(Struct, frozen=True):
    """Payload of `decision/refused`: what was asked, which rule said no, the balance before and after (the same)."""

    code: str
    rule: str
    op: str
    request: Raw  # the command as it was decided, byte for byte
    before: Any
    after: Any


def decide(state: LedgerState, command: Command, units: int | None, now_ms: int) -> Draft | Refusal | None:
    """
    What a well-formed command of the right tenant comes to at `now_ms` (Unix milliseconds).

    `units` is the command's amount in units of 1e-12, checked before. None: a read, which leaves no fact.
    The state exists (has an entity), except for `create_entity`, and its due holds have been expired.
    """
    if type(command) is Read:
        return None
    refusal = _refused_by_lifecycle(state, command) or _refused_by_time(command, now_ms)
    return refusal or _RULES[type(command)](state, command, units, now_ms)


def expiry_drafts(state: LedgerState, now_ms: int) -> list[Draft]:
    """Facts for the holds whose time has come, by currency, at most 500 each. Takes them off the index of expiries."""
    due = due_holds(state, now_ms)
    by_currency: dict[str, list[str]] = {}
    for reservation in due:
        by_currency.setdefault(state.holds[reservation].currency, []).append(reservation)
    return [draft for currency, names in by_currency.items() for draft in _expiries_of(state, currency, names)]


def _expiries_of(state: LedgerState, currency: str, names: list[str]) -> list[Draft]:
    available = state.budgets[currency].available
    drafts = []
    for start in range(0, len(names), EXPIRIES_PER_FACT_MAX):
        amounts = {name: state.holds[name].amount for name in names[start : start + EXPIRIES_PER_FACT_MAX]}
        total = sum(amounts.values())
        available += total
        data = ExpiredData({name: format_amount(amount) for name, amount in amounts.items()})
        drafts.append(
            Draft(
                FactType.BUDGET,
                FactType.EXPIRED,
                amount=format_amount(total),
                currency=currency,
                available=format_amount(available),
                data=Raw(_encode(data)),
            )
        )
    return drafts


def refusal_draft(state: LedgerState, command: Command, refusal: Refusal, request: bytes) -> Draft:
    """The fact of a final refusal."""
    budget = state.budgets.get(refusal.currency, _NO_BUDGET) if refusal.currency else None
    balance = budget_view(budget) if budget is not None else None
    op = str(command.__struct_config__.tag)
    data = RefusedData(refusal.outcome, refusal.rule, op, Raw(request), balance, balance)
    available = balance.available if balance is not None else None
    return Draft(FactType.DECISION, FactType.REFUSED, currency=refusal.currency, available=available, data=Raw(_encode(data)))


def _refused_by_lifecycle(state: LedgerState, command: Command) -> Refusal | None:
    if type(command) is CreateEntity:
        return Refusal(Outcome.ENTITY_EXISTS, "entity.exists") if state.entity else None
    assert state.entity is not None, "unknown entities are refused before"
    if type(command) is UpdateEntity:
        return _refused_update(state.entity, command)
    if state.entity.status is Status.ACTIVE:
        return None
    if state.entity.status is Status.RETIRING and type(command) in (Confirm, Release):
        return None
    return Refusal(Outcome.ENTITY_NOT_ACTIVE, f"lifecycle.{state.entity.status}")


def _refused_update(entity: Entity, command: UpdateEntity) -> Refusal | None:
    if command.expected_version is not None and command.expected_version != entity.version:
        return Refusal(Outcome.VERSION_CONFLICT, "entity.version")
    status = command.changes.status
    if status is msgspec.UNSET or status is entity.status:
        takes_changes = entity.status in (Status.ACTIVE, Status.RETIRING)
        return None if takes_changes else Refusal(Outcome.ENTITY_NOT_ACTIVE, f"lifecycle.{entity.status}")
    if status not in ARROWS[entity.status]:
        return Refusal(Outcome.BAD_TRANSITION, f"lifecycle.{entity.status}")
    return None


def _refused_by_time(command: Command, now_ms: int) -> Refusal | None:
    at = command.timestamp
    if at is None or now_ms - EVENT_TIME_PAST_MAX_MS <= at <= now_ms + EVENT_TIME_FUTURE_MAX_MS:
        return None
    return Refusal(Outcome.TIMESTAMP_OUT_OF_BOUNDS, "timestamp.bounds")


def _create(state: LedgerState, command: CreateEntity, units: int | None, now_ms: int) -> Draft:
    ref = parse_ledger_id(command.ledger_id)
    assert ref is not None, "the ledger id was checked before"
    entity = Entity(
        id=ref.entity_id,
        type=ref.type,
        tenant_id=command.tenant_id,
        subtype=command.subtype,
        parent_id=command.parent_id,
        owner_id=command.owner_id,
        external_source=command.external_source,
        external_id=command.external_id,
        data=msgspec.json.decode(command.data) if command.data is not NO_DATA else {},
        created_at=now_ms,
        updated_at=now_ms,
    )
    return Draft(FactType.LIFECYCLE, FactType.CREATED, data=Raw(_encode(CreatedData(entity))))


def _update(state: LedgerState, command: UpdateEntity, units: int | None, now_ms: int) -> Draft | Refusal:
    assert state.entity is not None, "unknown entities are refused before"
    # Patches add up: without a bound an entity would outgrow the record batch of its snapshot, and hold the floor for ever.
    if len(_encode(changed(state.entity, command.changes, now_ms).data)) > COMMAND_BYTES_MAX:
        return Refusal(Outcome.ENTITY_TOO_LARGE, "entity.data")
    return Draft(FactType.LIFECYCLE, FactType.UPDATED, data=Raw(_encode(UpdatedData(command.changes))))


def _append(state: LedgerState, command: Append, units: int | None, now_ms: int) -> Draft | Refusal:
    if command.type in RESERVED_TYPES or (command.type == FactType.LIFECYCLE and command.subtype in RESERVED_LIFECYCLE):
        return Refusal(Outcome.RESERVED_FACT_TYPE, f"fact_type.{command.type}")
    available = None
    if (units is None) != (command.currency is None):
        return Refusal(Outcome.MISSING_AMOUNT, f"amount.{command.type}")
    if command.type == FactType.CHARGE:
        if units is None or command.currency is None:
            return Refusal(Outcome.MISSING_AMOUNT, f"amount.{command.type}")
        budget = state.budgets.get(command.currency, _NO_BUDGET)
        if units > budget.available:
            return _exhausted(command.currency)
        available = format_amount(budget.available - units)
    return Draft(command.type, command.subtype, command.amount, command.currency, available=available, data=command.data)


def _add(state: LedgerState, command: AddBudget, units: int | None, now_ms: int) -> Draft | Refusal:
    assert units is not None, "the amount was checked before"
    budget = state.budgets.get(command.currency, _NO_BUDGET)
    if budget.deposited + budget.credits + budget.transferred_in + units > UNITS_MAX:
        return Refusal(Outcome.AMOUNT_OVERFLOW, "amount.sum", command.currency)
    kind = FactType.DEPOSIT if command.kind == "deposit" else FactType.CREDIT_ISSUED
    after = format_amount(budget.available + units)
    return Draft(kind, None, command.amount, command.currency, available=after, data=command.data)


def _deduct(state: LedgerState, command: DeductBudget, units: int | None, now_ms: int) -> Draft | Refusal:
    assert units is not None, "the amount was checked before"
    budget = state.budgets.get(command.currency, _NO_BUDGET)
    if units > budget.available:
        return _exhausted(command.currency)
    after = format_amount(budget.available - units)
    return Draft(FactType.BUDGET, FactType.DEDUCTED, command.amount, command.currency, available=after, data=command.data)


def _reserve(state: LedgerState, command: Reserve, units: int | None, now_ms: int) -> Draft | Refusal:
    assert units is not None, "the amount was checked before"
    reservation = command.reservation_id or command.id
    if reservation in state.holds:
        return Refusal(Outcome.RESERVATION_EXISTS, "reservation.open", command.currency)
    if len(state.holds) >= HOLDS_MAX:
        return Refusal(Outcome.TOO_MANY_HOLDS, "reservation.count", command.currency)
    budget = state.budgets.get(command.currency, _NO_BUDGET)
    if units > budget.available:
        return _exhausted(command.currency)
    return Draft(
        FactType.BUDGET,
        FactType.RESERVED,
        command.amount,
        command.currency,
        available=format_amount(budget.available - units),
        reservation_id=reservation,
        expires_at=now_ms + (command.ttl_ms or TTL_MS_DEFAULT),
        data=command.data,
    )


def _confirm(state: LedgerState, command: Confirm, units: int | None, now_ms: int) -> Draft | Refusal:
    hold = state.holds.get(command.reservation_id)
    if hold is None:
        return Refusal(Outcome.RESERVATION_NOT_OPEN, "reservation.open")
    settled = hold.amount if units is None else units
    if settled > hold.amount:
        return Refusal(Outcome.CONFIRM_ABOVE_HOLD, "reservation.amount", hold.currency)
    held = format_amount(hold.amount)
    return Draft(
        FactType.BUDGET,
        FactType.CONFIRMED,
        held if units is None else command.amount,
        hold.currency,
        held=held,
        available=format_amount(state.budgets[hold.currency].available + hold.amount - settled),
        reservation_id=command.reservation_id,
        data=command.data,
    )


def _release(state: LedgerState, command: Release, units: int | None, now_ms: int) -> Draft | Refusal:
    hold = state.holds.get(command.reservation_id)
    if hold is None:
        return Refusal(Outcome.RESERVATION_NOT_OPEN, "reservation.open")
    return Draft(
        FactType.BUDGET,
        FactType.RELEASED,
        format_amount(hold.amount),
        hold.currency,
        available=format_amount(state.budgets[hold.currency].available + hold.amount),
        reservation_id=command.reservation_id,
        data=command.data,
    )


def _exhausted(currency: str) -> Refusal:
    return Refusal(Outcome.BUDGET_EXHAUSTED, "budget.available", currency)


# Any: each rule takes its own command class; the key says which.
_RULES: Final[dict[type[Command], Callable[[LedgerState, Any, int | None, int], Draft | Refusal]]] = {
    CreateEntity: _create,
    UpdateEntity: _update,
    Append: _append,
    AddBudget: _add,
    DeductBudget: _deduct,
    Reserve: _reserve,
    Confirm: _confirm,
    Release: _release,
}
