"""
The state of one ledger and its fold. Owns: what is remembered of an entity, and how each fact changes it.

`apply` is the one place where state changes; live decisions, recovery and the auditor's replays all go through it.
It is deterministic and does no I/O. It changes the state that it is handed and returns it: the caller gives the state
away (a ledger has one writer), which spares a copy per fact.

Budget arithmetic, per currency, always:
    remaining = deposited + credits + transferred_in - spent - transferred_out
    available = remaining - reserved
"""

import heapq
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from z0.domain.entity import Changes, Entity, merge_patch
from z0.domain.facts import ZERO_HASH, Fact, FactType
from z0.domain.money import parse_amount

HOLDS_MAX: Final = 15_000  # per ledger: an expiry of all of them, whatever their ids, still fits one record batch


class Hold(Struct, gc=False):
    """One open reservation; amount in units of 1e-12, times in Unix milliseconds."""

    currency: str
    amount: int
    expires_at: int
    created_at: int
    workflow_id: str | None = None


class Budget(Struct, gc=False):
    """Sums of one currency, in units of 1e-12; none of them ever shrinks but `reserved`."""

    deposited: int = 0
    credits: int = 0
    spent: int = 0
    transferred_in: int = 0
    transferred_out: int = 0
    reserved: int = 0

    @property
    def remaining(self) -> int:
        return self.deposited + self.credits + self.transferred_in - self.spent - self.transferred_out

    @property
    def available(self) -> int:
        # `remaining - reserved`, written out: asked for several times a decision
        return self.deposited + self.credits + self.transferred_in - self.spent - self.transferred_out - self.reserved


class LedgerState(Struct):
    """Everything that a decision about one entity needs."""

    entity: Entity | None = None
    seq: int = 0
    head_hash: str = ZERO_HASH
    recorded_at: int = 0
    budgets: dict[str, Budget] = {}
    holds: dict[str, Hold] = {}
    # (expires_at, reservation id), smallest first; entries of closed holds stay until they surface or outnumber the open.
    expiries: list[tuple[int, str]] = []


class ExpiredData(Struct, frozen=True):
    """Payload of `budget/expired`: reservation id -> amount."""

    reservations: dict[str, str]


class UpdatedData(Struct, frozen=True):
    """Payload of `lifecycle/updated`."""

    changes: Changes


class CreatedData(Struct, frozen=True):
    """Payload of `lifecycle/created`."""

    entity: Entity


_expired_decoder = msgspec.json.Decoder(ExpiredData)
_updated_decoder = msgspec.json.Decoder(UpdatedData)
_created_decoder = msgspec.json.Decoder(CreatedData)


def units(amount: str | None) -> int:
    """
    Units of an amount inside a fact.

    Raises:
        ValueError: the fact was not written by these rules.
    """
    parsed = parse_amount(amount) if amount is not None else None
    if parsed is None:
        raise ValueError(f"not an amount: {amount!r}")
    return parsed


def budget_of(state: LedgerState, currency: str) -> Budget:
    """The budget of a currency, made where it is missing."""
    budget = state.budgets.get(currency)
    if budget is None:
        budget = state.budgets[currency] = Budget()
    return budget


def apply(state: LedgerState, fact: Fact, fact_hash: str) -> LedgerState:
    """Fold one fact into the state that it follows; the state handed in is given away."""
    return apply_budget(apply_ledger(state, fact, fact_hash), fact)


def apply_ledger(state: LedgerState, fact: Fact, fact_hash: str) -> LedgerState:
    """The half of `apply` that table `ledgers` keeps: head of the chain and metadata."""
    state.seq = fact.seq
    state.head_hash = fact_hash
    state.recorded_at = fact.recorded_at
    if fact.type == FactType.LIFECYCLE:
        fold = _LEDGER_FOLDS.get(fact.subtype)
        if fold is not None:
            fold(state, fact)
    return state


def apply_budget(state: LedgerState, fact: Fact) -> LedgerState:
    """The half of `apply` that table `budgets` keeps: sums and open reservations."""
    fold = _BUDGET_FOLDS.get((fact.type, fact.subtype)) or _BUDGET_FOLDS.get((fact.type, None))
    if fold is not None:
        fold(state, fact)
    return state


