"""
One process per worker id. Owns: the lock on a worker's folder, and standing by for it.

Two processes under one id would share tables and index, and throw each other out of the group. So a second one loads, stands
by, and goes on in the moment when the first has ended, however it ended: that is how a worker is replaced without its
partitions waiting for a process to start.
"""

import fcntl
import logging
import os
from pathlib import Path
from typing import IO, Final

logger = logging.getLogger(__name__)

LOCK: Final = "lock"
STANDBY: Final = "standby"  # there while a process stands by, with its id


def be_alone(folder: Path) -> IO[str]:
    """Wait until no other process is this worker; it is so until the file is closed."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / LOCK).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _stand_by(folder, lock)
    return lock


def _stand_by(folder: Path, lock: IO[str]) -> None:
    logger.info("standing by: another process is this worker (%s)", folder)
    mark = folder / STANDBY
    mark.write_text(str(os.getpid()))
    fcntl.flock(lock, fcntl.LOCK_EX)
    mark.unlink(missing_ok=True)


def stands_by(folder: Path, pid: int) -> bool:
    """Whether that process stands by."""
    mark = folder / STANDBY
    return mark.exists() and mark.read_text() == str(pid)
