"""
Expiry: the facts for reservations whose time has come. Owns: which they are and what they give back.

Goes by the batch's time, never by a clock of its own: a replay expires the same. Entities that nobody touches are found by
the engine's index of expiries; this module decides for one of them.
"""

from typing import Final

import msgspec
from msgspec import Raw

from z0.domain.draft import Draft
from z0.domain.facts import FactType
from z0.domain.money import format_amount
from z0.domain.payloads import ExpiredData, GivenBack
from z0.domain.state import Hold, LedgerState, due_holds, has_counted

EXPIRIES_PER_FACT_MAX: Final = 500  # a fact of 500 reservations stays under 256 KiB, whatever their ids
_encode: Final = msgspec.json.Encoder().encode


def expiry_drafts(state: LedgerState, now_ms: int) -> list[Draft]:
    """Facts for the holds whose time has come, by currency, at most 500 each. Takes them off the index of expiries."""
    by_currency: dict[str | None, list[str]] = {}
    for reservation in due_holds(state, now_ms):
        by_currency.setdefault(state.holds[reservation].currency, []).append(reservation)
    return [draft for currency, names in by_currency.items() for draft in _of_currency(state, currency, names)]


def _of_currency(state: LedgerState, currency: str | None, names: list[str]) -> list[Draft]:
    available = state.budgets[currency].available if currency is not None else None
    drafts = []
    for start in range(0, len(names), EXPIRIES_PER_FACT_MAX):
        holds = {name: state.holds[name] for name in names[start : start + EXPIRIES_PER_FACT_MAX]}
        total = sum(hold.amount for hold in holds.values())
        available = available + total if available is not None else None
        drafts.append(_draft(state, holds, currency, available))
    return drafts


def _draft(state: LedgerState, holds: dict[str, Hold], currency: str | None, available: int | None) -> Draft:
    total = sum(hold.amount for hold in holds.values())
    data = ExpiredData({name: format_amount(hold.amount) for name, hold in holds.items()}, _given_back(state, holds))
    return Draft(
        FactType.BUDGET,
        FactType.EXPIRED,
        amount=format_amount(total) if currency is not None else None,
        currency=currency,
        available=format_amount(available) if available is not None else None,
        data=Raw(_encode(data)),
    )


def _given_back(state: LedgerState, holds: dict[str, Hold]) -> dict[str, GivenBack] | None:
    """What each limit gets back, of those holds that were counted in the window that it still counts."""
    counters = state.caps
    if counters is None:
        return None
    back: dict[str, tuple[int, int]] = {}
    for hold in holds.values():
        for key, start in (hold.counted or {}).items():
            if has_counted(counters.get(key), start, hold):
                count, amount = back.get(key, (0, 0))
                back[key] = (count + 1, amount + hold.amount)
    return {key: GivenBack(counters[key].start, n, format_amount(amount)) for key, (n, amount) in back.items()} or None
