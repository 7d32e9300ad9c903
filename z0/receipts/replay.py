"""
The state before a decision, from the facts before it. Owns: folding them one by one, and holding their chain together.
"""

from typing import Final

from msgspec import MsgspecError, Struct, structs

from z0.codec import hash_of
from z0.domain.appending import NAMED_TYPES
from z0.domain.change import change_of
from z0.domain.facts import ZERO_HASH, Reference
from z0.domain.fold import apply
from z0.domain.state import LedgerState
from z0.receipts.ports import Stored

# What the rules raise on a fact that they could not have written: no hold to close, no amount, no such payload, no entity.
FORGED: Final = (KeyError, ValueError, TypeError, AssertionError, AttributeError, MsgspecError)


class Chain(Struct, frozen=True):
    """
    Whether every fact from the first up to this one is what its hash says and follows the one before.

    `followed`: whether the next fact names this one's hash; null: there is no next one yet.
    """

    holds: bool
    facts: int
    broken_at: int | None = None  # seq of the first that does not fit
    why: str | None = None
    followed: bool | None = None


class Replay:
    """One ledger, fact by fact. `state` is given to one decision at most: deciding again may take expiries off it."""

    def __init__(self) -> None:
        self.state = LedgerState()
        self.references: dict[int, Reference] = {}
        self.chain = Chain(holds=True, facts=0)
        self.unfolded: str | None = None  # why the state is not that of the log: a fact that the rules could not have written
        self._head = ZERO_HASH

    def look(self, stored: Stored) -> None:
        """Take a fact into the chain; the decision's own is looked at and not folded."""
        seq, why = stored.fact.seq, self._misfit(stored)
        self._head = stored.fact.hash
        if self.chain.holds and why is not None:
            self.chain = Chain(holds=False, facts=self.chain.facts + 1, broken_at=seq, why=why)
        else:
            self.chain = structs.replace(self.chain, facts=self.chain.facts + 1)

    def fold(self, stored: Stored) -> None:
        """Take a fact into the chain and into the state."""
        self.look(stored)
        fact = stored.fact
        if self.unfolded is not None:
            return
        try:
            apply(self.state, change_of(fact), fact.hash)
        except FORGED as error:
            self.unfolded = f"fact {fact.seq} does not follow from those before it ({type(error).__name__}: {error})"
        if fact.type in NAMED_TYPES:
            self.references[fact.seq] = Reference(fact.type, fact.timestamp, fact.hash)

    def follow(self, following: Stored) -> None:
        """Look at the fact behind the decision's own."""
        self.chain = structs.replace(self.chain, followed=following.fact.prev_hash == self._head)

    def _misfit(self, stored: Stored) -> str | None:
        fact = stored.fact
        if fact.seq != self.chain.facts + 1:
            return f"expected seq {self.chain.facts + 1}, found {fact.seq}"
        if hash_of(stored.value) != fact.hash:
            return "its bytes are not those that its hash is over"
        if fact.prev_hash != self._head:
            return "it does not name the hash of the fact before it"
        return None
