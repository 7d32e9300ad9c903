"""
Parts of a ledger's state, for the routes that show one. Owns: reading them out of the state's JSON, and the shape of each page.
Does not own: the state (`z0.domain.views`).

A state shows at most 1,000 reservations and as many charges, the oldest; `open` says how many there are, `next` where to go on
(null at the end; what follows a full page may be empty).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from api.answers import AsOf
from z0.domain.answer import Answer, Eligibility, LimitView
from z0.domain.facts import Scope
from z0.domain.views import SHOWN_MAX, Place

PAGE_MAX: Final = SHOWN_MAX  # what one answer of the ledger shows
_T = TypeVar("_T")


class _Reservation(Struct, frozen=True):
    amount: str
    expires_at: int
    created_at: int
    currency: str | None = None
    workflow_id: str | None = None


class _Charge(Struct, frozen=True):
    currency: str
    amount: str
    stage: str
    incurred_at: int


class _Settlement(Struct, frozen=True):
    prepaid: str
    incurred: str
    pending: str


class _Counter(Struct, frozen=True):
    start: int
    count: int
    amount: str


class _Currency(Struct, frozen=True):
    available: str


class _Config(Struct, frozen=True):
    scope: Scope


class State(Struct, frozen=True):
    """What these routes read of a state."""

    seq: int
    budgets: dict[str, _Currency]
    reservations: dict[str, _Reservation]
    reservations_open: int
    settlement: dict[str, _Settlement] = {}
    charges: dict[str, _Charge] = {}
    charges_open: int = 0
    caps: dict[str, _Counter] = {}
    access: dict[str, str] = {}
    config: _Config | None = None


class Held(Struct, frozen=True, kw_only=True):
    """One open reservation."""

    reservation_id: str
    currency: str | None  # null: it holds a place only
    amount: str
    created_at: int
    expires_at: int
    age_ms: int
    workflow_id: str | None


class Reservations(Struct, frozen=True, kw_only=True):
    """Open reservations, the oldest first."""

    reservations: list[Held]
    open: int
    next: str | None
    as_of: AsOf


class Incurred(Struct, frozen=True, kw_only=True):
    """One unsettled charge."""

    charge_id: str
    stage: str
    currency: str
    amount: str
    incurred_at: int
    age_ms: int


class Charges(Struct, frozen=True, kw_only=True):
    """Unsettled charges, the oldest first, and their sums by currency and stage."""

    charges: list[Incurred]
    settlement: dict[str, _Settlement]
    open: int
    next: str | None
    as_of: AsOf


class Granted(Struct, frozen=True):
    """A user's role."""

    user_id: str
    role: str


class Access(Struct, frozen=True, kw_only=True):
    """Who has which role."""

    access: list[Granted]
    as_of: AsOf


class Limited(Struct, frozen=True, kw_only=True):
    """One limit: what is left of it, and what it counted; null where it counted nothing, or is about what is in flight."""

    rule: str
    max: str
    left: str
    resets_at: int | None
    counted: _Counter | None


class Caps(Struct, frozen=True, kw_only=True):
    """Every limit that has a say, and the configs that say so."""

    limits: list[Limited]
    configs: dict[str, int]
    as_of: AsOf


_CAP: Final = "cap."
_state_decoder = msgspec.json.Decoder(State)
_eligibility_decoder = msgspec.json.Decoder(Eligibility)


def state_of(answer: Answer) -> State:
    """The state in the answer to a read."""
    return _state_decoder.decode(answer.state)


def place_of(cursor: str | None) -> Place | None:
    """What `next` of a page stands for; its form was checked."""
    began, _, name = (cursor or "").partition(".")
    return (int(began), name) if name else None


def _next(shown: dict[str, _T], taken: Sequence[tuple[str, _T]], limit: int, *, began: Callable[[_T], int]) -> str | None:
    """Where to go on: after the last one taken where the page is full, or after the last one that a full state showed."""
    if len(taken) == limit:
        name, item = taken[-1]
    elif len(shown) == SHOWN_MAX:
        name, item = next(reversed(shown.items()))
    else:
        return None
    return f"{began(item)}.{name}"


def reservations_page(answer: Answer, limit: int) -> Reservations:
    """Open reservations as of a read; ages are as of its time."""
    state = state_of(answer)
    oldest = list(state.reservations.items())[:limit]
    after = _next(state.reservations, oldest, limit, began=lambda hold: hold.created_at)
    held = [
        Held(
            reservation_id=name,
            currency=hold.currency,
            amount=hold.amount,
            created_at=hold.created_at,
            expires_at=hold.expires_at,
            age_ms=answer.recorded_at - hold.created_at,
            workflow_id=hold.workflow_id,
        )
        for name, hold in oldest
    ]
    return Reservations(reservations=held, open=state.reservations_open, next=after, as_of=_as_of(answer))


def charges_page(answer: Answer, stage: str | None, limit: int) -> Charges:
    """Unsettled charges as of a read, of one stage where one is given."""
    state = state_of(answer)
    of_stage = [item for item in state.charges.items() if stage in (None, item[1].stage)][:limit]
    incurred = [
        Incurred(
            charge_id=name,
            stage=charge.stage,
            currency=charge.currency,
            amount=charge.amount,
            incurred_at=charge.incurred_at,
            age_ms=answer.recorded_at - charge.incurred_at,
        )
        for name, charge in of_stage
    ]
    after = _next(state.charges, of_stage, limit, began=lambda charge: charge.incurred_at)
    return Charges(charges=incurred, settlement=state.settlement, open=state.charges_open, next=after, as_of=_as_of(answer))


def access_page(answer: Answer) -> Access:
    """Roles as of a read."""
    granted = [Granted(user, role) for user, role in sorted(state_of(answer).access.items())]
    return Access(access=granted, as_of=_as_of(answer))


def caps_page(answer: Answer, checks: Iterable[Answer]) -> Caps:
    """The limits that checks in one currency each found, each limit once, beside the counters of a read."""
    counters = state_of(answer).caps
    found: dict[str, LimitView] = {}
    configs: dict[str, int] = {}
    for check in checks:
        if check.eligibility:
            eligibility = _eligibility_decoder.decode(check.eligibility)
            found.update((limit.rule, limit) for limit in eligibility.limits)
            configs.update(eligibility.configs)
    limits = [
        Limited(
            rule=limit.rule,
            max=limit.max,
            left=limit.left,
            resets_at=limit.resets_at,
            counted=counters.get(limit.rule.removeprefix(_CAP)),
        )
        for limit in found.values()
    ]
    return Caps(limits=limits, configs=configs, as_of=_as_of(answer))


def _as_of(answer: Answer) -> AsOf:
    return AsOf(answer.partition, answer.offset)
