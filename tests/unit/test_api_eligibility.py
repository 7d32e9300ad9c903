"""May this happen, and what is left: check, authorize, caps, open reservations, charges and roles over HTTP."""

from typing import Any

import pytest

from tests.unit.test_api_world import World, answer_of, check_problem, world
from z0.domain.outcome import Outcome

USD = {"currency": "USD"}
DAY_MS = 24 * 3600 * 1000
CAP: dict[str, Any] = {
    "type": "cap",
    "scope": "tenant",
    "applies_to": "account",
    "settings": {
        "limits": [
            {"name": "daily", "counts": "spend", "window": "day", "max_amount": "50", "currency": "USD"},
            {"name": "calls", "counts": "spend", "window": "day", "max_count": 3},
        ]
    },
}
PRICING: dict[str, Any] = {
    "type": "pricing",
    "scope": "tenant",
    "applies_to": "account",
    "settings": {"currency": "USD", "prices": {"tokens": "0.01"}},
}


async def capped(api: World) -> str:
    """An account with 100 USD and a cap of 50 a day."""
    path = await api.account(deposit="100")
    answer_of(await api.put_config("cfg_cap", CAP, key=await api.new_key(scopes="read,write,admin")))
    return path


def left(found: dict[str, Any]) -> dict[str, str]:
    """What is left of each limit, of an eligibility or of one side of a receipt."""
    return {limit["rule"]: limit["left"] for limit in found["limits"]}


async def test_a_check_says_what_is_left_and_leaves_nothing() -> None:
    async with world() as api:
        path = await capped(api)
        before = (await api.get(path)).json()["seq"]
        answer = answer_of(await api.post(f"{path}/check", {"amount": "20", **USD}))
        found = answer["eligibility"]
        assert (answer["outcome"], answer["fact_id"], answer["seq"]) == ("accepted", None, None)
        assert (found["eligible"], found["outcome"], found["amount"], found["currency"]) == (True, "accepted", "20", "USD")
        assert found["configs"] == {"cfg_cap": 1}
        limits = {limit["rule"]: (limit["max"], limit["left"]) for limit in found["limits"]}
        assert limits == {"cap.cfg_cap/daily": ("50", "50"), "cap.cfg_cap/calls": ("3", "3"), "budget.USD": ("100", "100")}
        assert (await api.get(path)).json()["seq"] == before
        assert await api.available() == "100"


async def test_a_check_that_finds_no_is_an_answer_with_the_first_rule_that_failed() -> None:
    async with world() as api:
        path = await capped(api)
        for amount, outcome, rule in (("60", "cap_exhausted", "cap.cfg_cap/daily"), ("40", "accepted", None)):
            found = answer_of(await api.post(f"{path}/check", {"amount": amount, **USD}))["eligibility"]
            assert (found["eligible"], found["outcome"], found.get("rule")) == (rule is None, outcome, rule)
        check_problem(await api.post("/v1/entities/acct_9/check"), 404, "unknown_entity")


async def test_an_authorize_holds_the_amount_and_says_what_is_left_after_it() -> None:
    async with world() as api:
        path = await capped(api)
        held = answer_of(await api.post(f"{path}/authorize", {"amount": "20", "ttl_ms": 60_000, **USD}, Idempotency_Key="call-1"))
        assert (held["reservation_id"], held["available"]) == ("call-1", "80")
        assert held["expires_at"] == api.clock.wall_ms() + 60_000
        left = {limit["rule"]: limit["left"] for limit in held["eligibility"]["limits"]}
        assert left == {"cap.cfg_cap/daily": "30", "cap.cfg_cap/calls": "2", "budget.USD": "80"}
        assert answer_of(await api.post(f"{path}/reservations/call-1/confirm", {"amount": "15"}))["available"] == "85"


async def test_a_refused_authorize_has_its_own_status_and_the_eligibility_in_the_problem() -> None:
    async with world() as api:
        path = await capped(api)
        response = await api.post(f"{path}/authorize", {"amount": "60", **USD}, Idempotency_Key="call-1")
        problem = check_problem(response, 402, "cap_exhausted")
        found = problem["eligibility"]
        assert (found["eligible"], found["rule"], problem["fact_id"] is not None) == (False, "cap.cfg_cap/daily", True)
        [limit] = [limit for limit in found["limits"] if limit["rule"] == found["rule"]]
        assert api.clock.wall_ms() < limit["resets_at"] <= api.clock.wall_ms() + DAY_MS
        # The same request is refused for ever, so nothing says when to send it again.
        assert "retry-after" not in response.headers
        again = await api.post(f"{path}/authorize", {"amount": "60", **USD}, Idempotency_Key="call-1")
        assert check_problem(again, 402, "cap_exhausted")["repeated"] is True


