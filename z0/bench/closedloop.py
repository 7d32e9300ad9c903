"""
The closed loop: each of a few clients asks its next when the last is answered. Owns: the rate. It says what a system can take
and nothing of latency: while the system stalls, nobody asks.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable


async def closed_loop(clients: int, seconds: float, ask: Callable[[], Awaitable[int]]) -> float:
    """Run `ask` in every client for a while; it says how many it got done. The number done a second."""
    began = time.perf_counter()
    done = 0

    async def client() -> None:
        nonlocal done
        while time.perf_counter() - began < seconds:
            got = await ask()  # not in one line with the sum: that reads the sum before it waits, and loses the others' share
            done += got

    await asyncio.gather(*(client() for _ in range(clients)))
    return done / (time.perf_counter() - began)
