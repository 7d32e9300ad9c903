"""What holds for an entity, over HTTP: narrowed over scopes, at any moment, and to nobody but its tenant."""

from typing import Any

import pytest

from tests.unit.test_api_configs import ADMIN, cap
from tests.unit.test_api_world import World, answer_of, check_problem, world
from z0.cli.tenants import create_tenant

PATH = "/v1/entities/acct_1/configs"


def routing(*tools: str, **more: Any) -> dict[str, Any]:
    """A routing config of tenant scope."""
    settings = {"candidates": [{"tool_id": f"tool_{name}"} for name in tools]}
    return {"type": "routing", "scope": "tenant", "applies_to": "account", "settings": settings, **more}


def tools(body: dict[str, Any]) -> list[str]:
    return [candidate["tool_id"].removeprefix("tool_") for candidate in body["settings"]["routing"]["candidates"]]


async def scopes(api: World) -> str:
    """The platform lets accounts use a, b and c; acme uses c and b, and one account of acme b alone from in 1,000 s on."""
    await create_tenant(api.ledger.inner, "platform")
    platform, admin = await api.new_key("platform", ADMIN), await api.new_key(scopes=ADMIN)
    await api.account()
    later = {"scope": "entity", "applies_to": "acct_1", "effective_at": api.clock.wall_ms() + 1_000_000}
    answer_of(await api.put_config("cfg_all", routing("a", "b", "c", scope="platform"), key=platform))
    answer_of(await api.put_config("cfg_hidden", routing("a"), key=platform))
    answer_of(await api.put_config("cfg_acme", routing("c", "b"), key=admin))
    answer_of(await api.put_config("cfg_one", routing("b", **later), key=admin))
    return admin


async def test_a_router_is_told_which_candidates_it_may_try_in_order_and_where_that_comes_from() -> None:
    async with world() as api:
        begin = api.clock.wall_ms()
        await scopes(api)
        found = (await api.get(f"{PATH}?type=routing")).json()
        assert (tools(found), found["settings"]["routing"]["strategy"]) == (["c", "b"], "first")
        assert [(c["id"], c["version"], c["scope"]) for c in found["configs"]] == [
            ("cfg_all", 1, "platform"),
            ("cfg_acme", 1, "tenant"),
        ]
        assert (found["at"], found["until"]) == (begin, begin + 1_000_000)
        await api.account("acct_2")
        assert (await api.get("/v1/entities/acct_2/configs")).json()["until"] is None


async def test_the_past_and_the_future_are_as_they_were_and_are_scheduled() -> None:
    async with world() as api:
        begin = api.clock.wall_ms()
        admin = await scopes(api)
        assert tools((await api.get(f"{PATH}?at={begin + 1_000_000}")).json()) == ["b"]
        api.clock.advance(5_000)
        answer_of(await api.put_config("cfg_acme", routing("a"), key=admin))
        for query, left in (("", ["a"]), (f"?at={begin + 4_999}", ["c", "b"]), (f"?at={begin + 1_000_000}", [])):
            assert tools((await api.get(f"{PATH}{query}")).json()) == left
        before = (await api.get(f"{PATH}?at={begin - 1}")).json()
        assert (before["settings"]["routing"], before["configs"], before["until"]) == (None, [], begin)


async def test_all_types_are_shown_as_decisions_use_them() -> None:
    async with world() as api:
        admin = await scopes(api)
        answer_of(await api.put_config("cfg_cap", cap(1), key=admin))
        shown = (await api.get(PATH)).json()
        assert list(shown["settings"]) == ["budget", "cap", "pricing", "access", "routing", "invariant"]
        held = answer_of(await api.post("/v1/entities/acct_1/authorize", {"amount": "1", "currency": "USD"}))
        assert held["eligibility"]["configs"] == {source["id"]: source["version"] for source in shown["configs"]}
        limits = [(limit["rule"], limit["max"]) for limit in held["eligibility"]["limits"] if limit["rule"].startswith("cap.")]
        assert limits == [(limit["rule"], str(limit["max_count"])) for limit in shown["settings"]["cap"]]


async def test_another_tenant_sees_its_own_and_no_tenant_can_be_named() -> None:
    async with world() as api:
        await scopes(api)
        check_problem(await api.get(PATH, key=api.other), 404, "unknown_entity")
        await api.account("acct_9", key=api.other)
        for query in ("", "?tenant_id=tenant_acme&tenant=acme"):
            found = (await api.get(f"/v1/entities/acct_9/configs{query}", key=api.other)).json()
            assert tools(found) == ["a", "b", "c"]
        check_problem(await api.get(PATH, key=await api.new_key(scopes="write")), 403, "forbidden")
        check_problem(await api.get("/v1/entities/acct_none/configs"), 404, "unknown_entity")


@pytest.mark.parametrize("query", ["at=-1", "at=x", "type=mood"])
async def test_what_is_no_moment_and_no_type_is_refused(query: str) -> None:
    async with world() as api:
        await api.account()
        check_problem(await api.get(f"{PATH}?{query}"), 400, "bad_parameter")


async def test_a_version_that_this_process_cannot_read_is_said_and_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world() as api:
        await scopes(api)
        # What a newer release takes, and this one does not.
        monkeypatch.setattr(
            "z0.configs.book.unreadable", lambda version: (version.id == "cfg_acme" and ("settings", "new")) or None
        )
        problem = check_problem(await api.get(PATH), 503, "reads_unavailable")
        assert "Version 1 of cfg_acme" in problem["detail"]
