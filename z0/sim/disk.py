"""
What a worker keeps on its machine. Owns: index and table stores that outlive the process, and the tables' changelogs.

The fence is the real one (`tables.store.Fenced`); what stands beneath it here is a dictionary.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Final

from faust.types import TP

from tables.base import SnapshotWrites
from tables.snapshots import Tables, TableSnapshots
from tables.store import CLAIM_PREFIX, Fenced
from z0.domain.facts import Reference
from z0.log.claims import Floor
from z0.log.entry import Entry
from z0.log.index import NOTHING, MemoryIndex
from z0.log.ports import Appended
from z0.log.validity import Position
from z0.names import ACCESS_CHANGELOG, BUDGETS_CHANGELOG, CAPS_CHANGELOG, LEDGERS_CHANGELOG
from z0.sim.faults import Fault, FaultKind
from z0.sim.loop import ProcessGone
from z0.sim.machine import Machine

CHANGELOGS: Final = (LEDGERS_CHANGELOG, BUDGETS_CHANGELOG, CAPS_CHANGELOG, ACCESS_CHANGELOG)
RECOVERY_BATCH: Final = 20
ORPHAN_DOWN_MS: Final = 300
SNAPSHOT_FAULTS: Final = (
    FaultKind.SNAPSHOT_LOST,
    FaultKind.SNAPSHOT_ACK_LOST,
    FaultKind.SNAPSHOT_LATE,
    FaultKind.SNAPSHOT_ORPHANED,
)


class DictStore(Fenced):
    """The fence over dictionaries, one per partition."""

    def __init__(self) -> None:
        self._partitions: dict[int, dict[bytes, bytes]] = defaultdict(dict)
        self.persisted: dict[TP, int] = {}

    def put_raw(self, partition: int, key: bytes, value: bytes) -> None:
        self._partitions[partition][key] = value

    def fetch_raw(self, partition: int, key: bytes) -> bytes | None:
        return self._partitions[partition].get(key)

    def delete_raw(self, partition: int, key: bytes) -> None:
        self._partitions[partition].pop(key, None)

    def raw_items(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        yield from list(self._partitions[partition].items())

    def has_prefix(self, partition: int, prefix: bytes) -> bool:
        return any(key.startswith(prefix) for key in self._partitions[partition])

    def persisted_offset(self, tp: TP) -> int | None:
        return self.persisted.get(tp)

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        self.persisted[tp] = offset


class Disk:
    """One worker's folder: `in_memory` tables are gone with the process, as those of the memory store are."""

    def __init__(self, *, in_memory: bool) -> None:
        self._in_memory = in_memory
        self.indexes: dict[int, MemoryIndex] = defaultdict(MemoryIndex)
        self.stores: dict[str, DictStore] = defaultdict(DictStore)

    def crashed(self, fault: FaultKind) -> None:
        """What a fault leaves."""
        if fault in (FaultKind.LOSE_DISK, FaultKind.LOSE_CHANGELOG, FaultKind.LOSE_INDEX):
            self.indexes.clear()
        if self._in_memory or fault in (FaultKind.LOSE_DISK, FaultKind.LOSE_CHANGELOG, FaultKind.LOSE_TABLES):
            self.stores.clear()


class GatedIndex:
    """A `CommandIndex` on disk; a crash comes before or after a write, never within one."""

    def __init__(self, machine: Machine, index: MemoryIndex) -> None:
        self._machine = machine
        self._index = index

    def get_many(self, keys: Sequence[str]) -> dict[str, Entry]:
        return self._index.get_many(keys)

    def references(self, keys: Sequence[str]) -> dict[str, Reference]:
        return self._index.references(keys)

    def put(self, entries: Mapping[str, Entry], position: Position, references: Mapping[str, Reference] = NOTHING) -> None:
        self._machine.gate("index.before")
        self._index.put(entries, position, references)
        self._machine.gate("index.after")

    def position(self) -> Position:
        return self._index.position()

    def close(self) -> None:
        """Nothing to give back."""


class SimTable(SnapshotWrites):
    """One table of one process: the real writes over the twin of its changelog."""

    def __init__(self, machine: Machine, changelog: str, disk: Disk) -> None:
        self._machine = machine
        self._disk = disk
        self._name = changelog
        self.send_batch = self._send

    @property
    def changelog_topic_name(self) -> str:
        return self._name

    @property
    def store(self) -> Fenced:
        return self._disk.stores[self._name]

    async def _send(self, topic: str, partition: int, records: Sequence[tuple[bytes, bytes]]) -> Appended:
        machine, cluster = self._machine, self._machine.cluster
        gate = "fence" if records and records[0][0].startswith(CLAIM_PREFIX) else "snapshot"
        machine.gate(f"{gate}.before")
        fault = cluster.armed.at_effect(partition, *SNAPSHOT_FAULTS)
        if fault is not None:
            cluster.note(machine.process.name, f"{fault.kind} on {topic} {partition}, {len(records)} records")
        late = fault is not None and fault.kind is FaultKind.SNAPSHOT_LATE
        base = -1

        def land() -> None:
            nonlocal base
            base = cluster.broker.changelogs[topic, partition].land(records)

        if fault is not None and fault.kind is FaultKind.SNAPSHOT_ORPHANED:
            cluster.network.later(fault.for_ms / 1000, land)
            cluster.strike(machine.process, Fault(0, FaultKind.CRASH, for_ms=ORPHAN_DOWN_MS))
            raise ProcessGone
        if fault is None or fault.kind is not FaultKind.SNAPSHOT_LOST:
            await machine.send(land, fault.for_ms / 1000 if fault is not None and late else None)
        if fault is not None and not late:
            raise TimeoutError("the changelog's answer was lost")
        machine.gate(f"{gate}.after")
        return Appended(base, cluster.broker.clock.wall_ms())

    def _persisted(self, partition: int, landed: Appended, count: int) -> None:
        self._machine.gate("snapshot.stored")
        super()._persisted(partition, landed, count)

    async def recover(self, partitions: Sequence[int]) -> None:
        """Read the changelog from where the local store is, as Faust's recovery does."""
        for partition in partitions:
            place = TP(self._name, partition)
            changelog = self._machine.cluster.broker.changelogs[self._name, partition]
            store = self._disk.stores[self._name]
            end = changelog.end
            unread = [r for r in changelog.records if store.persisted.get(place, -1) < r[0] < end]
            for first in range(0, len(unread), RECOVERY_BATCH):
                await self._machine.trip()
                events = [_event(place, *record) for record in unread[first : first + RECOVERY_BATCH]]
                store.apply_changelog_batch(events, bytes, bytes)


def _event(place: TP, offset: int, key: bytes, value: bytes) -> Any:
    message = SimpleNamespace(tp=place, partition=place.partition, offset=offset, key=key, value=value)
    return SimpleNamespace(message=message)


class GatedSnapshots(TableSnapshots):
    """The real `Snapshots` over these tables, with gates."""

    def __init__(self, machine: Machine, disk: Disk) -> None:
        self.tables = [SimTable(machine, changelog, disk) for changelog in CHANGELOGS]
        super().__init__(Tables(*self.tables))
        self._machine = machine

    def floor(self, partition: int) -> Floor:
        self._machine.gate("floor")
        return super().floor(partition)
