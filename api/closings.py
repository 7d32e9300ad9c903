"""
What became of reservations that their ledgers have forgotten. Owns: when the query store is asked, how long that may take, the
words. Does not own: what a ledger remembers and says itself (`z0.domain.spending`), the query (`api.reads`).

The fact of the refusal stays as it is: only the answer says more.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from msgspec.structs import replace

from api.errors import Problem
from api.reads import Closing, Late, Reads
from z0.domain.answer import Answer
from z0.domain.commands import Command, Confirm, Release
from z0.domain.ids import is_command_id
from z0.domain.outcome import Outcome

WAIT_S: Final = 0.1  # a thousand are found in 15 to 35 ms, one in half a millisecond
NEVER_MADE: Final = "there never was a reservation of that id"
AWAY: Final = "not known now: the query store did not answer in time; ask again with the same id"


class Closings:
    """Tells the late what closed their reservations, with one query a request."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._given_up: set[asyncio.Task[Sequence[Closing]]] = set()

    async def told(self, commands: Sequence[Command], answers: list[Answer]) -> list[Answer]:
        """The answers to commands of one tenant; those that lack it with what became of their reservation."""
        late = {place: one for place, one in enumerate(map(_late, commands, answers)) if one is not None}
        if not late:
            return answers
        asked = {place: one for place, one in late.items() if is_command_id(one.reservation_id)}
        words = dict.fromkeys(late, NEVER_MADE)  # no reservation can have any other id
        if asked:
            words.update(zip(asked, await self._words(commands[0].tenant_id, list(asked.values())), strict=True))
        return [replace(answer, detail=words[place]) if place in words else answer for place, answer in enumerate(answers)]

    async def _words(self, tenant_id: str, late: Sequence[Late]) -> list[str]:
        found = await self._in_time(self._reads.closings(tenant_id, late))
        return [AWAY] * len(late) if found is None else [_said(*pair) for pair in zip(late, found, strict=True)]

    async def _in_time(self, asking: Coroutine[Any, Any, Sequence[Closing]]) -> Sequence[Closing] | None:
        """None where the store does not answer, or not in time."""
        task = asyncio.create_task(asking)
        done, _ = await asyncio.wait({task}, timeout=WAIT_S)
        if not done:
            self._give_up(task)
            return None
        try:
            return task.result()
        except Problem:
            return None

    def _give_up(self, task: "asyncio.Task[Sequence[Closing]]") -> None:
        """Cancelled and not waited for: to take a query back from a server that hangs may take seconds."""
        self._given_up.add(task)
        task.add_done_callback(self._gone)
        task.cancel()

    def _gone(self, task: "asyncio.Task[Sequence[Closing]]") -> None:
        self._given_up.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, or the loop would report it


def _late(command: Command, answer: Answer) -> Late | None:
    """What to look for, where an answer should say what became of a reservation and does not."""
    if answer.outcome is not Outcome.RESERVATION_NOT_OPEN or answer.detail is not None:
        return None
    return Late(answer.ledger_id, command.reservation_id, answer.seq) if isinstance(command, Confirm | Release) else None


def _said(late: Late, closing: Closing) -> str:
    """In the ledger's own words; where the store is behind the refusal, how far it got."""
    is_complete = closing.head >= late.below - 1
    if closing.subtype is None:
        behind = f"not known yet: the query store has the ledger up to seq {closing.head}; ask again with the same id"
        return NEVER_MADE if is_complete else behind
    text = f"{closing.subtype} at {closing.recorded_at}"
    return text if is_complete else f"{text}, as far as the query store has the ledger: up to seq {closing.head}"
