"""Which of several outcomes a command gets, and what the worker's copy of all configs has to say in it."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from tests.unit.domain_world import (
    BASE,
    DAY,
    PRICES,
    A,
    authorize,
    bench_with,
    cap,
    check,
    config,
    daily,
    grant,
    name,
    seen,
)
from tests.unit.test_log_world import NOW, TENANT, add, deduct, reserve
from z0.domain.commands import Append, Command, PutConfig, UpdateEntity
from z0.domain.config import PLATFORM_TENANT, ConfigVersion
from z0.domain.entity import Changes, Status
from z0.domain.facts import ConfigType, Scope
from z0.domain.outcome import Outcome
from z0.domain.state import HOLDS_MAX, Hold

OUT = Outcome.PRICE_OUT_OF_BOUNDS


def test_a_check_that_names_an_unknown_version_says_so_and_leaves_nothing() -> None:
    """As any other check."""
    bench = bench_with(config(ConfigType.PRICING, PRICES))
    before = len(bench.facts)
    answer = bench.one(check("1", config_id="cfg_pricing", config_version=7))
    found = seen(answer)
    assert (answer.outcome, found.eligible, found.outcome) == (A, False, Outcome.UNKNOWN_CONFIG_VERSION)
    assert len(bench.facts) == before
    refused = seen(bench.one(authorize("1", config_id="cfg_pricing", config_version=7)))
    assert (refused.outcome, refused.rule) == (Outcome.UNKNOWN_CONFIG_VERSION, "config.cfg_pricing")


def test_a_check_knows_of_the_bound_on_open_reservations() -> None:
    """What it calls eligible, an authorize takes."""
    bench = bench_with()
    bench.state().holds = {f"r{n}": Hold(None, 0, NOW + DAY, NOW) for n in range(HOLDS_MAX)}
    assert seen(bench.one(check("1"))).outcome is bench.one(authorize("1")).outcome is Outcome.TOO_MANY_HOLDS


BIG = {"currency": "USD", "prices": {"call": "99999999999999999999999999"}}
UNKNOWN_VERSION: dict[str, Any] = {"config_id": "cfg_pricing", "config_version": 9}


def test_a_command_that_deserves_several_outcomes_gets_the_first_of_them() -> None:
    """In the order of the closed list: what the copy of the configs says comes after the lifecycle and before access."""
    rules = [config(ConfigType.ACCESS, {"roles": {"owner": ["*"]}}), cap(daily(max_count=1)), config(ConfigType.PRICING, BIG)]
    bench = bench_with(*rules, opening=(grant("user_1", "owner"),))
    owner: dict[str, Any] = {"user_id": "user_1"}
    held = bench.one(authorize("1", reservation_id="r1", **owner))
    assert held.outcome is A
    deserve: dict[Outcome, Command] = {
        Outcome.TIMESTAMP_OUT_OF_BOUNDS: authorize("1", timestamp=1, **UNKNOWN_VERSION),
        Outcome.RESERVED_FACT_TYPE: Append(id=name(), type="deposit", **BASE),
        Outcome.MISSING_AMOUNT: Append(id=name(), type="charge", **BASE),
        Outcome.UNKNOWN_CONFIG_VERSION: authorize("1", **UNKNOWN_VERSION),
        Outcome.RESERVATION_EXISTS: authorize(None, reservation_id="r1", usage={"minute": "1"}, **owner),
        Outcome.AMOUNT_OVERFLOW: authorize(None, usage={"call": "9"}, **owner),
        Outcome.CAP_EXHAUSTED: authorize(None, usage={"minute": "1"}, **owner),
    }
    assert {outcome: bench.one(command).outcome for outcome, command in deserve.items()} == {o: o for o in deserve}
    bench.one(UpdateEntity(id=name(), changes=Changes(status=Status.RETIRING), **BASE))
    assert bench.one(authorize("1", **UNKNOWN_VERSION)).outcome is Outcome.ENTITY_NOT_ACTIVE


def test_a_config_that_may_not_be_written_says_first_what_its_ledger_says() -> None:
    """A wrong version, then a lifecycle that is over, and only then settings that are none."""
    bench = bench_with()
    given: dict[str, Any] = {"tenant_id": TENANT, "ledger_id": "config_cfg_1", "type": ConfigType.BUDGET, "scope": Scope.TENANT}
    good, bad = Raw(b"{}"), Raw(b'{"no":1}')
    assert bench.one(PutConfig(id=name(), settings=good, **given)).outcome is A
    conflict = PutConfig(id=name(), settings=bad, expected_version=7, **given)
    assert bench.one(conflict).outcome is Outcome.VERSION_CONFLICT
    assert bench.one(PutConfig(id=name(), settings=bad, **given)).outcome is Outcome.BAD_CONFIG
    changes = Changes(status=Status.RETIRING)
    bench.one(UpdateEntity(id=name(), changes=changes, tenant_id=TENANT, ledger_id="config_cfg_1"))
    assert bench.one(PutConfig(id=name(), settings=bad, **given)).outcome is Outcome.ENTITY_NOT_ACTIVE


def test_a_config_that_would_become_another_one_is_told_so_before_what_its_settings_would_loosen() -> None:
    """`bad_config` comes before `config_loosens`, whether the ledger or the copy of all configs says it."""
    strict: dict[str, Any] = {"id": "cfg_p", "scope": Scope.PLATFORM, "applies_to": "*"}
    wide = msgspec.structs.replace(config(ConfigType.BUDGET, {"overdraft": {"USD": "1"}}, **strict), tenant_id=PLATFORM_TENANT)
    bench = bench_with(wide)
    given: dict[str, Any] = {"tenant_id": TENANT, "ledger_id": "config_cfg_1", "type": ConfigType.BUDGET, "scope": Scope.TENANT}
    looser = Raw(b'{"overdraft":{"USD":"2"}}')
    assert bench.one(PutConfig(id=name(), settings=Raw(b"{}"), applies_to="account", **given)).outcome is A
    assert bench.one(PutConfig(id=name(), settings=looser, applies_to="account", **given)).outcome is Outcome.CONFIG_LOOSENS
    assert bench.one(PutConfig(id=name(), settings=looser, **given)).outcome is Outcome.BAD_CONFIG
    assert msgspec.json.decode(bench.last.data)["rule"] == "config.target"


def test_a_config_keeps_its_type_its_scope_and_its_target() -> None:
    """The platform alone could widen one: from its own entities to everybody's."""
    bench = bench_with()
    given: dict[str, Any] = {"tenant_id": PLATFORM_TENANT, "ledger_id": "config_cfg_1", "settings": Raw(b"{}")}
    first: dict[str, Any] = {"type": ConfigType.BUDGET, "scope": Scope.TENANT, "applies_to": "account"}
    assert bench.one(PutConfig(id=name(), **given, **first)).outcome is A
    for other in ({"type": ConfigType.CAP}, {"scope": Scope.PLATFORM}, {"applies_to": "*"}):
        assert bench.one(PutConfig(id=name(), **given, **(first | other))).outcome is Outcome.BAD_CONFIG
        assert msgspec.json.decode(bench.last.data)["rule"] == "config.target"
    assert bench.one(PutConfig(id=name(), **given, **first)).outcome is A


