"""
Money: add, deduct, reserve, authorize, confirm, release, charge, settle. Owns: what each comes to. Does not own: caps, budget
and price as rules (`z0.domain.eligibility`).
"""

from typing import Any, Final

import msgspec

from z0.domain.commands import (
    TTL_MS_DEFAULT,
    AddBudget,
    Append,
    Authorize,
    Check,
    Confirm,
    DeductBudget,
    Release,
    Reserve,
    Settle,
)
from z0.domain.draft import NO_BUDGET, Case, Draft, Refusal
from z0.domain.eligibility import (
    Spend,
    asked_for,
    counted,
    first_refusal,
    priced,
    refused_by_budget,
    refused_by_caps,
    refused_by_price,
    refused_by_sum,
)
from z0.domain.facts import FactType
from z0.domain.money import UNITS_MAX, format_amount
from z0.domain.outcome import Outcome
from z0.domain.state import CHARGES_MAX, HOLDS_MAX, Charge, Hold, LedgerState, has_counted

_ADDED: Final = {
    "deposit": (FactType.DEPOSIT, None),
    "credit": (FactType.CREDIT_ISSUED, None),
    "transfer": (FactType.BUDGET, FactType.TRANSFERRED_IN),
}


def add(state: LedgerState, command: AddBudget, case: Case) -> Draft | Refusal:
    """Money in: limited only by what a store can hold."""
    assert case.units is not None, "the amount was checked before"
    budget = state.budgets.get(command.currency, NO_BUDGET)
    if budget.deposited + budget.credits + budget.transferred_in + case.units > UNITS_MAX:
        return Refusal(Outcome.AMOUNT_OVERFLOW, "amount.sum", command.currency)
    type_, subtype = _ADDED[command.kind]
    after = format_amount(budget.available + case.units)
    return Draft(type_, subtype, command.amount, command.currency, available=after, data=command.data)


def deduct(state: LedgerState, command: DeductBudget, case: Case) -> Draft | Refusal:
    """Spend at once."""
    assert case.units is not None, "the amount was checked before"
    return _spent(state, command, case, case.units, currency=command.currency, kind=(FactType.BUDGET, FactType.DEDUCTED))


def charge(state: LedgerState, command: Append, case: Case) -> Draft | Refusal:
    """A charge is spent when it is appended; an incurred one stays open until it is settled."""
    if case.units is None or command.currency is None:
        return Refusal(Outcome.MISSING_AMOUNT, f"amount.{command.type}")
    if command.subtype == FactType.INCURRED and len(state.charges) >= CHARGES_MAX:
        return Refusal(Outcome.TOO_MANY_CHARGES, "charge.count", command.currency)
    return _spent(state, command, case, case.units, currency=command.currency, kind=(command.type, command.subtype))


def _spent(
    state: LedgerState,
    command: DeductBudget | Append,
    case: Case,
    units: int,
    *,
    currency: str,
    kind: tuple[str, str | None],
) -> Draft | Refusal:
    """What leaves the budget without a reservation, under every rule that a reservation obeys."""
    spend = _spend(case, units, currency)
    refusal = first_refusal(state, case.policy, spend, case.now_ms)
    if refusal is not None:
        return refusal
    return Draft(
        *kind,
        command.amount,
        currency,
        available=_after(state, currency, units),
        data=command.data,
        counted=counted(state, case.policy, spend, case.now_ms),
    )


def settle(state: LedgerState, command: Settle, case: Case) -> Draft | Refusal:
    """Move an incurred charge on; its money was spent before."""
    open_charge: Charge | None = state.charges.get(command.charge_id)
    if open_charge is None or (command.stage == FactType.PENDING and open_charge.is_pending):
        return Refusal(Outcome.CHARGE_NOT_OPEN, "charge.open")
    return Draft(
        FactType.CHARGE,
        command.stage,
        format_amount(open_charge.amount),
        open_charge.currency,
        data=command.data,
        extras={"source_id": command.charge_id},
    )


