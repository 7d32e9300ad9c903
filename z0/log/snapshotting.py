"""
When and how much to snapshot. Owns: passes over the dirty entities and the floor that follows each.

A pass begins with a floor candidate and the entities dirty at that moment; it is written in steps of bounded work, each
between two rounds. The candidate becomes the floor only when every snapshot of the pass is acked; a failed one holds it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from z0.log.claims import Floor
from z0.log.ports import Snapshots
from z0.log.working_set import WorkingSet

logger = logging.getLogger(__name__)

STEP_ENTITIES_MAX: Final = 40  # about 1 ms of work in each of 8 partitions: who waits hardly notices
STEP_PAUSE_MS: Final = 25  # with the step, a fifth of a worker's time while a pass runs in all of its partitions
SPREAD: Final = 8  # moments in an interval at which passes begin: as many as a worker has partitions by default
PASS_STEPS_MAX: Final = 40  # a pass ends within a second also where entities are made by the ten thousand: else they pile up


class Snapshotter:
    """The passes of one partition under one epoch."""

    def __init__(self, partition: int, epoch: int, *, snapshots: Snapshots, working: WorkingSet, interval_ms: int) -> None:
        self._partition = partition
        self._epoch = epoch
        self._snapshots = snapshots
        self._working = working
        self._interval_ms = interval_ms
        self._next_ms: int | None = None
        self._candidate: Floor | None = None
        self._todo: list[str] = []
        self._step = STEP_ENTITIES_MAX
        self._written: dict[str, asyncio.Future[None]] = {}
        self._last = Floor()
        self._has_failed = False  # the pass before: what a broker refuses at once is not tried again at once
        self._closing: asyncio.Task[None] | None = None
        self.wake: Callable[[], None] = lambda: None

    def due_in_ms(self, alive_ms: int) -> int:
        """Milliseconds until `step` should be called; 0 or less: now."""
        if self._closing is not None and not self._closing.done():
            return self._interval_ms
        if self._candidate is None and self._working.is_filling and not self._has_failed:
            return 0
        if self._next_ms is None:  # partitions are taken together: their passes must not all come at once
            self._next_ms = alive_ms + self._interval_ms + self._interval_ms * (self._partition % SPREAD) // SPREAD
        return self._next_ms - alive_ms

    def step(self, now: Floor, alive_ms: int) -> None:
        """Write some snapshots; nothing may be in flight. `now` is the floor that live state would allow."""
        if self._candidate is None and not self._begin(now):
            self._next_ms = alive_ms + self._interval_ms
            return
        self._write(self._todo[: self._step], now)
        del self._todo[: self._step]
        self._next_ms = alive_ms + (STEP_PAUSE_MS if self._todo else self._interval_ms)
        if not self._todo:
            self._closing = asyncio.ensure_future(self._close())

    async def finish(self, now: Floor) -> None:
        """
        Write everything that is dirty, and the floor; before a partition is given up, or where memory is full.

        Who gives this up does not stop what was sent: it may land yet, and until it has or failed its entities stay in memory.
        """
        if self._closing is not None:
            await asyncio.shield(self._closing)
        if self._candidate is not None:  # a pass is cut short: what it has sent must be acked before a floor passes it
            await self._write_rest(now)
        if self._begin(now):
            await self._write_rest(now)

    async def _write_rest(self, now: Floor) -> None:
        todo, self._todo = self._todo, []
        self._write(todo, now)
        self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    def _begin(self, now: Floor) -> bool:
        if now == self._last:
            return False
        self._candidate = now
        self._todo = list(self._working.dirty)
        self._step = max(STEP_ENTITIES_MAX, len(self._todo) // PASS_STEPS_MAX)
        self._written = {}
        return True

    def _write(self, ledger_ids: list[str], now: Floor) -> None:
        if not ledger_ids:
            return
        as_of = now.fact_offset - 1
        snapshots = self._working.snapshot(ledger_ids, as_of, self._epoch)
        for ledger_id in ledger_ids:
            self._working.dirty.pop(ledger_id, None)
            self._working.saving[ledger_id] = None
        future = asyncio.ensure_future(_as_coroutine(self._snapshots.save(self._partition, self._epoch, snapshots)))
        self._written.update(dict.fromkeys(ledger_ids, future))

    async def _close(self) -> None:
        candidate, self._candidate = self._candidate, None
        assert candidate is not None, "a pass is open"
        written, self._written = self._written, {}
        try:
            # All of them, also after a failure: one that lands late must not land on top of the next pass's.
            for result in await asyncio.gather(*set(written.values()), return_exceptions=True):
                if isinstance(result, BaseException):
                    raise result
            await self._snapshots.save_floor(self._partition, self._epoch, candidate)
            self._last = candidate
            self._has_failed = False
        except Exception as error:  # the floor stays: the entities are dirty again and the next pass tries them
            logger.warning("partition %d: a snapshot failed, the floor stays at %s: %r", self._partition, self._last, error)
            self._has_failed = True
            self._working.dirty.update(dict.fromkeys(written))
        finally:
            self._working.saving.clear()
            self.wake()


async def _as_coroutine(awaitable: Awaitable[None]) -> None:
    await awaitable
