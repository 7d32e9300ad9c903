"""
Programs whose supervisord was killed. Owns: finding and stopping them. Does not own: programs under a living supervisord.

They are found by the process ids that `launch.sh` wrote. An id may since belong to somebody else's process, so the
file must have been written when that process began.
"""

import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from z0.errors import StackError
from z0.stack.layout import Layout
from z0.stack.program import Program, Report
from z0.stack.supervise import lives, wait_gone

BEGAN_TOGETHER_S = 5.0


def find(layout: Layout, name: str) -> psutil.Process | None:
    """The living process of a program, by its file."""
    path = layout.pid(name)
    process = _process(path)
    if process is None or abs(process.create_time() - path.stat().st_mtime) > BEGAN_TOGETHER_S:
        return None
    return process


def stop_all(layout: Layout, programs: Iterable[Program], report: Report) -> None:
    """Stop a supervisord that does not answer, then the given programs in the given order. Nothing is left behind."""
    _stop_supervisord(layout)
    for program in programs:
        process = find(layout, program.name)
        if process is not None:
            report(program.name, "left over from a supervisor that died: stopping it")
            _stop(process, program.stop_signal, program.stop_within_s)
        layout.pid(program.name).unlink(missing_ok=True)
    layout.supervisor_socket.unlink(missing_ok=True)


def _stop_supervisord(layout: Layout) -> None:
    process = _process(layout.supervisor_pid)
    with suppress(psutil.NoSuchProcess):
        if process is not None and str(layout.supervisor_config) in process.cmdline():
            _stop(process, signal.SIGTERM, 90)
    layout.supervisor_pid.unlink(missing_ok=True)


def _process(path: Path) -> psutil.Process | None:
    try:
        process = psutil.Process(int(path.read_text()))
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None
    return process if lives(process) else None


def _stop(process: psutil.Process, first: signal.Signals, seconds: float) -> None:
    try:
        family = [process, *process.children(recursive=True)]
        process.send_signal(first)
        left = wait_gone(family, seconds)
        for straggler in left:
            with suppress(psutil.NoSuchProcess):
                straggler.kill()
        left = wait_gone(left, 10.0)
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied:
        raise StackError(f"process {process.pid} is another user's: stop it as that user, then try again") from None
    if left:
        raise StackError(f"process {left[0].pid} does not end even when killed; look at it with `ps -p {left[0].pid}`")
