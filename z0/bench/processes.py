"""Processes under measurement. Owns: starting a worker beside the benchmark and stopping it, whatever happens."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from z0.stack.programs import PYTHON

STOP_TIMEOUT_S = 30
Process = subprocess.Popen[bytes]


def running(arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> AbstractContextManager[Process]:
    """A Python process `-m arguments...`, stopped at the end; its output goes to `log`."""
    return running_program([*PYTHON, *arguments], environment, log)


@contextmanager
def running_program(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[Process]:
    """Any process, stopped at the end; its output goes to `log`."""
    process = start_program(command, environment, log)
    try:
        yield process
    finally:
        stop(process)


def start(arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Process:
    """A Python process for who stops it at another time."""
    return start_program([*PYTHON, *arguments], environment, log)


def start_program(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Process:
    """Any process for who stops it at another time."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        return subprocess.Popen(command, env={**os.environ, **environment}, stdout=out, stderr=out, start_new_session=True)


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL where that is not enough."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
