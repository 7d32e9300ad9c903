"""
A draft becomes a fact. Owns: which value stands in which field. The engine calls it when it decides, and a receipt when it
decides again: both must come to the same bytes.
"""

from operator import attrgetter
from typing import Any, Final, final

import msgspec
from msgspec import Raw
from mypy_extensions import mypyc_attr

from z0.domain.change import Change, change_of, change_of_draft
from z0.domain.commands import Command
from z0.domain.decide import is_event_time
from z0.domain.draft import Draft
from z0.domain.facts import NO_DATA, RULES_VERSION, Cause, Fact, Links, PlainFact
from z0.domain.outcome import Outcome
from z0.domain.state import LedgerState


@final
@mypyc_attr(acyclic=True, free_list_len=1)
class Place:
    """Where and when a fact is written."""

    def __init__(self, ledger_id: str, tenant_id: str, epoch: int, offset: int, recorded_at: int) -> None:
        self.ledger_id: Final = ledger_id
        self.tenant_id: Final = tenant_id
        self.epoch: Final = epoch
        self.offset: Final = offset
        self.recorded_at: Final = recorded_at


@final
@mypyc_attr(acyclic=True, free_list_len=1)
class Asked:
    """
    The command that a fact answers, where there is one; `digest` is of its canonical bytes.

    `has_links` False: known to have none, which spares looking for them.
    """

    def __init__(
        self,
        command: Command,
        digest: str,
        outcome: Outcome,
        cause: Cause | None = None,
        configs: Raw = NO_DATA,
        has_links: bool = True,
    ) -> None:
        self.command: Final = command
        self.digest: Final = digest
        self.outcome: Final = outcome
        self.cause: Final = cause
        self.configs: Final = configs
        self.has_links: Final = has_links


_LINK_FIELDS: Final = (*Links.__struct_fields__, "reply_to")
_links_of: Final = attrgetter(*_LINK_FIELDS)
_plain_fact: Final = PlainFact


def fact_of(state: LedgerState, draft: Draft, place: Place, asked: Asked | None) -> PlainFact:
    """The next fact of a ledger. By position as far as possible: keywords take three times as long."""
    ledger_id, recorded_at, seq = place.ledger_id, place.recorded_at, state.seq + 1
    fact = _plain_fact(
        f"{ledger_id}.{seq}",
        ledger_id,
        seq,
        draft.type,
        recorded_at if asked is None else _event_time(asked, recorded_at),
        recorded_at,
        place.tenant_id,
        ledger_id[ledger_id.find("_") + 1 :],
        place.epoch,
        place.offset,
        state.head_hash,
        RULES_VERSION,
        draft.subtype,
        None if asked is None else asked.outcome._value_,
        None if asked is None else asked.command.id,
        None if asked is None else asked.digest,
        draft.amount,
        draft.currency,
        draft.held,
        draft.available,
        draft.reservation_id,
        draft.expires_at,
        draft.data,
        NO_DATA if asked is None else asked.configs,
        draft.counted,
        None if asked is None else asked.cause,
    )
    if draft.extras is None and (asked is None or not asked.has_links):  # most facts
        return fact
    links = _links(asked.command) if asked is not None else {}
    return Fact(*msgspec.structs.astuple(fact), **(links | (draft.extras or {})))


def change_by(fact: PlainFact, draft: Draft, place: Place) -> Change:
    """What a fact changes that `fact_of` made of this draft."""
    if type(fact) is Fact:
        return change_of(fact)
    return change_of_draft(draft, place.ledger_id, fact.seq, place.recorded_at)


def _links(command: Command) -> dict[str, Any]:
    return {name: value for name, value in zip(_LINK_FIELDS, _links_of(command), strict=True) if value is not None}


def _event_time(asked: Asked, recorded_at: int) -> int:
    """The caller's event time, where the caller gave one within its bounds, whatever else a command was refused for."""
    at = asked.command.timestamp
    return recorded_at if at is None or not is_event_time(at, recorded_at) else at