async def test_a_reservation_past_a_cap_says_in_its_detail_what_is_left() -> None:
    async with world() as api:
        path = await capped(api)
        problem = check_problem(await api.post(f"{path}/reservations", {"amount": "60", **USD}), 402, "cap_exhausted")
        assert "50 left of 50" in problem["detail"]


async def test_a_usage_is_priced_by_the_pricing_config() -> None:
    async with world() as api:
        path = await api.account(deposit="100")
        admin = await api.new_key(scopes="read,write,admin")
        answer_of(await api.put_config("cfg_price", PRICING, key=admin))
        found = answer_of(await api.post(f"{path}/authorize", {"usage": {"tokens": "1200"}}))
        assert (found["eligibility"]["amount"], found["available"]) == ("12", "88")
        problem = check_problem(await api.post(f"{path}/authorize", {"usage": {"images": "1"}}), 422, "unpriced")
        assert problem["eligibility"]["eligible"] is False
        both = {"usage": {"tokens": "1"}, "amount": "1", **USD}
        check_problem(await api.post(f"{path}/check", both), 400, "malformed")


async def test_checks_and_authorizes_in_a_batch_have_their_eligibility() -> None:
    async with world() as api:
        await capped(api)
        base = {"entity_id": "acct_1", **USD}
        commands = [
            {"op": "check", "amount": "60", **base},
            {"op": "authorize", "amount": "20", **base},
            {"op": "authorize", "amount": "40", **base},
            {"op": "release", "reservation_id": "none", "entity_id": "acct_1"},
        ]
        results = (await api.post("/v1/commands/batch", {"commands": commands})).json()["results"]
        assert [r["status"] for r in results] == [200, 200, 402, 409]
        assert [r["eligibility"]["eligible"] for r in results[:3]] == [False, True, False]
        assert "eligibility" not in results[3]
        assert results[3]["detail"]


async def test_the_routes_and_the_documented_json_authorize_the_same_command() -> None:
    async with world() as api:
        path = await api.account()
        body = {"amount": "5", **USD, "data": {"x": 1.50}}
        answer_of(await api.post(f"{path}/authorize", body, Idempotency_Key="a1"))
        again = answer_of(await api.post("/v1/commands", {"op": "authorize", "id": "a1", "entity_id": "acct_1", **body}))
        assert (again["repeated"], "eligibility" in again) == (True, False)


async def test_what_a_repeated_authorize_does_not_say_the_receipt_says_of_then_and_a_check_of_now() -> None:
    async with world() as api:
        path = await capped(api)
        first = answer_of(await api.post(f"{path}/authorize", {"amount": "5", **USD}, Idempotency_Key="a1"))
        answer_of(await api.post(f"{path}/authorize", {"amount": "7", **USD}))
        again = answer_of(await api.post(f"{path}/authorize", {"amount": "5", **USD}, Idempotency_Key="a1"))
        assert "eligibility" not in again
        receipt = (await api.get(f"/v1/decisions/{again['fact_id']}")).json()
        now = answer_of(await api.post(f"{path}/check", {"amount": "5", **USD}))
        assert left(receipt["after"]) | {"budget.USD": receipt["after"]["balance"]["available"]} == left(first["eligibility"])
        assert left(first["eligibility"]) == {"cap.cfg_cap/daily": "45", "cap.cfg_cap/calls": "2", "budget.USD": "95"}
        assert left(now["eligibility"]) == {"cap.cfg_cap/daily": "38", "cap.cfg_cap/calls": "1", "budget.USD": "88"}


async def test_a_check_is_a_read_and_an_authorize_is_not() -> None:
    async with world() as api:
        path = await api.account()
        reader = await api.new_key(scopes="read")
        assert (await api.post(f"{path}/check", {"amount": "1", **USD}, key=reader)).status_code == 200
        check_problem(await api.post(f"{path}/authorize", {"amount": "1", **USD}, key=reader), 403, "forbidden")


