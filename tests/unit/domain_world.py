"""The ledger's rules in few words: one account under configs of a test's choice, and what may be asked of it."""

from itertools import count
from typing import Any

import msgspec
from msgspec import Raw

from tests.unit.test_log_world import LEDGER, TENANT, Bench, add, create, read
from z0.configs.book import Book
from z0.domain.answer import Answer, Eligibility
from z0.domain.commands import Authorize, Check, Command, Confirm, GrantAccess, Release
from z0.domain.config import ConfigVersion
from z0.domain.facts import ConfigType, Scope
from z0.domain.outcome import Outcome
from z0.domain.views import StateView

DAY = 24 * 3_600_000
A = Outcome.ACCEPTED
PRICES = {"currency": "USD", "prices": {"token": "0.0000001234567", "call": "0.5"}, "min_amount": "0.1", "max_amount": "9"}
BASE: dict[str, Any] = {"tenant_id": TENANT, "ledger_id": LEDGER}
_ids = count(1)


def config(type: ConfigType, settings: dict[str, Any], version: int = 1, **fields: Any) -> ConfigVersion:  # noqa: A002
    """A tenant's config, in force since the beginning; `cfg_<type>` where no id is given."""
    given: dict[str, Any] = {"id": f"cfg_{type}", "scope": Scope.TENANT, "applies_to": "account", "effective_at": 0} | fields
    return ConfigVersion(type=type, tenant_id=TENANT, version=version, settings=Raw(msgspec.json.encode(settings)), **given)


def cap(*limits: dict[str, Any], timezone: str = "UTC", **fields: Any) -> ConfigVersion:
    return config(ConfigType.CAP, {"timezone": timezone, "limits": list(limits)}, **fields)


def daily(**fields: Any) -> dict[str, Any]:
    return {"name": "daily", "counts": "spend", "window": "day"} | fields


def bench_with(*configs: ConfigVersion, opening: tuple[Command, ...] = ()) -> Bench:
    """An account with 100 USD under these configs."""
    book = Book()
    for version in configs:
        book.add(version)
    bench = Bench(policies=book)
    bench.decide(create(), add("a1", "100"), *opening)
    return bench


def name() -> str:
    return f"n{next(_ids)}"


def authorize(amount: str | None = "1", **fields: Any) -> Authorize:
    given: dict[str, Any] = {"id": name(), "amount": amount, "currency": "USD" if amount else None} | BASE | fields
    return Authorize(**given)


def check(amount: str | None = "1", **fields: Any) -> Check:
    given: dict[str, Any] = {"id": name(), "amount": amount, "currency": "USD" if amount else None} | BASE | fields
    return Check(**given)


def confirm(reservation: str, amount: str | None = None, **fields: Any) -> Confirm:
    return Confirm(id=name(), reservation_id=reservation, amount=amount, **BASE, **fields)


def release(reservation: str) -> Release:
    return Release(id=name(), reservation_id=reservation, **BASE)


def grant(user: str, role: str) -> GrantAccess:
    return GrantAccess(id=name(), grantee_id=user, role=role, **BASE)


def seen(answer: Answer) -> Eligibility:
    return msgspec.json.decode(answer.eligibility, type=Eligibility)


def left(bench: Bench) -> dict[str, str]:
    """Rule -> what is left of it, by a check."""
    return {limit.rule: limit.left for limit in seen(bench.one(check())).limits}


def view(bench: Bench) -> StateView:
    return msgspec.json.decode(bench.one(read(name())).state, type=StateView)
