"""How a state is shown: which reservations and charges, where there are more than an answer takes."""

import random
from collections.abc import Callable

import msgspec
import pytest

from api.views import charges_page, place_of
from z0.domain.answer import Answer
from z0.domain.entity import Entity
from z0.domain.ids import EntityType
from z0.domain.outcome import Outcome
from z0.domain.state import Charge, Hold, LedgerState
from z0.domain.views import SHOWN_MAX, Place, state_view

NOW = 1_800_000_000_000
COUNT = 2_500
Page = Callable[[LedgerState, Place | None], list[Place]]


def crowded(seed: int) -> LedgerState:
    """A state with many reservations and charges: hundreds of each moment, their ids in no order."""
    state = LedgerState()
    state.entity = Entity(id="acct_1", type=EntityType.ACCOUNT, tenant_id="tenant_a", created_at=NOW, updated_at=NOW)
    names = [f"r{n}" for n in range(COUNT)]
    random.Random(seed).shuffle(names)
    for n, name in enumerate(names):
        state.holds[name] = Hold("USD", 1, NOW + 60_000, NOW + n // 700)
        state.charges[name] = Charge("USD", 1, NOW + n // 700)
    return state


def reservations(state: LedgerState, after: Place | None) -> list[Place]:
    """One page of them."""
    return [(hold.created_at, name) for name, hold in state_view(state, reservations_after=after).reservations.items()]


def charges(state: LedgerState, after: Place | None) -> list[Place]:
    """One page of them."""
    return [(charge.incurred_at, name) for name, charge in state_view(state, charges_after=after).charges.items()]


@pytest.mark.parametrize("page", [reservations, charges])
def test_pages_show_each_once_by_when_it_began_and_by_id(page: Page) -> None:
    """Whatever lies where in memory, and however many began at once."""
    state = crowded(seed=7)
    pages = [page(state, None)]
    while pages[-1]:
        pages.append(page(state, pages[-1][-1]))
    assert [len(places) for places in pages] == [SHOWN_MAX, SHOWN_MAX, COUNT - 2 * SHOWN_MAX, 0]
    assert [place for places in pages for place in places] == sorted((NOW + n // 700, name) for n, name in enumerate(state.holds))


def test_pages_of_one_stage_go_on_behind_a_thousand_of_another() -> None:
    """An empty page is not the end: the state showed as many as it may, and the next one may be among the rest."""
    state = crowded(seed=9)
    name = list(state.charges)[-1]
    state.charges[name].is_pending = True
    cursor, found, pages = None, [], 0
    while pages == 0 or cursor is not None:
        shown = msgspec.json.encode(state_view(state, charges_after=place_of(cursor)))
        page = charges_page(Answer("look", "account_acct_1", Outcome.ACCEPTED, recorded_at=NOW, state=shown), "pending", 100)
        found += [charge.charge_id for charge in page.charges]
        cursor, pages = page.next, pages + 1
    assert (found, pages) == ([name], 3)


def test_a_page_goes_on_where_the_last_one_shown_was_closed_meanwhile() -> None:
    """A place is a moment and an id, not a number: nothing is left out."""
    state = crowded(seed=8)
    last = reservations(state, None)[-1]
    expected = reservations(state, last)
    del state.holds[last[1]]
    assert reservations(state, last) == expected