def _deposit(state: LedgerState, fact: Fact) -> None:
    budget_of(state, str(fact.currency)).deposited += units(fact.amount)


def _credit(state: LedgerState, fact: Fact) -> None:
    budget_of(state, str(fact.currency)).credits += units(fact.amount)


def _spend(state: LedgerState, fact: Fact) -> None:
    budget_of(state, str(fact.currency)).spent += units(fact.amount)


def _reserve(state: LedgerState, fact: Fact) -> None:
    amount, currency = units(fact.amount), str(fact.currency)
    reservation, expires_at = str(fact.reservation_id), fact.expires_at or 0
    budget_of(state, currency).reserved += amount
    state.holds[reservation] = Hold(currency, amount, expires_at, fact.recorded_at, fact.workflow_id)
    push_expiry(state, expires_at, reservation)


def _close(state: LedgerState, fact: Fact) -> Hold:
    hold = state.holds.pop(str(fact.reservation_id))
    budget_of(state, hold.currency).reserved -= hold.amount
    return hold


def _release(state: LedgerState, fact: Fact) -> None:
    _close(state, fact)


def _confirm(state: LedgerState, fact: Fact) -> None:
    budget_of(state, _close(state, fact).currency).spent += units(fact.amount)


def _expire(state: LedgerState, fact: Fact) -> None:
    for reservation in _expired_decoder.decode(fact.data).reservations:
        hold = state.holds.pop(reservation)
        budget_of(state, hold.currency).reserved -= hold.amount


def _create(state: LedgerState, fact: Fact) -> None:
    state.entity = _created_decoder.decode(fact.data).entity


def _update(state: LedgerState, fact: Fact) -> None:
    assert state.entity is not None, "an update follows a creation"
    changes = _updated_decoder.decode(fact.data).changes
    state.entity = changed(state.entity, changes, fact.recorded_at)


def changed(entity: Entity, changes: Changes, now_ms: int) -> Entity:
    """The entity after an update, one version on."""
    given = {name: value for name, value in msgspec.structs.asdict(changes).items() if value is not msgspec.UNSET}
    if "data" in given:
        given["data"] = merge_patch(entity.data, given["data"])
    return msgspec.structs.replace(entity, **given, version=entity.version + 1, updated_at=now_ms)


def push_expiry(state: LedgerState, expires_at: int, reservation: str) -> None:
    """Remember when a hold ends; rebuilt when closed holds outnumber the open ones two to one."""
    if len(state.expiries) > 2 * len(state.holds) + 64:
        state.expiries = [(hold.expires_at, name) for name, hold in state.holds.items() if name != reservation]
        heapq.heapify(state.expiries)
    heapq.heappush(state.expiries, (expires_at, reservation))


def due_holds(state: LedgerState, now_ms: int) -> list[str]:
    """Reservations whose time has come, earliest first; entries of closed holds are dropped on the way."""
    due: list[str] = []
    expiries, holds = state.expiries, state.holds
    while expiries and expiries[0][0] <= now_ms:
        expires_at, reservation = heapq.heappop(expiries)
        hold = holds.get(reservation)
        if hold is not None and hold.expires_at == expires_at and reservation not in due[-1:]:
            due.append(reservation)
    return due


_Fold = Callable[[LedgerState, Fact], None]
_LEDGER_FOLDS: Final[dict[str | None, _Fold]] = {FactType.CREATED: _create, FactType.UPDATED: _update}
_BUDGET_FOLDS: Final[dict[tuple[str, str | None], _Fold]] = {
    (FactType.DEPOSIT, None): _deposit,
    (FactType.CREDIT_ISSUED, None): _credit,
    (FactType.CHARGE, None): _spend,
    (FactType.BUDGET, FactType.DEDUCTED): _spend,
    (FactType.BUDGET, FactType.RESERVED): _reserve,
    (FactType.BUDGET, FactType.CONFIRMED): _confirm,
    (FactType.BUDGET, FactType.RELEASED): _release,
    (FactType.BUDGET, FactType.EXPIRED): _expire,
}
