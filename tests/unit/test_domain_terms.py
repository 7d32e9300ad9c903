"""What configs say of one entity, to the letter: every limit with its currency and its reset, every command with its role."""

from typing import Any

import msgspec
import pytest

from tests.unit.config_world import book as book_of
from tests.unit.config_world import version
from tests.unit.domain_world import (
    BASE,
    A,
    authorize,
    bench_with,
    cap,
    check,
    config,
    confirm,
    daily,
    grant,
    left,
    name,
    release,
    seen,
    view,
)
from tests.unit.test_config_windows import ms
from tests.unit.test_log_world import FAR, LEDGER, NOW, OTHER, TENANT, Bench, add, create, deduct, note, reserve
from z0.domain.answer import LimitView
from z0.domain.appending import SURELY_KEPT_MS
from z0.domain.commands import Append, Command, RevokeAccess, Settle
from z0.domain.facts import ConfigType, Source
from z0.domain.money import UNITS_MAX, format_amount
from z0.domain.outcome import Outcome
from z0.domain.state import CHARGES_MAX, ENDED_MAX, Charge
from z0.log.entry import RETENTION_MS

TOPPED_UP = config(ConfigType.BUDGET, {"confirm_above_hold": "topped_up"})
BERLIN = "Europe/Berlin"
EUROS = add("e1", "100", currency="EUR")


def limit(called: str, window: str, **fields: Any) -> dict[str, Any]:
    return {"name": called, "counts": "spend", "window": window} | fields


# Caps --------------------------------------------------------------------------------------------


def test_every_limit_says_what_is_left_of_it_and_when_it_begins_anew_on_its_own_clock() -> None:
    """Hours, days and months by count and by amount; a total and what is in flight never do."""
    dollars = {"max_amount": "50", "currency": "USD"}
    limits = [
        limit("hours", "hour", max_count=5),
        limit("days", "day", **dollars),
        limit("months", "month", **dollars),
        limit("month_count", "month", max_count=9),
        limit("all", "total", **dollars),
        limit("lines", "in_flight", max_count=3),
        limit("held", "in_flight", **dollars),
    ]
    bench = bench_with(cap(*limits, timezone=BERLIN))
    bench.now = ms("2027-03-31T23:30", BERLIN)
    [hour, april] = [ms(at, BERLIN) for at in ("2027-04-01T00:00", "2027-05-01T00:00")]
    held = bench.one(authorize("20", ttl_ms=3_600_000)).reservation_id or ""
    expected: list[tuple[str, str, str, int | None]] = [
        ("hours", "5", "4", hour),
        ("days", "50", "30", hour),
        ("months", "50", "30", hour),
        ("month_count", "9", "8", hour),
    ]
    expected += [("all", "50", "30", None), ("lines", "3", "2", None), ("held", "50", "30", None)]
    views = [LimitView(f"cap.cfg_cap/{rule}", most, rest, at) for rule, most, rest, at in expected]
    assert list(seen(bench.one(check())).limits) == [*views, LimitView("budget.USD", "100", "80")]
    bench.now = hour
    bench.one(confirm(held))
    after = {one.rule.rpartition("/")[2]: (one.left, one.resets_at) for one in seen(bench.one(check())).limits}
    assert after.pop("budget.USD") == ("80", None)
    assert after == {
        "hours": ("5", hour + 3_600_000),
        "days": ("50", ms("2027-04-02T00:00", BERLIN)),
        "months": ("50", april),
        "month_count": ("9", april),
        "all": ("30", None),
        "lines": ("3", None),
        "held": ("50", None),
    }


@pytest.mark.parametrize(("window", "when"), [("hour", 3_600_000), ("total", None), ("in_flight", None)])
def test_a_refusal_by_a_cap_says_when_it_begins_anew_only_where_it_does(window: str, when: int | None) -> None:
    """Whoever waits for a total would wait for ever."""
    bench = bench_with(cap(limit("one", window, max_count=1)))
    bench.one(authorize())
    detail = "cap.cfg_cap/one: 0 left of 1" + (f", resets at {NOW + when}" if when is not None else "")
    assert NOW % 3_600_000 == 0
    assert bench.one(authorize()).detail == detail


