"""
What one fact changes in the budget sums of its ledger. Owns: those changes as values. Does not own: the fold (`z0.domain.state`).

The fold needs the state before (a release looks up what its hold held); a store that only adds up cannot, so here every
change is read from the fact alone. A test holds that the two agree, fact by fact and in sum.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from z0.domain.facts import Fact, FactType
from z0.domain.fold import units
from z0.domain.payloads import ExpiredData
from z0.domain.state import Budget

_expired_decoder = msgspec.json.Decoder(ExpiredData)


def budget_delta(fact: Fact) -> Budget | None:
    """
    The changes of each sum in units of 1e-12, in the fact's currency, or None where it moves no money.

    Raises:
        ValueError: the fact was not written by these rules.
    """
    if fact.currency is None:
        return None  # a reservation that holds a place and no money
    rule = _DELTAS.get((fact.type, fact.subtype)) or _DELTAS.get((fact.type, None))
    return rule(fact) if rule is not None else None


def add_delta(sums: Budget, delta: Budget) -> None:
    """Add one to the other, in place."""
    sums.deposited += delta.deposited
    sums.credits += delta.credits
    sums.spent += delta.spent
    sums.transferred_in += delta.transferred_in
    sums.transferred_out += delta.transferred_out
    sums.reserved += delta.reserved


def _expired(fact: Fact) -> Budget:
    amounts = _expired_decoder.decode(fact.data).reservations.values()
    return Budget(reserved=-sum(units(amount) for amount in amounts))


_DELTAS: Final[dict[tuple[str, str | None], Callable[[Fact], Budget | None]]] = {
    (FactType.DEPOSIT, None): lambda fact: Budget(deposited=units(fact.amount)),
    (FactType.CREDIT_ISSUED, None): lambda fact: Budget(credits=units(fact.amount)),
    (FactType.CHARGE, None): lambda fact: Budget(spent=units(fact.amount)),
    (FactType.CHARGE, FactType.INCURRED): lambda fact: Budget(spent=units(fact.amount)),
    (FactType.CHARGE, FactType.PENDING): lambda fact: None,  # it was spent when it was incurred
    (FactType.CHARGE, FactType.SETTLED): lambda fact: None,
    (FactType.BUDGET, FactType.TRANSFERRED_IN): lambda fact: Budget(transferred_in=units(fact.amount)),
    (FactType.BUDGET, FactType.TRANSFERRED_OUT): lambda fact: Budget(
        transferred_out=units(fact.amount), reserved=-units(fact.held)
    ),
    (FactType.BUDGET, FactType.DEDUCTED): lambda fact: Budget(spent=units(fact.amount)),
    (FactType.BUDGET, FactType.RESERVED): lambda fact: Budget(reserved=units(fact.amount)),
    (FactType.BUDGET, FactType.CONFIRMED): lambda fact: Budget(spent=units(fact.amount), reserved=-units(fact.held)),
    (FactType.BUDGET, FactType.RELEASED): lambda fact: Budget(reserved=-units(fact.amount)),
    (FactType.BUDGET, FactType.EXPIRED): _expired,
}
