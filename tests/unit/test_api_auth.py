"""Who may ask: keys, scopes and tenants."""

import re

import httpx
import pytest

from api.auth import REMEMBERED_MS
from api.keys import Mode, hash_key, key_entity_id, make_key, parse_key
from tests.unit.test_api_world import World, check_problem, world
from z0.cli.tenants import create_tenant, expiry, parse_scopes, revoke_key
from z0.clock import ManualClock
from z0.domain.outcome import Outcome
from z0.errors import Z0Error

ONE_DAY_MS = 86_400_000


def test_a_key_says_its_mode_and_its_tenant_and_forty_random_characters() -> None:
    key = make_key("acme_eu", Mode.TEST)
    assert re.fullmatch(r"z0_test_acme_eu_[0-9A-Za-z]{40}", key)
    assert parse_key(key) == (Mode.TEST, "tenant_acme_eu")
    assert make_key("acme", Mode.LIVE) != make_key("acme", Mode.LIVE)


@pytest.mark.parametrize(
    "key", ["", "abc", "z0_live_acme", "z0_prod_acme_" + "a" * 40, "z0_live_acme_" + "a" * 39, "z0_live__" + "a" * 40]
)
async def test_a_badly_formed_key_answers_401(key: str) -> None:
    async with world() as api:
        check_problem(await api.get("/v1/entities/acct_1", key=key), 401, "unauthorized")


async def test_a_request_without_a_key_answers_401() -> None:
    async with world() as api:
        check_problem(await api.http.get("/v1/entities/acct_1"), 401, "unauthorized")


async def test_unknown_wrong_expired_and_revoked_keys_get_one_same_body() -> None:
    async with world() as api:
        expired = await api.new_key(expires_at=api.clock.wall_ms() - 1)
        revoked = await api.new_key()
        await revoke_key(api.ledger, "acme", key_entity_id(hash_key(revoked)))
        keys = ["nonsense", make_key("acme", Mode.LIVE), make_key("nobody", Mode.LIVE), expired, revoked]
        bodies = {(await api.get("/v1/entities/acct_1", key=key)).content for key in keys}
        assert len(bodies) == 1
        check_problem(await api.get("/v1/entities/acct_1", key=revoked), 401, "unauthorized")


async def test_a_key_that_names_another_tenant_than_its_own_answers_401() -> None:
    async with world() as api:
        check_problem(await api.get("/v1/entities/acct_1", key=api.key.replace("acme", "other")), 401, "unauthorized")


async def test_only_the_hash_of_a_key_is_stored() -> None:
    async with world() as api:
        key = await api.new_key()
        log = b"".join(record.value for partition in api.ledger.inner.log.records for record in partition)
        assert hash_key(key).encode() in log
        assert key.encode() not in log
        assert key.rpartition("_")[2].encode() not in log


async def test_a_revoked_key_stops_working_within_five_seconds() -> None:
    async with world() as api:
        path = await api.account()
        await revoke_key(api.ledger, "acme", key_entity_id(hash_key(api.key)))
        assert (await api.get(path)).status_code == 200  # remembered
        api.clock.advance(REMEMBERED_MS)
        check_problem(await api.get(path), 401, "unauthorized")


async def test_a_remembered_key_still_expires_on_time() -> None:
    async with world() as api:
        path = await api.account()
        key = await api.new_key(expires_at=api.clock.wall_ms() + 100)
        assert (await api.get(path, key=key)).status_code == 200
        api.clock.advance(100)
        check_problem(await api.get(path, key=key), 401, "unauthorized")


async def test_a_verdict_is_remembered_so_that_a_request_costs_one_command() -> None:
    async with world() as api:
        path = await api.account()
        api.ledger.seen.clear()
        for _ in range(5):
            await api.get(path)
        assert len(api.ledger.seen) == 5


async def test_no_more_verdicts_are_remembered_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.auth.REMEMBERED_MAX", 2)
    async with world() as api:
        keys = [await api.new_key() for _ in range(3)]
        for key in [*keys, keys[1], keys[0]]:
            await api.get("/v1/entities/acct_1", key=key)
        verified = [c.ledger_id for c in api.ledger.seen if c.ledger_id.startswith("key_")]
        ids = [f"key_{key_entity_id(hash_key(key))}" for key in keys]
        assert verified == [*ids, ids[0]]


async def test_keys_that_cannot_be_verified_answer_503_with_retry_after() -> None:
    async with world() as api:
        api.ledger.refusing = Outcome.TIMEOUT
        response = await api.get("/v1/entities/acct_1", Idempotency_Key="pay-1")
        assert check_problem(response, 503, "keys_unavailable")["command_id"] == "pay-1"
        assert int(response.headers["retry-after"]) > 0


async def test_a_missing_scope_answers_403() -> None:
    async with world() as api:
        path = await api.account()
        reader, writer = await api.new_key(scopes="read"), await api.new_key(scopes="write")
        check_problem(await api.post(f"{path}/budget", {"amount": "1", "currency": "USD"}, key=reader), 403, "forbidden")
        check_problem(await api.get(path, key=writer), 403, "forbidden")
        assert (await api.get(path, key=reader)).status_code == 200