def reserve(state: LedgerState, command: Reserve, case: Case) -> Draft | Refusal:
    """Hold an amount; a transfer counts under no cap, since it is not spent."""
    assert case.units is not None, "the amount was checked before"
    if command.purpose == "transfer":
        spend, extras = Spend(case.units, command.currency, None), {"purpose": command.purpose}
    else:
        spend, extras = _spend(case, case.units, command.currency, is_held=True), None
    refusal = _refused_hold(state, command, spend, case)
    return refusal or _held(state, command, spend, case=case, amount=command.amount, extras=extras)


def authorize(state: LedgerState, command: Authorize, case: Case) -> Draft | Refusal:
    """Every rule in the order of the eligibility; where all pass, hold the amount as given or as priced."""
    spend = priced(command, case.units, case.policy)
    if isinstance(spend, Refusal):  # what cannot be priced may still be stopped by an earlier rule
        place = refused_by_place(state, command.reservation_id or command.id, spend.currency)
        return place or asked_for(state, case, spend) or spend
    return _refused_hold(state, command, spend, case) or _held_as_priced(state, command, spend, case)


def would_hold(state: LedgerState, command: Check, spend: Spend, case: Case) -> Draft:
    """The reservation that an `authorize` would make which says what a `check` says, where every rule passes."""
    return _held_as_priced(state, Authorize(**msgspec.structs.asdict(command)), spend, case)


def _held_as_priced(state: LedgerState, command: Authorize, spend: Spend, case: Case) -> Draft:
    amount, extras = _of_usage(command, spend)
    return _held(state, command, spend, case=case, amount=amount, extras=extras)


def _of_usage(command: Authorize, spend: Spend) -> tuple[str | None, dict[str, Any] | None]:
    """The amount as given, or as priced, and then what it was priced by."""
    price = spend.price
    if command.usage is None or price is None:
        return command.amount, None
    extras = {"usage": command.usage, "config_id": price.config_id, "config_version": price.config_version}
    return format_amount(spend.units), extras


def _refused_hold(state: LedgerState, command: Reserve | Authorize, spend: Spend, case: Case) -> Refusal | None:
    place = refused_by_place(state, command.reservation_id or command.id, spend.currency)
    return place or first_refusal(state, case.policy, spend, case.now_ms)


def _held(
    state: LedgerState,
    command: Reserve | Authorize,
    spend: Spend,
    *,
    case: Case,
    amount: str | None,
    extras: dict[str, Any] | None,
) -> Draft:
    return Draft(
        FactType.BUDGET,
        FactType.RESERVED,
        amount if spend.currency is not None else None,
        spend.currency,
        available=_after(state, spend.currency, spend.units) if spend.currency is not None else None,
        reservation_id=command.reservation_id or command.id,
        expires_at=case.now_ms + _ttl_ms(command.ttl_ms, case),
        data=command.data,
        counted=counted(state, case.policy, spend, case.now_ms),
        extras=extras,
    )


def refused_by_place(state: LedgerState, reservation: str | None, currency: str | None) -> Refusal | None:
    """Whether there is a place for one more reservation, of that name."""
    if reservation in state.holds:
        return Refusal(Outcome.RESERVATION_EXISTS, "reservation.open", currency)
    if len(state.holds) >= HOLDS_MAX:
        return Refusal(Outcome.TOO_MANY_HOLDS, "reservation.count", currency)
    return None


def _ttl_ms(asked: int | None, case: Case) -> int:
    policy = case.policy
    ttl_ms = asked or policy.ttl_ms_default or TTL_MS_DEFAULT
    return min(ttl_ms, policy.ttl_ms_max) if policy.ttl_ms_max is not None else ttl_ms


