"""
What runs and what does not. Owns: `status`, which changes nothing. Does not own: showing it (`z0.cli.stack`).
"""

import dataclasses
import time
from contextlib import suppress

import psutil

from z0.config import Config
from z0.stack import layout, orphans, supervise, waiting
from z0.stack.control import wanted
from z0.stack.layout import Layout
from z0.stack.program import Program, ProgramStatus, State
from z0.stack.programs import programs
from z0.stack.supervise import Info, Supervisor

PROBE_S = 1.0


def status(config: Config) -> list[ProgramStatus]:
    """Every program, in the order of its start."""
    place = layout.of(config)
    supervisor = supervise.connect(place)
    asked = wanted(place)
    return [_status(place, supervisor, program, program.name in asked) for program in programs(config)]


def _status(place: Layout, supervisor: Supervisor | None, program: Program, asked: bool) -> ProgramStatus:
    if program.given:
        state = State.GIVEN if program.healthy(PROBE_S) else State.UNREACHABLE
        return ProgramStatus(program.name, state, asked, program.address)
    if supervisor is None:
        return _without_supervisor(place, program, asked)
    info = supervisor.info(program.name)
    return _measured(ProgramStatus(program.name, _state(program, info), asked, program.address, info.pid))


def _without_supervisor(place: Layout, program: Program, asked: bool) -> ProgramStatus:
    process = orphans.find(place, program.name)
    if process is None:
        return ProgramStatus(program.name, State.STOPPED, asked, program.address)
    return _measured(ProgramStatus(program.name, State.LEFT_OVER, asked, program.address, process.pid))


def _state(program: Program, info: Info) -> State:
    if info.state in supervise.RUNS:
        return State.READY if waiting.is_ready(program, info, PROBE_S) else State.STARTING
    return State.STOPPED if info.state in ("STOPPED", "STOPPING") else State.CRASHED


def _measured(status: ProgramStatus) -> ProgramStatus:
    """With uptime and memory, of the process and its children; it may end while we look."""
    if status.pid is None:
        return status
    with suppress(psutil.Error):
        process = psutil.Process(status.pid)
        family = [process, *process.children(recursive=True)]
        memory = sum(member.memory_info().rss for member in family)
        return dataclasses.replace(status, uptime_s=time.time() - process.create_time(), memory_bytes=memory)
    return status
