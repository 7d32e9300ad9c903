"""
The fold: how each fact changes the state of its ledger. Owns: that, and nothing else.

`apply` is the one place where state changes; live decisions, recovery and replays all go through it. It is deterministic and
does no I/O. It changes the state that it is handed and returns it: the caller gives the state away (a ledger has one writer),
which spares a copy per fact.

The state has four parts, one per table of snapshots, and each folds from the facts alone: after a crash they may reflect
different offsets, so no fold may look at another part.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from z0.domain.change import Change
from z0.domain.config import version_of_fact
from z0.domain.facts import FactType
from z0.domain.ids import fact_id
from z0.domain.money import parse_amount
from z0.domain.payloads import ConfigHead, CreatedData, ExpiredData, GrantData, UpdatedData
from z0.domain.state import (
    COUNTERS_MAX,
    ENDED_MAX,
    KEPT,
    LIMITS_IN_FORCE_MAX,
    Charge,
    Counter,
    Hold,
    LedgerState,
    budget_of,
    changed,
    push_expiry,
)

_expired_decoder: Final = msgspec.json.Decoder(ExpiredData)
_updated_decoder: Final = msgspec.json.Decoder(UpdatedData)
_created_decoder: Final = msgspec.json.Decoder(CreatedData)
_grant_decoder: Final = msgspec.json.Decoder(GrantData)


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


def apply(state: LedgerState, change: Change, fact_hash: str) -> LedgerState:
    """Fold one fact into the state that it follows; the state handed in is given away."""
    apply_ledger(state, change, fact_hash)
    apply_budget(state, change)
    if changes_caps(change):
        apply_caps(state, change)
    return apply_access(state, change) if change.type in ACCESS_TYPES else state


def apply_ledger(state: LedgerState, change: Change, fact_hash: str) -> LedgerState:
    """The part that table `ledgers` keeps: head of the chain, metadata, head of a config."""
    state.seq = change.seq
    state.head_hash = fact_hash
    state.recorded_at = change.recorded_at
    if change.type in _LEDGER_TYPES:  # few: asked first, which spares nearly every fact the making of a pair
        fold = _LEDGER_FOLDS.get((change.type, change.subtype))
        if fold is not None:
            fold(state, change)
    return state


def apply_budget(state: LedgerState, change: Change) -> LedgerState:
    """The part that table `budgets` keeps: sums, open reservations and what became of the last ones, unsettled charges."""
    folds = _BUDGET_FOLDS_OF.get(change.type)
    fold = (folds.get(change.subtype) or folds.get(None)) if folds is not None else None
    if fold is not None:
        fold(state, change)
    return state


def apply_caps(state: LedgerState, change: Change) -> LedgerState:
    """The part that table `caps` keeps: what each limit has counted in its present window."""
    if (change.type, change.subtype) == (FactType.BUDGET, FactType.EXPIRED):
        _uncount_expired(state, change)
    elif change.counted is not None:
        amount = parse_amount(change.amount) or 0 if change.amount is not None else 0
        for key, start in change.counted.items():
            if start == KEPT:
                _keep(state, key)
            else:
                _CAP_FOLDS.get((change.type, change.subtype), _count)(state, key, start, amount, change)
    return state


def changes_caps(change: Change) -> bool:
    """Whether a fact may change what limits have counted."""
    return change.counted is not None or change.subtype == FactType.EXPIRED


def apply_access(state: LedgerState, change: Change) -> LedgerState:
    """The part that table `access` keeps: who has which role."""
    fold = _ACCESS_FOLDS.get(change.type)
    if fold is not None:
        fold(state, change)
    return state


# Ledgers -----------------------------------------------------------------------------------------


def _create(state: LedgerState, change: Change) -> None:
    state.entity = _created_decoder.decode(change.data).entity


def _update(state: LedgerState, change: Change) -> None:
    assert state.entity is not None, "an update follows a creation"
    changes = _updated_decoder.decode(change.data).changes
    state.entity = changed(state.entity, changes, change.recorded_at)


def _version(state: LedgerState, change: Change) -> None:
    config = version_of_fact(change.data)
    state.config = ConfigHead(config.type, config.scope, config.applies_to, config.version, config.effective_at)


# Budgets -----------------------------------------------------------------------------------------


def _deposit(state: LedgerState, change: Change) -> None:
    budget_of(state, str(change.currency)).deposited += units(change.amount)


def _credit(state: LedgerState, change: Change) -> None:
    budget_of(state, str(change.currency)).credits += units(change.amount)


def _transfer_in(state: LedgerState, change: Change) -> None:
    budget_of(state, str(change.currency)).transferred_in += units(change.amount)


def _spend(state: LedgerState, change: Change) -> None:
    budget_of(state, str(change.currency)).spent += units(change.amount)


def _incur(state: LedgerState, change: Change) -> None:
    _spend(state, change)
    charge = Charge(str(change.currency), units(change.amount), change.recorded_at)
    state.charges[fact_id(change.ledger_id, change.seq)] = charge


def _pend(state: LedgerState, change: Change) -> None:
    state.charges[str(change.source_id)].is_pending = True


def _settle(state: LedgerState, change: Change) -> None:
    del state.charges[str(change.source_id)]


def _reserve(state: LedgerState, change: Change) -> None:
    currency, reservation, expires_at = change.currency, str(change.reservation_id), change.expires_at or 0
    amount = 0
    if currency is not None:
        amount = units(change.amount)
        budget_of(state, currency).reserved += amount
    is_transfer = change.purpose is not None
    hold = Hold(currency, amount, expires_at, change.recorded_at, change.workflow_id, change.counted, is_transfer)
    state.holds[reservation] = hold
    push_expiry(state, expires_at, reservation)


def _close(state: LedgerState, reservation: str, change: Change) -> Hold:
    hold = state.holds.pop(reservation)
    if hold.currency is not None:
        budget_of(state, hold.currency).reserved -= hold.amount
    ended = state.ended
    if len(ended) >= ENDED_MAX:
        del ended[next(iter(ended))]
    ended[reservation] = (str(change.subtype), change.recorded_at)
    return hold


def _release(state: LedgerState, change: Change) -> None:
    _close(state, str(change.reservation_id), change)


def _confirm(state: LedgerState, change: Change) -> None:
    hold = _close(state, str(change.reservation_id), change)
    if hold.currency is not None:
        budget_of(state, hold.currency).spent += units(change.amount)


def _transfer_out(state: LedgerState, change: Change) -> None:
    hold = _close(state, str(change.reservation_id), change)
    budget_of(state, str(hold.currency)).transferred_out += units(change.amount)


def _expire(state: LedgerState, change: Change) -> None:
    for reservation in _expired_decoder.decode(change.data).reservations:
        _close(state, reservation, change)


# Caps --------------------------------------------------------------------------------------------


def _count(state: LedgerState, key: str, start: int, amount: int, change: Change) -> None:
    counter = _begun(state, key, start, change.recorded_at)
    counter.count += 1
    counter.units += amount


def _keep(state: LedgerState, key: str) -> None:
    """Put a counter behind those that make room first, as if it had counted."""
    if state.caps is not None and key in state.caps:
        state.caps[key] = state.caps.pop(key)


def _begun(state: LedgerState, key: str, start: int, now_ms: int) -> Counter:
    """The counter of a limit in the window that begins at `start`, from nothing where it counted in another."""
    if state.caps is None:
        state.caps = {}
    counter = state.caps.get(key)
    if counter is None:
        if len(state.caps) >= COUNTERS_MAX:
            del state.caps[next(iter(state.caps))]
        counter = state.caps[key] = Counter(start, since=now_ms)
        return counter
    if len(state.caps) > LIMITS_IN_FORCE_MAX:  # some are of gone limits: those that still count go behind them
        state.caps[key] = state.caps.pop(key)
    if counter.start != start:
        counter.start, counter.count, counter.units, counter.since = start, 0, 0, now_ms
    return counter


def _counter(state: LedgerState, key: str, start: int) -> Counter | None:
    """The counter of a limit while its window is still the one that begins at `start`."""
    counter = state.caps.get(key) if state.caps is not None else None
    return counter if counter is not None and counter.start == start else None


def _correct(state: LedgerState, key: str, start: int, amount: int, change: Change) -> None:
    """A part gives the rest back to the window in which it was counted; what is more than was held is spent in this one."""
    more = amount - units(change.held) if change.held is not None else 0
    counter = _begun(state, key, start, change.recorded_at) if more > 0 else _counter(state, key, start)
    if counter is not None:
        counter.units += more


def _uncount(state: LedgerState, key: str, start: int, amount: int, change: Change) -> None:
    counter = _counter(state, key, start)
    if counter is not None:
        counter.count -= 1
        counter.units -= amount


def _uncount_expired(state: LedgerState, change: Change) -> None:
    for key, back in (_expired_decoder.decode(change.data).counted or {}).items():
        counter = _counter(state, key, back.start)
        if counter is not None:
            counter.count -= back.count
            counter.units -= units(back.amount)


# Access ------------------------------------------------------------------------------------------


def _grant(state: LedgerState, change: Change) -> None:
    grant = _grant_decoder.decode(change.data)
    if state.access is None:
        state.access = {}
    state.access[grant.user_id] = str(grant.role)


def _revoke(state: LedgerState, change: Change) -> None:
    if state.access is not None:
        state.access.pop(_grant_decoder.decode(change.data).user_id, None)


_Fold = Callable[[LedgerState, Change], None]
_CapFold = Callable[[LedgerState, str, int, int, Change], None]
_LEDGER_FOLDS: Final[dict[tuple[str, str | None], _Fold]] = {
    (FactType.LIFECYCLE, FactType.CREATED): _create,
    (FactType.LIFECYCLE, FactType.UPDATED): _update,
    (FactType.CONFIG, FactType.VERSIONED): _version,
}
_LEDGER_TYPES: Final = frozenset(type_ for type_, _ in _LEDGER_FOLDS)
_BUDGET_FOLDS: Final[dict[tuple[str, str | None], _Fold]] = {
    (FactType.DEPOSIT, None): _deposit,
    (FactType.CREDIT_ISSUED, None): _credit,
    (FactType.CHARGE, None): _spend,
    (FactType.CHARGE, FactType.INCURRED): _incur,
    (FactType.CHARGE, FactType.PENDING): _pend,
    (FactType.CHARGE, FactType.SETTLED): _settle,
    (FactType.BUDGET, FactType.TRANSFERRED_IN): _transfer_in,
    (FactType.BUDGET, FactType.DEDUCTED): _spend,
    (FactType.BUDGET, FactType.RESERVED): _reserve,
    (FactType.BUDGET, FactType.CONFIRMED): _confirm,
    (FactType.BUDGET, FactType.TRANSFERRED_OUT): _transfer_out,
    (FactType.BUDGET, FactType.RELEASED): _release,
    (FactType.BUDGET, FactType.EXPIRED): _expire,
}
# By type and then by subtype: asked for every fact, and a pair is not made for it.
_BUDGET_FOLDS_OF: Final[dict[str, dict[str | None, _Fold]]] = {
    type_: {subtype: fold for (its_type, subtype), fold in _BUDGET_FOLDS.items() if its_type == type_}
    for type_, _ in _BUDGET_FOLDS
}
_CAP_FOLDS: Final[dict[tuple[str, str | None], _CapFold]] = {
    (FactType.BUDGET, FactType.CONFIRMED): _correct,
    (FactType.BUDGET, FactType.TRANSFERRED_OUT): _correct,
    (FactType.BUDGET, FactType.RELEASED): _uncount,
}
_ACCESS_FOLDS: Final[dict[str, _Fold]] = {
    FactType.ACCESS_GRANTED: _grant,
    FactType.ACCESS_MODIFIED: _grant,
    FactType.ACCESS_REVOKED: _revoke,
}
ACCESS_TYPES: Final = frozenset(_ACCESS_FOLDS)
