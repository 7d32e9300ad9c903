"""What the benchmarks print, and the open loop's schedule and tally."""

import asyncio
import json

import pytest

from z0.bench import openloop
from z0.bench.figures import Figure, as_json, distribution, lines, named, percentile
from z0.bench.openloop import Schedule, Tally
from z0.errors import Z0Error


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1.0), (0.5, 51.0), (0.99, 100.0), (0.999, 100.0), (1.0, 100.0)])
def test_a_percentile_is_a_value_that_was_measured(share: float, expected: float) -> None:
    """Nearest rank: nothing is invented between two values."""
    assert percentile([float(n) for n in range(1, 101)], share) == expected


def test_the_percentiles_of_one_value_are_that_value() -> None:
    """Also where it is the only one."""
    assert distribution([7.0]) == {"p50_ms": 7.0, "p99_ms": 7.0, "p999_ms": 7.0, "max_ms": 7.0}


def test_figures_are_lines_for_people_and_one_object_for_machines() -> None:
    """Both with the same names."""
    figures: dict[str, Figure] = {"decisions_per_s": 1234.5678, "lost": 0, "durability": "no fsync"}
    assert lines(figures) == ["decisions_per_s=1234.57", "lost=0", "durability=no fsync"]
    assert json.loads(as_json(figures)) == {"decisions_per_s": 1234.568, "lost": 0, "durability": "no fsync"}
    assert named("ours", {"p99_ms": 1.0}) == {"ours_p99_ms": 1.0}


def test_items_are_due_at_fixed_times() -> None:
    """The first at once, the others a fixed time apart, and never more than there are."""
    schedule = Schedule(start=100.0, rate=10, seconds=2.0, warm_up_s=1.0)
    assert (schedule.total, schedule.first_counted) == (30, 10)
    assert schedule.due_by(99.9) == 0
    assert schedule.due_by(100.0) == 1
    assert schedule.due_by(100.55) == 6
    assert schedule.due_by(1_000.0) == 30
    assert schedule.due_at(15) == pytest.approx(101.5)


def test_time_counts_from_when_an_item_was_due_and_not_from_when_it_was_sent() -> None:
    """Three items behind a stall of a second come back at its end: each is late by its own time."""
    tally = Tally(Schedule(start=0.0, rate=10, seconds=1.0))
    tally.done(range(3), at=1.0)
    figures = tally.figures()
    assert figures["max_ms"] == pytest.approx(1_000)
    assert figures["p50_ms"] == pytest.approx(900)
    assert figures["lost"] == 7


def test_the_warm_up_is_sent_and_not_counted() -> None:
    """Neither as come back nor as lost."""
    tally = Tally(Schedule(start=0.0, rate=10, seconds=1.0, warm_up_s=1.0))
    tally.done(range(20), at=2.0)
    figures = tally.figures()
    assert (figures["rate_per_s"], figures["lost"]) == (10, 0)
    assert figures["max_ms"] == pytest.approx(1_000)


def test_what_was_refused_is_told_by_its_outcome() -> None:
    """A queue that was full is another matter than a budget that was empty."""
    tally = Tally(Schedule(start=0.0, rate=10, seconds=1.0))
    tally.done(range(10), at=1.0)
    assert "refused_as" not in tally.figures()
    tally.refused.update({"overloaded": 3, "budget_exhausted": 1})
    figures = tally.figures()
    assert (figures["lost"], figures["refused"], figures["refused_as"]) == (0, 4, "overloaded 3, budget_exhausted 1")


def test_a_run_of_which_nothing_came_back_has_no_figures() -> None:
    """A percentile of nothing would be a lie."""
    with pytest.raises(Z0Error, match="nothing came back"):
        Tally(Schedule(start=0.0, rate=10, seconds=1.0)).figures()


async def test_every_item_is_handed_out_once_and_in_order_whatever_happens_meanwhile() -> None:
    """A stall of the loop makes the next hand-over larger; nothing is left out."""
    handed: list[int] = []

    def hand(first: int, count: int) -> None:
        handed.extend(range(first, first + count))

    schedule = openloop.starting_now(rate=2_000, seconds=0.05)
    await asyncio.wait_for(openloop.drive(schedule, hand), 20)
    assert handed == list(range(100))
