"""
What the server is told when it starts. Owns: the limits and their defaults. Does not own: argument parsing (`__main__`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Account:
    """The one user that may ask."""

    user: str = "default"
    password: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is taken on at once, and for how long."""

    readers: int = 4
    waiting: int = 64
    query_seconds: int = 60
    stop_seconds: float = 60.0
    line_bytes: int = MEBIBYTE
    body_bytes: int = 1024 * MEBIBYTE


@dataclass(frozen=True, slots=True)
class Config:
    """One server: where it listens and what it keeps."""

    data: Path
    host: str = "127.0.0.1"
    port: int = 8123
    account: Account = Account()
    limits: Limits = Limits()
