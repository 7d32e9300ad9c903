"""
One process per data folder. Owns: the lock file. Does not own: what is in the folder.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from z0.errors import StackError


class FolderInUseError(StackError):
    """Another process has the data folder."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder until the block ends. The kernel lets go when the process dies, however it dies."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(handle, folder)
        yield
    finally:
        os.close(handle)


def _take(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
        raise FolderInUseError(f"the data folder {folder} is in use by process {owner}: one server per folder") from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, str(os.getpid()).encode(), 0)
