"""May this be spent? Access, caps, budget, price, invariants: real configs, the real book, one partition that decides."""

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
    confirm,
    daily,
    grant,
    left,
    name,
    release,
    seen,
    view,
)
from tests.unit.test_log_world import LEDGER, NOW, add, audit, comparable, create, deduct, note, read, reserve
from z0.domain.commands import Append, UpdateEntity
from z0.domain.config import ConfigVersion
from z0.domain.entity import Changes, Status
from z0.domain.facts import ConfigType, Scope
from z0.domain.outcome import Outcome
from z0.domain.state import CHARGES_MAX, COUNTERS_MAX, GRANTS_MAX
from z0.log.entry import RETENTION_MS

# Caps --------------------------------------------------------------------------------------------


def test_a_cap_by_count_refuses_the_next_one_and_says_when_it_begins_anew() -> None:
    """The day is the cap's: in Berlin it ends at 23:00 UTC in winter."""
    bench = bench_with(cap(daily(max_count=2), timezone="Europe/Berlin"))
    assert [bench.one(authorize(ttl_ms=2 * DAY)).outcome for _ in range(2)] == [A, A]
    refused = bench.one(authorize())
    midnight = NOW - NOW % DAY + DAY - 3_600_000
    assert (refused.outcome, refused.detail) == (Outcome.CAP_EXHAUSTED, f"cap.cfg_cap/daily: 0 left of 2, resets at {midnight}")
    assert seen(refused).rule == "cap.cfg_cap/daily"
    assert bench.last.outcome == "cap_exhausted"
    assert msgspec.json.decode(bench.last.configs) == {"cfg_cap": 1}
    bench.now = midnight - 1
    assert bench.one(authorize()).outcome is Outcome.CAP_EXHAUSTED
    bench.now = midnight
    assert bench.one(authorize()).outcome is A


def test_a_cap_by_amount_counts_what_was_really_spent() -> None:
    """A partial confirm gives the rest back to the cap as to the budget."""
    bench = bench_with(cap(daily(max_amount="10", currency="USD")))
    held = bench.one(authorize("8")).reservation_id or ""
    assert bench.one(authorize("3")).outcome is Outcome.CAP_EXHAUSTED
    bench.one(confirm(held, "2"))
    assert left(bench)["cap.cfg_cap/daily"] == "8"
    assert bench.one(authorize("8")).outcome is A


@pytest.mark.parametrize("how", ["release", "expiry"])
def test_what_was_reserved_and_not_spent_is_given_back_to_the_cap(how: str) -> None:
    """Count and amount, whoever ends the reservation."""
    limits = [daily(max_count=3), {"name": "money", "counts": "spend", "window": "total", "max_amount": "50", "currency": "USD"}]
    bench = bench_with(cap(*limits))
    held = bench.one(authorize("20", ttl_ms=1_000)).reservation_id or ""
    assert left(bench) == {"cap.cfg_cap/daily": "2", "cap.cfg_cap/money": "30", "budget.USD": "80"}
    if how == "release":
        bench.one(release(held))
    else:
        bench.now += 1_000
        bench.one(read(name()))
    assert left(bench) == {"cap.cfg_cap/daily": "3", "cap.cfg_cap/money": "50", "budget.USD": "100"}


def test_what_ends_after_its_window_gives_nothing_back_to_the_next_one() -> None:
    """Yesterday's reservation was counted yesterday."""
    bench = bench_with(cap(daily(max_count=2)))
    held = bench.one(authorize(ttl_ms=2 * DAY)).reservation_id or ""
    bench.now += DAY
    bench.one(authorize())
    bench.one(release(held))
    assert left(bench)["cap.cfg_cap/daily"] == "1"


def test_a_cap_on_what_is_in_flight_counts_open_reservations_only() -> None:
    """Places: an asset's calls at once, without money."""
    flying = {"name": "lines", "counts": "spend", "window": "in_flight", "max_count": 2}
    bench = bench_with(cap(flying))
    first = bench.one(authorize(None))
    assert (first.outcome, first.currency, bench.last.amount) == (A, None, None)
    bench.one(authorize(None))
    assert bench.one(authorize(None)).outcome is Outcome.CAP_EXHAUSTED
    bench.one(confirm(first.reservation_id or ""))
    assert bench.one(authorize(None)).outcome is A
    assert (view(bench).reservations_open, view(bench).budgets["USD"].reserved) == (2, "0")


