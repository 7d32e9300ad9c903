"""
Receipts of decisions. Owns: what the ledger is asked first, a bounded wait for the query store, and how long a receipt may take.
Does not own: the receipt (`z0.receipts`).
"""

import asyncio
from typing import Final

from api.errors import Code, Problem
from api.facts import wait_for
from api.reads import Reads
from api.views import state_of
from z0.domain.answer import Answer
from z0.errors import DecisionUnknown, HistoryIncomplete
from z0.receipts import Receipt, Wanted, explain

AT_ONCE: Final = 2  # a receipt folds its ledger from the first fact: two leave the event loop its turns
LONGEST_S: Final = 20.0  # about two million facts


class Receipts:
    """Receipts over a query store, a few at a time."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def of(self, tenant_id: str, wanted: Wanted, read: Answer) -> Receipt:
        """
        The receipt of a decision on a ledger that the caller was allowed to read; `read` is the ledger's answer to that.

        Raises:
            Problem: there is no such decision, or the query store does not have it yet.
        """
        head = state_of(read).seq
        needed = wanted.seq if wanted.seq is not None else head
        if needed > head:
            raise Problem(Code.UNKNOWN_DECISION)
        stored = await wait_for(self._reads, tenant_id, wanted.ledger_id, seq=needed)
        try:
            async with asyncio.timeout(LONGEST_S), self._turns:
                return await explain(self._reads.history(tenant_id), wanted)
        except DecisionUnknown:
            if stored is not None and stored.seq >= needed:
                raise Problem(Code.UNKNOWN_DECISION) from None
            raise Problem(Code.READS_UNAVAILABLE, "The query store does not have the decision yet.") from None
        except HistoryIncomplete as error:
            raise Problem(Code.READS_UNAVAILABLE, str(error)) from None
        except TimeoutError:
            raise Problem(Code.READS_UNAVAILABLE, "The ledger is too long for a request: `z0 explain` reads it.") from None
