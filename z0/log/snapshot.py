"""
Snapshots of a ledger's state, in four parts. Owns: their wire form. The log wins over any of them.

Each part says as of which offset of `z0.facts` it is: a replay folds a fact into a part only above that offset. Parts that an
entity never had are not written; once it has had one, every snapshot writes it, or a stale one would come back.
Amounts are strings of units, because a count of 1e-12 units outgrows 64 bits. Metadata is JSON for the same reason:
an entity's `data` may hold any integer that JSON may, and MessagePack ends at 64 bits.
"""

import heapq
from typing import Final

import msgspec
from msgspec import Struct

from z0.domain.entity import Entity
from z0.domain.payloads import ConfigHead
from z0.domain.state import Budget, Charge, Counter, Hold, LedgerState

BEFORE_ALL: Final = -1
NOT_COUNTED: Final = -1
_Sums = tuple[str, str, str, str, str, str]
_Hold = tuple[str | None, str, int, int, str | None, int, bool]


class LedgerPart(Struct, frozen=True, array_like=True):
    """Table `ledgers`: head of the chain and metadata."""

    as_of: int
    epoch: int
    entity: Entity | None
    seq: int
    head_hash: str
    recorded_at: int
    config: ConfigHead | None = None


class BudgetPart(Struct, frozen=True, array_like=True):
    """
    Table `budgets`: sums by currency (deposited, credits, spent, transferred_in, transferred_out, reserved), open holds,
    unsettled charges, what became of the last reservations. `first_expiry` is 0 where nothing is held.
    """

    as_of: int
    epoch: int
    first_expiry: int
    budgets: dict[str, _Sums]
    holds: dict[str, _Hold]
    charges: dict[str, tuple[str, str, int, bool]] = {}
    ended: dict[str, tuple[str, int]] = {}
    # Under which limits holds were counted: the keys, and (key, start) by place of the key. A hold has a place in `counted`, or
    # -1: many share one, and ten thousand copies of every key would outgrow a record.
    limits: list[str] = []
    counted: list[list[tuple[int, int]]] = []


class ExpiryHead(Struct, frozen=True, array_like=True):
    """The beginning of a `BudgetPart`: enough to know when to look at the entity."""

    as_of: int
    epoch: int
    first_expiry: int


class CapsPart(Struct, frozen=True, array_like=True):
    """Table `caps`: limit -> start of its window, count, units; and limit -> when it began to count."""

    as_of: int
    epoch: int
    counters: dict[str, tuple[int, int, str]]
    since: dict[str, int] = {}


class AccessPart(Struct, frozen=True, array_like=True):
    """Table `access`: user id -> role."""

    as_of: int
    epoch: int
    roles: dict[str, str]


class LedgerSnapshot(Struct, frozen=True):
    """All parts of one entity; each may be missing, and then starts from nothing."""

    ledger: LedgerPart | None
    budget: BudgetPart | None
    caps: CapsPart | None = None
    access: AccessPart | None = None

    @property
    def as_of(self) -> tuple[int, int, int, int]:
        """The offset of each part in the order of the fields, -1 where it is missing."""
        return _as_of(self.ledger), _as_of(self.budget), _as_of(self.caps), _as_of(self.access)


def _as_of(part: LedgerPart | BudgetPart | CapsPart | AccessPart | None) -> int:
    return part.as_of if part is not None else BEFORE_ALL


_encode_ledger = msgspec.json.Encoder().encode
_encode = msgspec.msgpack.Encoder().encode
_decode_ledger = msgspec.json.Decoder(LedgerPart).decode
_decode_budget = msgspec.msgpack.Decoder(BudgetPart).decode
_decode_caps = msgspec.msgpack.Decoder(CapsPart).decode
_decode_access = msgspec.msgpack.Decoder(AccessPart).decode
_decode_head = msgspec.msgpack.Decoder(ExpiryHead).decode


def take(state: LedgerState, as_of: int, epoch: int) -> LedgerSnapshot:
    """The snapshot of a state that has folded every fact below and including offset `as_of`."""
    return LedgerSnapshot(
        LedgerPart(as_of, epoch, state.entity, state.seq, state.head_hash, state.recorded_at, state.config),
        _budget_part(state, as_of, epoch),
        _caps_part(state.caps, as_of, epoch) if state.caps is not None else None,
        AccessPart(as_of, epoch, dict(state.access)) if state.access is not None else None,
    )


