"""
May this be spent? Owns: access, caps, budget and price, in this order, and what is left of each limit.

Every rule reads state and policy and returns the refusal, or None. The lifecycle comes before all of them (`z0.domain.decide`).
"""

from collections.abc import Iterator
from typing import Final, final

import msgspec
from mypy_extensions import mypyc_attr

from z0.domain.answer import Eligibility, LimitView
from z0.domain.commands import (
    Append,
    Authorize,
    Check,
    Command,
    Confirm,
    DeductBudget,
    Release,
    Reserve,
    Settle,
)
from z0.domain.draft import NO_BUDGET, Case, Refusal
from z0.domain.money import UNITS_MAX, format_amount, price_times
from z0.domain.outcome import Outcome
from z0.domain.policy import Counts, Limit, Policy, Price, Window
from z0.domain.state import COUNTERS_MAX, KEPT, Counter, LedgerState

# What access configs govern: spending, and facts. Money in and administration go by an API key's scopes.
_GOVERNED: Final = frozenset({Append, Authorize, Check, Confirm, DeductBudget, Release, Reserve, Settle})


@final
@mypyc_attr(acyclic=True, free_list_len=1)
class Spend:
    """
    What is asked for: units of 1e-12 of a currency; neither: a place only. `price` where a pricing config has a say.

    `counts` None: a transfer, which no cap counts. `is_held` False: spent at once, and never in flight.
    """

    def __init__(
        self,
        units: int,
        currency: str | None,
        counts: Counts | None = Counts.SPEND,
        price: Price | None = None,
        is_held: bool = True,
    ) -> None:
        self.units: Final = units
        self.currency: Final = currency
        self.counts: Final = counts
        self.price: Final = price
        self.is_held: Final = is_held


# Access ------------------------------------------------------------------------------------------


def refused_by_access(state: LedgerState, command: Command, policy: Policy) -> Refusal | None:
    """Whether the user of a command may give it on this entity, where an access config is in force."""
    if policy.access is None or type(command) not in _GOVERNED:
        return None
    op = str(command.__struct_config__.tag)
    role = (state.access or {}).get(command.user_id) if command.user_id is not None else None
    if role is None:
        return Refusal(Outcome.ACCESS_DENIED, "access.role", detail="user_id has no role on this entity")
    for roles in policy.access.scopes:
        allowed = roles.get(role, ())
        if op not in allowed and "*" not in allowed:
            return Refusal(Outcome.ACCESS_DENIED, f"access.{role}", detail=f"role {role} may not {op}")
    return None


# Price -------------------------------------------------------------------------------------------


def priced(command: Check | Authorize, units: int | None, policy: Policy) -> Spend | Refusal:
    """What `check` and `authorize` ask for: the amount as given, or the price of the usage."""
    if command.usage is None:
        price = policy.prices.get(command.currency) if command.currency is not None else None
        return Spend(units or 0, command.currency, price=price)
    price = _price_for(command.currency, policy)
    if price is None:
        return Refusal(Outcome.UNPRICED, "price.currency", command.currency, "no pricing config, or several and no currency")
    missing = next((meter for meter in command.usage if meter not in price.by_meter), None)
    if missing is not None:
        return Refusal(Outcome.UNPRICED, f"price.{missing}", price.currency, f"no price for {missing}")
    total = price_of(command.usage, price)
    if total > UNITS_MAX:
        return Refusal(Outcome.AMOUNT_OVERFLOW, "amount.sum", price.currency)
    return Spend(total, price.currency, price=price)


def price_of(usage: dict[str, str], price: Price) -> int:
    """Units of a usage: each meter's product rounded half-even at 1e-12, then added up."""
    return sum(price_times(price.by_meter[meter], int(quantity)) for meter, quantity in usage.items())


def _price_for(currency: str | None, policy: Policy) -> Price | None:
    if currency is not None:
        return policy.prices.get(currency)
    return next(iter(policy.prices.values())) if len(policy.prices) == 1 else None


def refused_by_price(spend: Spend, price: Price) -> Refusal | None:
    """Whether an amount is outside the bounds of one decision."""
    if price.max_units is not None and spend.units > price.max_units:
        return Refusal(Outcome.PRICE_OUT_OF_BOUNDS, "price.max", spend.currency, f"at most {format_amount(price.max_units)}")
    if price.min_units is not None and spend.units < price.min_units:
        return Refusal(Outcome.PRICE_OUT_OF_BOUNDS, "price.min", spend.currency, f"at least {format_amount(price.min_units)}")
    return None


# Caps --------------------------------------------------------------------------------------------


def counted(state: LedgerState, policy: Policy, spend: Spend, now_ms: int) -> dict[str, int] | None:
    """Under which limits a fact counts, and in which window of each; None where it counts under none."""
    if not policy.limits:
        return None
    starts = {}
    for limit in _limits(policy, spend):
        if limit.window is not Window.IN_FLIGHT:
            starts[limit.key] = _window(limit, now_ms)[0]
    if state.caps is not None and len(state.caps) + len(starts) > COUNTERS_MAX:
        starts = _making_room(state.caps, policy, starts)
    return starts or None


def _making_room(counters: dict[str, Counter], policy: Policy, starts: dict[str, int]) -> dict[str, int]:
    """
    Where a new counter makes the ledger forget an old one, the limits in force are named first, so that it is a gone one's.

    One that did not count for long (its currency is rare, or it is exhausted) would be the first to go.
    """
    if counters.keys() >= starts.keys():
        return starts
    there = {limit.key: starts.get(limit.key, KEPT) for limit in policy.limits if limit.key in counters}
    return {**there, **starts}