# What a check is told ----------------------------------------------------------------------------


def test_a_check_knows_of_the_tenants_own_rules_for_the_reservation_that_it_asks_about() -> None:
    """What they refuse, an authorize of the same fields would not take; what they warn of, it would."""
    small = {"properties": {"amount": {"maxLength": 2}, "usage": {"required": ["call"]}}, "required": ["user_id", "expires_at"]}
    settings = {"code": "SMALL", "fact_type": "budget", "message": "small ones, by a user", "schema": small}
    prices = {"currency": "USD", "prices": {"call": "1", "token": "1"}}
    for severity, outcome in (("error", Outcome.INVARIANT_BROKEN), ("warning", A)):
        rule = config(ConfigType.INVARIANT, settings | {"severity": severity})
        bench = bench_with(rule, config(ConfigType.PRICING, prices))
        before = len(bench.facts)
        asks: list[dict[str, Any]] = [
            {"amount": "10", "user_id": "user_1"},
            {"amount": "10"},
            {"amount": "9.5", "user_id": "user_1"},
            {"amount": None, "usage": {"call": "7"}, "user_id": "user_1"},
            {"amount": None, "usage": {"token": "7"}, "user_id": "user_1"},
        ]
        found = [seen(bench.one(check(**ask))) for ask in asks]
        assert [one.outcome for one in found] == [A, outcome, outcome, A, outcome]
        assert len(bench.facts) == before
        assert [one.outcome for one in found] == [seen(bench.one(authorize(**ask))).outcome for ask in asks]
        assert {one.rule for one in found} == {None, "invariant.SMALL"} - ({"invariant.SMALL"} if outcome is A else set())