class _Counted:
    """Gives what holds have in common one place."""

    def __init__(self) -> None:
        self._limits: dict[str, int] = {}
        self._places: dict[tuple[tuple[int, int], ...], int] = {}

    def place(self, counted: dict[str, int] | None) -> int:
        if counted is None:
            return NOT_COUNTED
        pairs = tuple((self._limits.setdefault(key, len(self._limits)), start) for key, start in counted.items())
        return self._places.setdefault(pairs, len(self._places))

    def tables(self) -> tuple[list[str], list[list[tuple[int, int]]]]:
        return list(self._limits), [list(pairs) for pairs in self._places]


def _budget_part(state: LedgerState, as_of: int, epoch: int) -> BudgetPart:
    shared = _Counted()
    holds = {name: _hold(hold, shared) for name, hold in state.holds.items()}
    return BudgetPart(
        as_of,
        epoch,
        min((hold.expires_at for hold in state.holds.values()), default=0),
        {currency: _sums(budget) for currency, budget in state.budgets.items()},
        holds,
        {name: (c.currency, str(c.amount), c.incurred_at, c.is_pending) for name, c in state.charges.items()},
        dict(state.ended),
        *shared.tables(),
    )


def _sums(b: Budget) -> _Sums:
    return str(b.deposited), str(b.credits), str(b.spent), str(b.transferred_in), str(b.transferred_out), str(b.reserved)


def _hold(h: Hold, shared: _Counted) -> _Hold:
    return h.currency, str(h.amount), h.expires_at, h.created_at, h.workflow_id, shared.place(h.counted), h.is_transfer


def _caps_part(counters: dict[str, Counter], as_of: int, epoch: int) -> CapsPart:
    counted = {key: (c.start, c.count, str(c.units)) for key, c in counters.items()}
    return CapsPart(as_of, epoch, counted, {key: c.since for key, c in counters.items()})


def restore(snapshot: LedgerSnapshot) -> LedgerState:
    """The state that a snapshot holds."""
    state = LedgerState()
    if snapshot.ledger is not None:
        part = snapshot.ledger
        state.entity, state.seq, state.head_hash, state.recorded_at = part.entity, part.seq, part.head_hash, part.recorded_at
        state.config = part.config
    if snapshot.budget is not None:
        _restore_budget(state, snapshot.budget)
    if snapshot.caps is not None:
        state.caps = _counters(snapshot.caps)
    if snapshot.access is not None:
        state.access = dict(snapshot.access.roles)
    return state


def _counters(part: CapsPart) -> dict[str, Counter]:
    since = part.since
    return {key: Counter(at, count, int(units), since.get(key, 0)) for key, (at, count, units) in part.counters.items()}


def _restore_budget(state: LedgerState, part: BudgetPart) -> None:
    state.budgets = {currency: Budget(*map(int, sums)) for currency, sums in part.budgets.items()}
    # Holds share their dictionaries: nobody changes one.
    counted = [{part.limits[key]: start for key, start in pairs} for pairs in part.counted]
    state.holds = {
        name: Hold(currency, int(amount), until, since, workflow_id, counted[place] if place != NOT_COUNTED else None, transfer)
        for name, (currency, amount, until, since, workflow_id, place, transfer) in part.holds.items()
    }
    state.expiries = [(hold.expires_at, name) for name, hold in state.holds.items()]
    heapq.heapify(state.expiries)
    state.charges = {name: Charge(currency, int(amount), at, p) for name, (currency, amount, at, p) in part.charges.items()}
    state.ended = dict(part.ended)


def encode_ledger(part: LedgerPart) -> bytes:
    """A ledger part's bytes."""
    return _encode_ledger(part)


def encode_part(part: BudgetPart | CapsPart | AccessPart) -> bytes:
    """The bytes of any other part."""
    return _encode(part)


def decode_ledger(value: bytes) -> LedgerPart:
    """The ledger part that `encode_ledger` wrote."""
    return _decode_ledger(value)


def decode_budget(value: bytes) -> BudgetPart:
    """The budget part that `encode_part` wrote."""
    return _decode_budget(value)


def decode_first_expiry(value: bytes) -> int:
    """When the first reservation in a budget part's bytes ends, 0: nothing is held. A tenth of decoding it all."""
    return _decode_head(value).first_expiry


def decode_caps(value: bytes) -> CapsPart:
    """The caps part that `encode_part` wrote."""
    return _decode_caps(value)


def decode_access(value: bytes) -> AccessPart:
    """The access part that `encode_part` wrote."""
    return _decode_access(value)
