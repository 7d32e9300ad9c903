"""
Where the local stack keeps things. Owns: every path under `Config.home`. Does not own: what is written there.
"""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from z0.config import Config

# A Unix socket's path has at most 107 bytes, and supervisord first binds `<path>.<pid>`.
SOCKET_PATH_MAX = 96


@dataclass(frozen=True)
class Layout:
    """The folders of one stack; two stacks with different homes share nothing."""

    home: Path

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def supervisor_config(self) -> Path:
        return self.run / "supervisord.conf"

    @property
    def supervisor_pid(self) -> Path:
        return self.run / "supervisord.pid"

    @property
    def wanted(self) -> Path:
        return self.run / "wanted.json"

    @property
    def supervisor_socket(self) -> Path:
        return self.socket("supervisord")

    @property
    def lock(self) -> Path:
        return self.run / "lock"

    def socket(self, name: str) -> Path:
        """In `run`, or where that is too long for a socket, in the temp folder under a name of this user and home."""
        near = self.run / f"{name}.sock"
        if len(os.fsencode(near)) <= SOCKET_PATH_MAX:
            return near
        digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"z0-{os.geteuid()}-{digest}-{name}.sock"

    def data(self, name: str) -> Path:
        return self.home / name

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def pid(self, name: str) -> Path:
        return self.run / f"{name}.pid"

    def make(self) -> None:
        """Create the folders; settings files with passwords lie in `run`, so nobody else may look there."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(exist_ok=True)
        self.run.mkdir(mode=0o700, exist_ok=True)


def of(config: Config) -> Layout:
    return Layout(config.home.expanduser().resolve())
