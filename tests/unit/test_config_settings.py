"""Settings: what is taken, and what is refused with which words."""

from typing import Any

import pytest
from msgspec import Raw

from tests.unit.config_world import CAP, EXAMPLES, PRICES, RULE, raw
from z0.configs.schemas import check_of, problem_of
from z0.domain.config import (
    METERS_MAX,
    SCHEMA_NODES_MAX,
    SETTINGS,
    SETTINGS_BYTES_MAX,
    ConfigVersion,
    InvariantSettings,
    PricingSettings,
    decode_version,
    encode_version,
)
from z0.domain.config_rules import Problem, problem_of_target, problems_of, read_settings
from z0.domain.facts import ConfigType, Scope

LIMIT = {"name": "daily", "counts": "spend", "window": "day"}


@pytest.mark.parametrize("kind", ConfigType)
def test_an_example_of_each_type_is_taken(kind: ConfigType) -> None:
    """And comes back as the class of its type."""
    assert isinstance(read_settings(kind, raw(EXAMPLES[kind])), SETTINGS[kind])


@pytest.mark.parametrize("kind", ConfigType)
def test_empty_settings_switch_a_config_of_any_type_off(kind: ConfigType) -> None:
    """Also where a field would be needed."""
    assert read_settings(kind, Raw(b"{}")) is None
    assert read_settings(kind, Raw(b"{ }")) is None


@pytest.mark.parametrize("kind", ConfigType)
def test_a_field_that_is_unknown_is_refused_in_every_type(kind: ConfigType) -> None:
    """A misspelt one would be a rule that nobody obeys."""
    found = read_settings(kind, raw(EXAMPLES[kind] | {"overdarft": "1"}))
    assert isinstance(found, Problem)
    assert "overdarft" in found.text


WRONG: list[tuple[str, Any, str]] = [
    ("budget", {"overdraft": {"USD": "-1"}}, "overdraft"),
    ("budget", {"overdraft": {"USD": "1\n"}}, "overdraft"),
    ("budget", {"overdraft": {"USD": 1}}, "overdraft"),
    ("budget", {"overdraft": {"USX": "1"}}, "ISO 4217"),
    ("budget", {"ttl_ms_default": 10, "ttl_ms_max": 9}, "ttl_ms_max"),
    ("budget", {"ttl_ms_max": 0}, "ttl_ms_max"),
    ("cap", {"limits": [LIMIT]}, "max_count"),
    ("cap", {"limits": [LIMIT | {"max_count": 1, "max_amount": "1", "currency": "USD"}]}, "max_count"),
    ("cap", {"limits": [LIMIT | {"max_amount": "1"}]}, "currency"),
    ("cap", {"limits": [LIMIT | {"max_count": 1, "currency": "USD"}]}, "currency"),
    ("cap", {"limits": [LIMIT | {"max_count": 1}] * 2}, "daily"),
    ("cap", {"limits": [LIMIT | {"max_count": -1}]}, "max_count"),
    ("cap", {"limits": [LIMIT | {"counts": "invocations", "max_amount": "1", "currency": "USD"}]}, "no amount"),
    ("cap", {"limits": [LIMIT | {"counts": "invocations", "window": "in_flight", "max_count": 1}]}, "in flight"),
    ("cap", {"limits": [LIMIT | {"window": "week", "max_count": 1}]}, "week"),
    ("pricing", {"prices": {"token": "1"}}, "currency"),
    ("pricing", {"currency": "USD", "prices": {"token": "0." + "1" * 25}}, "prices"),
    ("pricing", {"currency": "USD", "prices": {f"m{n}": "1" for n in range(METERS_MAX + 1)}}, "meters"),
    ("pricing", {"currency": "USD", "min_amount": "2", "max_amount": "1"}, "max_amount"),
    ("access", {"roles": {"buyer": ["buy"]}}, "buy"),
    ("access", {"roles": {"Buyer": ["*"]}}, "roles"),
    ("routing", {"candidates": [{"weight": 1}]}, "asset_id"),
    ("routing", {"candidates": [{"asset_id": "tool_1"}]}, "no id of an asset"),
    ("routing", {"candidates": [{"tool_id": "asset_1"}]}, "no id of a tool"),
    ("routing", {"candidates": [{"tool_id": "tool_1", "weight": 0}]}, "weight"),
    ("invariant", RULE | {"code": "lower"}, "code"),
    ("invariant", RULE | {"schema": [1]}, "object"),
    ("invariant", RULE | {"schema": {"$ref": "#/x"}}, "references"),
    ("invariant", RULE | {"schema": {"allOf": [{"not": {"$dynamicRef": "#"}}]}}, "references"),
    ("invariant", RULE | {"schema": {"allOf": [{}] * SCHEMA_NODES_MAX}}, "objects"),
    ("invariant", RULE | {"schema": {"a": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}}, "nested"),
    ("invariant", RULE | {"severity": "fatal"}, "severity"),
    ("budget", {"overdraft": {"USD": "1" + " " * SETTINGS_BYTES_MAX}}, "bytes"),
]