async def test_a_key_without_admin_cannot_make_itself_a_better_key() -> None:
    async with world() as api:
        forged = make_key("acme", Mode.LIVE)
        data = {"hash": hash_key(forged), "mode": "live", "scopes": ["read", "write", "admin"]}
        body = {"id": key_entity_id(hash_key(forged)), "data": data}
        check_problem(await api.post("/v1/entities", body), 403, "forbidden")
        item = {"op": "create_entity", "id": "x", "entity_id": body["id"], "data": data}
        check_problem(await api.post("/v1/commands", item), 403, "forbidden")
        batch = (await api.post("/v1/commands/batch", {"commands": [item]})).json()
        assert batch["results"][0]["status"] == 403
        check_problem(await api.get("/v1/entities/acct_1", key=forged), 401, "unauthorized")


async def test_an_admin_reads_and_revokes_keys_of_its_own_tenant_but_changes_no_tenant() -> None:
    async with world() as api:
        admin = await api.new_key(scopes="read,write,admin")
        mine, foreign = (f"/v1/entities/{key_entity_id(hash_key(key))}" for key in (api.key, api.other))
        assert (await api.get(mine, key=admin)).status_code == 200
        check_problem(await api.get(foreign, key=admin), 404, "unknown_entity")
        assert (await api.send("PATCH", mine, {"changes": {"status": "deleted"}}, key=admin)).status_code == 200
        check_problem(await api.post("/v1/entities", {"id": "tenant_new"}, key=admin), 403, "forbidden")
        check_problem(await api.get("/v1/entities/acct_1"), 401, "unauthorized")


async def test_the_keys_of_a_retired_tenant_stop_working() -> None:
    async with world() as api:
        from z0.domain.commands import UpdateEntity
        from z0.domain.entity import Changes, Status

        retire = UpdateEntity(
            id="r", tenant_id="tenant_acme", ledger_id="tenant_tenant_acme", changes=Changes(status=Status.RETIRING)
        )
        assert (await api.ledger.submit(retire)).outcome is Outcome.ACCEPTED
        check_problem(await api.get("/v1/entities/acct_1"), 401, "unauthorized")


async def _is_refused(api: World, response: httpx.Response, other_tenant_sees: str) -> None:
    check_problem(response, 400, "malformed")
    check_problem(await api.get(other_tenant_sees, key=api.other), 404, "unknown_entity")


async def test_a_tenant_from_the_body_never_takes_effect() -> None:
    async with world() as api:
        body = {"id": "acct_1", "tenant_id": "tenant_other"}
        await _is_refused(api, await api.post("/v1/entities", body), "/v1/entities/acct_1")
        item = {"op": "create_entity", "id": "c", "entity_id": "acct_1", "tenant_id": "tenant_other"}
        await _is_refused(api, await api.post("/v1/commands", item), "/v1/entities/acct_1")
        batch = (await api.post("/v1/commands/batch", {"commands": [item]})).json()["results"]
        assert (batch[0]["status"], batch[0]["code"]) == (400, "malformed")
        twice = b'{"op":"create_entity","id":"c","entity_id":"acct_1","tenant_id":"tenant_acme","tenant_id":"tenant_other"}'
        await _is_refused(api, await api.post("/v1/commands", twice), "/v1/entities/acct_1")
        assert all(
            c.tenant_id == "tenant_acme" for c in api.ledger.seen if not c.id.startswith("auth-") and not c.id.startswith("read-")
        )


async def test_a_foreign_entity_answers_exactly_as_an_unknown_one() -> None:
    async with world() as api:
        await api.account("acct_9", key=api.other)
        for method, tail, body in [
            ("GET", "", None),
            ("GET", "/facts", None),
            ("PATCH", "", {"changes": {"subtype": "x"}}),
            ("POST", "/budget", {"amount": "1", "currency": "USD"}),
            ("POST", "/facts", {"type": "cost", "amount": "0", "currency": "USD"}),
        ]:
            answers = []
            for name in ("acct_9", "acct_8"):
                response = await api.send(method, f"/v1/entities/{name}{tail}", body, Idempotency_Key="same")
                problem = check_problem(response, 404, "unknown_entity")
                answers.append({k: v for k, v in problem.items() if k not in ("instance", "command_id", "as_of", "recorded_at")})
            assert answers[0] == answers[1]


async def test_creating_a_tenant_again_says_that_it_exists() -> None:
    async with world() as api:
        assert await create_tenant(api.ledger, "third") is True
        assert await create_tenant(api.ledger, "third") is False


async def test_the_command_line_refuses_bad_names_unknown_tenants_and_foreign_keys() -> None:
    async with world() as api:
        with pytest.raises(Z0Error, match="no tenant name"):
            await create_tenant(api.ledger, "no spaces")
        with pytest.raises(Z0Error, match="there is no tenant nobody"):
            await api.new_key("nobody")
        with pytest.raises(Z0Error, match="tenant acme has no key"):
            await revoke_key(api.ledger, "acme", key_entity_id(hash_key(api.other)))
        with pytest.raises(Z0Error, match="not a key id"):
            await revoke_key(api.ledger, "acme", "acct_1")


def test_scopes_and_expiry_are_read_from_the_command_line() -> None:
    assert parse_scopes("write, read") == ["read", "write"]
    with pytest.raises(Z0Error, match="scopes are"):
        parse_scopes("all")
    clock = ManualClock()
    assert expiry(30, clock) == clock.wall_ms() + 30 * ONE_DAY_MS
    assert expiry(None, clock) is None
