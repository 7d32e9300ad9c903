"""How an engine that has nothing to do waits."""

import asyncio

from z0.log.sleep import Sleep


async def asleep(sleep: Sleep, at_s: float) -> "asyncio.Task[bool]":
    """Somebody who sleeps until then, and is asleep already."""
    task = asyncio.create_task(sleep.until(at_s, asyncio.get_running_loop()))
    await asyncio.sleep(0)
    return task


async def test_who_is_woken_is_told_that_something_came() -> None:
    """And not that the alarm rang."""
    sleep = Sleep()
    sleeper = await asleep(sleep, asyncio.get_running_loop().time() + 60)
    sleep.wake()
    assert await sleeper is False
    sleep.cancel()


async def test_without_anything_coming_the_alarm_ends_the_sleep() -> None:
    """Also one whose moment has passed already."""
    loop = asyncio.get_running_loop()
    assert await Sleep().until(loop.time() + 0.002, loop)
    assert await Sleep().until(loop.time() - 1, loop)


async def test_an_alarm_of_an_earlier_sleep_rings_in_a_later_one() -> None:
    """It costs one look too many, and saves setting one for every sleep."""
    sleep, loop = Sleep(), asyncio.get_running_loop()
    first = await asleep(sleep, loop.time() + 0.005)
    sleep.wake()
    assert await first is False
    assert await asyncio.wait_for(sleep.until(loop.time() + 60, loop), 5)


async def test_a_later_sleep_with_an_earlier_moment_ends_then() -> None:
    """The alarm of the one before is put forward."""
    sleep, loop = Sleep(), asyncio.get_running_loop()
    first = await asleep(sleep, loop.time() + 60)
    sleep.wake()
    await first
    assert await asyncio.wait_for(sleep.until(loop.time() + 0.002, loop), 5)


async def test_a_wake_up_call_to_one_who_is_awake_is_not_kept() -> None:
    """Who is awake looks for work before the next sleep."""
    sleep, loop = Sleep(), asyncio.get_running_loop()
    sleep.wake()
    assert await sleep.until(loop.time() + 0.002, loop) is True
