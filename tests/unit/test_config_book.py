"""The book: which configs apply to whom, when, and what may be written."""

import logging
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.config_world import CAP, NOW, OVERDRAFT, PRICES, ROLES, ROUTES, RULE, TENANT, book, put, version
from z0.configs.book import Book
from z0.configs.resolve import versions_in
from z0.domain.config import CHECKS_MAX, CONFIGS_PER_TARGET_MAX, LIMITS_MAX
from z0.domain.facts import Scope
from z0.domain.outcome import Outcome
from z0.domain.policy import FOR_EVER_MS, NO_POLICY, Severity

ACCOUNT = "account_acct_1"
UNITS = 10**12


def policy_of(of: Book, ledger: str = ACCOUNT, tenant: str = TENANT, at: int = NOW) -> Any:
    return of.policy(tenant, ledger, at)


def test_without_configs_nothing_is_said() -> None:
    """The very same object, so that it costs nothing."""
    assert policy_of(book()) is NO_POLICY


def test_a_tenants_config_applies_to_its_entities_only() -> None:
    """Of the type that it names."""
    of = book(version(OVERDRAFT, applies_to="account"))
    assert policy_of(of).overdraft_units == {"USD": 100 * UNITS}
    assert policy_of(of, tenant="tenant_2") is NO_POLICY
    assert policy_of(of, "asset_asset_1") is NO_POLICY


def test_an_entitys_config_applies_to_that_entity_of_that_tenant() -> None:
    """Another tenant that names it changes nothing for the owner."""
    of = book(version(OVERDRAFT, scope="entity", applies_to="acct_1", tenant="tenant_2"))
    assert policy_of(of) is NO_POLICY
    of.add(version({"overdraft": {"USD": "7"}}, id="cfg_2", scope="entity", applies_to="acct_1"))
    assert policy_of(of).overdraft_units == {"USD": 7 * UNITS}
    assert policy_of(of, "account_acct_2") is NO_POLICY


@pytest.mark.parametrize("ledger", ["config_cfg_1", "key_key_1", "tenant_tenant_1", "workflow_wf_1"])
def test_a_config_for_everything_leaves_out_what_could_lock_its_writer_out(ledger: str) -> None:
    """Configs, keys, the tenant and machinery."""
    of = book(version(ROLES, "access", scope="platform"))
    assert policy_of(of).access is not None
    assert policy_of(of, ledger).access is None


def test_keys_are_governed_where_they_are_named() -> None:
    """But configs are not."""
    of = book(version(ROLES, "access", applies_to="key"), version(ROLES, "access", applies_to="config", id="cfg_2"))
    assert policy_of(of, "key_key_1").access is not None
    assert policy_of(of, "config_cfg_2") is NO_POLICY


def test_the_strictest_of_three_scopes_holds() -> None:
    """Whatever the order they came in."""
    scopes = [
        version({"overdraft": {"USD": "50", "EUR": "9"}, "ttl_ms_max": 900}, scope="platform"),
        version({"overdraft": {"USD": "80", "EUR": "5"}, "confirm_above_hold": "topped_up"}, id="cfg_2"),
        version({"overdraft": {"USD": "60"}, "ttl_ms_default": 1000}, id="cfg_3", scope="entity", applies_to="acct_1"),
    ]
    for order in (scopes, scopes[::-1]):
        policy = policy_of(book(*order))
        assert policy.overdraft_units == {"USD": 50 * UNITS}
        assert (policy.tops_up, policy.ttl_ms_default, policy.ttl_ms_max) == (True, 900, 900)
        assert versions_in(policy.versions) == {"cfg_1": 1, "cfg_2": 1, "cfg_3": 1}


