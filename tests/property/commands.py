"""Strategies: commands on a few ledgers, many of them to be refused, and the passing of time between them."""

from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import Raw

from z0.configs.book import Book
from z0.domain.commands import (
    AddBudget,
    Append,
    Authorize,
    Check,
    Command,
    Confirm,
    CreateEntity,
    DeductBudget,
    GrantAccess,
    Read,
    Release,
    Reserve,
    RevokeAccess,
    Settle,
    UpdateEntity,
)
from z0.domain.config import ConfigVersion
from z0.domain.entity import Changes, Status
from z0.domain.facts import ConfigType, Scope
from z0.domain.money import SCALE

LEDGERS = ("account_acct_1", "account_acct_2", "asset_asset_3")
AMOUNTS = st.sampled_from(
    ["0.000000000001", "1", "2.5", "7", "40", "1000000000000", "99999999999999999999999999.999999999999", "0", "x"]
)
CURRENCIES = st.sampled_from(["USD", "USD", "USD", "EUR", "XXX"])
RESERVATIONS = st.sampled_from([f"r{n}" for n in range(5)])
TTLS = st.sampled_from([None, 1, 500, 2_000, 60_000])
STATUSES = st.sampled_from([Status.ACTIVE, Status.ACTIVE, Status.RETIRING, Status.RETIRED, Status.DELETED])

FACT_IDS = st.builds("{}.{}".format, st.sampled_from(LEDGERS), st.integers(1, 12))
USERS = st.sampled_from(["user_1", "user_2"])

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
    _of(AddBudget, amount=AMOUNTS, currency=CURRENCIES, kind=st.sampled_from(["deposit", "credit", "transfer"])),
    _of(DeductBudget, amount=AMOUNTS, currency=CURRENCIES),
    _of(Reserve, amount=AMOUNTS, currency=CURRENCIES, reservation_id=st.none() | RESERVATIONS, ttl_ms=TTLS),
    _of(Reserve, amount=AMOUNTS, currency=CURRENCIES, reservation_id=RESERVATIONS, ttl_ms=TTLS),
    _of(Reserve, amount=AMOUNTS, currency=CURRENCIES, reservation_id=RESERVATIONS, purpose=st.just("transfer")),
    _of(Authorize, amount=AMOUNTS, currency=CURRENCIES, reservation_id=RESERVATIONS, ttl_ms=TTLS),
    _of(Authorize, usage=st.sampled_from([None, {"call": "3"}, {"minute": "1"}]), ttl_ms=TTLS),
    _of(Check, amount=st.none() | AMOUNTS, currency=CURRENCIES),
    _of(Confirm, reservation_id=RESERVATIONS, amount=st.none() | AMOUNTS),
    _of(Release, reservation_id=RESERVATIONS),
    _of(
        Append,
        type=st.sampled_from(["charge", "charge", "cost", "budget"]),
        subtype=st.sampled_from([None, "incurred", "incurred", "pending"]),
        amount=st.none() | AMOUNTS,
        currency=st.none() | CURRENCIES,
        source_id=st.none() | FACT_IDS,
    ),
    _of(Settle, charge_id=FACT_IDS, stage=st.sampled_from(["pending", "settled"])),
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
    _of(Append, type=st.sampled_from(["outcome", "invocation"])),
    _of(GrantAccess, grantee_id=USERS, role=st.sampled_from(["buyer", "owner"])),
    _of(RevokeAccess, grantee_id=USERS),
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


OVERDRAFT_UNITS = 5 * SCALE


def policies() -> Book:
    """Configs that have a say in many of the commands: caps of every window, an overdraft, top-ups, prices, an invariant."""
    limits = [
        {"name": "seconds", "counts": "spend", "window": "hour", "max_count": 9},
        {"name": "money", "counts": "spend", "window": "total", "max_amount": "60", "currency": "USD"},
        {"name": "flying", "counts": "spend", "window": "in_flight", "max_count": 3},
        {"name": "calls", "counts": "invocations", "window": "day", "max_count": 2},
    ]
    rule = {"code": "NO_SMALL_CHANGE", "fact_type": "charge", "severity": "warning", "message": "small"}
    settings: dict[ConfigType, dict[str, Any]] = {
        ConfigType.CAP: {"timezone": "Asia/Kathmandu", "limits": limits},
        ConfigType.BUDGET: {"overdraft": {"USD": "5"}, "confirm_above_hold": "topped_up", "ttl_ms_default": 900},
        ConfigType.PRICING: {"currency": "USD", "prices": {"call": "0.3333333333333"}},
        ConfigType.INVARIANT: rule | {"schema": {"properties": {"amount": {"not": {"const": "1"}}}}},
    }
    book = Book()
    for kind, given in settings.items():
        body = Raw(msgspec.json.encode(given))
        book.add(ConfigVersion(f"cfg_{kind}", kind, Scope.TENANT, "account", "tenant_1", 1, 0, body))
    return book
