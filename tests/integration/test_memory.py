"""A worker's memory does not grow with the entities that it has seen: those beyond `live_entities_max` are in the tables only."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
LIVE_MAX: Final = 1_000
# An entity with a budget takes 1,400 bytes of memory and more. Of one that was let go, some 10 bytes stay in the filters of the
# files; caches of bounded size that fill meanwhile, spread over the entities of this test, are 100 to 150.
BYTES_MAX: Final = 350
pytestmark = pytest.mark.timeout(120)


def bytes_per_entity(folder: Path, live_max: int, first: int, then: int) -> float:
    """By how much a process grew for each of the entities that it touched after the first."""
    command = [sys.executable, "-m", "tests.integration.entities", str(folder), *map(str, (live_max, first, then))]
    given = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (_, before), (_, after) = (map(int, line.split()) for line in done.stdout.splitlines())
    return (after - before) / then


def test_memory_stays_flat_when_four_times_as_many_entities_are_touched(tmp_path: Path) -> None:
    assert bytes_per_entity(tmp_path, LIVE_MAX, 30_000, 90_000) < BYTES_MAX


def test_entities_that_are_all_held_would_take_far_more_than_that(tmp_path: Path) -> None:
    """What the bound is worth: where nothing is let go, each entity takes a multiple of it."""
    assert bytes_per_entity(tmp_path, 1_000_000, 5_000, 20_000) > 3 * BYTES_MAX
