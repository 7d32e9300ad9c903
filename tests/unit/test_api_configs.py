"""Configs over HTTP: who may write them, and which version a reader is shown at any moment."""

from typing import Any

import pytest

from tests.unit.test_api_eligibility import CAP
from tests.unit.test_api_world import World, answer_of, check_problem, world
from z0.cli.tenants import create_tenant
from z0.domain.commands import TIMESTAMP_MAX

ADMIN = "read,write,admin"


def cap(most: int, **more: Any) -> dict[str, Any]:
    """A cap of so many a day."""
    limits = [{"name": "calls", "counts": "spend", "window": "day", "max_count": most}]
    return {**CAP, "settings": {"limits": limits}, **more}


def most_of(body: dict[str, Any]) -> int:
    return int(body["config"]["settings"]["limits"][0]["max_count"])


async def versions(api: World, name: str = "cfg_1") -> str:
    """A config with a version from now on, one in 1,000 s that the third overtakes, and one in 500 s."""
    admin = await api.new_key(scopes=ADMIN)
    now = api.clock.wall_ms()
    for most, at in ((30, None), (20, now + 1_000_000), (10, now + 500_000)):
        answer_of(await api.put_config(name, cap(most, **({"effective_at": at} if at else {})), key=admin))
    return admin


async def test_a_version_is_shown_for_any_moment_of_the_past_and_of_the_scheduled_future() -> None:
    async with world() as api:
        begin = api.clock.wall_ms()
        await versions(api)
        path = "/v1/configs/cfg_1"
        now = (await api.get(path)).json()
        assert (most_of(now), now["config"]["version"], now["superseded_at"]) == (30, 1, begin + 500_000)
        assert (now["complete"], now["fact_id"]) == (True, "config_cfg_1.2")
        for at, most, until in ((begin, 30, begin + 500_000), (begin + 500_000, 10, None), (begin + 9_000_000, 10, None)):
            shown = (await api.get(f"{path}?at={at}")).json()
            assert (most_of(shown), shown["superseded_at"]) == (most, until)
        check_problem(await api.get(f"{path}?at={begin - 1}"), 404, "not_effective")
        api.clock.advance(500_000)
        assert most_of((await api.get(path)).json()) == 10
        assert most_of((await api.get(f"{path}?at={begin}")).json()) == 30


async def test_a_version_is_shown_by_its_number_also_one_that_never_holds() -> None:
    async with world() as api:
        begin = api.clock.wall_ms()
        await versions(api)
        never = (await api.get("/v1/configs/cfg_1?version=2")).json()
        assert (most_of(never), never["config"]["effective_at"] > never["superseded_at"]) == (20, True)
        check_problem(await api.get("/v1/configs/cfg_1?version=9"), 404, "not_effective")
        check_problem(await api.get(f"/v1/configs/cfg_1?version=3&at={begin}"), 404, "not_effective")
        check_problem(await api.get("/v1/configs/cfg_1?version=0"), 400, "bad_parameter")


@pytest.mark.parametrize("path", ["/v1/configs/cfg_1", "/v1/configs", "/v1/entities/acct_1/configs"])
async def test_what_is_no_moment_is_refused_alike_wherever_one_is_asked_for(path: str) -> None:
    """Also beyond 64 bits; the last moment that a fact can have is one."""
    async with world() as api:
        await versions(api)
        await api.account()
        for wrong in ("-1", "x", "", "1.5", "1e3", "0x10", "%C2%B2", f"{TIMESTAMP_MAX + 1}", f"{2**63}", "9" * 20, "9" * 5_000):
            check_problem(await api.get(f"{path}?at={wrong}"), 400, "bad_parameter")
        assert (await api.get(f"{path}?at={TIMESTAMP_MAX}")).status_code == 200


async def test_only_an_admin_writes_configs_on_every_way_in() -> None:
    async with world() as api:
        item = {"op": "put_config", "entity_id": "cfg_1", **cap(5)}
        check_problem(await api.post("/v1/configs/cfg_1", cap(5)), 403, "forbidden")
        check_problem(await api.post("/v1/commands", item), 403, "forbidden")
        batch = (await api.post("/v1/commands/batch", {"commands": [item]})).json()["results"]
        assert (batch[0]["status"], batch[0]["code"]) == (403, "forbidden")
        check_problem(await api.get("/v1/configs/cfg_1"), 404, "unknown_entity")
        await versions(api)
        retired = {"changes": {"status": "retiring"}}
        check_problem(await api.send("PATCH", "/v1/entities/cfg_1", retired), 403, "forbidden")


async def test_a_repeat_writes_no_second_version_and_an_expected_version_is_held() -> None:
    async with world() as api:
        admin = await api.new_key(scopes=ADMIN)
        for _ in range(2):
            answer = answer_of(await api.post("/v1/configs/cfg_1", cap(5), key=admin, Idempotency_Key="v1"))
        assert answer["repeated"] is True
        assert (await api.get("/v1/configs/cfg_1")).json()["config"]["version"] == 1
        check_problem(await api.post("/v1/configs/cfg_1", cap(4, expected_version=7), key=admin), 409, "version_conflict")
        answer_of(await api.post("/v1/configs/cfg_1", cap(4, expected_version=1), key=admin))
        check_problem(await api.post("/v1/configs/cfg_1", cap(4, effective_at=5), key=admin), 422, "bad_config")


async def test_settings_are_kept_byte_for_byte_on_the_fact() -> None:
    async with world() as api:
        admin = await api.new_key(scopes=ADMIN)
        raw = b'{"type":"budget","scope":"tenant","settings": { "overdraft" : {"USD":"10.50"} } }'
        answer_of(await api.post("/v1/configs/cfg_1", raw, key=admin))
        assert b'{ "overdraft" : {"USD":"10.50"} }' in (await api.get("/v1/entities/cfg_1/facts")).content