def test_a_usage_without_a_currency_needs_a_price_in_one_currency_only() -> None:
    """Of two it says which would have to be chosen; named, each has its own price."""
    euros = config(ConfigType.PRICING, {"currency": "EUR", "prices": {"call": "3"}}, id="cfg_eur")
    dollars = config(ConfigType.PRICING, {"currency": "USD", "prices": {"call": "2"}})
    bench = bench_with(euros, dollars, opening=(add("e1", "100", currency="EUR"),))
    answer = bench.one(authorize(None, usage={"call": "1"}))
    assert (answer.outcome, answer.detail) == (Outcome.UNPRICED, "no pricing config, or several and no currency")
    for currency, amount in (("EUR", "3"), ("USD", "2")):
        assert bench.one(authorize(None, usage={"call": "1"}, currency=currency)).outcome is A
        assert (bench.last.amount, bench.last.currency) == (amount, currency)


@pytest.mark.parametrize(("amount", "outcome"), [("0.1", A), ("9", A), ("0.09", OUT), ("9.01", OUT)])
def test_the_bounds_of_one_decision_are_within_it(amount: str, outcome: Outcome) -> None:
    """The least and the greatest amount are taken; for a check, a reservation and a deduction alike."""
    bench = bench_with(config(ConfigType.PRICING, PRICES))
    assert seen(bench.one(check(amount))).outcome is outcome
    assert bench.one(reserve(name(), amount)).outcome is outcome
    assert bench.one(deduct(name(), amount)).outcome is outcome


def test_a_retry_is_priced_by_the_version_it_names_also_after_a_narrower_config_came() -> None:
    """Which is cheaper and is named now; a version that the first one never had is refused still."""

    def wide(price: str, **fields: Any) -> ConfigVersion:
        return config(ConfigType.PRICING, {"currency": "USD", "prices": {"call": price}}, id="cfg_w", **fields)

    own: dict[str, Any] = {"id": "cfg_own", "scope": Scope.ENTITY, "applies_to": "acct_1", "effective_at": NOW + 1}
    narrow = config(ConfigType.PRICING, {"currency": "USD", "prices": {"call": "1"}}, **own)
    bench = bench_with(wide("2"), wide("5", version=2, effective_at=NOW + 1), narrow)
    first = bench.one(authorize(None, usage={"call": "3"}))
    assert (first.outcome, bench.last.amount, bench.last.config_id, bench.last.config_version) == (A, "6", "cfg_w", 1)
    bench.now += 1
    retry = authorize(None, usage={"call": "3"}, config_id="cfg_w", config_version=1)
    assert (bench.one(retry).outcome, bench.last.amount) == (A, "6")
    assert msgspec.json.decode(bench.last.configs) == {"cfg_w": 1, "cfg_own": 1}
    assert (bench.one(authorize(None, usage={"call": "3"})).outcome, bench.last.amount) == (A, "15")
    unknown = authorize(None, usage={"call": "3"}, config_id="cfg_w", config_version=3)
    assert bench.one(unknown).outcome is Outcome.UNKNOWN_CONFIG_VERSION


def test_a_retry_is_priced_by_the_version_it_names_also_after_its_config_was_switched_off() -> None:
    """Then nothing else has a price any more."""
    prices = {"currency": "USD", "prices": {"call": "2"}}
    bench = bench_with(config(ConfigType.PRICING, prices), config(ConfigType.PRICING, {}, version=2, effective_at=NOW + 1))
    bench.now += 1
    assert bench.one(authorize(None, usage={"call": "3"})).outcome is Outcome.UNPRICED
    assert bench.one(authorize(None, usage={"call": "3"}, config_id="cfg_pricing", config_version=1)).outcome is A
    assert bench.last.amount == "6"
