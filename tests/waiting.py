"""Waiting for a condition with a bound, never for a fixed time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
PAUSE_S = 0.05


async def until(condition: Callable[[], Awaitable[T | None]], what: str | Callable[[], str], seconds: float = 30.0) -> T:
    """The first true value of a condition; an assertion that names what did not happen otherwise (asked for it then)."""
    deadline = time.monotonic() + seconds
    while True:
        value = await condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what if isinstance(what, str) else what()}"
        await asyncio.sleep(PAUSE_S)
