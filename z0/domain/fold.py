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

from z0.domain.config import version_of_fact
from z0.domain.facts import Fact, FactType
from z0.domain.money import parse_amount
from z0.domain.payloads import ConfigHead, CreatedData, ExpiredData, GrantData, UpdatedData
from z0.domain.state import (
    COUNTERS_MAX,
    ENDED_MAX,
    LIMITS_IN_FORCE_MAX,
    Charge,
    Counter,
    Hold,
    LedgerState,
    budget_of,
    changed,
    push_expiry,
)

_expired_decoder = msgspec.json.Decoder(ExpiredData)
_updated_decoder = msgspec.json.Decoder(UpdatedData)
_created_decoder = msgspec.json.Decoder(CreatedData)
_grant_decoder = msgspec.json.Decoder(GrantData)


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


def apply(state: LedgerState, fact: Fact, fact_hash: str) -> LedgerState:
    """Fold one fact into the state that it follows; the state handed in is given away."""
    apply_ledger(state, fact, fact_hash)
    apply_budget(state, fact)
    if changes_caps(fact):
        apply_caps(state, fact)
    return apply_access(state, fact) if fact.type in ACCESS_TYPES else state


def apply_ledger(state: LedgerState, fact: Fact, fact_hash: str) -> LedgerState:
    """The part that table `ledgers` keeps: head of the chain, metadata, head of a config."""
    state.seq = fact.seq
    state.head_hash = fact_hash
    state.recorded_at = fact.recorded_at
    if fact.type in _LEDGER_TYPES:  # few: asked first, which spares nearly every fact the making of a pair
        fold = _LEDGER_FOLDS.get((fact.type, fact.subtype))
        if fold is not None:
            fold(state, fact)
    return state


def apply_budget(state: LedgerState, fact: Fact) -> LedgerState:
    """The part that table `budgets` keeps: sums, open reservations and what became of the last ones, unsettled charges."""
    fold = _BUDGET_FOLDS.get((fact.type, fact.subtype)) or _BUDGET_FOLDS.get((fact.type, None))
    if fold is not None:
        fold(state, fact)
    return state


def apply_caps(state: LedgerState, fact: Fact) -> LedgerState:
    """The part that table `caps` keeps: what each limit has counted in its present window."""
    if (fact.type, fact.subtype) == (FactType.BUDGET, FactType.EXPIRED):
        _uncount_expired(state, fact)
    elif fact.counted is not None:
        amount = parse_amount(fact.amount) or 0 if fact.amount is not None else 0
        for key, start in fact.counted.items():
            _CAP_FOLDS.get((fact.type, fact.subtype), _count)(state, key, start, amount, fact)
    return state


def changes_caps(fact: Fact) -> bool:
    """Whether a fact may change what limits have counted."""
    return fact.counted is not None or fact.subtype == FactType.EXPIRED


def apply_access(state: LedgerState, fact: Fact) -> LedgerState:
    """The part that table `access` keeps: who has which role."""
    fold = _ACCESS_FOLDS.get(fact.type)
    if fold is not None:
        fold(state, fact)
    return state


# Ledgers -----------------------------------------------------------------------------------------


def _create(state: LedgerState, fact: Fact) -> None:
    state.entity = _created_decoder.decode(fact.data).entity


def _update(state: LedgerState, fact: Fact) -> None:
    assert state.entity is not None, "an update follows a creation"
    changes = _updated_decoder.decode(fact.data).changes
    state.entity = changed(state.entity, changes, fact.recorded_at)


def _version(state: LedgerState, fact: Fact) -> None:
    config = version_of_fact(fact.data)
    state.config = ConfigHead(config.type, config.scope, config.applies_to, config.version, config.effective_at)


# Budgets -----------------------------------------------------------------------------------------


def _deposit(state: LedgerState, fact: Fact) -> None:
    budget_of(state, str(fact.currency)).deposited += units(fact.amount)


def _credit(state: LedgerState, fact: Fact) -> None:
    budget_of(state, str(fact.currency)).credits += units(fact.amount)


def _transfer_in(state: LedgerState, fact: Fact) -> None:
    budget_of(state, str(fact.currency)).transferred_in += units(fact.amount)


def _spend(state: LedgerState, fact: Fact) -> None:
    budget_of(state, str(fact.currency)).spent += units(fact.amount)


def _incur(state: LedgerState, fact: Fact) -> None:
    _spend(state, fact)
    state.charges[fact.id] = Charge(str(fact.currency), units(fact.amount), fact.recorded_at)