@pytest.mark.parametrize(("kind", "settings", "word"), WRONG, ids=[f"{kind}-{n}" for n, (kind, _, _) in enumerate(WRONG)])
def test_settings_that_do_not_fit_are_refused_with_what_is_wrong(kind: str, settings: Any, word: str) -> None:
    """The words name the field or the bound."""
    found = read_settings(ConfigType(kind), raw(settings))
    assert isinstance(found, Problem)
    assert word in f"{found.where} {found.text}"
    everything = problems_of(ConfigType(kind), raw(settings))
    assert everything[0] == found or any(word in f"{problem.where} {problem.text}" for problem in everything)


def test_everything_that_is_wrong_is_found_together() -> None:
    """In the members of lists and of objects too; where the shape fits, by the rules between the fields."""
    cap = {"limits": [{"name": "Daily", "counts": "spend", "window": "day"}, LIMIT | {"max_count": "1"}, {}], "zone": "UTC"}
    assert [problem.where for problem in problems_of(ConfigType.CAP, raw(cap))] == [
        "settings.zone",
        "settings.limits.0.name",
        "settings.limits.1.max_count",
        *("settings.limits.2.name", "settings.limits.2.counts", "settings.limits.2.window"),
    ]
    budget = {"overdraft": {"usd": "1", "EUR": 2}, "ttl_ms_max": 0}
    assert [problem.where for problem in problems_of(ConfigType.BUDGET, raw(budget))] == [
        *("settings.overdraft.usd", "settings.overdraft.EUR", "settings.ttl_ms_max")
    ]
    fitting = {"limits": [LIMIT, {"name": "b", "counts": "invocations", "window": "in_flight", "max_count": 1}]}
    assert [problem.where for problem in problems_of(ConfigType.CAP, raw(fitting))] == [
        *("settings.limits.daily", "settings.limits.b")
    ]
    assert [problems_of(kind, raw(example)) for kind, example in EXAMPLES.items()] == [[]] * len(EXAMPLES)


def test_a_price_may_be_finer_than_money() -> None:
    """Its product is rounded, not the price."""
    found = read_settings(ConfigType.PRICING, raw(PRICES))
    assert isinstance(found, PricingSettings)
    assert found.prices["input_token"] == "0.0000001500000001"


@pytest.mark.parametrize(
    ("scope", "applies_to", "tenant", "where"),
    [
        ("platform", "*", "tenant_1", "scope"),
        ("platform", "*", "tenant_platform", None),
        ("tenant", "account", "tenant_1", None),
        ("tenant", "key", "tenant_1", None),
        ("tenant", "acct_1", "tenant_1", "applies_to"),
        ("tenant", "config", "tenant_1", "applies_to"),
        ("entity", "acct_1", "tenant_1", None),
        ("entity", "account", "tenant_1", "applies_to"),
        ("entity", "cfg_1", "tenant_1", "applies_to"),
        ("entity", "*", "tenant_1", "applies_to"),
    ],
)
def test_a_scope_takes_its_own_targets_only(scope: str, applies_to: str, tenant: str, where: str | None) -> None:
    """Types for platform and tenant, an entity for entity scope; and no config governs configs."""
    found = problem_of_target(Scope(scope), applies_to, tenant)
    assert (found.where if found is not None else None) == where


def rule(schema: Any) -> InvariantSettings:
    return InvariantSettings("A", "*", raw(schema))


@pytest.mark.parametrize(
    "schema", [{"type": "nosuch"}, {"pattern": "("}, {"pattern": "(?=x)a"}, {"pattern": "a{1000}{1000}"}, {"items": 5}]
)
def test_a_schema_that_is_none_is_refused_in_one_line(schema: Any) -> None:
    """Expressions that look around or explode are among them: they could not run in linear time."""
    text = problem_of(rule(schema))
    assert text is not None
    assert "\n" not in text


def test_a_check_holds_for_what_its_schema_takes() -> None:
    """A fact that the library cannot judge does not hold."""
    check = check_of(rule({"required": ["user_id"], "properties": {"amount": {"pattern": "^[1-9]"}}}))
    assert check.holds({"user_id": "user_1", "amount": "12"})
    assert not check.holds({"user_id": "user_1", "amount": "0"})
    assert not check.holds({"amount": "12"})
    assert not check.holds(object())


def test_a_version_comes_back_from_its_bytes() -> None:
    """With settings of its own, not a view of the record."""
    version = ConfigVersion("cfg_1", ConfigType.CAP, Scope.ENTITY, "acct_1", "tenant_1", 3, 12, raw(CAP), "name")
    back = decode_version(encode_version(version))
    assert back == version
    assert bytes(back.settings) == bytes(version.settings)