def test_what_is_never_in_flight_is_not_stopped_by_what_is() -> None:
    """A charge or a deduction beside the one call that may be open, and a confirm that ends it."""
    lines = {"name": "lines", "counts": "spend", "window": "in_flight", "max_count": 1}
    money = {"name": "money", "counts": "spend", "window": "in_flight", "max_amount": "10", "currency": "USD"}
    opening = (Append(id="out", type="outcome", **BASE),)
    bench = bench_with(cap(lines, money), config(ConfigType.BUDGET, {"confirm_above_hold": "topped_up"}), opening=opening)
    held = bench.one(authorize("10")).reservation_id or ""
    charge = Append(id=name(), type="charge", amount="11", currency="USD", source_id=f"{LEDGER}.3", **BASE)
    assert [bench.one(c).outcome for c in (charge, deduct(name(), "11"), confirm(held, "12"))] == [A, A, A]
    assert bench.one(authorize("11")).outcome is Outcome.CAP_EXHAUSTED


def test_deductions_and_charges_count_and_transfers_do_not() -> None:
    """A cap is on what is spent; money that goes to another ledger is not."""
    bench = bench_with(cap(daily(max_count=3)), opening=(note("o"), Append(id="out", type="outcome", **BASE)))
    bench.one(deduct(name(), "1"))
    bench.one(Append(id=name(), type="charge", amount="1", currency="USD", source_id=f"{LEDGER}.4", **BASE))
    bench.one(reserve(name(), "1", purpose="transfer"))
    assert left(bench)["cap.cfg_cap/daily"] == "1"
    bench.one(deduct(name(), "1"))
    assert bench.one(deduct(name(), "1")).outcome is Outcome.CAP_EXHAUSTED


def test_a_cap_on_invocations_counts_the_facts_of_an_asset() -> None:
    """And nothing else."""
    bench = bench_with(cap({"name": "rate", "counts": "invocations", "window": "hour", "max_count": 1}))
    assert bench.one(authorize()).outcome is A
    assert bench.one(Append(id=name(), type="invocation", **BASE)).outcome is A
    assert bench.one(Append(id=name(), type="invocation", **BASE)).outcome is Outcome.CAP_EXHAUSTED
    assert bench.one(authorize()).outcome is A


def test_raising_a_limit_keeps_what_it_has_counted() -> None:
    """The counter belongs to the limit's name, not to the version."""
    bench = bench_with(cap(daily(max_count=1)), cap(daily(max_count=3), version=2, effective_at=NOW + 1_000))
    bench.one(authorize())
    assert bench.one(authorize()).outcome is Outcome.CAP_EXHAUSTED
    bench.now += 1_000
    assert left(bench)["cap.cfg_cap/daily"] == "2"
    bench.one(authorize())
    assert msgspec.json.decode(bench.last.configs) == {"cfg_cap": 2}


@pytest.mark.parametrize("window", ["total", "month"])
def test_limits_that_are_gone_make_room_and_those_in_force_keep_counting(window: str) -> None:
    """Renamed every day for half a year, another config's limits leave their counters; a total has no beginning of its own."""
    kept = {"name": "kept", "counts": "spend", "window": window, "max_count": 10_000}
    renamed = [
        cap(daily(name=f"n{n}", max_count=9), version=n + 1, id="cfg_renamed", effective_at=NOW + n * 1_000)
        for n in range(2 * COUNTERS_MAX)
    ]
    bench = bench_with(cap(kept), *renamed)
    for _ in range(2 * COUNTERS_MAX):
        bench.one(authorize("0.000001"))
        bench.now += 1_000
    counters = bench.state().caps or {}
    assert len(counters) == COUNTERS_MAX
    assert counters["cfg_cap/kept"].count == 2 * COUNTERS_MAX


# Budget ------------------------------------------------------------------------------------------


