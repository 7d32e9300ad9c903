"""Bugs, planted one at a time: the simulation must find each, and soon."""

import pytest

from tests.simulation import say
from tests.simulation.bugs import BUGS, Plant
from z0.sim.run import verdict_of

SEEDS_MAX = 1_000


@pytest.mark.plain
@pytest.mark.parametrize("bug", BUGS, ids=[bug.__name__ for bug in BUGS])
def test_a_planted_bug_is_found_within_a_thousand_seeds(bug: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it takes is printed: it says how hard the simulation looks."""
    bug(monkeypatch)
    for seed in range(SEEDS_MAX):
        verdict = verdict_of(seed)
        if verdict.violations:
            rule, text = verdict.violations[0]
            say(f"found_{bug.__name__}_seeds={seed + 1} by rule {rule}: {text}")
            return
    pytest.fail(f"{bug.__name__} was not found in {SEEDS_MAX} seeds")
