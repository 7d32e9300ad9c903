"""
Snapshots in the Faust tables. Owns: which part goes to which table. Implements `z0.log.ports.Snapshots`.

Order of effects of a save: 1. both tables' batches are acked, 2. the local stores have them. A crash between the two leaves
the changelog ahead of the local store; the next recovery reads it again.
"""

import asyncio
from collections.abc import Mapping

from tables.base import SnapshotWrites
from tables.ledgers import FLOOR_KEY
from z0.codec import Floor, decode_floor, encode_floor
from z0.log.snapshot import LedgerSnapshot, decode_budget, decode_ledger, encode_budget, encode_ledger


class TableSnapshots:
    """The `Snapshots` port over the two tables."""

    def __init__(self, ledgers: SnapshotWrites, budgets: SnapshotWrites) -> None:
        self._ledgers = ledgers
        self._budgets = budgets

    def load(self, partition: int, ledger_id: str) -> LedgerSnapshot | None:
        key = ledger_id.encode()
        ledger, budget = self._ledgers.store.fetch(partition, key), self._budgets.store.fetch(partition, key)
        if ledger is None and budget is None:
            return None
        return LedgerSnapshot(
            decode_ledger(ledger) if ledger is not None else None,
            decode_budget(budget) if budget is not None else None,
        )

    def floor(self, partition: int) -> Floor:
        stored = self._ledgers.store.fetch(partition, FLOOR_KEY)
        return decode_floor(stored) if stored is not None else Floor()

    def needs_full_replay(self, partition: int) -> bool:
        return self._ledgers.store.has_void(partition) or self._budgets.store.has_void(partition)

    async def claim(self, partition: int, epoch: int) -> None:
        await asyncio.gather(self._ledgers.claim(partition, epoch), self._budgets.claim(partition, epoch))

    async def save(self, partition: int, epoch: int, snapshots: Mapping[str, LedgerSnapshot]) -> None:
        ledgers = [(k.encode(), encode_ledger(s.ledger)) for k, s in snapshots.items() if s.ledger is not None]
        budgets = [(k.encode(), encode_budget(s.budget)) for k, s in snapshots.items() if s.budget is not None]
        await asyncio.gather(self._ledgers.save(partition, epoch, ledgers), self._budgets.save(partition, epoch, budgets))

    async def save_floor(self, partition: int, epoch: int, floor: Floor) -> None:
        await self._ledgers.save(partition, epoch, [(FLOOR_KEY, encode_floor(floor))])
