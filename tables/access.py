"""
Table `access`: who has which role on each entity. Entities that nobody was ever granted access to have no row.

Snapshot: `z0.log.snapshot.AccessPart`. Invariant: one role per user, the one of
the user's last `access_granted` or `access_modified`.
"""

from typing import Any

from tables.base import SnapshotTable
from tables.ledgers import new_table
from z0.names import ACCESS_CHANGELOG, ACCESS_TABLE


def access_table(app: Any, partitions: int) -> SnapshotTable:
    """The table, registered with the app."""
    return new_table(app, ACCESS_TABLE, ACCESS_CHANGELOG, partitions)
