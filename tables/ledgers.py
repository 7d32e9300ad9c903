"""
Table `ledgers`: head of each ledger's chain, lifecycle, owner, tenant, metadata; and the partition's floor.

Snapshot: `z0.log.snapshot.LedgerPart`. Invariant: `seq` and `head_hash` are those of the entity's last fact at or below `as_of`.
"""

from typing import Any, Final

from tables.base import SnapshotTable
from z0.names import LEDGERS_CHANGELOG, LEDGERS_TABLE

RECOVERY_MESSAGES: Final = 1  # each stands for all records of a fetch; more would only wait in memory
FLOOR_KEY: Final = b"!floor"


def ledgers_table(app: Any, partitions: int) -> SnapshotTable:
    """The table, registered with the app."""
    return new_table(app, LEDGERS_TABLE, LEDGERS_CHANGELOG, partitions)


def new_table(app: Any, name: str, changelog: str, partitions: int) -> SnapshotTable:
    """A snapshot table with a changelog of a chosen name (Faust would derive one from the app's)."""
    topic = app.topic(
        changelog, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", partitions=partitions
    )
    topic.acks = False
    table = SnapshotTable(
        app,
        name=name,
        partitions=partitions,
        key_type=bytes,
        value_type=bytes,
        changelog_topic=topic,
        recovery_buffer_size=RECOVERY_MESSAGES,
    )
    added: SnapshotTable = app.tables.add(table)
    return added
