"""
A draft becomes a fact. Owns: which value stands in which field. The engine calls it when it decides, and a receipt when it
decides again: both must come to the same bytes.
"""

from operator import attrgetter
from typing import Any, Final, NamedTuple

from msgspec import Raw

from z0.domain.commands import Command
from z0.domain.draft import Draft
from z0.domain.facts import NO_DATA, RULES_VERSION, Cause, Fact, Links
from z0.domain.outcome import Outcome
from z0.domain.state import LedgerState


class Place(NamedTuple):
    """Where and when a fact is written."""

    ledger_id: str
    tenant_id: str
    epoch: int
    offset: int
    recorded_at: int


class Asked(NamedTuple):
    """The command that a fact answers, where there is one; `digest` is of its canonical bytes."""

    command: Command
    digest: str
    outcome: Outcome
    cause: Cause | None = None
    configs: Raw = NO_DATA


_LINK_FIELDS: Final = (*Links.__struct_fields__, "reply_to")
_links_of = attrgetter(*_LINK_FIELDS)
_NO_LINKS: Final = (None,) * len(_LINK_FIELDS)


def fact_of(state: LedgerState, draft: Draft, place: Place, asked: Asked | None) -> Fact:
    """The next fact of a ledger. By position as far as possible: keywords take three times as long."""
    ledger_id, tenant_id, epoch, offset, recorded_at = place
    seq = state.seq + 1
    common = (
        f"{ledger_id}.{seq}",
        ledger_id,
        seq,
        draft.type,
        recorded_at if asked is None else _event_time(asked, recorded_at),
        recorded_at,
        tenant_id,
        ledger_id.partition("_")[2],
        epoch,
        offset,
        state.head_hash,
        RULES_VERSION,
        draft.subtype,
    )
    money = (draft.amount, draft.currency, draft.held, draft.available, draft.reservation_id, draft.expires_at, draft.data)
    if asked is None:
        return Fact(*common, None, None, None, *money, NO_DATA, draft.counted)
    command, digest, outcome, cause, configs = asked
    values = _links_of(command)
    if values == _NO_LINKS and draft.extras is None:  # most commands: one comparison instead of a dictionary
        return Fact(*common, outcome._value_, command.id, digest, *money, configs, draft.counted, cause)
    rest = _given(values) | (draft.extras or {})
    return Fact(*common, outcome._value_, command.id, digest, *money, configs, draft.counted, cause, **rest)


def _given(values: tuple[Any, ...]) -> dict[str, Any]:
    return {name: value for name, value in zip(_LINK_FIELDS, values, strict=True) if value is not None}


def _event_time(asked: Asked, recorded_at: int) -> int:
    """The caller's event time, where the caller gave one that was not refused."""
    at = asked.command.timestamp
    return recorded_at if at is None or asked.outcome is Outcome.TIMESTAMP_OUT_OF_BOUNDS else at
