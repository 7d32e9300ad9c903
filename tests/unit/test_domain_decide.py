"""Decisions, as a table: a state in few commands, a command, what it comes to, and what is then available."""

from typing import Any, NamedTuple

import msgspec
import pytest
from msgspec import Raw

from tests.unit.test_log_world import FAR, LEDGER, NOW, OTHER, TENANT, Bench, add, create, deduct, note, read, reserve
from z0.codec import encode_command
from z0.domain.commands import (
    TIMESTAMP_MAX,
    Append,
    Command,
    Confirm,
    GrantAccess,
    PutConfig,
    Release,
    RevokeAccess,
    Settle,
    UpdateEntity,
)
from z0.domain.decide import EVENT_TIME_FUTURE_MAX_MS, EVENT_TIME_PAST_MAX_MS
from z0.domain.entity import Changes, Status
from z0.domain.facts import ConfigType, Scope, Source
from z0.domain.outcome import Kind, Outcome, kind
from z0.domain.views import StateView

HOUR = 3_600_000
A = Outcome.ACCEPTED


def charge(
    id: str,  # noqa: A002
    amount: str | None = "1",
    currency: str | None = "USD",
    *,
    source_id: str | None = f"{LEDGER}.3",
    **fields: Any,
) -> Append:
    base: dict[str, Any] = {"id": id, "tenant_id": TENANT, "ledger_id": LEDGER, "type": "charge"}
    return Append(**base, amount=amount, currency=currency, source_id=source_id, **fields)


def cost(id: str, amount: str | None = "1", **fields: Any) -> Append:  # noqa: A002
    return append(id, "cost", amount=amount, currency="USD" if amount is not None else None, **fields)


def proof(ledger: str, seq: int, digest: str = "0a" * 32) -> Source:
    return Source(f"{ledger}.{seq}", ledger, seq, digest)


def settle(id: str, stage: Any, charge_id: str = f"{LEDGER}.4") -> Settle:  # noqa: A002
    return Settle(id=id, tenant_id=TENANT, ledger_id=LEDGER, charge_id=charge_id, stage=stage)


def grant(id: str, user: str = "user_1", role: str = "buyer") -> GrantAccess:  # noqa: A002
    return GrantAccess(id=id, tenant_id=TENANT, ledger_id=LEDGER, grantee_id=user, role=role)


def revoke(id: str, user: str = "user_1") -> RevokeAccess:  # noqa: A002
    return RevokeAccess(id=id, tenant_id=TENANT, ledger_id=LEDGER, grantee_id=user)


def put(id: str, *, settings: bytes = b"{}", **fields: Any) -> PutConfig:  # noqa: A002
    given: dict[str, Any] = {"type": ConfigType.BUDGET, "scope": Scope.TENANT, "ledger_id": "config_cfg_1"} | fields
    return PutConfig(id=id, tenant_id=TENANT, settings=Raw(settings), **given)


def update(id: str, **changes: Any) -> UpdateEntity:  # noqa: A002
    return UpdateEntity(id=id, tenant_id=TENANT, ledger_id=LEDGER, changes=Changes(**changes))


def append(id: str, type: str, **fields: Any) -> Append:  # noqa: A002
    return Append(id=id, tenant_id=TENANT, ledger_id=LEDGER, type=type, **fields)


def confirm(id: str, reservation: str, amount: str | None = None, **fields: Any) -> Confirm:  # noqa: A002
    return Confirm(id=id, tenant_id=TENANT, ledger_id=LEDGER, reservation_id=reservation, amount=amount, **fields)


def release(id: str, reservation: str, **fields: Any) -> Release:  # noqa: A002
    return Release(id=id, tenant_id=TENANT, ledger_id=LEDGER, reservation_id=reservation, **fields)


def grow(id: str, field: str) -> UpdateEntity:  # noqa: A002
    """An update that sets a field to 150,000 characters: one fits an entity, two do not."""
    return UpdateEntity(id=id, tenant_id=TENANT, ledger_id=LEDGER, changes=Changes(data={field: "x" * 150_000}))


class Case(NamedTuple):
    """One line of the table."""

    given: list[Command]
    when: Command
    then: Outcome
    available: str | None = None  # of the answer
    fact: str | None = None  # type/subtype of the last fact


