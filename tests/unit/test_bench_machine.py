"""How steady a machine is: slow slots and stretches of them."""

import pytest

from z0.bench.machine import measure, steadiness
from z0.errors import Z0Error


def test_a_steady_machine_has_no_slow_slot() -> None:
    """A tenth more or less is usual."""
    assert steadiness([3, *[100, 95, 108, 90] * 50, 1]) == {
        "slow_percent": 0.0,
        "slow_stretches_per_s": 0.0,
        "longest_slow_ms": 0.0,
    }


def test_slow_slots_are_counted_as_stretches() -> None:
    """One of ten slots and one of two, within a second."""
    counts = [100] * 202
    counts[20:30] = [40] * 10
    counts[100:102] = [69] * 2
    assert steadiness(counts) == {
        "slow_percent": pytest.approx(6),
        "slow_stretches_per_s": pytest.approx(2),
        "longest_slow_ms": pytest.approx(50),
    }


def test_every_core_is_measured() -> None:
    """Whatever the machine does meanwhile."""
    figures = measure(0.5)
    assert int(figures["cores"]) >= 1
    assert 0 <= float(figures["slow_percent"]) <= 100


@pytest.mark.parametrize("seconds", [0.1, -1.0, float("nan"), float("inf")])
def test_too_short_a_time_is_refused_and_what_is_none(seconds: float) -> None:
    """Nobody knows what is usual then."""
    with pytest.raises(Z0Error, match="or longer"):
        measure(seconds)
