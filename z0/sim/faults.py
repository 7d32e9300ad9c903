"""
Faults: what may go wrong, and at which effect. Owns: the closed list of faults and gates, and which fault strikes next.

A fault of a plan is armed at its time and strikes at the next effect that it fits. A gate is a place between two effects; the
code of a process passes it right before or right after one, and may be killed or stopped there.
"""

from collections import Counter
from enum import StrEnum
from typing import Final

from msgspec import Struct


class FaultKind(StrEnum):
    """Everything that may go wrong."""

    CRASH = "crash"  # a process is killed at a gate, or at once, and starts again after a while
    LOSE_DISK = "lose_disk"  # the same, and index and tables of the worker are gone
    LOSE_INDEX = "lose_index"
    LOSE_TABLES = "lose_tables"
    LOSE_CHANGELOG = "lose_changelog"  # the disk, and one table's changelog of the partitions that were its own
    SUSPEND = "suspend"  # a process stops at a gate, or at once, and goes on later
    STOP = "stop"  # a worker is stopped in order and started again
    REBALANCE = "rebalance"  # the group distributes its partitions anew
    UNHEARD = "unheard"  # a worker's heartbeats do not arrive
    CLOCK = "clock"  # a worker's wall clock is moved
    REDELIVER = "redeliver"  # a worker reads a partition again from its committed offset
    LOSE_BATCH = "lose_batch"  # an append does not land; the writer sees an error
    LOSE_ACK = "lose_ack"  # an append lands; the writer sees an error
    NO_ANSWER = "no_answer"  # an append lands; nobody ever says so
    UNKNOWN_OFFSET = "unknown_offset"  # an append lands; the broker answers -1
    DELAY_BATCH = "delay_batch"  # the writer sees an error; the batch lands later
    SNAPSHOT_LOST = "snapshot_lost"  # a batch of snapshots does not land; the writer sees an error
    SNAPSHOT_ACK_LOST = "snapshot_ack_lost"
    SNAPSHOT_LATE = "snapshot_late"  # a batch of snapshots lands late, and is acked only then
    SNAPSHOT_ORPHANED = "snapshot_orphaned"  # the writer of a batch of snapshots is killed; the batch lands late
    COMPACT = "compact"  # the changelogs keep only the newest record of each key
    OUTBOX_LOST = "outbox_lost"  # a forward or dead letter does not land
    OUTBOX_ACK_LOST = "outbox_ack_lost"
    STORE_DOWN = "store_down"  # a sink's store does not answer


GATES: Final = (
    # a round, in the order of the engine's list
    "decide",
    "outbox.before",
    "outbox.between",
    "outbox.after",
    "append.before",
    "append.after",
    "index.before",
    "index.after",
    "answer.before",
    "answer.after",
    "acknowledge.before",
    "acknowledge.after",
    "snapshot.before",
    "snapshot.after",
    "snapshot.stored",
    # a claim
    "floor",
    "claim.before",
    "claim.after",
    "fence.before",
    "fence.after",
    "replay",
    "announce.before",
    "announce.after",
    "commit",
)
SINK_GATES: Final = ("sink.read", "sink.added", "flush.before", "flush.after", "show")
IN_PROCESS: Final = frozenset(
    {
        FaultKind.CRASH,
        FaultKind.LOSE_DISK,
        FaultKind.LOSE_INDEX,
        FaultKind.LOSE_TABLES,
        FaultKind.LOSE_CHANGELOG,
        FaultKind.SUSPEND,
    }
)


class Fault(Struct, frozen=True, omit_defaults=True):
    """One fault of a plan; `worker`, `partition` and `gate` say where, and -1 or "" anywhere."""

    at_ms: int
    kind: FaultKind
    worker: int = -1
    partition: int = -1
    gate: str = ""
    for_ms: int = 0
    changelog: str = ""  # the one that is lost

    @property
    def told(self) -> str:
        """What goes wrong, in a report."""
        return f"{self.kind} {self.changelog}".rstrip()


class Armed:
    """The faults whose time has come and which have not struck yet."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self.struck: Counter[str] = Counter()

    def arm(self, fault: Fault) -> None:
        self._waiting.append(fault)

    def disarm(self) -> None:
        """From here on everything goes well."""
        self._waiting.clear()

    def at_gate(self, process: str, gate: str) -> Fault | None:
        """The fault that strikes a process at this gate."""
        for fault in self._waiting:
            if fault.gate == gate and fault.kind in IN_PROCESS and process_of(fault) == process:
                return self._strike(fault, f"{fault.kind}@{gate}")
        return None

    def at_effect(self, partition: int, *kinds: FaultKind) -> Fault | None:
        """The fault that strikes an effect on a partition."""
        for fault in self._waiting:
            if fault.kind in kinds and fault.partition in (-1, partition):
                return self._strike(fault, fault.kind)
        return None

    def _strike(self, fault: Fault, name: str) -> Fault:
        self._waiting.remove(fault)
        self.struck[name] += 1
        return fault


def process_of(fault: Fault) -> str:
    """The name of the process that a fault strikes."""
    return "sink" if fault.gate in SINK_GATES or fault.worker < 0 else f"worker-{fault.worker}"
