"""
Snapshots of a ledger's state, in two parts. Owns: their wire form. The log wins over any of them.

Each part says as of which offset of `z0.facts` it is: a replay folds a fact into a part only above that offset.
Amounts are strings of units, because a count of 1e-12 units outgrows 64 bits. Metadata is JSON for the same reason:
an entity's `data` may hold any integer that JSON may, and MessagePack ends at 64 bits.
"""

import heapq

import msgspec
from msgspec import Struct

from z0.domain.entity import Entity
from z0.domain.state import Budget, Hold, LedgerState


class LedgerPart(Struct, frozen=True, array_like=True):
    """Table `ledgers`: head of the chain and metadata."""

    as_of: int
    epoch: int
    entity: Entity | None
    seq: int
    head_hash: str
    recorded_at: int


class BudgetPart(Struct, frozen=True, array_like=True):
    """Table `budgets`: sums by currency (deposited, credits, spent, transferred_in, transferred_out, reserved) and open holds."""

    as_of: int
    epoch: int
    budgets: dict[str, tuple[str, str, str, str, str, str]]
    holds: dict[str, tuple[str, str, int, int, str | None]]


class LedgerSnapshot(Struct, frozen=True):
    """Both parts of one entity; each may be missing, and then starts from nothing."""

    ledger: LedgerPart | None
    budget: BudgetPart | None


_encode_ledger = msgspec.json.Encoder().encode
_encode_budget = msgspec.msgpack.Encoder().encode
_decode_ledger = msgspec.json.Decoder(LedgerPart).decode
_decode_budget = msgspec.msgpack.Decoder(BudgetPart).decode


def take(state: LedgerState, as_of: int, epoch: int) -> LedgerSnapshot:
    """The snapshot of a state that has folded every fact below and including offset `as_of`."""
    ledger = LedgerPart(as_of, epoch, state.entity, state.seq, state.head_hash, state.recorded_at)
    return LedgerSnapshot(ledger, BudgetPart(as_of, epoch, _budgets(state), _holds(state)))


def _budgets(state: LedgerState) -> dict[str, tuple[str, str, str, str, str, str]]:
    return {
        currency: (str(b.deposited), str(b.credits), str(b.spent), str(b.transferred_in), str(b.transferred_out), str(b.reserved))
        for currency, b in state.budgets.items()
    }


def _holds(state: LedgerState) -> dict[str, tuple[str, str, int, int, str | None]]:
    return {n: (h.currency, str(h.amount), h.expires_at, h.created_at, h.workflow_id) for n, h in state.holds.items()}


def restore(snapshot: LedgerSnapshot) -> LedgerState:
    """The state that a snapshot holds."""
    state = LedgerState()
    if snapshot.ledger is not None:
        part = snapshot.ledger
        state.entity, state.seq, state.head_hash, state.recorded_at = part.entity, part.seq, part.head_hash, part.recorded_at
    if snapshot.budget is not None:
        state.budgets = {currency: Budget(*map(int, sums)) for currency, sums in snapshot.budget.budgets.items()}
        state.holds = {n: Hold(c, int(a), e, t, w) for n, (c, a, e, t, w) in snapshot.budget.holds.items()}
        state.expiries = [(hold.expires_at, name) for name, hold in state.holds.items()]
        heapq.heapify(state.expiries)
    return state


def encode_ledger(part: LedgerPart) -> bytes:
    """A ledger part's bytes."""
    return _encode_ledger(part)


def encode_budget(part: BudgetPart) -> bytes:
    """A budget part's bytes."""
    return _encode_budget(part)


def decode_ledger(value: bytes) -> LedgerPart:
    """The ledger part that `encode_ledger` wrote."""
    return _decode_ledger(value)


def decode_budget(value: bytes) -> BudgetPart:
    """The budget part that `encode_budget` wrote."""
    return _decode_budget(value)