def _pend(state: LedgerState, fact: Fact) -> None:
    state.charges[str(fact.source_id)].is_pending = True


def _settle(state: LedgerState, fact: Fact) -> None:
    del state.charges[str(fact.source_id)]


def _reserve(state: LedgerState, fact: Fact) -> None:
    currency, reservation, expires_at = fact.currency, str(fact.reservation_id), fact.expires_at or 0
    amount = 0
    if currency is not None:
        amount = units(fact.amount)
        budget_of(state, currency).reserved += amount
    is_transfer = fact.purpose is not None
    state.holds[reservation] = Hold(currency, amount, expires_at, fact.recorded_at, fact.workflow_id, fact.counted, is_transfer)
    push_expiry(state, expires_at, reservation)


def _close(state: LedgerState, reservation: str, fact: Fact) -> Hold:
    hold = state.holds.pop(reservation)
    if hold.currency is not None:
        budget_of(state, hold.currency).reserved -= hold.amount
    ended = state.ended
    if len(ended) >= ENDED_MAX:
        del ended[next(iter(ended))]
    ended[reservation] = (str(fact.subtype), fact.recorded_at)
    return hold


def _release(state: LedgerState, fact: Fact) -> None:
    _close(state, str(fact.reservation_id), fact)


def _confirm(state: LedgerState, fact: Fact) -> None:
    hold = _close(state, str(fact.reservation_id), fact)
    if hold.currency is not None:
        budget_of(state, hold.currency).spent += units(fact.amount)


def _transfer_out(state: LedgerState, fact: Fact) -> None:
    hold = _close(state, str(fact.reservation_id), fact)
    budget_of(state, str(hold.currency)).transferred_out += units(fact.amount)


def _expire(state: LedgerState, fact: Fact) -> None:
    for reservation in _expired_decoder.decode(fact.data).reservations:
        _close(state, reservation, fact)


# Caps --------------------------------------------------------------------------------------------


def _count(state: LedgerState, key: str, start: int, amount: int, fact: Fact) -> None:
    counter = _begun(state, key, start)
    counter.count += 1
    counter.units += amount


def _begun(state: LedgerState, key: str, start: int) -> Counter:
    """The counter of a limit in the window that begins at `start`, from nothing where it counted in another."""
    if state.caps is None:
        state.caps = {}
    counter = state.caps.get(key)
    if counter is None:
        if len(state.caps) >= COUNTERS_MAX:
            del state.caps[next(iter(state.caps))]
        counter = state.caps[key] = Counter(start)
        return counter
    if len(state.caps) > LIMITS_IN_FORCE_MAX:  # some are of gone limits: those that still count go behind them
        state.caps[key] = state.caps.pop(key)
    if counter.start != start:
        counter.start, counter.count, counter.units = start, 0, 0
    return counter


def _counter(state: LedgerState, key: str, start: int) -> Counter | None:
    """The counter of a limit while its window is still the one that begins at `start`."""
    counter = state.caps.get(key) if state.caps is not None else None
    return counter if counter is not None and counter.start == start else None


def _correct(state: LedgerState, key: str, start: int, amount: int, fact: Fact) -> None:
    """A part gives the rest back to the window in which it was counted; what is more than was held is spent in this one."""
    more = amount - units(fact.held) if fact.held is not None else 0
    counter = _begun(state, key, start) if more > 0 else _counter(state, key, start)
    if counter is not None:
        counter.units += more


def _uncount(state: LedgerState, key: str, start: int, amount: int, fact: Fact) -> None:
    counter = _counter(state, key, start)
    if counter is not None:
        counter.count -= 1
        counter.units -= amount


def _uncount_expired(state: LedgerState, fact: Fact) -> None:
    for key, back in (_expired_decoder.decode(fact.data).counted or {}).items():
        counter = _counter(state, key, back.start)
        if counter is not None:
            counter.count -= back.count
            counter.units -= units(back.amount)


# Access ------------------------------------------------------------------------------------------


def _grant(state: LedgerState, fact: Fact) -> None:
    grant = _grant_decoder.decode(fact.data)
    if state.access is None:
        state.access = {}
    state.access[grant.user_id] = str(grant.role)


def _revoke(state: LedgerState, fact: Fact) -> None:
    if state.access is not None:
        state.access.pop(_grant_decoder.decode(fact.data).user_id, None)


_Fold = Callable[[LedgerState, Fact], None]
_CapFold = Callable[[LedgerState, str, int, int, Fact], None]
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
