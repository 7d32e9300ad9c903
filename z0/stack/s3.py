"""
The local S3: SeaweedFS in one process. Owns: its ports, its identities, its command line.

Does not own: buckets (the archive makes its own), starting and stopping (`z0.stack.control`). Only the key pair of
`Config.s3_url` is let in; signatures are checked.
"""

import json
import shutil
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from z0.config import Config, variable
from z0.errors import StackError
from z0.stack import health, layout
from z0.stack.layout import Layout
from z0.stack.program import Program, Report

INSTALL = "install the local engines with `uv sync --extra stack`, or give an S3 with Z0_S3"
# The parts inside the process talk over ports too; left alone, these have fixed numbers and two stacks would clash.
INNER = ("master.port", "volume.port", "filer.port", "admin.port")
INNER_PORTS = ("s3.port.grpc", *INNER, *(f"{name}.grpc" for name in INNER))


def program(config: Config) -> Program:
    url = urlsplit(config.s3_url)
    address = f"{url.scheme}://{url.hostname}" + (f":{url.port}" if url.port else "") + url.path
    probe = partial(health.http_ok, f"{url.scheme}://{url.netloc.rpartition('@')[2]}/")
    if config.s3:
        return Program("s3", address, probe)
    place = layout.of(config)
    home = place.data("s3")
    return Program(
        name="s3",
        address=address,
        healthy=probe,
        command=partial(_command, config.s3_port, place),
        ports={port: variable("s3_port") for port in (config.s3_port, *inner_ports(config.s3_port).values())},
        prepare=partial(_prepare, unquote(url.username or ""), unquote(url.password or ""), home),
    )


def inner_ports(s3_port: int) -> Mapping[str, int]:
    """The ports right above the S3 port, one for each part."""
    return {name: s3_port + 1 + index for index, name in enumerate(INNER_PORTS)}


def _command(port: int, place: Layout) -> tuple[str, ...]:
    home = place.data("s3")
    ports = [f"-{name}={number}" for name, number in inner_ports(port).items()]
    # else in the temp folder under names that another user's stack would leave behind
    sockets = [f"-{part}.localSocket={place.socket(f's3-{part}')}" for part in ("s3", "filer")]
    return (
        _weed(),
        "mini",  # one node: up in 1 s and down in 2, where `weed server` waits for elections and drains for 25
        f"-dir={home / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-webdav=false",
        "-admin.ui=false",
        f"-s3.port={port}",
        f"-s3.config={_identities(home)}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        *ports,
        *sockets,
        "-master.telemetry=false",  # nothing leaves this machine
    )


def _weed() -> str:
    found = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if found is None:
        raise StackError(f"the local S3 server is not installed: {INSTALL}")
    return found


def _identities(home: Path) -> Path:
    return home / "identities.json"


def _prepare(key: str, secret: str, home: Path, _report: Report) -> None:
    (home / "data").mkdir(parents=True, exist_ok=True)
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identity = {"name": "z0", "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}
    _identities(home).touch(mode=0o600)
    _identities(home).write_text(json.dumps({"identities": [identity]}))
