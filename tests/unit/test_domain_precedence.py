"""Which of several outcomes a command gets, and what the worker's copy of all configs has to say in it."""

from typing import Any

from msgspec import Raw

from tests.unit.test_domain_eligibility import (
    DAY,
    PRICES,
    A,
    _base,
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
from tests.unit.test_log_world import NOW, TENANT
from z0.domain.commands import Append, Command, PutConfig, UpdateEntity
from z0.domain.entity import Changes, Status
from z0.domain.facts import ConfigType, Scope
from z0.domain.outcome import Outcome
from z0.domain.state import HOLDS_MAX, Hold


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
        Outcome.RESERVED_FACT_TYPE: Append(id=name(), type="deposit", **_base),
        Outcome.MISSING_AMOUNT: Append(id=name(), type="charge", **_base),
        Outcome.UNKNOWN_CONFIG_VERSION: authorize("1", **UNKNOWN_VERSION),
        Outcome.RESERVATION_EXISTS: authorize(None, reservation_id="r1", usage={"minute": "1"}, **owner),
        Outcome.AMOUNT_OVERFLOW: authorize(None, usage={"call": "9"}, **owner),
        Outcome.CAP_EXHAUSTED: authorize(None, usage={"minute": "1"}, **owner),
    }
    assert {outcome: bench.one(command).outcome for outcome, command in deserve.items()} == {o: o for o in deserve}
    bench.one(UpdateEntity(id=name(), changes=Changes(status=Status.RETIRING), **_base))
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