def test_limits_roles_and_rules_count_side_by_side() -> None:
    """Each scope's own."""
    of = book(
        version(CAP, "cap"),
        version(CAP, "cap", id="cfg_2", scope="platform"),
        version(ROLES, "access", id="cfg_3"),
        version({"roles": {"buyer": ["authorize"]}}, "access", id="cfg_4", scope="entity", applies_to="acct_1"),
        version(RULE, "invariant", id="cfg_5"),
        version(ROUTES, "routing", id="cfg_6"),
    )
    policy = policy_of(of)
    assert [limit.key for limit in policy.limits] == ["cfg_2/daily", "cfg_1/daily"]
    assert [scope["buyer"] for scope in policy.access.scopes] == [{"authorize", "reserve"}, {"authorize"}]
    assert [(check.code, check.severity) for check in policy.checks] == [("PAYER_NAMED", Severity.ERROR)]
    assert set(versions_in(policy.versions)) == {f"cfg_{n}" for n in range(1, 7)}


def test_the_higher_price_counts_and_each_config_adds_its_meters() -> None:
    """Bounds of an amount narrow too; the narrowest scope's config is named."""
    of = book(
        version({"currency": "USD", "prices": {"a": "2", "b": "1"}, "max_amount": "9"}, "pricing", scope="platform"),
        version({"currency": "USD", "prices": {"a": "1", "c": "4"}, "max_amount": "8", "min_amount": "1"}, "pricing", id="cfg_2"),
        version({"currency": "EUR", "prices": {"a": "3"}}, "pricing", id="cfg_3"),
    )
    prices = policy_of(of).prices
    assert prices["USD"].by_meter == {"a": 2, "b": 1, "c": 4}
    assert (prices["USD"].min_units, prices["USD"].max_units, prices["USD"].config_id) == (UNITS, 8 * UNITS, "cfg_2")
    assert prices["EUR"].by_meter == {"a": 3}


def test_versions_come_into_force_at_their_time() -> None:
    """And the policy says until when it holds."""
    of = book(version(OVERDRAFT, effective_at=NOW), version({"overdraft": {"USD": "5"}}, version=2, effective_at=NOW + 100))
    assert policy_of(of, at=NOW - 1).overdraft_units == {}
    assert policy_of(of, at=NOW - 1).until_ms == NOW
    assert policy_of(of).overdraft_units == {"USD": 100 * UNITS}
    assert policy_of(of).until_ms == NOW + 100
    assert policy_of(of, at=NOW + 100).overdraft_units == {"USD": 5 * UNITS}
    assert policy_of(of, at=NOW + 100).until_ms == FOR_EVER_MS
    assert policy_of(of).overdraft_units == {"USD": 100 * UNITS}  # another partition's time may be behind


def test_a_config_that_arrives_changes_what_was_remembered() -> None:
    """Of every scope."""
    of = book(version(OVERDRAFT))
    assert policy_of(of).overdraft_units == {"USD": 100 * UNITS}
    for n, scope in enumerate(("tenant", "platform", "entity")):
        applies_to = "acct_1" if scope == "entity" else "*"
        of.add(version({"overdraft": {"USD": str(9 - n)}}, id=f"cfg_x{n}", scope=scope, applies_to=applies_to))
        assert policy_of(of).overdraft_units == {"USD": (9 - n) * UNITS}
    of.add(version({"overdraft": {"USD": "1"}}, id="cfg_x2", version=2, scope="entity", applies_to="acct_1"))
    assert policy_of(of).overdraft_units == {"USD": UNITS}


def test_a_config_that_is_switched_off_says_nothing_and_is_named() -> None:
    """Facts show that it was looked at."""
    of = book(version(ROLES, "access"), version({}, "access", version=2, effective_at=NOW))
    assert policy_of(of, at=NOW - 1).access is not None
    assert policy_of(of).access is None
    assert versions_in(policy_of(of).versions) == {"cfg_1": 2}


def test_what_cannot_be_read_leaves_the_version_before_in_force(caplog: pytest.LogCaptureFixture) -> None:
    """A newer release may write what this one does not know; the log says so."""
    caplog.set_level(logging.ERROR)
    of = book(version(OVERDRAFT), version({"of_tomorrow": 1}, version=2))
    assert policy_of(of).overdraft_units == {"USD": 100 * UNITS}
    assert "of_tomorrow" in caplog.text


