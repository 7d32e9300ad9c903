"""Trying again. Owns: how long to wait between two tries and when to give up. The tries themselves are the doors'."""

import asyncio
import random
import time
from typing import Final

from z0.imports.errors import DoorError

FIRST_S: Final = 0.2
LONGEST_S: Final = 5.0


class Backoff:
    """Doubles from 0.2 s to 5 s, with jitter, until no try succeeded for `limit_s`."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._next_s = FIRST_S
        self._since: float | None = None

    def succeeded(self) -> None:
        """Start anew."""
        self._since, self._next_s = None, FIRST_S

    async def wait(self, reason: str) -> None:
        """
        Wait before the next try.

        Raises:
            DoorError: it has been tried for long enough.
        """
        now = time.monotonic()
        self._since = self._since if self._since is not None else now
        if now - self._since > self._limit_s:
            raise DoorError(f"gave up after {self._limit_s:.0f} s: {reason}. Run the same command again: nothing is doubled")
        await asyncio.sleep(self._next_s * (0.5 + random.random() / 2))
        self._next_s = min(2 * self._next_s, LONGEST_S)
