"""
The compiled kernel. Owns: which modules mypyc compiles (`make env` does it), whether their compiled form is fresh, and the way to
run without it (`Z0_COMPILED=0`).

The modules are plain Python and mean the same either way; compiled they take two thirds of the time. Classes that msgspec reads
and writes (commands, facts, payloads, entries) stay outside: mypyc would drop what their class lines say.
"""

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

ROOT: Final = Path(__file__).parent.parent
SWITCH: Final = "Z0_COMPILED"
MODULES: Final = (
    "z0.codec",
    "z0.domain.appending",
    "z0.domain.change",
    "z0.domain.check",
    "z0.domain.decide",
    "z0.domain.draft",
    "z0.domain.eligibility",
    "z0.domain.expiry",
    "z0.domain.fold",
    "z0.domain.ids",
    "z0.domain.money",
    "z0.domain.policy",
    "z0.domain.record",
    "z0.domain.spending",
    "z0.domain.state",
    "z0.log.deciding",
    "z0.log.engine",
    "z0.log.inbox",
    "z0.log.index",
    "z0.log.pace",
    "z0.log.round",
    "z0.log.sleep",
    "z0.log.working_set",
)


def source(module: str) -> Path:
    """A module's source."""
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


def compiled(module: str) -> Path:
    """Where a module's compiled form is, if it was made."""
    return source(module).with_suffix(EXTENSION_SUFFIXES[0])


def is_wanted() -> bool:
    """Whether compiled modules are used where they are there."""
    return os.environ.get(SWITCH) != "0"


def is_in_use() -> bool:
    """Whether this process decides with compiled modules."""
    return is_wanted() and all(compiled(module).exists() for module in MODULES)


def stale() -> list[str]:
    """Modules whose source is newer than the compiled form that would be imported instead of it."""
    if not is_wanted():
        return []
    pairs = ((module, compiled(module)) for module in MODULES)
    return [module for module, made in pairs if made.exists() and made.stat().st_mtime < source(module).stat().st_mtime]


class _Sources(MetaPathFinder):
    """Finds the source of a module that was compiled."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        return spec_from_file_location(fullname, source(fullname)) if fullname in MODULES else None


def prefer_sources() -> None:
    """From here on import the sources."""
    sys.meta_path.insert(0, _Sources())