async def test_caps_show_every_limit_with_what_it_counted() -> None:
    async with world() as api:
        path = await capped(api)
        await api.post(f"{path}/authorize", {"amount": "20", **USD})
        page = (await api.get(f"{path}/caps")).json()
        found = {limit["rule"]: limit for limit in page["limits"]}
        assert {rule: limit["left"] for rule, limit in found.items()} == {
            "cap.cfg_cap/daily": "30", "cap.cfg_cap/calls": "2", "budget.USD": "80"
        }  # fmt: skip
        daily = found["cap.cfg_cap/daily"]
        assert (daily["counted"]["count"], daily["counted"]["amount"]) == (1, "20")
        assert daily["resets_at"] - daily["counted"]["start"] == DAY_MS
        assert found["budget.USD"]["counted"] is None
        assert page["configs"] == {"cfg_cap": 1}
        check_problem(await api.get("/v1/entities/acct_9/caps"), 404, "unknown_entity")


async def test_pages_of_reservations_and_charges_follow_each_other_to_the_end() -> None:
    """Also of those that began in one moment, and of one stage; what was closed meanwhile is missing, and nothing else."""
    async with world() as api:
        path = await api.account()
        for name in ("c", "a", "e", "b"):
            await api.post(f"{path}/reservations", {"amount": "1", **USD}, Idempotency_Key=name)
        api.clock.advance(1_000)
        await api.post(f"{path}/reservations", {"amount": "1", **USD}, Idempotency_Key="0")
        first = (await api.get(f"{path}/reservations?limit=2")).json()
        await api.post(f"{path}/reservations/b/release")
        second = (await api.get(f"{path}/reservations?limit=2&after={first['next']}")).json()
        third = (await api.get(f"{path}/reservations?limit=2&after={second['next']}")).json()
        pages = [[r["reservation_id"] for r in page["reservations"]] for page in (first, second, third)]
        assert (pages, third["next"]) == ([["a", "b"], ["c", "e"], ["0"]], None)
        for after in ("b", "x.b", "1800.", ".b"):
            check_problem(await api.get(f"{path}/reservations?after={after}"), 400, "bad_parameter")


async def test_open_reservations_come_oldest_first_with_their_age() -> None:
    async with world() as api:
        path = await api.account()
        for name in ("a", "b", "c"):
            await api.post(f"{path}/reservations", {"amount": "1", "workflow_id": "wf_1", **USD}, Idempotency_Key=name)
            api.clock.advance(1_000)
        await api.post(f"{path}/authorize", {}, Idempotency_Key="place")
        page = (await api.get(f"{path}/reservations")).json()
        assert [(r["reservation_id"], r["age_ms"]) for r in page["reservations"]] == [
            ("a", 3_000), ("b", 2_000), ("c", 1_000), ("place", 0)
        ]  # fmt: skip
        assert (page["open"], page["reservations"][0]["workflow_id"]) == (4, "wf_1")
        assert (page["reservations"][3]["currency"], page["reservations"][3]["amount"]) == (None, "0")
        await api.post(f"{path}/reservations/b/release")
        page = (await api.get(f"{path}/reservations?limit=1")).json()
        assert ([r["reservation_id"] for r in page["reservations"]], page["open"]) == (["a"], 3)
        for query in ("limit=0", "limit=1001"):
            check_problem(await api.get(f"{path}/reservations?{query}"), 400, "bad_parameter")


async def test_a_late_confirm_is_told_what_became_of_the_reservation() -> None:
    async with world() as api:
        path = await api.account()
        await api.post(f"{path}/reservations", {"amount": "1", "ttl_ms": 5_000, **USD}, Idempotency_Key="late")
        api.clock.advance(6_000)
        problem = check_problem(await api.post(f"{path}/reservations/late/confirm"), 409, "reservation_not_open")
        assert "expired at" in problem["detail"]


async def test_an_incurred_charge_is_shown_until_it_is_settled() -> None:
    async with world() as api:
        path = await api.account()
        charge = {"type": "charge", "subtype": "incurred", "amount": "4", "source_id": await api.outcome(), **USD}
        ids = [answer_of(await api.post(f"{path}/facts", charge))["fact_id"] for _ in range(2)]
        api.clock.advance(500)
        page = (await api.get(f"{path}/charges")).json()
        assert [(c["charge_id"], c["stage"], c["age_ms"]) for c in page["charges"]] == [(i, "incurred", 500) for i in ids]
        assert (page["open"], page["settlement"]["USD"]["incurred"]) == (2, "8")
        answer_of(await api.post(f"{path}/charges/{ids[0]}/settle", {"stage": "pending"}))
        assert [c["charge_id"] for c in (await api.get(f"{path}/charges?stage=pending")).json()["charges"]] == [ids[0]]
        answer_of(await api.post(f"{path}/charges/{ids[0]}/settle", {"stage": "settled"}))
        page = (await api.get(f"{path}/charges?stage=incurred&limit=1")).json()
        assert ([c["charge_id"] for c in page["charges"]], page["open"]) == ([ids[1]], 1)
        check_problem(await api.post(f"{path}/charges/{ids[0]}/settle", {"stage": "settled"}), 409, "charge_not_open")
        assert await api.available() == "92"