def _limits(policy: Policy, spend: Spend) -> Iterator[Limit]:
    for limit in policy.limits:
        if limit.counts is not spend.counts or (limit.window is Window.IN_FLIGHT and not spend.is_held):
            continue
        if limit.currency is None or limit.currency == spend.currency:
            yield limit


def _window(limit: Limit, now_ms: int) -> tuple[int, int]:
    if not limit.start_ms <= now_ms < limit.end_ms:
        limit.start_ms, limit.end_ms = limit.bounds(now_ms)
    return limit.start_ms, limit.end_ms


def _used(state: LedgerState, limit: Limit, now_ms: int) -> tuple[int, int]:
    """Count and units used in the present window."""
    if limit.window is Window.IN_FLIGHT:
        reserved = state.budgets.get(limit.currency, NO_BUDGET).reserved if limit.currency is not None else 0
        return len(state.holds), reserved  # a count is of all currencies: counting one would look at every hold
    counter = state.caps.get(limit.key) if state.caps is not None else None
    if counter is None or counter.start != _window(limit, now_ms)[0]:
        return 0, 0
    return counter.count, counter.units


def refused_by_caps(state: LedgerState, policy: Policy, spend: Spend, now_ms: int, *, places: int = 1) -> Refusal | None:
    """The first limit that `places` more and their units would pass; `places` 0: more money for something counted before."""
    for limit in _limits(policy, spend):
        count, units = _used(state, limit, now_ms)
        over_count = limit.max_count is not None and places and count + places > limit.max_count
        over_units = limit.max_units is not None and units + spend.units > limit.max_units
        if over_count or over_units:
            view = limit_view(state, limit, now_ms)
            when = f", resets at {view.resets_at}" if view.resets_at is not None else ""
            return Refusal(Outcome.CAP_EXHAUSTED, view.rule, spend.currency, f"{view.rule}: {view.left} left of {view.max}{when}")
    return None


# Budget ------------------------------------------------------------------------------------------


def refused_by_budget(state: LedgerState, policy: Policy, units: int, currency: str | None) -> Refusal | None:
    """Whether an amount is more than what is available, overdraft included."""
    if currency is None:
        return None
    budget = state.budgets.get(currency, NO_BUDGET)
    if units <= budget.available or units <= budget.available + policy.overdraft_units.get(currency, 0):
        return None
    return Refusal(Outcome.BUDGET_EXHAUSTED, "budget.available", currency)


def refused_by_sum(state: LedgerState, policy: Policy, units: int, currency: str | None) -> Refusal | None:
    """Whether all that was spent and is held would be more than a store can hold; without overdraft it is what was added."""
    if currency is None or not policy.overdraft_units:
        return None
    budget = state.budgets.get(currency, NO_BUDGET)
    if budget.spent + budget.transferred_out + budget.reserved + units <= UNITS_MAX:
        return None
    return Refusal(Outcome.AMOUNT_OVERFLOW, "amount.sum", currency)


def first_refusal(state: LedgerState, policy: Policy, spend: Spend, now_ms: int) -> Refusal | None:
    """The sum's bound, caps, budget, price: the first rule that fails."""
    if policy.overdraft_units:
        refusal = refused_by_sum(state, policy, spend.units, spend.currency)
        if refusal is not None:
            return refusal
    if policy.limits and spend.counts is not None:
        refusal = refused_by_caps(state, policy, spend, now_ms)
        if refusal is not None:
            return refusal
    refusal = refused_by_budget(state, policy, spend.units, spend.currency)
    return refusal if refusal is not None or spend.price is None else refused_by_price(spend, spend.price)


def asked_for(state: LedgerState, case: Case, spend: Spend | Refusal) -> Refusal | None:
    """The first rule that fails for what `check` and `authorize` ask for; what has no price may be stopped by a cap before."""
    if isinstance(spend, Spend):
        return first_refusal(state, case.policy, spend, case.now_ms)
    if spend.outcome is Outcome.AMOUNT_OVERFLOW:
        return spend
    return refused_by_caps(state, case.policy, Spend(0, None), case.now_ms) or spend


# Views -------------------------------------------------------------------------------------------


def limit_view(state: LedgerState, limit: Limit, now_ms: int) -> LimitView:
    """One limit as it stands."""
    count, units = _used(state, limit, now_ms)
    resets_at = _window(limit, now_ms)[1] if limit.window not in (Window.TOTAL, Window.IN_FLIGHT) else None
    if limit.max_count is not None:
        return LimitView(f"cap.{limit.key}", str(limit.max_count), str(limit.max_count - count), resets_at)
    maximum = limit.max_units or 0
    return LimitView(f"cap.{limit.key}", format_amount(maximum), format_amount(maximum - units), resets_at)


def eligibility(state: LedgerState, policy: Policy, spend: Spend | None, refusal: Refusal | None, now_ms: int) -> Eligibility:
    """What was found, with what is left of each limit that has a say in this currency."""
    limits = [limit_view(state, limit, now_ms) for limit in policy.limits if spend is None or _has_say(limit, spend)]
    currency = spend.currency if spend is not None else None
    if currency is not None:
        budget, overdraft = state.budgets.get(currency, NO_BUDGET), policy.overdraft_units.get(currency, 0)
        maximum, left = format_amount(budget.remaining + overdraft), format_amount(budget.available + overdraft)
        limits.append(LimitView(f"budget.{currency}", maximum, left))
    return Eligibility(
        refusal is None,
        refusal.outcome if refusal is not None else Outcome.ACCEPTED,
        refusal.rule if refusal is not None else None,
        format_amount(spend.units) if currency is not None and spend is not None else None,
        currency,
        tuple(limits),
        msgspec.json.decode(policy.versions) if bytes(policy.versions) else {},
    )


def _has_say(limit: Limit, spend: Spend) -> bool:
    return limit.currency is None or limit.currency == spend.currency
