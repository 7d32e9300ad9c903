"""
Table `budgets`: sums by currency and open reservations of each account.

Snapshot: `z0.log.snapshot.BudgetPart`. Invariant: deposited + credits + transferred_in = spent + transferred_out + reserved +
available, and `reserved` is the sum of the open reservations.
"""

from typing import Any

from tables.base import SnapshotTable
from tables.ledgers import new_table
from z0.names import BUDGETS_CHANGELOG, BUDGETS_TABLE


def budgets_table(app: Any, partitions: int) -> SnapshotTable:
    """The table, registered with the app."""
    return new_table(app, BUDGETS_TABLE, BUDGETS_CHANGELOG, partitions)
