"""How a ledger's state is shown: the answer to a read. Owns: its shape. Amounts are decimal strings."""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from msgspec import Struct

from z0.domain.answer import BudgetView, ChargeView, CounterView, ReservationView, SettlementView
from z0.domain.entity import Entity
from z0.domain.facts import FactType
from z0.domain.money import format_amount
from z0.domain.payloads import ConfigHead
from z0.domain.state import Budget, Charge, Hold, LedgerState

SHOWN_MAX: Final = 1_000  # of reservations, and of charges: an answer stays under a frame's size also for the hottest ledger
Place = tuple[int, str]  # when it began, and its id
_T = TypeVar("_T")


class StateView(Struct, frozen=True):
    """
    The state of one entity: metadata, head of its chain, budgets by currency, open reservations and unsettled charges (at
    most 1,000 of each, by when they began and by id), what limits have counted, roles by user, the newest version of a config.
    """

    entity: Entity
    seq: int
    head_hash: str
    recorded_at: int
    budgets: dict[str, BudgetView]
    reservations: dict[str, ReservationView]
    reservations_open: int
    settlement: dict[str, SettlementView]
    charges: dict[str, ChargeView]
    charges_open: int
    caps: dict[str, CounterView]
    access: dict[str, str]
    config: ConfigHead | None


def budget_view(budget: Budget) -> BudgetView:
    """One currency for a reader."""
    return BudgetView(
        deposited=format_amount(budget.deposited),
        credits=format_amount(budget.credits),
        spent=format_amount(budget.spent),
        transferred_in=format_amount(budget.transferred_in),
        transferred_out=format_amount(budget.transferred_out),
        reserved=format_amount(budget.reserved),
        remaining=format_amount(budget.remaining),
        available=format_amount(budget.available),
    )


def _reservation_view(hold: Hold) -> ReservationView:
    return ReservationView(hold.currency, format_amount(hold.amount), hold.expires_at, hold.created_at, hold.workflow_id)


def _charge_view(charge: Charge) -> ChargeView:
    return ChargeView(charge.currency, format_amount(charge.amount), _stage(charge), charge.incurred_at)


def _stage(charge: Charge) -> str:
    return FactType.PENDING if charge.is_pending else FactType.INCURRED


def _settlement(state: LedgerState) -> dict[str, SettlementView]:
    exposure: dict[tuple[str, str], int] = {}
    for charge in state.charges.values():
        key = charge.currency, _stage(charge)
        exposure[key] = exposure.get(key, 0) + charge.amount
    return {
        currency: SettlementView(
            format_amount(budget.prepaid),
            format_amount(exposure.get((currency, FactType.INCURRED), 0)),
            format_amount(exposure.get((currency, FactType.PENDING), 0)),
        )
        for currency, budget in state.budgets.items()
    }


def _oldest(items: Mapping[str, _T], began: Callable[[_T], int], after: Place | None) -> dict[str, _T]:
    """The first items behind a place. They lie in the order of their beginning; those of one moment in any order."""
    found: list[Place] = []
    for name, item in items.items():
        place = began(item), name
        if len(found) >= SHOWN_MAX and place[0] > found[-1][0]:
            break
        if after is None or place > after:
            found.append(place)
    return {name: items[name] for _, name in sorted(found)[:SHOWN_MAX]}


def state_view(state: LedgerState, reservations_after: Place | None = None, charges_after: Place | None = None) -> StateView:
    """The state for a reader; the entity exists."""
    assert state.entity is not None, "a view of nothing"
    holds = _oldest(state.holds, lambda hold: hold.created_at, reservations_after)
    charges = _oldest(state.charges, lambda charge: charge.incurred_at, charges_after)
    return StateView(
        entity=state.entity,
        seq=state.seq,
        head_hash=state.head_hash,
        recorded_at=state.recorded_at,
        budgets={currency: budget_view(budget) for currency, budget in state.budgets.items()},
        reservations={name: _reservation_view(hold) for name, hold in holds.items()},
        reservations_open=len(state.holds),
        settlement=_settlement(state),
        charges={name: _charge_view(charge) for name, charge in charges.items()},
        charges_open=len(state.charges),
        caps={key: CounterView(c.start, c.count, format_amount(c.units)) for key, c in (state.caps or {}).items()},
        access=dict(state.access or {}),
        config=state.config,
    )
