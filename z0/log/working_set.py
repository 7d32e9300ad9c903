"""
The live entities of one partition. Owns: what is in memory, what is dirty, what may be let go.

An entity is dirty from its first fact after a snapshot (acked or not) until its next snapshot is sent, and `saving` until
that is acked. Only entities that are neither leave memory: the others are newer here than anywhere else.
"""

import heapq
from collections.abc import Iterable, Iterator
from typing import Final

from z0.domain.change import change_of
from z0.domain.facts import StoredFact
from z0.domain.fold import ACCESS_TYPES, apply_access, apply_budget, apply_caps, apply_ledger, changes_caps
from z0.domain.ids import parse_ledger_id
from z0.domain.state import LedgerState
from z0.log.ports import Snapshots
from z0.log.snapshot import BEFORE_ALL, LedgerSnapshot, restore, take

_NEVER = (BEFORE_ALL,) * 4
DUE_MIN: Final = 10_000  # entries of the index of expiries before it is looked through for those that no longer count


class WorkingSet:
    """Live state by ledger id, backed by snapshots."""

    def __init__(self, partition: int, snapshots: Snapshots, *, live_entities_max: int) -> None:
        self._partition = partition
        self._snapshots = snapshots
        self._max = live_entities_max
        self._live: dict[str, LedgerState] = {}
        self._as_of: dict[str, tuple[int, ...]] = {}
        self._due: list[tuple[int, str]] = []  # (earliest expiry, ledger id), smallest first
        # Live ledgers that were scheduled since they came in: the earliest of their entries in `_due`, the one that counts. Of a
        # ledger that was away, any entry counts: what is there may be older than its snapshot, but is never later than need be.
        self._scheduled: dict[str, int] = {}
        self._due_max = DUE_MIN
        self.dirty: dict[str, None] = {}
        self.saving: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._live)

    def get(self, ledger_id: str) -> LedgerState | None:
        """The state of a ledger, or None where it has no facts."""
        state = self._live.get(ledger_id)
        return state if state is not None else self._load(ledger_id)

    def peek(self, ledger_id: str) -> LedgerState | None:
        """The same to look at, and not kept: it must not take the place of a state that a decision is about to write on."""
        state = self._live.get(ledger_id)
        if state is not None:
            return state
        snapshot = self._snapshots.load(self._partition, ledger_id) if parse_ledger_id(ledger_id) is not None else None
        return restore(snapshot) if snapshot is not None else None

    def get_or_new(self, ledger_id: str) -> LedgerState:
        """The state of a ledger that is about to get a fact."""
        state = self.get(ledger_id)
        if state is None:
            self._make_room()
            state = self._live[ledger_id] = LedgerState()
        return state

    def _load(self, ledger_id: str) -> LedgerState | None:
        if parse_ledger_id(ledger_id) is None:  # a command may name anything, the tables' own records too
            return None
        snapshot = self._snapshots.load(self._partition, ledger_id)
        if snapshot is None:
            return None
        self._make_room()
        state = self._live[ledger_id] = restore(snapshot)
        self._as_of[ledger_id] = snapshot.as_of
        return state

    @property
    def is_crowded(self) -> bool:
        """Whether so many entities wait for their snapshot that they alone fill the set: nothing could be let go."""
        return len(self.dirty) + len(self.saving) >= self._max

    @property
    def is_filling(self) -> bool:
        """Whether those are half of the set: time for a pass of snapshots."""
        return 2 * len(self.dirty) >= self._max

    def dirty_as_of(self, offset: int) -> list[str]:
        """Dirty entities no part of which reflects anything above an offset: at a replay, a part may be ahead of the others."""
        return [ledger_id for ledger_id in self.dirty if max(self._as_of.get(ledger_id, _NEVER)) <= offset]

    def _make_room(self) -> None:
        """
        Let go of the eighth that came in first and is clean; only where the set is full.

        Where all may be new or on their way, nothing is looked for: else each newcomer of a crowded set would cost a look at
        every other. The engine writes them all when the round is over (`is_crowded`).
        """
        if len(self._live) < self._max or len(self._live) <= len(self.dirty) + len(self.saving):
            return
        clean = [ledger_id for ledger_id in self._live if ledger_id not in self.dirty and ledger_id not in self.saving]
        for ledger_id in clean[: max(1, self._max // 8)]:
            del self._live[ledger_id]
            self._as_of.pop(ledger_id, None)
            self._scheduled.pop(ledger_id, None)

    def refold(self, fact: StoredFact) -> None:
        """Fold a fact that is read back, into the parts whose snapshot does not contain it yet."""
        state, change = self.get_or_new(fact.ledger_id), change_of(fact)
        ledger, budget, caps, access = self._as_of.get(fact.ledger_id, _NEVER)
        if fact.offset > ledger:
            apply_ledger(state, change, fact.hash)
        if fact.offset > budget:
            apply_budget(state, change)
        if fact.offset > caps:
            apply_caps(state, change)
        if fact.offset > access:
            apply_access(state, change)
        # Of caps and access only where the fact changes them: an entity that never had the part has no offset of it.
        lacks = min(ledger, budget, caps if changes_caps(change) else ledger, access if fact.type in ACCESS_TYPES else ledger)
        if fact.offset > lacks:
            self.dirty[fact.ledger_id] = None
        if fact.expires_at is not None:
            self.schedule(fact.ledger_id, state)

    # Expiry --------------------------------------------------------------------------------------

    def load_expiries(self) -> None:
        """Take in when the first reservation of each entity ends, as the snapshots have it; before anything is folded."""
        self._due = [(expires_at, ledger_id) for ledger_id, expires_at in self._snapshots.expiries(self._partition)]
        heapq.heapify(self._due)
        self._due_max = max(DUE_MIN, 2 * len(self._due))

    def schedule(self, ledger_id: str, state: LedgerState) -> None:
        """Remember when the first of a ledger's reservations ends; it stays known when the entity leaves memory."""
        if not state.expiries:
            return
        first = state.expiries[0][0]
        known = self._scheduled.get(ledger_id)
        if known is None or first < known:
            self._scheduled[ledger_id] = first
            heapq.heappush(self._due, (first, ledger_id))
            if len(self._due) > self._due_max:
                self._keep_one_each()

    def _keep_one_each(self) -> None:
        """A ledger that comes and goes leaves an entry each time; the one that counts is enough."""
        earliest: dict[str, int] = {}
        for expires_at, ledger_id in self._due:
            earliest[ledger_id] = min(expires_at, earliest.get(ledger_id, expires_at))
        earliest.update(self._scheduled)
        self._due = [(expires_at, ledger_id) for ledger_id, expires_at in earliest.items()]
        heapq.heapify(self._due)
        self._due_max = max(DUE_MIN, 2 * len(self._due))

    def is_due(self, now_ms: int) -> bool:
        """Whether a ledger's first reservation has ended."""
        return bool(self._due) and self._due[0][0] <= now_ms

    def take_due(self, now_ms: int, limit: int) -> Iterator[str]:
        """Ledgers whose first reservation has ended; each is to be scheduled anew."""
        while limit > 0 and self._due and self._due[0][0] <= now_ms:
            expires_at, ledger_id = heapq.heappop(self._due)
            if self._scheduled.get(ledger_id, expires_at) != expires_at:
                continue  # an earlier one was scheduled after it, and it has been seen to since
            self._scheduled.pop(ledger_id, None)
            limit -= 1
            yield ledger_id

    # Snapshots -----------------------------------------------------------------------------------

    def snapshot(self, ledger_ids: Iterable[str], as_of: int, epoch: int) -> dict[str, LedgerSnapshot]:
        """Snapshots of live entities that have folded every fact up to `as_of`."""
        return {ledger_id: take(self._live[ledger_id], as_of, epoch) for ledger_id in ledger_ids}