def test_a_limit_on_an_amount_counts_its_own_currency_only_and_is_shown_to_those_who_ask_in_it() -> None:
    """Ten euros a day do not stop a hundred dollars, nor do these use them up."""
    bench = bench_with(cap(daily(max_amount="10", currency="EUR")), opening=(EUROS,))
    assert bench.one(deduct(name(), "50")).outcome is A
    assert bench.last.counted is None
    assert left(bench) == {"budget.USD": "50"}
    euros = seen(bench.one(check("10", currency="EUR")))
    assert (euros.eligible, [(one.rule, one.left) for one in euros.limits]) == (
        True,
        [("cap.cfg_cap/daily", "10"), ("budget.EUR", "100")],
    )
    assert bench.one(deduct(name(), "10.01", currency="EUR")).outcome is Outcome.CAP_EXHAUSTED


def test_a_limit_on_the_amount_in_flight_sums_what_is_reserved_in_its_currency() -> None:
    """Until it is confirmed or released."""
    bench = bench_with(cap(limit("held", "in_flight", max_amount="10", currency="USD")), opening=(EUROS,))
    first = bench.one(authorize("6")).reservation_id or ""
    assert bench.one(authorize("90", currency="EUR")).outcome is A
    assert left(bench)["cap.cfg_cap/held"] == "4"
    assert bench.one(authorize("5")).outcome is Outcome.CAP_EXHAUSTED
    second = bench.one(authorize("4")).reservation_id or ""
    bench.decide(confirm(first), release(second))
    assert left(bench)["cap.cfg_cap/held"] == "10"
    assert bench.one(authorize("10")).outcome is A


def test_a_check_without_a_price_is_still_told_what_is_left_of_every_limit() -> None:
    """There is no currency to choose them by."""
    bench = bench_with(cap(daily(max_count=2), limit("euros", "total", max_amount="5", currency="EUR")))
    found = seen(bench.one(check(None, usage={"call": "1"})))
    assert (found.outcome, found.amount, found.currency) == (Outcome.UNPRICED, None, None)
    assert [(one.rule, one.left) for one in found.limits] == [("cap.cfg_cap/daily", "2"), ("cap.cfg_cap/euros", "5")]


# Budget ------------------------------------------------------------------------------------------


def test_an_overdraft_is_of_its_currency_and_part_of_what_is_left_of_the_budget() -> None:
    """Euros below zero are no dollars."""
    bench = bench_with(config(ConfigType.BUDGET, {"overdraft": {"EUR": "30"}}), opening=(EUROS,))
    assert bench.one(deduct(name(), "101")).outcome is Outcome.BUDGET_EXHAUSTED
    bench.one(authorize("20", currency="EUR"))
    euros = seen(bench.one(check("110", currency="EUR")))
    assert (euros.eligible, euros.limits) == (True, (LimitView("budget.EUR", "130", "110"),))
    assert not seen(bench.one(check("110.01", currency="EUR"))).eligible


def test_what_was_transferred_away_counts_in_the_bound_of_all_that_was_spent() -> None:
    """With an overdraft nothing else keeps the sum within what a store can hold."""
    most = format_amount(UNITS_MAX)
    bench = bench_with(config(ConfigType.BUDGET, {"overdraft": {"EUR": most}}), opening=(EUROS,))
    bench.decide(reserve("t1", "60", currency="EUR", purpose="transfer"), confirm("t1"))
    fits = format_amount(UNITS_MAX - 60 * 10**12)
    for command in (check(most, currency="EUR"), check(fits, currency="EUR")):
        assert seen(bench.one(command)).outcome is (Outcome.AMOUNT_OVERFLOW if command.amount == most else A)


def test_what_came_from_another_ledger_is_shown_as_such() -> None:
    """Not as a deposit; prepaid it is."""
    bench = bench_with(opening=(add("t1", "7", kind="transfer"), add("c1", "3", kind="credit")))
    shown = view(bench).budgets["USD"]
    assert (shown.deposited, shown.credits, shown.transferred_in, shown.available) == ("100", "3", "7", "110")
    assert view(bench).settlement["USD"].prepaid == "107"
    bench.one(deduct("d1", "5"))
    assert view(bench).settlement["USD"].prepaid == "105"


