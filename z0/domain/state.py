"""
The state of one ledger. Owns: what is remembered of an entity, and the payloads of the facts that it is folded from.

Does not own: how a fact changes it (`z0.domain.fold`).

Budget arithmetic, per currency, always:
    remaining = deposited + credits + transferred_in - spent - transferred_out
    available = remaining - reserved
"""

import heapq
from typing import Final, final

import msgspec
from mypy_extensions import mypyc_attr

from z0.domain.entity import Changes, Entity, merge_patch
from z0.domain.facts import ZERO_HASH
from z0.domain.payloads import ConfigHead

# Per ledger. The snapshot of an account with all of them, whatever their ids and however many limits counted them, and an expiry
# of all of them each fit one record batch: a snapshot that does not would hold the floor for ever.
HOLDS_MAX: Final = 8_000
CHARGES_MAX: Final = 5_000  # in the same snapshot
GRANTS_MAX: Final = 1_000  # per entity: users with a role; more belong into a group of the caller's own
LIMITS_IN_FORCE_MAX: Final = 32  # of one entity: `z0.domain.config.LIMITS_MAX` together
COUNTERS_MAX: Final = 128  # per entity: four times the limits of one policy, so only counters of gone limits are forgotten
KEPT: Final = -1  # in place of a window's start: in force and not counted by this fact, so not to be forgotten by it
ENDED_MAX: Final = 128  # per ledger: for a late confirm or release; older ones are found in the facts


@final
@mypyc_attr(acyclic=True)
class Hold:
    """
    One open reservation; amount in units of 1e-12, times in Unix milliseconds.

    `currency` None: it holds a place only, with amount 0. `counted`: limit -> start of the window in which it was counted.
    """

    def __init__(
        self,
        currency: str | None,
        amount: int,
        expires_at: int,
        created_at: int,
        workflow_id: str | None = None,
        counted: dict[str, int] | None = None,
        is_transfer: bool = False,
    ) -> None:
        self.currency: Final = currency
        self.amount: Final = amount
        self.expires_at: Final = expires_at
        self.created_at: Final = created_at
        self.workflow_id: Final = workflow_id
        self.counted: Final = counted
        self.is_transfer: Final = is_transfer


SUMS: Final = ("deposited", "credits", "spent", "transferred_in", "transferred_out", "reserved")  # of a budget, in its order


@final
@mypyc_attr(acyclic=True)
class Budget:
    """Sums of one currency, in units of 1e-12; none of them ever shrinks but `reserved`."""

    def __init__(
        self,
        deposited: int = 0,
        credits: int = 0,  # noqa: A002 - the field's name in every store
        spent: int = 0,
        transferred_in: int = 0,
        transferred_out: int = 0,
        reserved: int = 0,
    ) -> None:
        self.deposited = deposited
        self.credits = credits
        self.spent = spent
        self.transferred_in = transferred_in
        self.transferred_out = transferred_out
        self.reserved = reserved

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


@final
@mypyc_attr(acyclic=True)
class Charge:
    """An incurred charge that is not settled; its money was spent when it was incurred."""

    def __init__(self, currency: str, amount: int, incurred_at: int, is_pending: bool = False) -> None:
        self.currency: Final = currency
        self.amount: Final = amount
        self.incurred_at: Final = incurred_at
        self.is_pending = is_pending


@final
@mypyc_attr(acyclic=True)
class Counter:
    """
    What one limit has counted since `start`, the first millisecond of its window; `units` of 1e-12.

    `since`: when it began to. A limit that was given another window and then its old one again (a time zone set and taken back),
    or that was gone for long, begins anew in a window that has begun before.
    """

    def __init__(self, start: int = 0, count: int = 0, units: int = 0, since: int = 0) -> None:
        self.start = start
        self.count = count
        self.units = units
        self.since = since


@final
@mypyc_attr(acyclic=True)
class LedgerState:
    """Everything that a decision about one entity needs. `caps` and `access` are None until their first fact."""

    def __init__(self) -> None:
        self.entity: Entity | None = None
        self.seq: int = 0
        self.head_hash: str = ZERO_HASH
        self.recorded_at: int = 0
        self.config: ConfigHead | None = None
        self.budgets: dict[str, Budget] = {}
        self.holds: dict[str, Hold] = {}
        # (expires_at, reservation id), smallest first; entries of closed holds stay until they surface or outnumber the open.
        self.expiries: list[tuple[int, str]] = []
        self.charges: dict[str, Charge] = {}
        # The last reservations that were closed, oldest first: the subtype of the fact that did it, and when. Tuples, because
        # every snapshot copies them.
        self.ended: dict[str, tuple[str, int]] = {}
        self.caps: dict[str, Counter] | None = None  # where there are more than are in force: the last that counted last
        self.access: dict[str, str] | None = None  # user id -> role


def has_counted(counter: Counter | None, start: int, hold: Hold) -> bool:
    """Whether a limit's counter has in it what a hold was counted for, in the window that begins at `start`."""
    return counter is not None and counter.start == start and counter.since <= hold.created_at


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