def test_an_overdraft_goes_as_far_as_the_strictest_config_lets_it() -> None:
    """Platform 50, tenant 20: 20."""
    wide = config(ConfigType.BUDGET, {"overdraft": {"USD": "50"}}, id="cfg_p", scope=Scope.PLATFORM)
    wide = msgspec.structs.replace(wide, tenant_id="tenant_platform")
    bench = bench_with(wide, config(ConfigType.BUDGET, {"overdraft": {"USD": "20"}}))
    assert bench.one(deduct(name(), "120.000000000001")).outcome is Outcome.BUDGET_EXHAUSTED
    answer = bench.one(deduct(name(), "120"))
    assert (answer.outcome, answer.available) == (A, "-20")
    assert bench.one(deduct(name(), "0.000000000001")).outcome is Outcome.BUDGET_EXHAUSTED


def test_a_confirm_above_the_hold_is_topped_up_where_the_config_says_so_and_the_money_is_there() -> None:
    """As if the rest were reserved now: budget and caps have their say."""
    topped = config(ConfigType.BUDGET, {"confirm_above_hold": "topped_up"})
    bench = bench_with(topped, cap(daily(max_amount="60", currency="USD")))
    first, second, third = (bench.one(authorize("10")).reservation_id or "" for _ in range(3))
    answer = bench.one(confirm(first, "35"))
    assert (answer.outcome, answer.available) == (A, "45")
    assert bench.one(confirm(second, "16")).outcome is Outcome.CAP_EXHAUSTED
    assert bench.one(confirm(second, "15")).outcome is A
    assert left(bench) == {"cap.cfg_cap/daily": "0", "budget.USD": "40"}
    plain = bench_with(topped)
    held = plain.one(authorize("10")).reservation_id or ""
    assert plain.one(confirm(held, "101")).outcome is Outcome.BUDGET_EXHAUSTED
    assert plain.one(confirm(third, "1")).outcome is Outcome.RESERVATION_NOT_OPEN


def test_what_is_topped_up_counts_in_the_window_in_which_it_is_spent() -> None:
    """Reservations of a cent from before midnight would otherwise carry any amount past the cap of the day after."""
    topped = config(ConfigType.BUDGET, {"confirm_above_hold": "topped_up"})
    bench = bench_with(topped, cap(daily(max_amount="20", currency="USD")))
    held = [bench.one(authorize("0.01", ttl_ms=2 * DAY)).reservation_id or "" for _ in range(4)]
    bench.now += DAY
    assert bench.one(confirm(held[0], "15.01")).outcome is A
    assert left(bench)["cap.cfg_cap/daily"] == "5"
    assert bench.one(confirm(held[1], "5.02")).outcome is Outcome.CAP_EXHAUSTED
    assert bench.one(confirm(held[1], "5.01")).outcome is A
    assert bench.one(confirm(held[2], "0.01")).outcome is A  # nothing more than was reserved and counted yesterday
    assert left(bench)["cap.cfg_cap/daily"] == "0"
    assert bench.one(confirm(held[3], "0.02")).outcome is Outcome.CAP_EXHAUSTED
    found = audit(bench.records).states[LEDGER]
    assert comparable(found) == comparable(bench.state())


def test_what_is_topped_up_counts_under_a_limit_that_is_newer_than_the_reservation() -> None:
    """As if the rest were reserved now."""
    limit = cap(daily(max_amount="20", currency="USD"), effective_at=NOW + 1_000)
    bench = bench_with(config(ConfigType.BUDGET, {"confirm_above_hold": "topped_up"}), limit)
    held = bench.one(authorize("1")).reservation_id or ""
    bench.now += 1_000
    bench.one(confirm(held, "16"))
    assert left(bench)["cap.cfg_cap/daily"] == "5"


def test_what_is_topped_up_stays_within_the_greatest_amount_of_one_decision() -> None:
    """A pricing config's bound is not passed by reserving little and confirming much."""
    topped = config(ConfigType.BUDGET, {"confirm_above_hold": "topped_up"})
    bench = bench_with(topped, config(ConfigType.PRICING, PRICES))
    held = bench.one(authorize("5")).reservation_id or ""
    assert bench.one(confirm(held, "9.1")).outcome is Outcome.PRICE_OUT_OF_BOUNDS
    assert bench.one(confirm(held, "9")).outcome is A