def test_exposure_moves_from_stage_to_stage_and_leaves_at_the_last() -> None:
    """Of each currency by itself."""
    bench = bench_with(opening=(Append(id="o", type="outcome", **BASE), EUROS))
    due: dict[str, Any] = {"type": "charge", "subtype": "incurred", "source_id": f"{LEDGER}.3"} | BASE
    bench.decide(Append(id="c1", amount="4", currency="USD", **due), Append(id="c2", amount="9", currency="EUR", **due))

    def exposure() -> dict[str, tuple[str, str]]:
        return {currency: (one.incurred, one.pending) for currency, one in view(bench).settlement.items()}

    assert exposure() == {"USD": ("4", "0"), "EUR": ("9", "0")}
    for stage, of in (("pending", ("0", "4")), ("settled", ("0", "0"))):
        assert bench.one(Settle(id=name(), charge_id=f"{LEDGER}.5", stage=stage, **BASE)).outcome is A  # type: ignore[arg-type]
        assert exposure() == {"USD": of, "EUR": ("9", "0")}
    assert (list(view(bench).charges), view(bench).budgets["USD"].spent) == ([f"{LEDGER}.6"], "4")


# Reservations ------------------------------------------------------------------------------------


def test_a_place_without_money_cannot_be_topped_up() -> None:
    """There is no currency in which it could be."""
    bench = bench_with(TOPPED_UP)
    held = bench.one(authorize(None)).reservation_id or ""
    assert bench.one(confirm(held, "1")).outcome is Outcome.CONFIRM_ABOVE_HOLD
    assert bench.one(confirm(held, "0")).outcome is A


def test_only_the_difference_to_what_is_held_must_still_be_there_for_a_top_up() -> None:
    """Ninety are held already: ten more are all there is, and enough."""
    bench = bench_with(TOPPED_UP)
    held = bench.one(authorize("90")).reservation_id or ""
    assert bench.one(confirm(held, "100.01")).outcome is Outcome.BUDGET_EXHAUSTED
    assert (bench.one(confirm(held, "100")).outcome, view(bench).budgets["USD"].available) == (A, "0")


def test_a_transfer_that_is_topped_up_counts_under_no_cap_and_is_stopped_by_none() -> None:
    """As it was when it was reserved: it is not spent."""
    limits = [daily(max_amount="10", currency="USD"), limit("often", "total", max_count=0)]
    bench = bench_with(TOPPED_UP, cap(*limits))
    assert bench.one(reserve("t1", "9", purpose="transfer")).outcome is A
    assert bench.one(confirm("t1", "50")).outcome is A
    assert bench.last.counted is None
    assert left(bench) == {"cap.cfg_cap/daily": "10", "cap.cfg_cap/often": "0", "budget.USD": "50"}


def test_the_ledger_tells_what_became_of_its_last_reservations_and_forgets_the_oldest_one_by_one() -> None:
    """Not all of them at once."""
    bench = bench_with()
    for n in range(ENDED_MAX + 1):
        bench.decide(reserve(f"r{n}", "1"), release(f"r{n}"))
    assert bench.one(confirm("r0")).detail is None
    assert {bench.one(confirm(f"r{n}")).detail for n in range(1, ENDED_MAX + 1)} == {f"released at {NOW}"}


def test_an_open_reservation_is_shown_with_its_beginning_its_end_and_its_workflow() -> None:
    """From which a reader has its age."""
    bench = bench_with()
    bench.now += 5
    bench.one(reserve("r1", "1", ttl_ms=100, workflow_id="wf_1"))
    bench.now += 50
    shown = view(bench).reservations["r1"]
    assert (shown.created_at, shown.expires_at, shown.workflow_id) == (NOW + 5, NOW + 105, "wf_1")


# Access ------------------------------------------------------------------------------------------


