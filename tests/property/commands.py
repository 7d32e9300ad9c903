"""Strategies: commands on a few ledgers, many of them to be refused, and the passing of time between them."""

from typing import Any

from hypothesis import strategies as st
from msgspec import Raw

from z0.domain.commands import (
    AddBudget,
    Append,
    Command,
    Confirm,
    CreateEntity,
    DeductBudget,
    Read,
    Release,
    Reserve,
    UpdateEntity,
)
from z0.domain.entity import Changes, Status

LEDGERS = ("account_acct_1", "account_acct_2", "asset_asset_3")
AMOUNTS = st.sampled_from(
    ["0.000000000001", "1", "2.5", "7", "40", "1000000000000", "99999999999999999999999999.999999999999", "0", "x"]
)
CURRENCIES = st.sampled_from(["USD", "USD", "USD", "EUR", "XXX"])
RESERVATIONS = st.sampled_from([f"r{n}" for n in range(5)])
TTLS = st.sampled_from([None, 1, 500, 2_000, 60_000])
STATUSES = st.sampled_from([Status.ACTIVE, Status.ACTIVE, Status.RETIRING, Status.RETIRED, Status.DELETED])

_base: dict[str, Any] = {
    "id": st.integers(0, 60).map(lambda n: f"c{n}"),
    "tenant_id": st.sampled_from(["tenant_1"] * 9 + ["tenant_2"]),
    "ledger_id": st.sampled_from(LEDGERS),
    "timestamp": st.sampled_from([None] * 6 + [1, 1_800_000_000_000]),
    "workflow_id": st.sampled_from([None, "wf_1"]),
}


def _of(of: type[Any], /, **fields: Any) -> st.SearchStrategy[Any]:
    return st.builds(of, **_base, **fields)


MONEY: st.SearchStrategy[Command] = st.one_of(
    _of(AddBudget, amount=AMOUNTS, currency=CURRENCIES, kind=st.sampled_from(["deposit", "credit"])),
    _of(DeductBudget, amount=AMOUNTS, currency=CURRENCIES),
    _of(Reserve, amount=AMOUNTS, currency=CURRENCIES, reservation_id=st.none() | RESERVATIONS, ttl_ms=TTLS),
    _of(Reserve, amount=AMOUNTS, currency=CURRENCIES, reservation_id=RESERVATIONS, ttl_ms=TTLS),
    _of(Confirm, reservation_id=RESERVATIONS, amount=st.none() | AMOUNTS),
    _of(Release, reservation_id=RESERVATIONS),
    _of(
        Append,
        type=st.sampled_from(["charge", "charge", "cost", "budget"]),
        amount=st.none() | AMOUNTS,
        currency=st.none() | CURRENCIES,
    ),
)
CHANGES = st.builds(
    Changes,
    owner_id=st.none() | st.sampled_from(["user_1", "user_2"]),
    data=st.dictionaries(
        st.sampled_from("abc"),
        st.none() | st.integers() | st.dictionaries(st.sampled_from("de"), st.none() | st.text(max_size=3)),
    ),
)
OTHERS: st.SearchStrategy[Command] = st.one_of(
    _of(CreateEntity, data=st.sampled_from([Raw(b"{}"), Raw(b'{"a":1}')])),
    _of(UpdateEntity, changes=CHANGES),
    _of(UpdateEntity, changes=st.builds(Changes, status=STATUSES), expected_version=st.none() | st.integers(1, 3)),
    _of(Read),
)
COMMANDS: st.SearchStrategy[Command] = st.one_of(MONEY, MONEY, MONEY, OTHERS)
"""Mostly money: lifecycle ends come now and then, or nothing would happen any more."""

STEPS = st.lists(st.tuples(COMMANDS, st.sampled_from([0, 0, 0, 1, 700, -50])), min_size=1, max_size=60)
"""Commands, each with the milliseconds that pass before it; the clock may go back."""


def opening() -> list[Command]:
    """Every ledger exists and has some money."""
    start: list[Command] = []
    for n, ledger in enumerate(LEDGERS):
        start.append(CreateEntity(id="open", tenant_id="tenant_1", ledger_id=ledger))
        start.append(AddBudget(id="fund", tenant_id="tenant_1", ledger_id=ledger, amount=str(50 * (n + 1)), currency="USD"))
    return start