def test_a_budget_config_gives_and_bounds_the_time_of_a_reservation() -> None:
    """Where none is asked for, and where too much is."""
    bench = bench_with(config(ConfigType.BUDGET, {"ttl_ms_default": 5_000, "ttl_ms_max": 9_000}))
    assert bench.one(authorize()).expires_at == NOW + 5_000
    assert bench.one(authorize(ttl_ms=60_000)).expires_at == NOW + 9_000


# Access ------------------------------------------------------------------------------------------


def test_where_access_is_configured_only_roles_that_may_do_it_pass() -> None:
    """Unknown users, users of another role and revoked users are refused; administration goes by the key's scopes."""
    roles = {"roles": {"buyer": ["authorize", "check"], "owner": ["*"]}}
    bench = bench_with(config(ConfigType.ACCESS, roles))
    assert bench.one(authorize()).outcome is Outcome.ACCESS_DENIED
    bench.decide(grant("user_1", "buyer"), grant("user_2", "owner"), grant("user_3", "stranger"))
    held = bench.one(authorize(user_id="user_1"))
    assert held.outcome is A
    denied = bench.one(confirm(held.reservation_id or "", user_id="user_1"))
    assert (denied.outcome, denied.detail) == (Outcome.ACCESS_DENIED, "role buyer may not confirm")
    assert bench.one(confirm(held.reservation_id or "", user_id="user_2")).outcome is A
    assert bench.one(authorize(user_id="user_3")).outcome is Outcome.ACCESS_DENIED
    assert not seen(bench.one(check(user_id="user_9"))).eligible


def test_a_narrower_scope_may_only_take_rights_away() -> None:
    """Both scopes must allow it."""
    wide = config(ConfigType.ACCESS, {"roles": {"buyer": ["authorize", "release"]}})
    narrow: dict[str, Any] = {"id": "cfg_e", "scope": Scope.ENTITY, "applies_to": "acct_1"}
    bench = bench_with(wide, config(ConfigType.ACCESS, {"roles": {"buyer": ["release", "confirm"]}}, **narrow))
    bench.one(grant("user_1", "buyer"))
    assert bench.one(authorize(user_id="user_1")).outcome is Outcome.ACCESS_DENIED


# Price -------------------------------------------------------------------------------------------


def test_usage_is_priced_by_the_config_and_the_fact_says_with_which_version() -> None:
    """Each product is rounded half-even at 1e-12 once; the version that priced is on the fact."""
    bench = bench_with(config(ConfigType.PRICING, PRICES))
    answer = bench.one(authorize(None, usage={"token": "1000003", "call": "1"}))
    assert (answer.outcome, bench.last.amount) == (A, "0.62345707037")
    assert (bench.last.config_id, bench.last.config_version, bench.last.usage) == (
        "cfg_pricing",
        1,
        {"token": "1000003", "call": "1"},
    )


def test_what_has_no_price_and_what_is_out_of_bounds_is_refused() -> None:
    """By their own names."""
    bench = bench_with(config(ConfigType.PRICING, PRICES))
    assert bench.one(authorize(None, usage={"minute": "1"})).outcome is Outcome.UNPRICED
    assert bench.one(authorize(None, usage={"call": "1"}, currency="EUR")).outcome is Outcome.UNPRICED
    assert bench.one(authorize("9.5")).outcome is Outcome.PRICE_OUT_OF_BOUNDS
    assert bench.one(deduct(name(), "0.01")).outcome is Outcome.PRICE_OUT_OF_BOUNDS
    assert bench_with().one(authorize(None, usage={"call": "1"})).outcome is Outcome.UNPRICED