def test_a_role_counts_for_every_command_that_spends_or_states_and_as_it_was_given_last() -> None:
    """Refused under a role that may nothing, taken once the role is changed, refused when it is taken away."""
    roles = config(ConfigType.ACCESS, {"roles": {"owner": ["*"], "guest": []}})
    charge: dict[str, Any] = {"type": "charge", "amount": "1", "currency": "USD", "source_id": f"{LEDGER}.4"} | BASE
    commands: list[Command] = [
        authorize(),
        reserve(name()),
        deduct(name()),
        Append(id=name(), **charge),
        note(name()),
        confirm("r1"),
        release("r2"),
        Settle(id=name(), charge_id=f"{LEDGER}.5", stage="settled", **BASE),
    ]
    bench = bench_with(roles, opening=(grant("user_1", "owner"), Append(id=name(), type="outcome", user_id="user_1", **BASE)))
    opening: list[Command] = [
        Append(id=name(), subtype="incurred", **charge),
        *(reserve(held, reservation_id=held) for held in ("r1", "r2")),
    ]
    assert [bench.one(command).outcome for command in by("user_1", opening)] == [A] * 3
    for step, outcome in (
        (grant("user_1", "guest"), Outcome.ACCESS_DENIED),
        (RevokeAccess(id=name(), grantee_id="user_1", **BASE), Outcome.ACCESS_DENIED),
        (grant("user_1", "owner"), A),
    ):
        assert bench.one(step).outcome is A
        assert {bench.one(command).outcome for command in by("user_1", commands)} == {outcome}
        assert seen(bench.one(check(user_id="user_1"))).outcome is outcome


def by(user: str, commands: list[Command]) -> list[Command]:
    """The commands under new ids, in a user's name."""
    return [msgspec.structs.replace(one, id=name(), user_id=user) for one in commands]


# Scopes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "tops_up"),
    [
        (("topped_up", None), True),
        (("topped_up", "topped_up"), True),
        (("refused", "topped_up"), False),
        (("topped_up", "refused"), False),
        ((None, None), False),
    ],
)
def test_a_confirm_is_topped_up_where_every_scope_that_speaks_of_it_says_so(said: tuple[str | None, ...], tops_up: bool) -> None:
    """A narrower scope cannot allow what a wider one refuses, and the other way round."""
    settings = [{"ttl_ms_max": 9} | ({"confirm_above_hold": word} if word else {}) for word in said]
    of = book_of(version(settings[0], scope="platform"), version(settings[1], id="cfg_2"))
    assert of.policy("tenant_1", "account_acct_1", NOW).tops_up is tops_up


# Invariants and causes ---------------------------------------------------------------------------


def test_an_invariant_is_asked_of_the_whole_fact_to_be() -> None:
    """The links and the event time that its caller gave, what the decision adds, and facts that other commands leave."""
    schemas: dict[str, tuple[str, dict[str, Any]]] = {
        "EARLY": ("note", {"properties": {"timestamp": {"const": NOW - 7}}}),
        "LINKED": ("*", {"required": ["campaign_id"]}),
        "SHORT": ("budget", {"properties": {"expires_at": {"maximum": NOW + 10}}}),
        "PRICED": ("budget", {"properties": {"subtype": {"not": {"const": "reserved"}}, "config_id": {"const": "cfg_other"}}}),
    }
    rules = [
        config(ConfigType.INVARIANT, {"code": code, "fact_type": of, "severity": "warning", "schema": schema}, id=f"cfg_{n}")
        for n, (code, (of, schema)) in enumerate(schemas.items())
    ]
    prices = {"currency": "USD", "prices": {"call": "1"}}
    bench = bench_with(*rules, config(ConfigType.PRICING, prices), opening=(note("n0", timestamp=NOW - 7, campaign_id="camp_1"),))
    assert bench.last.warnings is None
    told: list[tuple[Command, set[str]]] = [
        (note(name(), timestamp=NOW - 7), {"LINKED"}),
        (note(name(), campaign_id="camp_1"), {"EARLY"}),
        (note(name()), {"EARLY", "LINKED"}),
        (add(name(), "1"), {"LINKED"}),
        (deduct(name(), "1", campaign_id="camp_1"), set()),
        (authorize(None, usage={"call": "1"}, ttl_ms=11, campaign_id="camp_1"), {"SHORT", "PRICED"}),
    ]
    for command, codes in told:
        assert bench.one(command).outcome is A
        assert set(bench.last.warnings or ()) == codes


