"""
What the ledger promises, each broken by an engine or a sink that is wrong in one place: the auditor must name the promise.

The other planted bugs are mistakes that somebody could make; these are as plain as can be, and look at the auditor alone.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from z0.domain import eligibility, fold, spending
from z0.log.deciding import Decider
from z0.sim.disk import GatedIndex
from z0.sim.run import verdict_of
from z0.sim.sink import Store

SEEDS_MAX = 20
Plant = Callable[[pytest.MonkeyPatch], None]


def budget_not_asked(patch: pytest.MonkeyPatch) -> None:
    """No overdraft."""
    for module in (eligibility, spending):
        patch.setattr(module, "refused_by_budget", lambda *arguments: None)


def a_unit_too_much_is_left(patch: pytest.MonkeyPatch) -> None:
    """Conservation, as the facts say it."""
    after = spending._after
    patch.setattr(spending, "_after", lambda state, currency, units: after(state, currency, units - 1))


def _fold_ledger_with(patch: pytest.MonkeyPatch, change_state: Callable[[Any], None]) -> None:
    rightly = fold.apply_ledger

    def apply_ledger(state: Any, change: Any, fact_hash: str) -> Any:
        rightly(state, change, fact_hash)
        if state.seq % 5 == 0:
            change_state(state)
        return state

    patch.setattr(fold, "apply_ledger", apply_ledger)


def a_number_is_left_out(patch: pytest.MonkeyPatch) -> None:
    """Sequences without gaps."""
    _fold_ledger_with(patch, lambda state: setattr(state, "seq", state.seq + 1))


def a_link_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Chains intact."""
    _fold_ledger_with(patch, lambda state: setattr(state, "head_hash", "0" * 64))


def index_not_asked(patch: pytest.MonkeyPatch) -> None:
    """Each command once."""
    patch.setattr(GatedIndex, "get_many", lambda self, keys: {})


def _answer_with(patch: pytest.MonkeyPatch, field: str, value: Any) -> None:
    rightly = Decider._answer

    def answer(self: Any, result: Any, round_: Any) -> Any:
        told = rightly(self, result, round_)
        return msgspec.structs.replace(told, **{field: value(told)}) if told.seq else told

    patch.setattr(Decider, "_answer", answer)


def another_balance_is_told(patch: pytest.MonkeyPatch) -> None:
    """Each caller told what the log says: what is left."""
    _answer_with(patch, "available", lambda told: "7" if told.available is not None else None)


def another_place_is_told(patch: pytest.MonkeyPatch) -> None:
    """And where it stands."""
    _answer_with(patch, "offset", lambda told: told.offset + 1)


class _Rows(list[Any]):
    """Rows of a store that says it has what it was given."""

    def __init__(self, times: Callable[[Any], int]) -> None:
        self._times = times

    def append(self, row: Any) -> None:
        super().extend([row] * self._times(row))


def _store_with(patch: pytest.MonkeyPatch, times: Callable[[Any], int]) -> None:
    rightly = Store.__init__

    def init(self: Any, *arguments: Any) -> None:
        rightly(self, *arguments)
        self.rows = _Rows(times)

    patch.setattr(Store, "__init__", init)


def a_row_is_dropped(patch: pytest.MonkeyPatch) -> None:
    """Sinks equal to the log: nothing is missing."""
    _store_with(patch, lambda row: int(row.offset != 9))


def a_row_is_doubled(patch: pytest.MonkeyPatch) -> None:
    """And nothing is there twice."""
    _store_with(patch, lambda row: 1 + (row.offset == 9))


PROMISES: list[tuple[str, Plant]] = [
    ("overdraft", budget_not_asked),
    ("conservation", a_unit_too_much_is_left),
    ("gapless", a_number_is_left_out),
    ("chain", a_link_is_forgotten),
    ("once", index_not_asked),
    ("answer", another_balance_is_told),
    ("answer", another_place_is_told),
    ("sink", a_row_is_dropped),
    ("sink", a_row_is_doubled),
]


@pytest.mark.plain
@pytest.mark.parametrize(("rule", "plant"), PROMISES, ids=[f"{rule}-{plant.__name__}" for rule, plant in PROMISES])
def test_a_promise_that_is_broken_is_named(rule: str, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own rule, whatever else breaks with it."""
    plant(monkeypatch)
    assert any(rule in {violation.rule for violation in verdict_of(seed).violations} for seed in range(SEEDS_MAX))