EMPTY: list[Command] = [create()]
RICH: list[Command] = [create(), add("a1", "10")]
HELD: list[Command] = [*RICH, reserve("r1", "4")]
# An outcome at seq 3 that charges may name, and an unsettled charge at seq 4.
DONE: list[Command] = [*RICH, append("o1", "outcome", timestamp=NOW - 5)]
OWED: list[Command] = [*DONE, charge("c1", "3", subtype="incurred")]
REFUSED = "decision/refused"

CASES = [
    Case([], create(), A, None, "lifecycle/created"),
    Case(EMPTY, create("again"), Outcome.ENTITY_EXISTS, None, REFUSED),
    Case(EMPTY, add("x", "0.000000000001"), A, "0.000000000001", "deposit"),
    Case(EMPTY, add("x", "5", kind="credit"), A, "5", "credit_issued"),
    Case(RICH, add("x", "2.50"), A, "12.5", "deposit"),
    Case(RICH, add("x", "9" * 26), Outcome.AMOUNT_OVERFLOW, "10", REFUSED),
    Case(RICH, add("x", "9" * 26, currency="EUR"), A, "9" * 26, "deposit"),
    Case([create(), grow("g1", "a")], grow("g2", "b"), Outcome.ENTITY_TOO_LARGE, None, REFUSED),
    Case([create(), grow("g1", "a")], grow("g2", "a"), A, None, "lifecycle/updated"),
    Case(EMPTY, add("x", "0"), Outcome.BAD_AMOUNT),
    Case(EMPTY, add("x", "-1"), Outcome.BAD_AMOUNT),
    Case(EMPTY, add("x", "1", currency="XXX"), Outcome.UNKNOWN_CURRENCY),
    Case(RICH, deduct("x", "10"), A, "0", "budget/deducted"),
    Case(RICH, deduct("x", "10.000000000001"), Outcome.BUDGET_EXHAUSTED, "10", REFUSED),
    Case(RICH, deduct("x", "1", currency="EUR"), Outcome.BUDGET_EXHAUSTED, "0", REFUSED),
    Case(HELD, deduct("x", "6.5"), Outcome.BUDGET_EXHAUSTED, "6", REFUSED),
    Case(HELD, deduct("x", "6"), A, "0", "budget/deducted"),
    Case(DONE, charge("x", "3"), A, "7", "charge"),
    Case(DONE, charge("x", "0"), A, "10", "charge"),
    Case(DONE, charge("x", "11"), Outcome.BUDGET_EXHAUSTED, "10", REFUSED),
    Case(DONE, charge("x", source_id=None), Outcome.SOURCE_MISSING, None, REFUSED),
    Case(DONE, charge("x", source_id="order-7"), Outcome.SOURCE_INVALID, None, REFUSED),
    Case(DONE, charge("x", source_id=f"{LEDGER}.2"), Outcome.SOURCE_INVALID, None, REFUSED),
    Case(DONE, charge("x", source_id=f"{LEDGER}.9"), Outcome.SOURCE_INVALID, None, REFUSED),
    Case(DONE, charge("x", source_id=f"{LEDGER}.9", source=proof(LEDGER, 9)), Outcome.SOURCE_INVALID, None, REFUSED),
    Case(DONE, charge("x", source_id=f"{LEDGER}.1", source=proof(LEDGER, 1)), Outcome.SOURCE_INVALID, None, REFUSED),
    Case(DONE, charge("x", source_id=f"{LEDGER}.2", source=proof(LEDGER, 2)), Outcome.SOURCE_INVALID, None, REFUSED),
    Case(DONE, charge("x", source=proof(LEDGER, 3)), Outcome.SOURCE_INVALID, None, REFUSED),
    Case(DONE, charge("x", timestamp=NOW - 5), A, "9", "charge"),
    Case(DONE, charge("x", timestamp=NOW - 6), Outcome.SOURCE_LATER, None, REFUSED),
    Case(DONE, charge("x", source_id=f"{FAR}.9"), Outcome.SOURCE_INVALID, None, REFUSED),
    Case(DONE, charge("x", source_id=f"{FAR}.9", source=proof(FAR, 8)), Outcome.SOURCE_INVALID, None, REFUSED),
    Case(DONE, charge("x", source_id=f"{FAR}.9", source=proof(FAR, 9, "no")), Outcome.SOURCE_INVALID, None, REFUSED),
    Case(DONE, charge("x", source_id=f"{FAR}.9", source=proof(FAR, 9)), A, "9", "charge"),
    Case(DONE, charge("x", source_id=f"{OTHER}.9", source=proof(OTHER, 9)), Outcome.SOURCE_INVALID, None, REFUSED),
    Case(DONE, charge("x", "3", subtype="incurred"), A, "7", "charge/incurred"),
    Case(DONE, charge("x", subtype="pending"), Outcome.RESERVED_FACT_TYPE, None, REFUSED),
    Case(OWED, settle("x", "pending"), A, None, "charge/pending"),
    Case(OWED, settle("x", "settled"), A, None, "charge/settled"),
    Case([*OWED, settle("s", "pending")], settle("x", "settled"), A, None, "charge/settled"),
    Case([*OWED, settle("s", "pending")], settle("x", "pending"), Outcome.CHARGE_NOT_OPEN, None, REFUSED),
    Case([*OWED, settle("s", "settled")], settle("x", "settled"), Outcome.CHARGE_NOT_OPEN, None, REFUSED),
    Case(DONE, settle("x", "settled"), Outcome.CHARGE_NOT_OPEN, None, REFUSED),
    Case(DONE, settle("x", "settled", "charge 4"), Outcome.MALFORMED),
    Case(RICH, charge("x", None, None), Outcome.MISSING_AMOUNT, None, REFUSED),
    Case(RICH, charge("x", "1", None), Outcome.MISSING_AMOUNT, None, REFUSED),
    Case(RICH, charge("x", None, "USD"), Outcome.MISSING_AMOUNT, None, REFUSED),
    Case(DONE, charge("x", "3", subtype="llm"), A, "7", "charge/llm"),
    Case(EMPTY, note("x"), A, None, "note"),
    Case([create(), append("i", "invocation")], cost("x", "0.5", source_id=f"{LEDGER}.2"), A, None, "cost"),
    Case([create(), append("i", "invocation")], cost("x", "0", source_id=f"{LEDGER}.2"), A, None, "cost"),
    Case([create(), append("i", "invocation")], cost("x", None, source_id=f"{LEDGER}.2"), Outcome.MISSING_AMOUNT, None, REFUSED),
    Case(DONE, cost("x", source_id=f"{LEDGER}.3"), Outcome.SOURCE_INVALID, None, REFUSED),
    Case(EMPTY, cost("x"), Outcome.SOURCE_MISSING, None, REFUSED),
    Case(EMPTY, grant("x"), A, None, "access_granted"),
    Case([*EMPTY, grant("g")], grant("x", role="owner"), A, None, "access_modified"),
    Case([*EMPTY, grant("g")], revoke("x"), A, None, "access_revoked"),
    Case(EMPTY, revoke("x"), Outcome.GRANT_NOT_FOUND, None, REFUSED),
    Case(EMPTY, grant("x", "acct_1"), Outcome.MALFORMED),
    Case(EMPTY, grant("x", role="No Role"), Outcome.MALFORMED),
    Case(EMPTY, grant("x", role="buyer\n"), Outcome.MALFORMED),
    Case([put("p")], put("x", expected_version=1), A, None, "config/versioned"),
    Case([put("p")], put("x", expected_version=2), Outcome.VERSION_CONFLICT, None, REFUSED),
    Case([put("p")], put("x", type=ConfigType.CAP), Outcome.BAD_CONFIG, None, REFUSED),
    Case([put("p")], put("x", applies_to="account"), Outcome.BAD_CONFIG, None, REFUSED),
    Case([put("p")], put("x", effective_at=NOW - 1), Outcome.BAD_CONFIG, None, REFUSED),
    Case([put("p")], put("x", effective_at=NOW + HOUR), A, None, "config/versioned"),
    Case([], put("x", effective_at=NOW - 1), Outcome.BAD_CONFIG),
    Case([], put("x", ledger_id=LEDGER), Outcome.MALFORMED),
    Case([], put("x", settings=b"7"), Outcome.MALFORMED),
    Case(RICH, add("x", "5", kind="transfer"), A, "15", "budget/transferred_in"),
    Case(RICH, reserve("x", "4", purpose="transfer"), A, "6", "budget/reserved"),
    Case([*RICH, reserve("r1", "4", purpose="transfer")], confirm("x", "r1", "3"), A, "7", "budget/transferred_out"),
    Case([*RICH, reserve("r1", "4", purpose="transfer")], release("x", "r1"), A, "10", "budget/released"),
    Case(EMPTY, append("x", "outcome", amount="5"), Outcome.MISSING_AMOUNT, None, REFUSED),
    Case(EMPTY, append("x", "budget", subtype="reserved"), Outcome.RESERVED_FACT_TYPE, None, REFUSED),
    Case(EMPTY, append("x", "decision"), Outcome.RESERVED_FACT_TYPE, None, REFUSED),
    Case(EMPTY, append("x", "deposit", amount="5", currency="USD"), Outcome.RESERVED_FACT_TYPE, None, REFUSED),
    Case(EMPTY, append("x", "credit_issued", amount="5", currency="USD"), Outcome.RESERVED_FACT_TYPE, None, REFUSED),
    Case(EMPTY, append("x", "lifecycle", subtype="created"), Outcome.RESERVED_FACT_TYPE, None, REFUSED),
    Case(EMPTY, append("x", "lifecycle", subtype="noticed"), A, None, "lifecycle/noticed"),
    Case(RICH, reserve("x", "10"), A, "0", "budget/reserved"),
    Case(RICH, reserve("x", "11"), Outcome.BUDGET_EXHAUSTED, "10", REFUSED),
    Case(RICH, reserve("x", "0"), Outcome.BAD_AMOUNT),
    Case(RICH, reserve("x", ttl_ms=0), Outcome.MALFORMED),
    Case(RICH, reserve("x", ttl_ms=-1), Outcome.MALFORMED),
    Case(RICH, reserve("x", ttl_ms=367 * 24 * HOUR), Outcome.MALFORMED),
    Case(RICH, reserve("x", reservation_id="a b"), Outcome.MALFORMED),
    Case(RICH, reserve("x", reservation_id="r" * 201), Outcome.MALFORMED),
    Case(RICH, reserve("x", workflow_id="w" * 201), Outcome.MALFORMED),
    Case(HELD, reserve("x", reservation_id="r1"), Outcome.RESERVATION_EXISTS, "6", REFUSED),
    Case([*HELD, release("l", "r1")], reserve("x", reservation_id="r1"), A, "9", "budget/reserved"),
    Case(HELD, confirm("x", "r1"), A, "6", "budget/confirmed"),
    Case(HELD, confirm("x", "r1", "1.5"), A, "8.5", "budget/confirmed"),
    Case(HELD, confirm("x", "r1", "0"), A, "10", "budget/confirmed"),
    Case(HELD, confirm("x", "r1", "4.000000000001"), Outcome.CONFIRM_ABOVE_HOLD, "6", REFUSED),
    Case(HELD, confirm("x", "r2"), Outcome.RESERVATION_NOT_OPEN, None, REFUSED),
    Case([*HELD, confirm("c", "r1", "1")], confirm("x", "r1", "1"), Outcome.RESERVATION_NOT_OPEN, None, REFUSED),
    Case(HELD, release("x", "r1"), A, "10", "budget/released"),
    Case(HELD, release("x", "r2"), Outcome.RESERVATION_NOT_OPEN, None, REFUSED),
    Case([*HELD, release("l", "r1")], release("x", "r1"), Outcome.RESERVATION_NOT_OPEN, None, REFUSED),
    Case(RICH, note("x", timestamp=NOW - EVENT_TIME_PAST_MAX_MS), A, None, "note"),
    Case(RICH, note("x", timestamp=NOW - EVENT_TIME_PAST_MAX_MS - 1), Outcome.TIMESTAMP_OUT_OF_BOUNDS, None, REFUSED),
    Case(RICH, note("x", timestamp=NOW + EVENT_TIME_FUTURE_MAX_MS), A, None, "note"),
    Case(RICH, note("x", timestamp=NOW + EVENT_TIME_FUTURE_MAX_MS + 1), Outcome.TIMESTAMP_OUT_OF_BOUNDS, None, REFUSED),
    Case([], add("x"), Outcome.UNKNOWN_ENTITY),
    Case([], read("x"), Outcome.UNKNOWN_ENTITY),
    Case([], create(timestamp=1), Outcome.TIMESTAMP_OUT_OF_BOUNDS),
    Case(EMPTY, note("x", reply_to="acct_1"), Outcome.BAD_LEDGER_ID),
    Case(EMPTY, note("a b"), Outcome.BAD_COMMAND_ID),
    Case(EMPTY, note("x", ledger="account_asset_1"), Outcome.BAD_LEDGER_ID),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{c.when.__struct_config__.tag}-{c.then}-{i}" for i, c in enumerate(CASES)])
def test_a_command_on_a_state_comes_to_its_outcome_and_leaves_its_fact(case: Case) -> None:
    """Accepted and final outcomes leave one fact, the others none; the answer says what is available after it."""
    bench = Bench()
    bench.decide(*case.given)
    before = len(bench.facts)
    answer = bench.one(case.when)
    assert answer.outcome is case.then
    assert answer.available == case.available
    new = bench.facts[before:]
    assert [f"{f.type}/{f.subtype}" if f.subtype else f.type for f in new] == ([case.fact] if case.fact else [])
    if new:
        assert new[0].outcome == case.then
        assert (answer.seq, answer.offset, answer.recorded_at) == (new[0].seq, new[0].offset, NOW)


def test_a_read_leaves_no_fact_and_shows_the_state() -> None:
    """Metadata, head of the chain, budgets, open reservations."""
    bench = Bench()
    bench.decide(*HELD)
    answer = bench.one(read())
    view = msgspec.json.decode(answer.state, type=StateView)
    assert (answer.outcome, answer.seq, len(bench.facts)) == (A, 0, 3)
    assert (view.seq, view.head_hash) == (3, bench.last.hash)
    assert (view.budgets["USD"].reserved, view.budgets["USD"].remaining, view.reservations["r1"].amount) == ("4", "10", "4")
    assert view.reservations_open == 1


def test_an_absent_ttl_is_one_hour_and_the_reservations_name_is_the_commands() -> None:
    """`expires_at` counts from the batch's time, never from the caller's."""
    bench = Bench()
    bench.decide(*RICH)
    answer = bench.one(reserve("r1", timestamp=NOW - HOUR))
    assert (answer.reservation_id, answer.expires_at) == ("r1", NOW + HOUR)
    assert bench.one(reserve("r2", reservation_id="mine", ttl_ms=5)).expires_at == NOW + 5


def test_a_closing_fact_says_what_the_reservation_had_held() -> None:
    """So that a store that only adds up needs no look-up."""
    bench = Bench()
    bench.decide(*HELD, confirm("c", "r1", "1.5"))
    assert (bench.last.amount, bench.last.held, bench.last.available) == ("1.5", "4", "8.5")


def test_a_refusal_fact_says_code_rule_request_and_the_balance_before_and_after() -> None:
    """`request` holds the command byte for byte, so that the decision can be made again."""
    bench = Bench()
    bench.decide(*HELD)
    command = deduct("d1", "7", user_id="user_1")
    bench.one(command)
    data = msgspec.json.decode(bench.last.data)
    assert (data["code"], data["rule"], data["op"]) == ("budget_exhausted", "budget.available", "deduct_budget")
    assert encode_command(command) in bytes(bench.last.data)
    assert data["before"] == data["after"]
    assert (data["before"]["available"], data["before"]["reserved"]) == ("6", "4")
    assert (bench.last.user_id, bench.last.command_id, bench.last.currency) == ("user_1", "d1", "USD")


def test_what_a_command_says_of_its_context_is_on_its_fact() -> None:
    """Links, event time, reply_to and payload are carried as they were given."""
    bench = Bench()
    bench.one(create())
    links: dict[str, Any] = {
        "source_id": "account_acct_9.1",
        "campaign_id": "camp_1",
        "config_version": 3,
        "trace_id": "t",
        "workflow_id": "wf_1",
    }
    bench.one(note("n1", text="é", timestamp=NOW - 5, reply_to="workflow_wf_1", **links))
    fact = bench.last
    assert {name: getattr(fact, name) for name in links} == links
    assert (fact.timestamp, fact.recorded_at, fact.reply_to) == (NOW - 5, NOW, "workflow_wf_1")
    assert bytes(fact.data) == '{"text":"é"}'.encode()


PRECEDENCE: list[tuple[Command, list[Outcome]]] = [
    (note("a b", reply_to="x", workflow_id=""), [Outcome.MALFORMED, Outcome.BAD_COMMAND_ID, Outcome.BAD_LEDGER_ID]),
    (add("a b", "x", "x", "x"), [Outcome.BAD_COMMAND_ID, Outcome.BAD_LEDGER_ID, Outcome.BAD_AMOUNT, Outcome.UNKNOWN_CURRENCY]),
    (add("x", "x", "x", "x"), [Outcome.BAD_LEDGER_ID, Outcome.BAD_AMOUNT, Outcome.UNKNOWN_CURRENCY]),
    (add("x", "x", currency="x"), [Outcome.BAD_AMOUNT, Outcome.UNKNOWN_CURRENCY]),
    (add("a1", "5", timestamp=1), [Outcome.ID_REUSED, Outcome.TIMESTAMP_OUT_OF_BOUNDS]),
    (add("a1", "5", ledger=OTHER), [Outcome.UNKNOWN_ENTITY]),
    (create("c2", timestamp=1), [Outcome.ENTITY_EXISTS, Outcome.TIMESTAMP_OUT_OF_BOUNDS]),
    (append("x", "budget", amount="1", timestamp=1), [Outcome.TIMESTAMP_OUT_OF_BOUNDS, Outcome.RESERVED_FACT_TYPE]),
    (append("x", "budget", amount="1"), [Outcome.RESERVED_FACT_TYPE, Outcome.MISSING_AMOUNT]),
    (reserve("x", "50", reservation_id="r1"), [Outcome.RESERVATION_EXISTS, Outcome.BUDGET_EXHAUSTED]),
]


@pytest.mark.parametrize(("command", "deserved"), PRECEDENCE)
def test_a_command_that_deserves_several_outcomes_gets_the_first_of_the_list(command: Command, deserved: list[Outcome]) -> None:
    """The order of the enum is the order of the rules."""
    bench = Bench()
    bench.decide(*HELD)
    assert deserved == sorted(deserved, key=list(Outcome).index)
    assert bench.one(command).outcome is deserved[0]


def test_unrecorded_refusals_leave_no_fact_and_do_not_stick() -> None:
    """The same id may be sent again once its reason is gone."""
    bench = Bench()
    assert bench.one(add("a1", "5")).outcome is Outcome.UNKNOWN_ENTITY
    bench.one(create())
    assert bench.one(add("a1", "x")).outcome is Outcome.BAD_AMOUNT
    assert bench.one(add("a1", "5")).outcome is A
    assert [f.command_id for f in bench.facts] == ["create", "a1"]


def test_final_refusals_stick_also_when_their_reason_is_gone() -> None:
    """The first outcome again, marked `repeated`: the caller's two tries cannot differ."""
    bench = Bench()
    bench.decide(*RICH)
    first = bench.one(deduct("d1", "50"))
    bench.one(add("a2", "100"))
    again = bench.one(deduct("d1", "50"))
    assert (first.outcome, again.outcome) == (Outcome.BUDGET_EXHAUSTED, Outcome.BUDGET_EXHAUSTED)
    assert (first.repeated, again.repeated, again.seq) == (False, True, first.seq)
    assert msgspec.structs.replace(again, repeated=False) == first


def test_another_tenants_ledger_answers_like_one_that_does_not_exist() -> None:
    """To every command but a creation, which must say that the name is taken; no fact is left in either case."""
    bench = Bench()
    bench.decide(*HELD)
    commands: list[Command] = [add("x"), deduct("x"), reserve("x"), note("x"), read("x"), confirm("x", "r1"), release("x", "r1")]
    for command in commands:
        foreign = msgspec.structs.replace(command, tenant_id="tenant_2")
        unknown = msgspec.structs.replace(foreign, ledger_id=OTHER)
        answers = [bench.one(foreign), bench.one(unknown)]
        assert [a.outcome for a in answers] == [Outcome.UNKNOWN_ENTITY] * 2
        assert msgspec.structs.replace(answers[0], ledger_id="") == msgspec.structs.replace(answers[1], ledger_id="")
    assert bench.one(create("c", tenant="tenant_2")).outcome is Outcome.ENTITY_EXISTS
    assert len(bench.facts) == 3


def test_another_tenants_command_of_the_same_id_is_no_repeat() -> None:
    """Ids are unique within (tenant, ledger): the first outcome is not told to strangers."""
    bench = Bench()
    bench.decide(*RICH)
    foreign = msgspec.structs.replace(add("a1", "10"), tenant_id="tenant_2")
    assert bench.one(foreign).outcome is Outcome.UNKNOWN_ENTITY


def test_a_refused_creation_leaves_no_fact_on_a_ledger_that_does_not_exist() -> None:
    """Otherwise one tenant's refusal would be the first fact of another's ledger."""
    bench = Bench()
    assert bench.one(create(timestamp=1, tenant="tenant_2")).outcome is Outcome.TIMESTAMP_OUT_OF_BOUNDS
    answer = bench.one(create())
    assert (answer.outcome, answer.seq) == (A, 1)


def test_a_refused_event_time_does_not_become_the_facts_time() -> None:
    """Stores partition and expire by it; what was asked stands in the request that the refusal quotes."""
    bench = Bench()
    bench.decide(create())
    assert bench.one(note("n", timestamp=1)).outcome is Outcome.TIMESTAMP_OUT_OF_BOUNDS
    assert bench.facts[-1].timestamp == bench.facts[-1].recorded_at == NOW


def test_an_event_time_out_of_bounds_does_not_become_the_facts_time_whatever_it_is_refused_for() -> None:
    """The lifecycle has its say first."""
    bench = Bench()
    bench.decide(create(), update("u1", status=Status.DELETED))
    assert bench.one(note("n1", timestamp=TIMESTAMP_MAX)).outcome is Outcome.ENTITY_NOT_ACTIVE
    assert bench.last.timestamp == NOW
    assert bench.one(note("n2", timestamp=NOW - 1)).outcome is Outcome.ENTITY_NOT_ACTIVE
    assert bench.last.timestamp == NOW - 1


def test_an_entity_that_grew_by_being_written_out_can_still_be_ended() -> None:
    """`1e15` is 18 characters as a value: its data is larger than an update may leave, and no update of other fields grows it."""
    bench = Bench()
    data = b'{"a":[%b1]}' % (b"1e15," * 40_000)
    assert bench.one(create(data=Raw(data))).outcome is Outcome.ACCEPTED
    assert bench.one(update("u1", data={"b": 1})).outcome is Outcome.ENTITY_TOO_LARGE
    assert bench.one(update("u2", status=Status.RETIRING)).outcome is Outcome.ACCEPTED


def test_every_outcome_that_leaves_a_fact_is_in_the_table() -> None:
    """So that a new rule gets its line."""
    late = {Outcome.TOO_MANY_HOLDS, Outcome.ENTITY_NOT_ACTIVE, Outcome.BAD_TRANSITION}  # in files of their own, as those below
    late |= {Outcome.TOO_MANY_GRANTS, Outcome.TOO_MANY_CHARGES, Outcome.CONFIG_LOOSENS, Outcome.UNKNOWN_CONFIG_VERSION}
    late |= {Outcome.ACCESS_DENIED, Outcome.CAP_EXHAUSTED, Outcome.UNPRICED, Outcome.PRICE_OUT_OF_BOUNDS}
    late |= {Outcome.INVARIANT_BROKEN}
    assert {o for o in Outcome if kind(o) is Kind.FINAL} - late <= {case.then for case in CASES}