def test_a_proof_that_nothing_needs_is_kept_and_marked_as_not_looked_at() -> None:
    """Whoever gives it cannot say itself that it was."""
    bench = bench_with()
    given = Source(f"{LEDGER}.1", LEDGER, 1, "0a" * 32, checked=True)
    assert bench.one(Append(id=name(), type="note", source_id=given.id, source=given, **BASE)).outcome is A
    assert bench.last.source == msgspec.structs.replace(given, checked=False)


def test_a_cost_may_be_of_an_earlier_moment_than_its_invocation_and_a_charge_not_than_its_outcome() -> None:
    """What was paid in advance was."""
    opening = (Append(id="i", type="invocation", **BASE), Append(id="o", type="outcome", **BASE))
    bench = bench_with(opening=opening)
    early: dict[str, Any] = {"amount": "1", "currency": "USD", "timestamp": NOW - 1} | BASE
    assert bench.one(Append(id=name(), type="cost", source_id=f"{LEDGER}.3", **early)).outcome is A
    assert bench.one(Append(id=name(), type="charge", source_id=f"{LEDGER}.4", **early)).outcome is Outcome.SOURCE_LATER
    # Of the very same moment it is not earlier, and without a time of its own it is of the batch's.
    same: dict[str, Any] = early | {"timestamp": None}
    assert bench.one(Append(id=name(), type="charge", source_id=f"{LEDGER}.4", **same)).outcome is A


@pytest.mark.parametrize(("hash_", "outcome"), [(None, A), ("0a" * 32, Outcome.SOURCE_INVALID)])
def test_a_cause_of_another_ledger_of_this_partition_is_looked_up_whatever_proof_comes(
    hash_: str | None, outcome: Outcome
) -> None:
    """It needs none; a wrong one is refused, and the fact says that the cause was there."""
    bench = bench_with(opening=(create("c2", OTHER), Append(id="o", type="outcome", tenant_id=TENANT, ledger_id=OTHER)))
    known = bench.last.hash
    named = f"{OTHER}.2"
    proof = Source(named, OTHER, 2, hash_) if hash_ is not None else None
    charge: dict[str, Any] = {"type": "charge", "amount": "1", "currency": "USD", "source_id": named} | BASE
    assert bench.one(Append(id=name(), source=proof, **charge)).outcome is outcome
    if outcome is A:
        assert bench.last.source == Source(named, OTHER, 2, known, checked=True)
    good = Source(named, OTHER, 2, known)
    assert bench.one(Append(id=name(), source=good, **charge)).outcome is A
    assert bench.last.source == msgspec.structs.replace(good, checked=True)


def test_a_proof_that_names_another_ledger_than_its_id_does_not_fit() -> None:
    """Id and seq alone would leave it to be found later."""
    bench = bench_with()
    named = f"{FAR}.9"
    charge: dict[str, Any] = {"type": "charge", "amount": "1", "currency": "USD", "source_id": named} | BASE
    for ledger, outcome in (("account_acct_8", Outcome.SOURCE_INVALID), (FAR, A)):
        assert bench.one(Append(id=name(), source=Source(named, ledger, 9, "0a" * 32), **charge)).outcome is outcome


def test_a_forgotten_cause_of_the_own_ledger_needs_a_proof() -> None:
    """Long after the index has let it go; without one nothing says that it was."""
    bench = bench_with(opening=(Append(id="o", type="outcome", **BASE), note("n")))
    known = bench.facts[2].hash
    bench.index._references.clear()
    bench.now += RETENTION_MS + 1
    charge: dict[str, Any] = {"type": "charge", "amount": "1", "currency": "USD", "source_id": f"{LEDGER}.3"} | BASE
    bench.decider = bench._decider()
    assert bench.one(Append(id=name(), **charge)).outcome is Outcome.SOURCE_INVALID
    assert msgspec.json.decode(bench.last.data)["rule"] == "source.exists"
    assert bench.one(Append(id=name(), source=Source(f"{LEDGER}.3", LEDGER, 3, known), **charge)).outcome is A


