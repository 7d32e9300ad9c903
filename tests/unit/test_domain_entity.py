"""Entities: the lifecycle's arrows, what each status takes, and how metadata is merged."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from tests.unit.test_domain_decide import append, charge, grant, revoke, settle
from tests.unit.test_log_world import LEDGER, TENANT, Bench, add, create, deduct, note, read, reserve
from z0.domain.commands import Command, Confirm, Release, UpdateEntity
from z0.domain.entity import ARROWS, Changes, Status, merge_patch
from z0.domain.outcome import Outcome

PATHS = {
    Status.ACTIVE: [],
    Status.RETIRING: [Status.RETIRING],
    Status.RETIRED: [Status.RETIRING, Status.RETIRED],
    Status.ANONYMIZED: [Status.ANONYMIZED],
    Status.DELETED: [Status.DELETED],
}


def update(id: str, **changes: Any) -> UpdateEntity:  # noqa: A002
    return UpdateEntity(id=id, tenant_id=TENANT, ledger_id=LEDGER, changes=Changes(**changes))


def bench_at(status: Status) -> Bench:
    """A ledger with money and two open holds, its entity in a status."""
    bench = Bench()
    bench.decide(create(), add("a1"), reserve("r1", "5"), reserve("r2", "5"))
    for step in PATHS[status]:
        assert bench.one(update(f"to-{step}", status=step)).outcome is Outcome.ACCEPTED
    return bench


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("target", list(Status))
def test_only_the_arrows_of_the_lifecycle_can_be_taken(status: Status, target: Status) -> None:
    """What ended stays ended; an update that names the present status is an update like any other."""
    bench = bench_at(status)
    answer = bench.one(update("step", status=target))
    if target in ARROWS[status] or (target is status and status in (Status.ACTIVE, Status.RETIRING)):
        assert answer.outcome is Outcome.ACCEPTED
        assert bench.state().entity.status is target  # type: ignore[union-attr]
    else:
        assert answer.outcome is (Outcome.ENTITY_NOT_ACTIVE if target is status else Outcome.BAD_TRANSITION)
        assert bench.state().entity.status is status  # type: ignore[union-attr]


def test_an_entity_retires_in_two_steps_and_may_be_anonymized_or_deleted_from_any_but_these() -> None:
    """Written out: nothing is retired that was not draining, and no arrow leads out of the ends."""
    arrows = {(str(status), str(target)) for status in Status for target in ARROWS[status]}
    gone = {(status, end) for status in ("active", "retiring", "retired") for end in ("anonymized", "deleted")}
    assert arrows == {("active", "retiring"), ("retiring", "retired")} | gone


CONFIRM = Confirm(id="c", tenant_id=TENANT, ledger_id=LEDGER, reservation_id="r1")
RELEASE = Release(id="l", tenant_id=TENANT, ledger_id=LEDGER, reservation_id="r2")
EVERYTHING: list[Command] = [add("x1"), deduct("x2"), reserve("x3"), note("x4"), update("x5", subtype="s"), CONFIRM, RELEASE]


@pytest.mark.parametrize(
    ("status", "takes"),
    [
        (Status.ACTIVE, {"x1", "x2", "x3", "x4", "x5", "c", "l"}),
        (Status.RETIRING, {"x5", "c", "l"}),
        (Status.RETIRED, set()),
        (Status.ANONYMIZED, set()),
        (Status.DELETED, set()),
    ],
)
def test_each_status_takes_its_commands_and_refuses_the_others(status: Status, takes: set[str]) -> None:
    """Retiring drains: holds are confirmed and released, nothing new begins. The ends take nothing, not even metadata."""
    bench = bench_at(status)
    for command in EVERYTHING:
        expected = Outcome.ACCEPTED if command.id in takes else Outcome.ENTITY_NOT_ACTIVE
        assert bench.one(command).outcome is expected, command.id
    assert bench.one(read()).outcome is Outcome.ACCEPTED


def test_a_retiring_entity_settles_what_it_owes_and_takes_roles_away_but_owes_nothing_new_and_gives_none() -> None:
    """Draining is of charges and of access too."""
    bench = Bench()
    bench.decide(create(), add("a1"), append("o1", "outcome"))
    bench.decide(*(charge(name, subtype="incurred") for name in ("c1", "c2")), grant("g1"), grant("g2", "user_2"))
    assert bench.one(update("to-retiring", status=Status.RETIRING)).outcome is Outcome.ACCEPTED
    drains: list[Command] = [settle("s1", "pending"), settle("s2", "settled"), revoke("v1")]
    begins: list[Command] = [
        charge("c3"),
        charge("c4", subtype="incurred"),
        grant("g3", "user_3"),
        grant("g4", "user_2", "owner"),
    ]
    assert [bench.one(command).outcome for command in drains] == [Outcome.ACCEPTED] * 3
    assert [bench.one(command).outcome for command in begins] == [Outcome.ENTITY_NOT_ACTIVE] * 4
    assert bench.one(update("to-retired", status=Status.RETIRED)).outcome is Outcome.ACCEPTED
    rest: list[Command] = [settle("s3", "settled", f"{LEDGER}.5"), revoke("v2", "user_2")]
    assert [bench.one(command).outcome for command in rest] == [Outcome.ENTITY_NOT_ACTIVE] * 2


@pytest.mark.parametrize("expected", [1, 3])
def test_an_update_for_another_version_than_the_present_one_is_refused(expected: int) -> None:
    """One that is gone as well as one that is not there yet."""
    bench = Bench()
    bench.decide(create(), update("u1", subtype="shop"))
    late = UpdateEntity(id="u2", tenant_id=TENANT, ledger_id=LEDGER, changes=Changes(subtype="mill"), expected_version=expected)
    assert bench.one(late).outcome is Outcome.VERSION_CONFLICT
    assert bench.one(msgspec.structs.replace(late, id="u3", expected_version=2)).outcome is Outcome.ACCEPTED


def test_an_ended_entity_takes_no_metadata_under_cover_of_its_own_status() -> None:
    """`status: deleted` beside other changes would otherwise rewrite what was deleted."""
    bench = bench_at(Status.DELETED)
    before = bench.state().entity
    assert bench.one(update("sly", status=Status.DELETED, owner_id="acct_9")).outcome is Outcome.ENTITY_NOT_ACTIVE
    assert bench.state().entity == before


def test_an_update_adds_one_to_the_version_and_keeps_what_it_does_not_name() -> None:
    """Absent stays, null clears, `data` is merged."""
    bench = Bench()
    bench.one(create(subtype="shop", owner_id="user_1", data=Raw(b'{"a":1,"b":{"c":2,"d":3}}')))
    bench.now += 1_000
    bench.one(update("u1", owner_id=None, data={"b": {"c": None}, "e": [1]}))
    entity = bench.state().entity
    assert entity is not None
    assert (entity.subtype, entity.owner_id, entity.version) == ("shop", None, 2)
    assert entity.data == {"a": 1, "b": {"d": 3}, "e": [1]}
    assert entity.updated_at == entity.created_at + 1_000


@pytest.mark.parametrize(
    ("target", "patch", "merged"),
    [  # appendix A of RFC 7396
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_metadata_is_merged_as_rfc_7396_says(target: Any, patch: Any, merged: Any) -> None:
    """Every example of the RFC's appendix."""
    assert merge_patch(target, patch) == merged