def confirm(state: LedgerState, command: Confirm, case: Case) -> Draft | Refusal:
    """Spend what was held, or a part; more only where a budget config tops up, and then as if it were reserved now."""
    hold = state.holds.get(command.reservation_id)
    if hold is None:
        return _not_open(state, command.reservation_id)
    settled = hold.amount if case.units is None else case.units
    if settled <= hold.amount:
        return _closed(state, command, hold, settled, _still_counted(state, hold))
    refusal = _refused_top_up(state, hold, settled, case)
    if refusal is not None:
        return refusal
    # The rest counts where it would if it were reserved now, and nothing is given back: in a window that has ended, or under a
    # limit that is gone, it would begin that window anew.
    counts = None if hold.is_transfer else counted(state, case.policy, Spend(settled, hold.currency), case.now_ms)
    return _closed(state, command, hold, settled, counts)


def _still_counted(state: LedgerState, hold: Hold) -> dict[str, int] | None:
    """What a hold was counted under, without the limits that have begun anew in that very window since and know nothing of it."""
    counts, counters = hold.counted, state.caps
    if counts is None or counters is None:
        return counts
    for key, start in counts.items():
        if key in counters and counters[key].start == start and not has_counted(counters[key], start, hold):
            return {key: start for key, start in counts.items() if has_counted(counters.get(key), start, hold)} or None
    return counts


def _refused_top_up(state: LedgerState, hold: Hold, settled: int, case: Case) -> Refusal | None:
    if not case.policy.tops_up or hold.currency is None:
        return Refusal(Outcome.CONFIRM_ABOVE_HOLD, "reservation.amount", hold.currency)
    more = settled - hold.amount
    refusal = refused_by_sum(state, case.policy, more, hold.currency)
    if refusal is not None:
        return refusal
    if case.policy.limits and not hold.is_transfer:
        refusal = refused_by_caps(state, case.policy, Spend(more, hold.currency, is_held=False), case.now_ms, places=0)
        if refusal is not None:
            return refusal
    refusal = refused_by_budget(state, case.policy, more, hold.currency)
    price = None if hold.is_transfer else case.policy.prices.get(hold.currency)  # as for its reservation
    return refusal if refusal is not None or price is None else refused_by_price(Spend(settled, hold.currency), price)


def _closed(state: LedgerState, command: Confirm, hold: Hold, settled: int, counts: dict[str, int] | None) -> Draft:
    if hold.currency is None:
        return Draft(FactType.BUDGET, FactType.CONFIRMED, reservation_id=command.reservation_id, data=command.data)
    held = format_amount(hold.amount)
    return Draft(
        FactType.BUDGET,
        FactType.TRANSFERRED_OUT if hold.is_transfer else FactType.CONFIRMED,
        held if command.amount is None else command.amount,
        hold.currency,
        held=held,
        available=_after(state, hold.currency, settled - hold.amount),
        reservation_id=command.reservation_id,
        data=command.data,
        counted=counts,
    )


def release(state: LedgerState, command: Release, case: Case) -> Draft | Refusal:
    """Give a reservation back."""
    hold = state.holds.get(command.reservation_id)
    if hold is None:
        return _not_open(state, command.reservation_id)
    has_amount = hold.currency is not None
    return Draft(
        FactType.BUDGET,
        FactType.RELEASED,
        format_amount(hold.amount) if has_amount else None,
        hold.currency,
        available=_after(state, hold.currency, -hold.amount) if hold.currency is not None else None,
        reservation_id=command.reservation_id,
        data=command.data,
        counted=_still_counted(state, hold),
    )


def _not_open(state: LedgerState, reservation: str) -> Refusal:
    """Late, or never made: the last reservations that were closed are remembered, with what closed them."""
    ended = state.ended.get(reservation)
    if ended is None:
        return Refusal(Outcome.RESERVATION_NOT_OPEN, "reservation.open")
    return Refusal(Outcome.RESERVATION_NOT_OPEN, "reservation.open", detail=f"{ended[0]} at {ended[1]}")


def _spend(case: Case, units: int, currency: str, *, is_held: bool = False) -> Spend:
    prices = case.policy.prices
    return Spend(units, currency, price=prices.get(currency) if prices else None, is_held=is_held)


def _after(state: LedgerState, currency: str, units: int) -> str:
    """What is available after `units` less of it."""
    return format_amount(state.budgets.get(currency, NO_BUDGET).available - units)