def test_a_retry_that_names_its_version_is_priced_by_it() -> None:
    """The price of the first try, although a newer version is in force; an unknown version is refused."""
    newer = config(ConfigType.PRICING, {"currency": "USD", "prices": {"call": "2"}}, version=2, effective_at=NOW + 5)
    bench = bench_with(config(ConfigType.PRICING, {"currency": "USD", "prices": {"call": "0.5"}}), newer)
    bench.now += 5
    bench.one(authorize(None, usage={"call": "3"}))
    assert (bench.last.amount, bench.last.config_version) == ("6", 2)
    bench.one(authorize(None, usage={"call": "3"}, config_id="cfg_pricing", config_version=1))
    assert (bench.last.amount, bench.last.config_version) == ("1.5", 1)
    unknown = authorize(None, usage={"call": "3"}, config_id="cfg_pricing", config_version=7)
    assert bench.one(unknown).outcome is Outcome.UNKNOWN_CONFIG_VERSION
    assert bench.one(authorize("1", config_id="cfg_elsewhere", config_version=7)).outcome is A


# The order ---------------------------------------------------------------------------------------


def test_the_first_rule_that_fails_is_the_outcome() -> None:
    """Lifecycle, access, cap, budget, price: each is taken away in turn, and the next one is what is said."""
    lines = {"name": "lines", "counts": "spend", "window": "in_flight", "max_count": 1}
    rules = [config(ConfigType.ACCESS, {"roles": {"owner": ["*"]}}), cap(lines), config(ConfigType.PRICING, PRICES)]
    bench = bench_with(*rules, opening=(grant("user_1", "owner"),))
    held = bench.one(authorize("1", user_id="user_1")).reservation_id or ""
    retiring = UpdateEntity(id=name(), changes=Changes(status=Status.RETIRING), **BASE)
    asks = [("500", None), ("500", "user_1")]
    assert [bench.one(authorize(a, user_id=u)).outcome for a, u in asks] == [Outcome.ACCESS_DENIED, Outcome.CAP_EXHAUSTED]
    bench.one(confirm(held, user_id="user_1"))
    asks = [("500", "user_1"), ("50", "user_1"), ("5", "user_1")]
    outcomes = [bench.one(authorize(a, user_id=u)).outcome for a, u in asks]
    assert outcomes == [Outcome.BUDGET_EXHAUSTED, Outcome.PRICE_OUT_OF_BOUNDS, A]
    bench.one(retiring)
    assert bench.one(authorize("500")).outcome is Outcome.ENTITY_NOT_ACTIVE


def test_a_check_says_what_an_authorize_would_and_leaves_nothing() -> None:
    """The same outcome, rule and limits; no fact, no counter, no reservation."""
    bench = bench_with(cap(daily(max_count=2)))
    before = len(bench.facts)
    found = seen(bench.one(check("60")))
    assert (found.eligible, found.outcome, found.amount, found.configs) == (True, A, "60", {"cfg_cap": 1})
    refused = seen(bench.one(check("101")))
    assert (refused.eligible, refused.outcome, refused.rule) == (False, Outcome.BUDGET_EXHAUSTED, "budget.available")
    assert (len(bench.facts), view(bench).reservations_open) == (before, 0)
    taken = seen(bench.one(authorize("60")))
    assert {limit.rule: limit.left for limit in taken.limits} == {"cap.cfg_cap/daily": "1", "budget.USD": "40"}


# Invariants of tenants ---------------------------------------------------------------------------


def rule(severity: str, schema: dict[str, Any], **fields: Any) -> ConfigVersion:
    settings = {"code": "DISCOUNT_MAX", "fact_type": "discount", "severity": severity, "message": "at most 20%", "schema": schema}
    return config(ConfigType.INVARIANT, settings, **fields)


AT_MOST_20 = {"properties": {"data": {"properties": {"percent": {"maximum": 20}}, "required": ["percent"]}}}


def test_a_tenants_invariant_refuses_or_warns() -> None:
    """An error refuses the fact by the invariant's message; a warning appends it with the code on it."""
    bench = bench_with(rule("error", AT_MOST_20))
    refused = bench.one(Append(id=name(), type="discount", data=Raw(b'{"percent": 21}'), **BASE))
    assert (refused.outcome, refused.detail) == (Outcome.INVARIANT_BROKEN, "at most 20%")
    assert bench.one(Append(id=name(), type="discount", data=Raw(b'{"percent": 20}'), **BASE)).outcome is A
    assert bench.one(Append(id=name(), type="other", data=Raw(b'{"percent": 21}'), **BASE)).outcome is A
    warned = bench_with(rule("warning", AT_MOST_20))
    assert warned.one(Append(id=name(), type="discount", data=Raw(b'{"percent": 21}'), **BASE)).outcome is A
    assert warned.last.warnings == ("DISCOUNT_MAX",)


