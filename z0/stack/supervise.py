"""
Talking to supervisord. Owns: starting it, its few calls with types, taking over a changed configuration.

Does not own: its configuration (`z0.stack.supervisor_config`), what to start when (`z0.stack.control`).
"""

import os
import subprocess
import sys
import time
import weakref
import xmlrpc.client
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport

from z0.config import PREFIX
from z0.errors import StackError
from z0.stack.layout import Layout

STARTS_WITHIN_S: Final = 15.0  # the supervisor itself, which takes a second
WAIT: Final = False
RUNS: Final = frozenset({"RUNNING", "STARTING"})
ACTIVE: Final = RUNS | {"BACKOFF", "STOPPING"}


@dataclass(frozen=True)
class Info:
    """What supervisord knows of a program."""

    state: str  # supervisord's own word: STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL
    pid: int | None


class Supervisor:
    """A supervisord that answers."""

    def __init__(self, layout: Layout) -> None:
        transport = SupervisorTransport(serverurl=f"unix://{layout.supervisor_socket}")
        weakref.finalize(self, transport.close)  # it would leave its socket to the garbage collector
        # the address is not used: the transport speaks over the socket
        self._rpc: Any = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor

    def pid(self) -> int:
        return int(self._rpc.getPID())

    def infos(self) -> Mapping[str, Info]:
        return {info["name"]: Info(info["statename"], info["pid"] or None) for info in self._rpc.getAllProcessInfo()}

    def info(self, name: str) -> Info:
        return self.infos().get(name, Info("STOPPED", None))

    def start(self, name: str) -> None:
        """Begin to start it; that it runs is not waited for."""
        self._unless(Faults.ALREADY_STARTED, self._rpc.startProcess, name, WAIT)

    def stop(self, name: str) -> None:
        """Stop it and wait until it has ended, killed if need be."""
        self._unless(Faults.NOT_RUNNING, self._rpc.stopProcess, name)

    def take_over(self, order: Iterable[str]) -> None:
        """Read the configuration again; what changed or is gone is stopped, in this order."""
        added, changed, removed = self._rpc.reloadConfig()[0]
        rank = {name: index for index, name in enumerate(order)}
        for name in sorted([*changed, *removed], key=lambda name: rank.get(name, -1)):
            self.stop(name)
            self._rpc.removeProcessGroup(name)
        for name in [*added, *changed]:
            self._rpc.addProcessGroup(name)

    def shutdown(self) -> None:
        """End supervisord, and with it whatever still runs, and wait for the end."""
        process = psutil.Process(self.pid())
        with suppress(OSError, xmlrpc.client.Error):
            self._rpc.shutdown()
        wait_gone([process], 90.0)

    @staticmethod
    def _unless(fault_to_ignore: int, call: Any, *arguments: Any) -> None:
        try:
            call(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != fault_to_ignore:
                raise StackError(f"supervisord refused ({fault.faultString}); run `z0 down` and then `z0 up`") from fault


def connect(layout: Layout) -> Supervisor | None:
    """The supervisord of this home, if one answers."""
    if not layout.supervisor_socket.exists():
        return None
    supervisor = Supervisor(layout)
    try:
        supervisor.pid()
    except (OSError, xmlrpc.client.Error):
        return None
    return supervisor


def start(layout: Layout) -> Supervisor:
    """Start supervisord in the background; it outlives the caller."""
    command = [sys.executable, "-P", "-m", "supervisor.supervisord", "-c", str(layout.supervisor_config)]
    # settings reach a program by its own file alone, never by what this shell happens to hold
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    deadline = time.monotonic() + STARTS_WITHIN_S
    while done.returncode == 0 and time.monotonic() < deadline:
        if supervisor := connect(layout):
            return supervisor
        time.sleep(0.05)
    raise StackError(f"supervisord did not start; look into {layout.log('supervisord')}. {(done.stdout + done.stderr).strip()}")


def wait_gone(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait for processes that need not be our children; returns those that are still there."""
    deadline = time.monotonic() + seconds
    left = [process for process in processes if lives(process)]
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [process for process in left if lives(process)]
    return left


def lives(process: psutil.Process) -> bool:
    """A zombie has ended; in a container nobody may ever collect it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