@pytest.mark.parametrize(
    "change",
    [{"type": "mood"}, {"scope": "world"}, {"settings": []}, {"settings": None}, {"setings": {}}, {"effective_at": "now"}],
)
async def test_a_config_of_the_wrong_form_is_refused_before_the_ledger(change: dict[str, Any]) -> None:
    async with world() as api:
        admin = await api.new_key(scopes=ADMIN)
        check_problem(await api.post("/v1/configs/cfg_1", {**cap(5), **change}, key=admin), 400, "malformed")


async def test_a_config_that_stores_cannot_hold_is_refused_and_one_that_only_looks_so_is_not() -> None:
    """U+0000 is legal in JSON and impossible in Postgres, from where versions are shown; a pattern may speak of it."""
    async with world() as api:
        admin = await api.new_key(scopes=ADMIN)
        check = {"type": "invariant", "scope": "tenant"}
        for pattern, status in (("\0", 400), ("\\\\\0", 400), ("^[^\\u0000]*$", 200)):
            settings = {"code": "X", "fact_type": "note", "schema": {"pattern": pattern}}
            assert (await api.post("/v1/configs/cfg_1", {**check, "settings": settings}, key=admin)).status_code == status
        check_problem(await api.post("/v1/configs/cfg_2", cap(5, name="a\0b"), key=admin), 400, "malformed")


async def test_what_is_wrong_with_a_config_is_said_in_words() -> None:
    async with world() as api:
        admin = await api.new_key(scopes=ADMIN)
        problem = check_problem(await api.post("/v1/configs/cfg_1", cap(5, applies_to="planet"), key=admin), 422, "bad_config")
        assert "account" in problem["detail"]


async def test_everything_that_is_wrong_with_a_config_is_said_at_once() -> None:
    """Alone and in a batch; the ledger's own words name the first thing, as they are a fact."""
    wrong = {"limits": [{"name": "Daily", "counts": "spend", "window": "day"}], "timzone": "UTC"}
    places = [["settings", "timzone"], ["settings", "limits", "0", "name"], ["applies_to"]]
    async with world() as api:
        admin = await api.new_key(scopes=ADMIN)
        body = {"type": "cap", "scope": "tenant", "settings": wrong, "applies_to": "planet"}
        problem = check_problem(await api.post("/v1/configs/cfg_1", body, key=admin), 422, "bad_config")
        assert sorted(error["loc"] for error in problem["errors"]) == sorted(places)
        command = {"op": "put_config", "id": "p", "ledger_id": "config_cfg_1", **body}
        answer = (await api.post("/v1/commands/batch", {"commands": [command]}, key=admin)).json()["results"][0]
        assert answer["errors"] == problem["errors"]


async def test_a_config_of_the_platform_is_written_by_the_platform_and_read_by_everybody() -> None:
    async with world() as api:
        admin = await api.new_key(scopes=ADMIN)
        everybody = cap(100, scope="platform")
        check_problem(await api.post("/v1/configs/cfg_all", everybody, key=admin), 403, "forbidden")
        await create_tenant(api.ledger.inner, "platform")
        platform = await api.new_key("platform", ADMIN)
        answer_of(await api.put_config("cfg_all", everybody, key=platform))
        answer_of(await api.put_config("cfg_own", cap(50), key=platform))
        for key in (api.key, api.other):
            assert most_of((await api.get("/v1/configs/cfg_all", key=key)).json()) == 100
            # What the platform caps of its own accounts is its own business.
            check_problem(await api.get("/v1/configs/cfg_own", key=key), 404, "unknown_entity")
        await versions(api)
        check_problem(await api.get("/v1/configs/cfg_1", key=api.other), 404, "unknown_entity")


async def test_configs_are_listed_in_pages_as_they_hold_at_a_moment() -> None:
    async with world() as api:
        await create_tenant(api.ledger.inner, "platform")
        platform = await api.new_key("platform", ADMIN)
        answer_of(await api.put_config("cfg_all", cap(100, scope="platform"), key=platform))
        answer_of(await api.put_config("cfg_hidden", cap(50), key=platform))
        admin = await versions(api, "cfg_b")
        answer_of(await api.put_config("cfg_c", {"type": "budget", "scope": "tenant", "settings": {}}, key=admin))
        answer_of(await api.put_config("cfg_d", cap(7, effective_at=api.clock.wall_ms() + 5_000), key=admin))

        async def ids(query: str = "") -> list[str]:
            return [c["config"]["id"] for c in (await api.get(f"/v1/configs{query}")).json()["configs"]]

        assert await ids() == ["cfg_all", "cfg_b", "cfg_c"]
        assert await ids(f"?at={api.clock.wall_ms() + 5_000}") == ["cfg_all", "cfg_b", "cfg_c", "cfg_d"]
        assert await ids("?type=budget") == ["cfg_c"]
        page = (await api.get("/v1/configs?limit=2")).json()
        assert page["next_after"] == "cfg_b"
        assert await ids(f"?limit=2&after={page['next_after']}") == ["cfg_c"]
        assert [c["config"]["id"] for c in (await api.get("/v1/configs", key=api.other)).json()["configs"]] == ["cfg_all"]
        check_problem(await api.get("/v1/configs", key=await api.new_key(scopes="write")), 403, "forbidden")


async def test_a_query_store_that_is_behind_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.facts.WAIT_S", 0.05)
    async with world() as api:
        await versions(api)
        api.reads.lag = 1
        assert (await api.get("/v1/configs/cfg_1")).json()["complete"] is False
