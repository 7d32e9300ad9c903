"""
Snapshots in the Faust tables. Owns: which part goes to which table. Implements `z0.log.ports.Snapshots`.

Order of effects of a save: 1. every table's batches are acked, 2. its local store has them. A crash between the two leaves
the changelog ahead of the local store; the next recovery reads it again. Tables may then differ in what they reflect: each
part carries its own offset.
"""

import asyncio
from collections.abc import Awaitable, Iterator, Mapping
from typing import NamedTuple

from tables.base import SnapshotWrites
from tables.ledgers import FLOOR_KEY
from z0.log.claims import Floor, decode_floor, encode_floor
from z0.log.snapshot import (
    LedgerSnapshot,
    decode_access,
    decode_budget,
    decode_caps,
    decode_first_expiry,
    decode_ledger,
    encode_ledger,
    encode_part,
)


class Tables(NamedTuple):
    """One table for each part of a snapshot."""

    ledgers: SnapshotWrites
    budgets: SnapshotWrites
    caps: SnapshotWrites
    access: SnapshotWrites


class TableSnapshots:
    """The `Snapshots` port over the tables."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def load(self, partition: int, ledger_id: str) -> LedgerSnapshot | None:
        key = ledger_id.encode()
        ledger, budget, caps, access = (table.store.fetch(partition, key) for table in self._tables)
        if ledger is None and budget is None and caps is None and access is None:
            return None
        return LedgerSnapshot(
            decode_ledger(ledger) if ledger is not None else None,
            decode_budget(budget) if budget is not None else None,
            decode_caps(caps) if caps is not None else None,
            decode_access(access) if access is not None else None,
        )

    def expiries(self, partition: int) -> Iterator[tuple[str, int]]:
        for key, value in self._tables.budgets.store.items_of(partition):
            first = decode_first_expiry(value)
            if first:
                yield key.decode(), first

    def floor(self, partition: int) -> Floor:
        stored = self._tables.ledgers.store.fetch(partition, FLOOR_KEY)
        return decode_floor(stored) if stored is not None else Floor()

    def needs_full_replay(self, partition: int) -> bool:
        return any(table.store.has_void(partition) for table in self._tables) or self._has_lost_one(partition)

    def _has_lost_one(self, partition: int) -> bool:
        """
        Every table is claimed before the floor moves: one that does not know the very claim of the floor's epoch has lost what
        was below the floor. Values of that epoch and claims of later ones say nothing: they may have landed after the loss.
        """
        floor = self.floor(partition)
        return floor != Floor() and not all(table.store.has_claim(partition, floor.epoch) for table in self._tables)

    async def claim(self, partition: int, epoch: int) -> None:
        await _all(*(table.claim(partition, epoch) for table in self._tables))

    async def save(self, partition: int, epoch: int, snapshots: Mapping[str, LedgerSnapshot]) -> None:
        keyed = [(ledger_id.encode(), snapshot) for ledger_id, snapshot in snapshots.items()]
        parts = (
            [(key, encode_ledger(s.ledger)) for key, s in keyed if s.ledger is not None],
            [(key, encode_part(s.budget)) for key, s in keyed if s.budget is not None],
            [(key, encode_part(s.caps)) for key, s in keyed if s.caps is not None],
            [(key, encode_part(s.access)) for key, s in keyed if s.access is not None],
        )
        await _all(*(t.save(partition, epoch, p) for t, p in zip(self._tables, parts, strict=True) if p))

    async def save_floor(self, partition: int, epoch: int, floor: Floor) -> None:
        await self._tables.ledgers.save(partition, epoch, [(FLOOR_KEY, encode_floor(floor))])


async def _all(*writes: Awaitable[None]) -> None:
    """Every write, also after one has failed: one that is left behind would land late, on top of the next pass's snapshots."""
    for result in await asyncio.gather(*writes, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
