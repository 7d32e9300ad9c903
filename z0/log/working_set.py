"""
The live entities of one partition. Owns: what is in memory, what is dirty, what may be let go.

An entity is dirty from its first fact after a snapshot (acked or not) until its next snapshot is sent, and `saving` until
that is acked. Only entities that are neither leave memory: the others are newer here than anywhere else.
"""

from collections.abc import Iterable

from z0.domain.facts import StoredFact
from z0.domain.state import LedgerState, apply_budget, apply_ledger
from z0.log.ports import Snapshots
from z0.log.snapshot import LedgerSnapshot, restore, take

BEFORE_ALL = -1


class WorkingSet:
    """Live state by ledger id, backed by snapshots."""

    def __init__(self, partition: int, snapshots: Snapshots, *, live_entities_max: int) -> None:
        self._partition = partition
        self._snapshots = snapshots
        self._max = live_entities_max
        self._live: dict[str, LedgerState] = {}
        self._as_of: dict[str, tuple[int, int]] = {}
        self.dirty: dict[str, None] = {}
        self.saving: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._live)

    def get(self, ledger_id: str) -> LedgerState | None:
        """The state of a ledger, or None where it has no facts."""
        state = self._live.get(ledger_id)
        return state if state is not None else self._load(ledger_id)

    def get_or_new(self, ledger_id: str) -> LedgerState:
        """The state of a ledger that is about to get a fact."""
        state = self.get(ledger_id)
        if state is None:
            self._make_room()
            state = self._live[ledger_id] = LedgerState()
        return state

    def _load(self, ledger_id: str) -> LedgerState | None:
        snapshot = self._snapshots.load(self._partition, ledger_id)
        if snapshot is None:
            return None
        self._make_room()
        state = self._live[ledger_id] = restore(snapshot)
        ledger, budget = snapshot.ledger, snapshot.budget
        self._as_of[ledger_id] = (ledger.as_of if ledger else BEFORE_ALL, budget.as_of if budget else BEFORE_ALL)
        return state

    def _make_room(self) -> None:
        """Let go of the eighth that came in first and is clean; only where the set is full."""
        if len(self._live) < self._max or len(self._live) <= len(self.dirty):
            return
        clean = (ledger_id for ledger_id in list(self._live) if ledger_id not in self.dirty and ledger_id not in self.saving)
        for ledger_id, _ in zip(clean, range(max(1, self._max // 8)), strict=False):
            del self._live[ledger_id]
            self._as_of.pop(ledger_id, None)

    def refold(self, fact: StoredFact) -> None:
        """Fold a fact that is read back, into the parts whose snapshot does not contain it yet."""
        state = self.get_or_new(fact.ledger_id)
        ledger_as_of, budget_as_of = self._as_of.get(fact.ledger_id, (BEFORE_ALL, BEFORE_ALL))
        if fact.offset > ledger_as_of:
            apply_ledger(state, fact, fact.hash)
        if fact.offset > budget_as_of:
            apply_budget(state, fact)
        if fact.offset > min(ledger_as_of, budget_as_of):
            self.dirty[fact.ledger_id] = None

    def snapshot(self, ledger_ids: Iterable[str], as_of: int, epoch: int) -> dict[str, LedgerSnapshot]:
        """Snapshots of live entities that have folded every fact up to `as_of`."""
        return {ledger_id: take(self._live[ledger_id], as_of, epoch) for ledger_id in ledger_ids}
