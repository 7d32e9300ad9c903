"""
What supervisord is told. Owns: its configuration file and the programs' settings files, as text.

Does not own: starting it or talking to it (`z0.stack.supervise`).
"""

import hashlib
import os
import resource
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from z0.errors import StackError
from z0.stack.layout import Layout
from z0.stack.program import Program

LAUNCH = Path(__file__).with_name("launch.sh")
# One that ends earlier is started again after 1, 2, 3 ... seconds, a later one at once. Loading our modules alone takes 2 s.
START_SECONDS = 5
FILES_WANTED = 65_536  # Kafka keeps every segment open; the usual 1024 end soon


def render(layout: Layout, programs: Iterable[Program]) -> str:
    """The whole file. A section depends on its program only, so that a changed setting restarts only whom it concerns."""
    sections = [_daemon(layout), *(_program(layout, program) for program in programs if not program.given)]
    return "\n".join(_section(name, values) for name, values in _flat(sections))


def settings_file(layout: Layout, program: Program) -> Path | None:
    """Where a program's settings lie. The name changes with the content: supervisord compares command lines."""
    if not program.settings:
        return None
    digest = hashlib.sha256(settings_text(program).encode()).hexdigest()[:16]
    return layout.run / f"settings-{digest}.env"


def settings_text(program: Program) -> str:
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(program.settings.items()))


Sections = Mapping[str, Mapping[str, str | int]]


def _flat(sections: Iterable[Sections]) -> Iterable[tuple[str, Mapping[str, str | int]]]:
    return (item for section in sections for item in section.items())


def _section(name: str, values: Mapping[str, str | int]) -> str:
    lines = [f"{key} = {_escaped(value)}" for key, value in values.items()]
    return "\n".join([f"[{name}]", *lines, ""])


def _escaped(value: str | int) -> str:
    """`%` begins an expansion. A comment or a new line cannot be written at all."""
    text = str(value)
    if "\n" in text or " ;" in text or " #" in text:
        raise StackError(
            f"supervisord's settings cannot hold {text!r}: choose a folder for Z0_HOME without ' ;', ' #' and new lines"
        )
    return text.replace("%", "%%")


def _daemon(layout: Layout) -> Sections:
    daemon: dict[str, str | int] = {
        "logfile": str(layout.log("supervisord")),
        "logfile_maxbytes": "5MB",
        "logfile_backups": 1,
        "pidfile": str(layout.supervisor_pid),
        "directory": str(layout.run),
        "identifier": "z0",
        "minfds": _open_files(),
    }
    if os.geteuid() == 0:
        daemon["user"] = "root"  # else it warns at every start
    return {
        "supervisord": daemon,
        "unix_http_server": {"file": str(layout.supervisor_socket), "chmod": "0700"},
        "rpcinterface:supervisor": {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
    }


def _open_files() -> int:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)


def _program(layout: Layout, program: Program) -> Sections:
    assert program.command is not None
    launch = ["/bin/sh", str(LAUNCH), str(layout.pid(program.name)), str(settings_file(layout, program) or "")]
    return {
        f"program:{program.name}": {
            "command": shlex.join([*launch, *program.command()]),
            "autostart": "false",  # z0 up starts them, in order
            "autorestart": "true",
            "startsecs": START_SECONDS,
            "startretries": 1_000_000,  # never give up: what it waits for may come back
            "stopsignal": program.stop_signal.name.removeprefix("SIG"),
            "stopwaitsecs": program.stop_within_s,
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": str(layout.log(program.name)),
            "stdout_logfile_maxbytes": "20MB",
            "stdout_logfile_backups": 3,
        }
    }
