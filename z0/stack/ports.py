"""
Are the ports free? Owns: the check before a start and its message. Does not own: which ports there are.
"""

import errno
import socket
from collections.abc import Iterable, Iterator
from typing import Any

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
            elif not is_free(port):
                yield clash(port, variable, _holder(port))
            needed[port] = f"{program.name}, a part of this stack"


def check_listening(host: str, port: int, *, host_variable: str, port_variable: str) -> None:
    """
    Whether a server of z0's own can listen at an address, before it opens anything else.

    Raises:
        StackError: it cannot, and which variable says so.
    """
    try:
        kind, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        _bind(kind, address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StackError(clash(port, port_variable, _holder(port))) from None
        at = f"{host_variable}={host}, {port_variable}={port}"
        raise StackError(f"nothing can listen at {at}: {error.strerror}; correct the one that is wrong") from None


def _bind(kind: int, address: Any) -> None:
    with socket.socket(kind) as probe:
        # else a port counts as taken for a minute after its last connection
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


def clash(port: int, variable: str, holder: str) -> str:
    return f"port {port} ({variable}) is taken by {holder}; set {variable} to another port"


def is_free(port: int) -> bool:
    """Whether a server of this machine's own can listen at a port now."""
    try:
        _bind(socket.AF_INET, ("127.0.0.1", port))
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