# Holds that never leak ---------------------------------------------------------------------------


async def test_an_expired_reservation_is_released_without_any_command_of_its_ledger() -> None:
    """The round's own timer finds it, also where the entity has left memory."""
    bench = bench_with()
    bench.one(authorize("60", ttl_ms=1_000))
    await bench.let_go()
    assert not bench.decider.is_due(NOW + 999)
    assert bench.decider.is_due(NOW + 1_000)
    bench.now += 1_000
    bench.one(create(name(), "account_acct_2"))
    expired = [fact for fact in bench.facts if fact.subtype == "expired"]
    assert [(fact.ledger_id, fact.amount, fact.available) for fact in expired] == [(LEDGER, "60", "100")]
    assert not bench.decider.is_due(bench.now)


@pytest.mark.parametrize(("how", "word"), [("release", "released"), ("confirm", "confirmed"), ("expiry", "expired")])
def test_a_late_confirm_or_release_is_told_what_happened_instead(how: str, word: str) -> None:
    """And is told so again when it is repeated."""
    bench = bench_with()
    held = bench.one(authorize("60", ttl_ms=1_000)).reservation_id or ""
    if how != "expiry":
        bench.one(release(held) if how == "release" else confirm(held))
    bench.now += 1_000
    at = bench.now if how == "expiry" else NOW
    late = confirm(held)
    answer = bench.one(late)
    assert (answer.outcome, answer.detail) == (Outcome.RESERVATION_NOT_OPEN, f"{word} at {at}")
    again = bench.one(late)
    assert (again.repeated, again.detail) == (True, answer.detail)
    assert bench.one(release(held)).detail == answer.detail


def test_a_command_id_is_free_again_after_35_days_and_not_before() -> None:
    """By the batch's time: the same at every replay."""
    bench = bench_with()
    command = deduct("d1", "1")
    bench.one(command)
    bench.now += RETENTION_MS
    assert bench.one(command).repeated
    bench.now += 1
    again = bench.one(command)
    assert (again.outcome, again.repeated) == (A, False)


# Settlement --------------------------------------------------------------------------------------


def test_the_view_shows_exposure_by_stage_and_what_is_left_of_prepaid_money() -> None:
    """Credits are spent before prepaid money."""
    bench = bench_with(opening=(add("a2", "10", kind="credit"), Append(id="o", type="outcome", **BASE)))
    due: dict[str, Any] = {"type": "charge", "subtype": "incurred", "currency": "USD", "source_id": f"{LEDGER}.4"} | BASE
    bench.decide(Append(id=name(), amount="4", **due), Append(id=name(), amount="9", **due))
    shown = view(bench)
    assert (shown.settlement["USD"].incurred, shown.settlement["USD"].prepaid) == ("13", "97")
    assert shown.charges_open == 2


def test_an_entity_has_at_most_so_many_grants_and_unsettled_charges() -> None:
    """A bound with a name of its own; changing a role needs no new place."""
    bench = bench_with(opening=(Append(id="o", type="outcome", **BASE),))
    state = bench.working.get(LEDGER)
    assert state is not None
    state.access = {f"user_{n}": "buyer" for n in range(GRANTS_MAX)}
    assert bench.one(grant("user_x", "buyer")).outcome is Outcome.TOO_MANY_GRANTS
    assert bench.one(grant("user_1", "owner")).outcome is A
    state.charges = dict.fromkeys(map(str, range(CHARGES_MAX)), None)  # type: ignore[assignment] # only their number counts
    more = Append(id=name(), type="charge", subtype="incurred", amount="1", currency="USD", source_id=f"{LEDGER}.3", **BASE)
    assert bench.one(more).outcome is Outcome.TOO_MANY_CHARGES
