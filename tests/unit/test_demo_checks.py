"""The demo's checks fail where something is wrong: one unit, one fact, one unexplained refusal."""

from collections import Counter
from decimal import Decimal

import pytest

from z0.demo.checks import Copies, check_all
from z0.demo.flow import Book, Flow
from z0.demo.money import ByCurrency, Sums
from z0.demo.world import Account, World, read_world
from z0.domain.outcome import Outcome
from z0.imports.tally import Tally

WORLD = World("r", (Account("a", "t", "USD", "10", "1"),), {"m": "model"})
UNIT = Decimal("0.000000000001")
SUMS = Sums(Decimal(10), Decimal(1), Decimal(4), Decimal(0), Decimal(7))
PLACES = ("ledger", "postgres", "clickhouse")


def failed(
    *, sums: dict[str, Sums] | None = None, counts: tuple[int, ...] = (5, 5, 5, 5), spent: Decimal = Decimal(4), lost: int = 0
) -> set[str]:
    """The names of the checks that fail."""
    http, kafka, book = Tally(), Tally(), Book()
    book.spent["acct_a-r"] = spent
    kafka.unresolved = lost
    money: dict[str, ByCurrency] = {place: {"USD": (sums or {}).get(place, SUMS)} for place in PLACES}
    copies = Copies(dict(zip(("log", *PLACES), counts, strict=True)), 1.0)
    return {check.name for check in check_all(WORLD, Flow(http, kafka, book, 1.0), copies, money) if not check.ok}


def test_all_is_well() -> None:
    """No check fails on a sound world."""
    assert failed() == set()


@pytest.mark.parametrize("place", PLACES)
def test_one_unit_too_much_anywhere(place: str) -> None:
    """Conservation and agreement are exact."""
    wrong = failed(sums={place: SUMS._replace(available=SUMS.available + UNIT)})
    assert wrong == {"USD is conserved in all three places", "ledger, Postgres and ClickHouse agree to the last unit"}


def test_one_fact_too_few() -> None:
    """The four counts must be equal."""
    assert failed(counts=(5, 5, 4, 5)) == {"the four counts of facts are equal"}


def test_the_clients_own_book() -> None:
    """A ledger that agrees with itself but not with its clients is wrong."""
    assert failed(spent=Decimal(4) - UNIT) == {"the ledger spent what the clients were told"}


def test_a_lost_command() -> None:
    """A command without an outcome fails the demo."""
    assert failed(lost=1) == {"every command over Kafka has its outcome"}


def test_unexplained_refusals() -> None:
    """Only an empty budget explains a refusal here."""
    http, kafka = Tally(), Tally()
    http.outcomes[Outcome.UNKNOWN_ENTITY] += 1
    http.by_step = Counter({("reserve", Outcome.UNKNOWN_ENTITY): 1})
    book = Book()
    book.spent["acct_a-r"] = Decimal(4)
    money: dict[str, ByCurrency] = {place: {"USD": SUMS} for place in PLACES}
    checks = check_all(WORLD, Flow(http, kafka, book, 1.0), Copies({"log": 1}, 1.0), money)
    assert [check.name for check in checks if not check.ok] == ["every refusal is explained by an empty budget"]


def test_the_shipped_world() -> None:
    """Three tenants; each has accounts and all assets, and money only where there is some."""
    world = read_world("r")
    assert world.tenants == ("harbor", "meadow", "quarry")
    commands = world.creation("meadow")
    assert sum(command["op"] == "create_entity" for command in commands) == len(world.assets) + len(world.accounts_of("meadow"))
    assert all(command["amount"] != "0" for command in commands if command["op"] == "add_budget")
