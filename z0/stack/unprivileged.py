"""
Running a program as another user. Owns: the system user for Postgres, which refuses to run as root, and its command prefix.

Does not own: what is run. Where we are not root there is nothing to do, and nothing is done.
"""

import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

from z0.errors import StackError

USER = "z0-postgres"
REFUSES = "Postgres refuses to run as root"


def needed() -> bool:
    return os.geteuid() == 0


def prefix(reach: Iterable[Path]) -> tuple[str, ...]:
    """
    What to put before a command so that it runs as `USER` and can walk to the given paths.

    A folder such as /root lets nobody pass. Rather than open it to everybody, the program gets the one capability that
    lets it pass; `postgres` checks only that its user id is not 0.
    """
    if not needed():
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise StackError(f"{REFUSES}, and `setpriv` (util-linux) is missing: install it, or run z0 as another user")
    entry = _user()
    command = (setpriv, f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups")
    if all(_open_to_all(path) for path in reach):
        return (*command, "--inh-caps=-all")
    return (*command, "--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override")


def hand_over(folder: Path) -> None:
    """Make `USER` the owner of a folder and all in it; nothing where it already is, or where we are not root."""
    if not needed():
        return
    entry = _user()
    if folder.stat().st_uid == entry.pw_uid:
        return
    for path in [*folder.rglob("*"), folder]:
        os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)


def _user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        _add_user()
        return pwd.getpwnam(USER)


def _add_user() -> None:
    useradd = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if useradd is None:
        raise StackError(f"{REFUSES}, and there is no `useradd`: create the user {USER}, or run z0 as another user")
    command = [useradd, "--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", USER]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError(f"{REFUSES}, and its user {USER} could not be created: {done.stderr.strip()}")


def _open_to_all(path: Path) -> bool:
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.parents)
