"""
The event loop of a simulation and its processes. Owns: virtual time, and what a killed or stopped process means.

Time jumps to the next timer, so a simulated minute takes as long as its callbacks. Every callback belongs to the process
whose code scheduled it (a context variable says which): those of a killed one never run, those of a stopped one wait until
it goes on, as after SIGKILL and SIGSTOP. What belongs to no process is the outside: brokers, clients, the network.
"""

import asyncio
import heapq
import warnings
from asyncio import Handle, Task, TimerHandle
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from typing import Any, Final

from z0.errors import Z0Error

OUTSIDE: Final = Context()
_process: ContextVar["Process"] = ContextVar("process")


def running() -> str:
    """The name of the process whose code runs now; empty outside."""
    process = _process.get(None)
    return process.name if process is not None else ""


class Stuck(Z0Error):
    """Nothing is due and nothing is scheduled: the simulation would wait for ever."""


class ProcessGone(BaseException):
    """Unwinds the code of a process that was killed just now. No Exception, so that nothing takes it for a fault to handle."""


class Process:
    """One simulated operating-system process."""

    def __init__(self, name: str, loop: "VirtualLoop") -> None:
        self.name = name
        self.dead = False
        self.suspended = False
        self._loop = loop
        self._parked: list[Handle] = []
        self._tasks: list[Task[Any]] = []
        self.context = Context()
        self.context.run(_process.set, self)

    def admits(self, handle: Handle) -> bool:
        """Whether a callback of this process may run now."""
        if self.suspended and not self.dead:
            self._parked.append(handle)
        return not (self.dead or self.suspended)

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> "Task[Any]":
        """Run a coroutine in this process."""
        task = self._loop.create_task(coroutine, context=self.context)
        self._tasks.append(task)
        return task

    def call(self, callback: Callable[..., Any], *args: Any) -> None:
        """Run a callback in this process, as soon as it runs at all: what reaches a stopped process waits in its sockets."""
        self._loop.call_soon(callback, *args, context=self.context)

    def kill(self) -> None:
        """Nothing of it runs any more: no clean-up, no last word."""
        self.dead = True
        self._parked.clear()

    def suspend(self) -> None:
        """Stop it where it stands."""
        self.suspended = not self.dead

    def resume(self) -> None:
        """It goes on, and finds all its timers due that would have fired meanwhile."""
        self.suspended = False
        parked, self._parked = self._parked, []
        for handle in parked:
            self._loop.run_now(handle)


class _Owned:
    """A callback that runs only where its process admits it."""

    __slots__ = ()
    _context: Context

    def _run(self) -> None:
        process = self._context.get(_process)
        if process is None or process.admits(self):  # type: ignore[arg-type]  # mixed into handles only
            super()._run()  # type: ignore[misc]  # the handle's own


class _OwnedHandle(_Owned, Handle):
    __slots__ = ()


class _OwnedTimer(_Owned, TimerHandle):
    __slots__ = ()


class VirtualLoop(asyncio.BaseEventLoop):
    """asyncio's own loop without a selector: no sockets, no threads, no waiting."""

    # asyncio's own members, which its type stubs leave out
    _ready: Any
    _scheduled: list[TimerHandle]

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._selector = self
        self.all_tasks: list[Task[Any]] = []
        self.callbacks = 0
        self.set_task_factory(_remember)  # type: ignore[arg-type]  # the stub knows no keyword arguments
        self.set_exception_handler(lambda loop, context: None)  # a task that nobody asks is judged by the auditor

    def time(self) -> float:
        return self._now

    def select(self, timeout: float | None) -> list[Any]:
        """Where asyncio would wait for sockets, time passes."""
        if timeout is None:
            raise Stuck()
        if timeout > 0:
            self._now = max(self._now, self._scheduled[0].when())
        return []

    def run_now(self, handle: Handle) -> None:
        """Run a callback that was held back, in its turn."""
        self._ready.append(handle)

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nothing sleeps."""

    def _call_soon(self, callback: Any, args: Any, context: Context | None) -> Handle:
        self.callbacks += 1
        handle = _OwnedHandle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]  # the stubs know a type for each argument of the callback
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]  # as above
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> TimerHandle:
        timer = _OwnedTimer(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True  # type: ignore[attr-defined]  # as asyncio does
        return timer

    def run_in_executor(self, *_: Any) -> Any:  # type: ignore[override]  # whatever it is given
        raise AssertionError("a simulation has no threads")

    def finish(self) -> None:
        """Close what still stands, so that nothing of it runs when the collector finds it; then the loop."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # "never awaited": its process was killed before it began
            for task in self.all_tasks:
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined]  # not in the stubs
                    _close(task)
            self.all_tasks.clear()
            self._ready.clear()
            self._scheduled.clear()
        self.close()


def _remember(loop: VirtualLoop, coroutine: Coroutine[Any, Any, Any], **given: Any) -> "Task[Any]":
    task = Task(coroutine, loop=loop, **given)
    loop.all_tasks.append(task)
    return task


def _close(task: "Task[Any]") -> None:
    try:
        task.get_coro().close()
    except (ProcessGone, RuntimeError):  # it awaited once more while it was closed
        return
