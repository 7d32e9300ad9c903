"""
What a program of the local stack is. Owns: the type. Does not own: which programs there are (`z0.stack.programs`).
"""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Report = Callable[[str, str], None]
"""Called with a program's name and what is happening to it."""


class State(StrEnum):
    READY = "ready"  # runs and answers
    STARTING = "starting"  # runs, does not answer yet
    CRASHED = "crashed"  # ended by itself; it is being started again, or that was given up
    STOPPED = "stopped"
    GIVEN = "given"  # somebody else's server, and it answers
    UNREACHABLE = "unreachable"  # somebody else's server, and it does not answer
    LEFT_OVER = "left over"  # runs, but its supervisor died


def nothing_to_prepare(_report: Report) -> None:
    return None


@dataclass(frozen=True)
class Program:
    """A server or a process of z0's own. Without a command it is given: somebody else starts and stops it."""

    name: str
    address: str
    healthy: Callable[[float], bool]  # given a time-out in seconds; never raises
    command: Callable[[], tuple[str, ...]] | None = None  # asked for only at a start: it fails where something is not installed
    own: bool = False  # one of z0's own processes, started after the migration
    ports: Mapping[int, str] = field(default_factory=dict)  # port -> the variable that moves it
    settings: Mapping[str, str] = field(default_factory=dict)  # added to its environment
    prepare: Callable[[Report], None] = nothing_to_prepare
    ready_within_s: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within_s: int = 30

    @property
    def given(self) -> bool:
        return self.command is None


@dataclass(frozen=True)
class ProgramStatus:
    """What `z0 status` shows of a program."""

    name: str
    state: State
    wanted: bool  # it should run
    address: str
    pid: int | None = None
    uptime_s: float | None = None
    memory_bytes: int | None = None

    @property
    def fine(self) -> bool:
        """It runs, or it need not."""
        return not self.wanted or self.state in (State.READY, State.GIVEN)