@pytest.mark.parametrize("is_away", [False, True])
async def test_what_another_ledger_of_this_partition_cannot_have_is_no_cause_whatever_proof_comes(is_away: bool) -> None:
    """Its state says so, in memory or not: no such ledger or another tenant's, not that long, too young, or another head."""
    strange = "account_acct_8"
    opening = (create("c2", OTHER), note("n2", OTHER), create("c3", strange, tenant="tenant_2"))
    bench = bench_with(opening=opening)
    head = next(fact.hash for fact in bench.facts if fact.id == f"{OTHER}.2")
    if is_away:
        await bench.let_go()

    def charged(ledger: str, seq: int, digest: str = "0a" * 32) -> tuple[Outcome, str]:
        named = f"{ledger}.{seq}"
        proof = Source(named, ledger, seq, digest)
        charge = Append(id=name(), type="charge", amount="1", currency="USD", source_id=named, source=proof, **BASE)
        answer = bench.one(charge)
        return answer.outcome, str(answer.detail)

    none = (Outcome.SOURCE_INVALID, "there is no such ledger")
    assert charged("account_acct_nobody", 2) == none
    assert charged(strange, 1) == none
    assert charged(OTHER, 3) == (Outcome.SOURCE_INVALID, "the ledger is not that long")
    young = (Outcome.SOURCE_INVALID, "no outcome of that id on that ledger")
    assert charged(OTHER, 2, head) == young
    bench.now += SURELY_KEPT_MS + 1
    assert charged(OTHER, 1) == young  # its creation
    assert charged(OTHER, 2) == (Outcome.SOURCE_INVALID, "the proof's hash is not the fact's")
    assert charged(OTHER, 2, head) == (A, "None")
    assert bench.last.source == Source(f"{OTHER}.2", OTHER, 2, head, checked=False)


async def test_a_look_at_another_ledger_takes_nothing_from_memory_that_is_about_to_be_written_on() -> None:
    """With room for one ledger: what was decided on the charged one is what it is decided on next."""
    bench = Bench(live_entities_max=1)
    bench.decide(create(), add("a1"), create("c2", OTHER), note("n2", OTHER))
    await bench.let_go()
    named = f"{OTHER}.9"
    proof = Source(named, OTHER, 9, "0a" * 32)
    charge = Append(id="x", type="charge", amount="1", currency="USD", source_id=named, source=proof, **BASE)
    answers = bench.decide(charge, deduct("d1"))
    assert [(answer.outcome, answer.seq) for answer in answers] == [(Outcome.SOURCE_INVALID, 3), (A, 4)]


def test_a_charge_that_is_spent_at_once_needs_no_place_among_the_unsettled() -> None:
    """Only an incurred one stays open."""
    bench = bench_with(opening=(Append(id="o", type="outcome", **BASE),))
    bench.state().charges = {f"{LEDGER}.{n}": Charge("USD", 0, NOW) for n in range(CHARGES_MAX)}
    charge: dict[str, Any] = {"type": "charge", "amount": "1", "currency": "USD", "source_id": f"{LEDGER}.3"} | BASE
    assert bench.one(Append(id=name(), **charge)).outcome is A
    assert bench.one(Append(id=name(), subtype="incurred", **charge)).outcome is Outcome.TOO_MANY_CHARGES


# Ids ---------------------------------------------------------------------------------------------


def test_an_id_that_was_free_again_is_taken_again_from_its_next_use_on() -> None:
    """Also within one round, where the index still has the old one only."""
    bench = bench_with()
    command = deduct("d1", "1")
    bench.one(command)
    bench.now += RETENTION_MS + 1
    answers = bench.decide(command, command)
    assert [answer.repeated for answer in answers] == [False, True]
    assert view(bench).budgets["USD"].spent == "2"
    other = msgspec.structs.replace(command, amount="2")
    assert bench.one(other).outcome is Outcome.ID_REUSED
