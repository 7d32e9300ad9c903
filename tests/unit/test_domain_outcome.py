"""Outcomes: a closed list with stable names, one order, one meaning each."""

import re

import pytest

from z0.domain.outcome import MEANINGS, Kind, Outcome, is_transient, kind


def test_every_outcome_has_a_meaning_and_a_kind() -> None:
    """The reference page is made of them."""
    assert list(MEANINGS) == list(Outcome)
    for outcome in Outcome:
        assert kind(outcome) in Kind
        assert MEANINGS[outcome].endswith(".")


def test_names_are_stable_words() -> None:
    """They stand on wires and in stores: lower case, never renamed (the golden file of names holds them)."""
    for outcome in Outcome:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", outcome)
        assert outcome.name == outcome.upper()


def test_the_order_is_form_first_then_ownership_then_the_ledger_and_accepted_last() -> None:
    """Members stand in their precedence: what leaves no fact before what leaves one."""
    members = list(Outcome)
    assert members[-1] is Outcome.ACCEPTED
    finals = [members.index(o) for o in Outcome if kind(o) is Kind.FINAL]
    unrecorded = [members.index(o) for o in Outcome if kind(o) in (Kind.UNRECORDED, Kind.TRANSIENT)]
    assert max(unrecorded) < min(finals)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_exactly_the_outcomes_about_the_worker_are_transient(outcome: Outcome) -> None:
    """Whoever asks again under the same id may get another answer only after these."""
    expected = outcome in {Outcome.NOT_OWNER, Outcome.WARMING_UP, Outcome.OVERLOADED, Outcome.TIMEOUT}
    assert is_transient(outcome) is expected