async def test_a_charge_with_a_proof_of_another_ledgers_outcome_is_taken_and_one_without_is_not() -> None:
    async with world() as api:
        path = await api.account()
        await api.account("asset_1", None)
        outcome = await api.outcome("/v1/entities/asset_1")
        fact = (await api.get("/v1/entities/asset_1/facts")).json()["facts"][-1]
        charge = {"type": "charge", "subtype": "incurred", "amount": "4", "source_id": outcome, **USD}
        proof = {name: fact[name] for name in ("id", "ledger_id", "seq", "hash")}
        answer_of(await api.post(f"{path}/facts", {**charge, "source": proof}))
        stored = (await api.get(f"{path}/facts")).json()["facts"][-1]
        assert {name: stored["source"][name] for name in proof} == proof
        check_problem(await api.post(f"{path}/facts", {**charge, "source": {**proof, "hash": "zz"}}), 400, "malformed")
        check_problem(await api.post(f"{path}/facts", {**charge, "source": {**proof, "checked": True}}), 400, "malformed")


async def test_roles_are_granted_changed_and_revoked_by_an_admin_only() -> None:
    async with world() as api:
        path = await api.account()
        admin = await api.new_key(scopes="read,write,admin")
        grant = {"grantee_id": "user_ada", "role": "operator"}
        check_problem(await api.post(f"{path}/access", grant), 403, "forbidden")
        check_problem(await api.send("DELETE", f"{path}/access/user_ada"), 403, "forbidden")
        item = {"op": "grant_access", "entity_id": "acct_1", **grant}
        check_problem(await api.post("/v1/commands", item), 403, "forbidden")
        answer_of(await api.post(f"{path}/access", grant, key=admin))
        answer_of(await api.post(f"{path}/access", {**grant, "role": "viewer"}, key=admin))
        assert (await api.get(f"{path}/access")).json()["access"] == [{"user_id": "user_ada", "role": "viewer"}]
        answer_of(await api.send("DELETE", f"{path}/access/user_ada", key=admin))
        gone = await api.send("DELETE", f"{path}/access/user_ada", key=admin, Idempotency_Key="again")
        check_problem(gone, 404, "grant_not_found")
        assert (await api.get(f"{path}/access")).json()["access"] == []
        check_problem(await api.post(f"{path}/access", {"grantee_id": "acct_1", "role": "x"}, key=admin), 400, "malformed")


async def test_where_an_access_config_is_in_force_a_user_without_a_role_is_denied() -> None:
    async with world() as api:
        path = await api.account()
        admin = await api.new_key(scopes="read,write,admin")
        config = {
            "type": "access",
            "scope": "tenant",
            "applies_to": "account",
            "settings": {"roles": {"operator": ["authorize"]}},
        }
        answer_of(await api.put_config("cfg_access", config, key=admin))
        body = {"amount": "1", "user_id": "user_ada", **USD}
        check_problem(await api.post(f"{path}/authorize", body), 403, "access_denied")
        answer_of(await api.post(f"{path}/access", {"grantee_id": "user_ada", "role": "operator"}, key=admin))
        answer_of(await api.post(f"{path}/authorize", body))


@pytest.mark.parametrize("tail", ["reservations", "charges", "access", "caps"])
async def test_another_tenants_entity_answers_as_if_it_did_not_exist(tail: str) -> None:
    async with world() as api:
        path = await api.account()
        check_problem(await api.get(f"{path}/{tail}", key=api.other), 404, "unknown_entity")


@pytest.mark.parametrize("tail", ["reservations", "charges", "access", "caps"])
async def test_a_ledger_that_does_not_answer_is_said_to_be_so(tail: str) -> None:
    async with world() as api:
        path = await api.account()
        api.ledger.refusing = Outcome.OVERLOADED
        check_problem(await api.get(f"{path}/{tail}"), 503, "overloaded")
