"""
The state of one ledger. Owns: what is remembered of an entity, and the payloads of the facts that it is folded from.

Does not own: how a fact changes it (`z0.domain.fold`).

Budget arithmetic, per currency, always:
    remaining = deposited + credits + transferred_in - spent - transferred_out
    available = remaining - reserved
"""

import heapq
from typing import Final

import msgspec
from msgspec import Struct

from z0.domain.entity import Changes, Entity, merge_patch
from z0.domain.facts import ZERO_HASH, ConfigType, Scope

# Per ledger. The snapshot of an account with all of them, whatever their ids and however many limits counted them, and an expiry
# of all of them each fit one record batch: a snapshot that does not would hold the floor for ever.
HOLDS_MAX: Final = 8_000
CHARGES_MAX: Final = 5_000
GRANTS_MAX: Final = 1_000  # per entity: users with a role; more belong into a group of the caller's own
LIMITS_IN_FORCE_MAX: Final = 32  # of one entity: `z0.domain.config.LIMITS_MAX` together
COUNTERS_MAX: Final = 128  # per entity: four times the limits of one policy, so only counters of gone limits are forgotten
ENDED_MAX: Final = 128  # per ledger: for a late confirm or release; older ones are found in the facts


class Hold(Struct, gc=False):
    """One open reservation; amount in units of 1e-12, times in Unix milliseconds."""

    currency: str | None  # None: it holds a place only, with amount 0
    amount: int
    expires_at: int
    created_at: int
    workflow_id: str | None = None
    counted: dict[str, int] | None = None  # limit -> start of the window in which its reservation was counted
    is_transfer: bool = False


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

    @property
    def prepaid(self) -> int:
        """What is left of prepaid money: credits are spent first, so this is what remains without the credits left."""
        return self.remaining - max(0, self.credits - self.spent)


class Charge(Struct, gc=False):
    """An incurred charge that is not settled; its money was spent when it was incurred."""

    currency: str
    amount: int
    incurred_at: int
    is_pending: bool = False


class Counter(Struct, gc=False):
    """What one limit has counted since `start`, the first millisecond of its window; `units` of 1e-12."""

    start: int = 0
    count: int = 0
    units: int = 0


class ConfigHead(Struct, frozen=True):
    """The newest version of a config on its own ledger; what it governs never changes."""

    type: ConfigType
    scope: Scope
    applies_to: str
    version: int
    effective_at: int


class LedgerState(Struct):
    """Everything that a decision about one entity needs. `caps` and `access` are None until their first fact."""

    entity: Entity | None = None
    seq: int = 0
    head_hash: str = ZERO_HASH
    recorded_at: int = 0
    config: ConfigHead | None = None
    budgets: dict[str, Budget] = {}
    holds: dict[str, Hold] = {}
    # (expires_at, reservation id), smallest first; entries of closed holds stay until they surface or outnumber the open.
    expiries: list[tuple[int, str]] = []
    charges: dict[str, Charge] = {}
    # The last reservations that were closed, oldest first: the subtype of the fact that did it, and when. Tuples, because every
    # snapshot copies them.
    ended: dict[str, tuple[str, int]] = {}
    caps: dict[str, Counter] | None = None  # where there are more than are in force: the last that counted last
    access: dict[str, str] | None = None  # user id -> role


class GivenBack(Struct, frozen=True):
    """What expired reservations give back to one limit, where its window still is the one that begins at `start`."""

    start: int
    count: int
    amount: str


class ExpiredData(Struct, frozen=True, omit_defaults=True):
    """Payload of `budget/expired`: reservation id -> amount; limit -> what is given back."""

    reservations: dict[str, str]
    counted: dict[str, GivenBack] | None = None


class GrantData(Struct, frozen=True, omit_defaults=True):
    """Payload of `access_granted`, `access_modified` and `access_revoked` (which has no role)."""

    user_id: str
    role: str | None = None


class UpdatedData(Struct, frozen=True):
    """Payload of `lifecycle/updated`."""

    changes: Changes


class CreatedData(Struct, frozen=True):
    """Payload of `lifecycle/created`."""

    entity: Entity


def budget_of(state: LedgerState, currency: str) -> Budget:
    """The budget of a currency, made where it is missing."""
    budget = state.budgets.get(currency)
    if budget is None:
        budget = state.budgets[currency] = Budget()
    return budget


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
