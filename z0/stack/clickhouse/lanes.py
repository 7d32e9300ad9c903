"""
Where queries wait and run. Owns: the bounded queues and their threads. Does not own: what a query does.

Reads run side by side; everything that changes data runs one after another, in the order of arrival.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from z0.stack.clickhouse import errors
from z0.stack.clickhouse.config import Limits

T = TypeVar("T")


class Lane:
    """Some threads and a queue before them that is never longer than agreed."""

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most = threads + waiting
        self._taken = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Run off the event loop; refuse at once when the queue is full, as a server does."""
        if self._taken >= self._most:
            raise errors.refuse(errors.TOO_MANY_QUERIES, f"Too many simultaneous queries. Maximum: {self._most}.")
        self._taken += 1
        future = self._pool.submit(work)
        # Counted until the work is over, not until its caller goes away: a thread is busy either way.
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._leave))
        return await asyncio.wrap_future(future)

    def _leave(self) -> None:
        self._taken -= 1

    def close(self) -> None:
        self._pool.shutdown(wait=True)


class Lanes:
    """One lane for reads, one for writes."""

    def __init__(self, limits: Limits) -> None:
        self._reads = Lane("read", limits.readers, limits.waiting)
        self._writes = Lane("write", 1, limits.waiting)

    async def run(self, work: Callable[[], T], *, reads: bool) -> T:
        lane = self._reads if reads else self._writes
        return await lane.run(work)

    def close(self) -> None:
        """Wait until everything that was taken on is done."""
        self._reads.close()
        self._writes.close()
