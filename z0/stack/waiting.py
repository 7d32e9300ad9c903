"""
Waiting until programs answer. Owns: the polling, its limits, the error with the log's last lines.

Does not own: how a program is asked (`health`), starting it.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from z0.config import variable
from z0.errors import StackError
from z0.stack.layout import Layout
from z0.stack.program import Program, Report
from z0.stack.supervise import RUNS, Info, Supervisor

PROBE_S = 2.0
PAUSE_S = 0.1
# One that ends this often before it was ever ready will not get there.
STARTS_MAX = 4
LINES_SHOWN = 15


def for_ready(
    place: Layout, supervisor: Supervisor, programs: Sequence[Program], *, report: Report, quiet: Sequence[Program]
) -> None:
    """
    Wait for all of them together; those in `quiet` are not reported.

    Raises:
        StackError: one is not ready in its time, or ends again and again. It is stopped; the others stay.
    """
    waits = [_Wait(program) for program in programs]
    while waits:
        infos = supervisor.infos()
        for wait in list(waits):
            if wait.is_ready(infos.get(wait.program.name, Info("STOPPED", None))):
                waits.remove(wait)
                if wait.program not in quiet:
                    report(wait.program.name, f"ready after {wait.seconds():.1f} s{_at(wait.program)}")
            elif problem := wait.problem():
                supervisor.stop(wait.program.name)
                raise StackError(f"{wait.program.name} {problem}; {last_lines(place, wait.program.name)}")
        time.sleep(PAUSE_S)


def for_given(programs: Iterable[Program], report: Report) -> None:
    """
    Raises:
        StackError: a server that was given by address does not answer.
    """
    for program in programs:
        if not program.healthy(PROBE_S):
            way_out = f"start it, or correct or unset {variable(program.name)}"
            raise StackError(f"the given {program.name} does not answer at {program.address}: {way_out}")
        report(program.name, f"given, answers at {program.address}")


def last_lines(place: Layout, name: str, lines: int = LINES_SHOWN) -> str:
    return f"see {place.log(name)}, which ends:\n" + "\n".join(tail(place, name, lines) or ["(it is empty)"])


def tail(place: Layout, name: str, lines: int) -> list[str]:
    """The last lines of a program's log; logs are rotated at 20 MB, so reading one whole is no burden."""
    path = place.log(name)
    return path.read_text(errors="replace").splitlines()[-lines:] if path.exists() else []


def is_ready(program: Program, info: Info, timeout: float) -> bool:
    """It runs and answers. What listens nowhere must have lived for supervisord's start time instead."""
    runs = info.state in RUNS if program.ports else info.state == "RUNNING"
    return runs and program.healthy(timeout)


@dataclass
class _Wait:
    program: Program
    began: float = field(default_factory=time.monotonic)
    pids: set[int] = field(default_factory=set)

    def seconds(self) -> float:
        return time.monotonic() - self.began

    def is_ready(self, info: Info) -> bool:
        self.pids |= {info.pid} if info.pid else set()
        return is_ready(self.program, info, PROBE_S)

    def problem(self) -> str | None:
        if len(self.pids) >= STARTS_MAX:
            return f"ended {len(self.pids) - 1} times without becoming ready and was stopped"
        if self.seconds() > self.program.ready_within_s:
            return f"was not ready within {self.program.ready_within_s:.0f} s and was stopped"
        return None


def _at(program: Program) -> str:
    return f" at {program.address}" if program.address else ""
