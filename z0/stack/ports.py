"""
Are the ports free? Owns: the check before a start and its message. Does not own: which ports there are.
"""

import socket
from collections.abc import Iterable, Iterator

import psutil

from z0.errors import StackError
from z0.stack.program import Program


def check_free(programs: Iterable[Program]) -> None:
    """
    Raises:
        StackError: with every taken port, who has it, and which variable moves it.
    """
    if problems := list(_problems(programs)):
        raise StackError("\n".join(problems))


def _problems(programs: Iterable[Program]) -> Iterator[str]:
    needed: dict[int, str] = {}
    for program in programs:
        for port, variable in program.ports.items():
            if port > 65535:
                yield f"{program.name} needs port {port}, which does not exist; set {variable} to a lower port"
            elif port in needed:
                yield clash(port, variable, needed[port])
            elif not _is_free(port):
                yield clash(port, variable, _holder(port))
            needed[port] = f"{program.name}, a part of this stack"


def clash(port: int, variable: str, holder: str) -> str:
    return f"port {port} ({variable}) is taken by {holder}; set {variable} to another port"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # else a port counts as taken for a minute after its last connection
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _holder(port: int) -> str:
    """Name and process id of who listens; the system may not tell us about other users' processes."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (PID {connection.pid})"
    except psutil.Error:
        pass
    return "another program"