UNREADABLE = [
    version(CAP | {"timezone": "Europe/Atlantis"}, "cap", id="cfg_2"),
    version(RULE | {"schema": {"type": "nosuch"}}, "invariant", id="cfg_2"),
    version(OVERDRAFT, id="cfg_2", scope="entity", applies_to="account"),
]


@pytest.mark.parametrize("broken", UNREADABLE, ids=[one.type + one.applies_to for one in UNREADABLE])
def test_what_this_process_cannot_decide_by_does_not_stop_it(broken: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A time zone of a newer database, a schema of a newer library: said when it arrives, not when a decision asks."""
    of = book(version(OVERDRAFT), broken)
    assert policy_of(of).overdraft_units == {"USD": 100 * UNITS}
    assert set(versions_in(policy_of(of).versions)) == {"cfg_1"}
    assert "cfg_2" in caplog.text


def test_a_version_that_comes_twice_or_of_another_target_changes_nothing() -> None:
    """The topic may hold a version twice until it is compacted."""
    of = book(version(OVERDRAFT))
    of.add(version(OVERDRAFT))
    of.add(version({"overdraft": {"USD": "1"}}, version=2, applies_to="account"))
    assert policy_of(of).overdraft_units == {"USD": 100 * UNITS}
    assert len(of.versions("cfg_1")) == 1


def test_a_retry_is_priced_by_the_version_it_names() -> None:
    """With all other configs as they are now; a version to come, another type and an unknown one are none."""
    of = book(
        version(PRICES, "pricing"),
        version({"currency": "USD", "prices": {"input_token": "3"}}, "pricing", version=2),
        version({"currency": "USD", "prices": {"input_token": "4"}}, "pricing", version=3, effective_at=NOW + 1),
        version(OVERDRAFT, id="cfg_2"),
    )
    policy = policy_of(of)
    pinned = of.pinned(policy, "cfg_1", 1)
    assert pinned is not None
    assert policy.prices["USD"].by_meter == {"input_token": 3}
    assert pinned.prices["USD"].by_meter == {"input_token": Decimal("0.0000001500000001")}
    assert pinned.prices["USD"].config_version == 1
    assert pinned.overdraft_units == policy.overdraft_units
    assert versions_in(pinned.versions) == {"cfg_1": 1, "cfg_2": 1}
    assert of.pinned(policy, "cfg_1", 3) is None
    assert of.pinned(policy, "cfg_1", 0) is None


def test_an_id_that_names_no_price_is_a_link_and_changes_none() -> None:
    """A config of another type, one that nobody has, and one that does not apply to the entity."""
    of = book(
        version(PRICES, "pricing"), version(OVERDRAFT, id="cfg_2"), version(PRICES, "pricing", id="cfg_3", applies_to="asset")
    )
    policy = policy_of(of)
    for config_id in ("cfg_2", "cfg_3", "cfg_nobody"):
        linked = of.pinned(policy, config_id, 9)
        assert linked is not None
        assert (linked.prices, bytes(linked.versions)) == (policy.prices, bytes(policy.versions))
    linked = of.pinned(NO_POLICY, "cfg_1", 1)
    assert linked is not None
    assert not linked.prices


def test_a_retry_is_priced_by_the_version_it_names_also_where_another_config_is_named_now() -> None:
    """A narrower one came between and is cheaper, or the one that priced first was switched off."""
    wide = [
        version({"currency": "USD", "prices": {"call": price}}, "pricing", scope="platform", version=number)
        for number, price in ((1, "2"), (2, "5"))
    ]
    of = book(*wide, version({"currency": "USD", "prices": {"call": "1"}}, "pricing", id="cfg_2"))
    policy = policy_of(of)
    assert (policy.prices["USD"].config_id, policy.prices["USD"].by_meter) == ("cfg_2", {"call": 5})
    pinned = of.pinned(policy, "cfg_1", 1)
    assert pinned is not None
    assert pinned.prices["USD"].by_meter == {"call": 2}
    assert versions_in(pinned.versions) == {"cfg_1": 1, "cfg_2": 1}
    assert of.pinned(policy, "cfg_1", 3) is None
    off = book(*wide, version({}, "pricing", scope="platform", version=3))
    assert not policy_of(off).prices
    pinned = off.pinned(policy_of(off), "cfg_1", 1)
    assert pinned is not None
    assert pinned.prices["USD"].by_meter == {"call": 2}


def test_a_price_that_was_overtaken_before_its_time_is_nobodys_first_price() -> None:
    """It never came into force, so no retry can have been given it: neither before its time nor after."""
    of = book(
        version(PRICES, "pricing"),
        version({"currency": "USD", "prices": {"input_token": "0"}}, "pricing", version=2, effective_at=NOW + 5),
        version({"currency": "USD", "prices": {"input_token": "4"}}, "pricing", version=3, effective_at=NOW + 3),
    )
    for at in (NOW + 3, NOW + 9):
        policy = policy_of(of, at=at)
        assert of.pinned(policy, "cfg_1", 2) is None
        assert of.pinned(policy, "cfg_1", 1) is not None
        assert of.pinned(policy, "cfg_1", 3) is not None


def test_the_versions_on_a_fact_give_its_policy_again() -> None:
    """For whoever explains an old decision."""
    of = book(version(OVERDRAFT), version({"overdraft": {"USD": "1"}}, version=2))
    old = of.at_versions({"cfg_1": 1})
    assert old is not None
    assert old.overdraft_units == {"USD": 100 * UNITS}
    assert of.at_versions({"cfg_1": 9}) is None
    assert of.at_versions({}) is NO_POLICY


# Writing -----------------------------------------------------------------------------------------


def refused(of: Book, command: Any) -> tuple[Outcome, str] | None:
    found = of.refuse(command, NOW)
    return (
        None if found is None else (found.outcome, " ".join(part for part in (found.rule, found.currency, found.detail) if part))
    )


REFUSED: list[tuple[Any, str]] = [
    (put(OVERDRAFT, scope="platform", tenant_id=TENANT), "tenant_platform"),
    (put(OVERDRAFT, scope="entity"), "entity id"),
    (put(OVERDRAFT, effective_at=NOW - 1), "past"),
    (put({"overdraft": 1}), "overdraft"),
    (put(CAP | {"timezone": "Europe/Atlantis"}, "cap"), "Atlantis"),
    (put(RULE | {"schema": {"type": "nosuch"}}, "invariant"), "nosuch"),
]


@pytest.mark.parametrize(("command", "word"), REFUSED, ids=[word for _, word in REFUSED])
def test_a_config_that_is_not_possible_is_refused_with_the_reason(command: Any, word: str) -> None:
    """One code for all of them."""
    found = refused(book(), command)
    assert found is not None
    assert found[0] is Outcome.BAD_CONFIG
    assert word in found[1]


def test_what_is_possible_is_taken() -> None:
    """Also for a time to come, and at this very moment."""
    assert refused(book(), put(OVERDRAFT)) is None
    assert refused(book(), put(OVERDRAFT, effective_at=NOW)) is None
    assert refused(book(), put(CAP, "cap", scope="entity", applies_to="acct_1", effective_at=NOW + 1)) is None
    assert refused(book(), put({}, "invariant", scope="platform")) is None


LOOSER: list[tuple[str, Any, Any]] = [
    ("budget", {"overdraft": {"USD": "1"}}, {"overdraft": {"USD": "2"}}),
    ("budget", {"overdraft": {}}, {"overdraft": {"USD": "1"}}),
    ("budget", {"confirm_above_hold": "refused"}, {"confirm_above_hold": "topped_up"}),
    ("budget", {"ttl_ms_max": 5}, {"ttl_ms_max": 6}),
    ("cap", CAP, {**CAP, "limits": [{**CAP["limits"][0], "max_count": 6}]}),  # type: ignore[dict-item]
    ("pricing", PRICES, {"currency": "USD", "prices": {"input_token": "0.00000001"}}),
    ("pricing", {"currency": "USD", "max_amount": "5"}, {"currency": "USD", "max_amount": "6"}),
    ("access", ROLES, {"roles": {"buyer": ["authorize", "settle"]}}),
    ("access", ROLES, {"roles": {"guest": ["read"]}}),
    ("routing", ROUTES, {"candidates": [{"asset_id": "asset_2"}]}),
    ("routing", ROUTES, {"candidates": [{"asset_id": "asset_1", "max_price": "3"}]}),
    ("invariant", RULE, RULE | {"severity": "warning"}),
]


@pytest.mark.parametrize(("kind", "wider", "narrower"), LOOSER, ids=[f"{kind}-{n}" for n, (kind, _, _) in enumerate(LOOSER)])
def test_loosening_a_wider_scope_is_refused_and_tightening_is_not(kind: str, wider: Any, narrower: Any) -> None:
    """The refusal names the config that stands above."""
    of = book(version(wider, kind, scope="platform"))
    for scope, applies_to in (("tenant", "*"), ("tenant", "account"), ("entity", "acct_1")):
        found = refused(of, put(narrower, kind, scope=scope, applies_to=applies_to))
        assert found is not None
        assert found[0] is Outcome.CONFIG_LOOSENS
        assert "cfg_1" in found[1]
        assert refused(of, put(wider, kind, scope=scope, applies_to=applies_to)) is None
    assert refused(of, put(narrower, kind, scope="platform")) is None
    assert refused(of, put(narrower, kind, applies_to="key")) is None  # what is above does not reach it


def test_a_config_to_come_counts_among_those_above() -> None:
    """And one that is not in force any more does not."""
    of = book(
        version({"overdraft": {"USD": "1"}}, scope="platform"),
        version({"overdraft": {"USD": "5"}}, scope="platform", version=2, effective_at=NOW - 10),
        version({"overdraft": {"USD": "3"}}, scope="platform", version=3, effective_at=NOW + 10),
    )
    assert refused(of, put({"overdraft": {"USD": "3"}})) is None
    found = refused(of, put({"overdraft": {"USD": "4"}}))
    assert found is not None
    assert "cfg_1/3" in found[1]


def test_more_limits_than_an_entity_may_have_are_refused() -> None:
    """Counted over the configs of one scope that meet: those for everything and those for its type."""
    most = LIMITS_MAX[Scope.TENANT]

    def limits(count: int) -> dict[str, Any]:
        return {"limits": [{"name": f"l{n}", "counts": "spend", "window": "total", "max_count": n} for n in range(count)]}

    of = book(version(limits(most - 2), "cap"), version(limits(1), "cap", id="cfg_2", applies_to="account"))
    assert refused(of, put(limits(2), "cap", applies_to="asset")) is None
    assert refused(of, put(limits(1), "cap")) is None
    for command in (put(limits(2), "cap", applies_to="account"), put(limits(2), "cap")):
        assert refused(of, command) is not None
    own = put(limits(most), "cap", ledger_id="config_cfg_1")
    assert refused(book(version(limits(most), "cap")), own) is None  # the next version of the same config stands for it


def test_more_configs_than_a_fact_can_name_are_refused() -> None:
    """Per type, scope and target."""
    of = book(*(version(OVERDRAFT, id=f"cfg_{n}") for n in range(CONFIGS_PER_TARGET_MAX)))
    assert refused(of, put(OVERDRAFT)) is not None
    assert refused(of, put(OVERDRAFT, applies_to="key")) is None
    assert refused(of, put(OVERDRAFT, scope="entity", applies_to="acct_1")) is None
    rules = book(*(version(RULE, "invariant", id=f"cfg_{n}", scope="platform") for n in range(CHECKS_MAX[Scope.PLATFORM])))
    assert refused(rules, put(RULE, "invariant", scope="platform")) is not None
