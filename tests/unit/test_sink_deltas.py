"""The changes that a store adds up are the changes that the ledger folds."""

import pytest

from sinks.testing import LogMaker
from tests.unit.test_log_world import values
from z0.codec import decode_fact
from z0.domain import deltas, fold
from z0.domain.change import change_of
from z0.domain.deltas import add_delta, budget_delta
from z0.domain.fold import apply
from z0.domain.state import Budget, LedgerState
from z0.names import CLAIM_KEY


def test_every_fold_that_moves_money_has_a_delta() -> None:
    """A new fold without a delta would make the stores' balances wrong in silence."""
    assert set(deltas._DELTAS) == set(fold._BUDGET_FOLDS)


@pytest.mark.parametrize("seed", range(8))
def test_the_sum_of_deltas_is_the_fold_after_every_fact(seed: int) -> None:
    """Fact by fact, over random histories with expiries, partial batches and refusals."""
    log = LogMaker(1, seed=seed)
    log.facts(400)
    ledgers: dict[str, LedgerState] = {}
    sums: dict[tuple[str, str], Budget] = {}
    for record in log.records[0]:
        if record.key == CLAIM_KEY:
            continue
        fact = decode_fact(record.value)
        folded = apply(ledgers.setdefault(fact.ledger_id, LedgerState()), change_of(fact), fact.hash)
        delta = budget_delta(fact)
        if delta is not None:
            add_delta(sums.setdefault((fact.ledger_id, str(fact.currency)), Budget()), delta)
        for currency, budget in folded.budgets.items():
            assert values(sums.get((fact.ledger_id, currency), Budget())) == values(budget)
    assert sums


def test_adding_a_delta_leaves_the_delta_as_it_was() -> None:
    """Deltas are values: only the sums change."""
    delta = Budget(deposited=5, reserved=-2)
    before = values(delta)
    sums = Budget(deposited=1)
    add_delta(sums, delta)
    assert (sums.deposited, sums.reserved, values(delta)) == (6, -2, before)
