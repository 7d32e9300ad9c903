"""The virtual loop: time that jumps, processes that are killed and stopped."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from z0.sim.loop import Process, Stuck, VirtualLoop, running


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    """A loop that is closed after the test."""
    made = VirtualLoop()
    yield made
    made.finish()


async def tick(heard: list[float], every_s: float = 1.0) -> None:
    """Note the time for ever."""
    while True:
        await asyncio.sleep(every_s)
        heard.append(asyncio.get_running_loop().time())


def test_time_jumps_to_the_next_timer(loop: VirtualLoop) -> None:
    """A day passes in no time, and exactly."""
    loop.run_until_complete(asyncio.sleep(86_400))
    assert loop.time() == 86_400


def test_waiting_for_what_nobody_will_do_is_an_error_and_no_hang(loop: VirtualLoop) -> None:
    """Nothing is scheduled: real asyncio would sleep for ever."""
    with pytest.raises(Stuck):
        loop.run_until_complete(loop.create_future())


def watched(loop: VirtualLoop, act: Callable[[Process], Any]) -> list[float]:
    """When a process was running that ticks once a second for ten seconds, while something happens to it."""
    heard: list[float] = []
    process = Process("p", loop)

    async def story() -> None:
        process.spawn(tick(heard))
        act(process)
        await asyncio.sleep(10.5)

    loop.run_until_complete(story())
    return heard


def test_a_killed_process_runs_no_further_line(loop: VirtualLoop) -> None:
    """Not even its `finally` blocks."""
    assert watched(loop, lambda process: loop.call_later(3.5, process.kill)) == [1, 2, 3]


def test_a_stopped_process_goes_on_where_it_was_and_late(loop: VirtualLoop) -> None:
    """The timer that fell due meanwhile fires when it goes on."""

    def act(process: Process) -> None:
        loop.call_later(2.5, process.suspend)
        loop.call_later(6.5, process.resume)

    assert watched(loop, act) == [1, 2, 6.5, 7.5, 8.5, 9.5, 10.5]


def test_whose_code_runs_is_known(loop: VirtualLoop) -> None:
    """Tasks that a process starts are its own; what is outside belongs to nobody."""
    names: list[str] = []

    async def inner() -> None:
        names.append(running())

    async def outer() -> None:
        await asyncio.create_task(inner())
        names.append(running())

    async def story() -> None:
        await Process("p", loop).spawn(outer())
        names.append(running())

    loop.run_until_complete(story())
    assert names == ["p", "p", ""]
