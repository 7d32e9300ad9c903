"""
A page of facts. Owns: waiting, bounded, until the query store has what the ledger had at the time of asking.
Does not own: the query (`api.reads`).
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from msgspec import Raw, Struct

from api.answers import AsOf
from api.reads import FactRow, Reads, Window
from z0.codec import decode_fact
from z0.domain.answer import Answer

PAGE_MAX: Final = 1_000  # half a megabyte of usual facts
WAIT_S: Final = 2.0
LOOK_AGAIN_S: Final = 0.02


class Page(Struct, frozen=True, kw_only=True):
    """Facts, where to go on (null: nothing more), and whether the store had everything up to `head_seq`."""

    facts: list[Raw]
    next_after: int | None
    complete: bool
    head_seq: int
    as_of: AsOf


async def facts_page(reads: Reads, tenant_id: str, read: Answer, window: Window) -> Page:
    """The facts of a window whose end is the head of the ledger at the time of `read`."""
    stored = await wait_for(reads, tenant_id, read.ledger_id, seq=window.upto)
    complete = stored is not None and stored.seq >= window.upto
    # One more than asked for tells whether there is another page.
    rows = await reads.facts(tenant_id, read.ledger_id, window._replace(limit=window.limit + 1))
    shown = rows[: window.limit]
    return Page(
        facts=[Raw(row.value) for row in shown],
        next_after=_next(shown, window, more=len(rows) > window.limit, complete=complete),
        complete=complete,
        head_seq=window.upto,
        as_of=AsOf(read.partition, read.offset if complete else _offset_of(stored)),
    )


def _next(shown: Sequence[FactRow], window: Window, *, more: bool, complete: bool) -> int | None:
    if more or (shown and not complete):
        return shown[-1].seq
    # Facts are still to come: ask again from the same place.
    return None if complete else window.after


def _offset_of(row: FactRow | None) -> int:
    return decode_fact(row.value).offset if row is not None else -1


async def wait_for(reads: Reads, tenant_id: str, ledger_id: str, *, seq: int) -> FactRow | None:
    """The newest fact that the store has of a ledger, once it has the one of `seq`, or after two seconds."""
    deadline = asyncio.get_running_loop().time() + WAIT_S
    while True:
        stored = await reads.head(tenant_id, ledger_id)
        if (stored is not None and stored.seq >= seq) or asyncio.get_running_loop().time() >= deadline:
            return stored
        await asyncio.sleep(LOOK_AGAIN_S)
