"""
Table `caps`: what each limit has counted in its present window. Entities without caps have no row.

Snapshot: `z0.log.snapshot.CapsPart`. Invariant: a counter is the
sum of the facts that name its limit in `counted` with the counter's start.
"""

from typing import Any

from tables.base import SnapshotTable
from tables.ledgers import new_table
from z0.names import CAPS_CHANGELOG, CAPS_TABLE


def caps_table(app: Any, partitions: int) -> SnapshotTable:
    """The table, registered with the app."""
    return new_table(app, CAPS_TABLE, CAPS_CHANGELOG, partitions)
