"""Commands over HTTP: entities, facts, money, one command and batches."""

import json
from collections.abc import AsyncIterator
from hashlib import sha256

import pytest
from msgspec.structs import fields

from api import schemas
from api.schemas import LinksBody
from tests.unit.test_api_world import BODY_BYTES_MAX, answer_of, check_problem, world
from z0.domain.commands import OPS
from z0.domain.entity import Changes
from z0.domain.facts import Links
from z0.domain.outcome import Outcome

ANSWER_FIELDS = {
    "command_id", "outcome", "repeated", "fact_id", "seq", "available", "currency",
    "reservation_id", "expires_at", "as_of", "recorded_at",
}  # fmt: skip
USD = {"currency": "USD"}
IN_PATH = {"Confirm": {"reservation_id"}, "Release": {"reservation_id"}, "Settle": {"charge_id"}}


async def test_an_account_is_created_funded_reserved_confirmed_and_read() -> None:
    async with world() as api:
        path = await api.account(deposit="100")
        held = answer_of(
            await api.post(f"{path}/reservations", {"amount": "30", "ttl_ms": 60_000, **USD}, Idempotency_Key="order-7/hold")
        )
        assert held.keys() == ANSWER_FIELDS
        assert (held["command_id"], held["reservation_id"], held["available"]) == ("order-7/hold", "order-7/hold", "70")
        assert held["fact_id"] == f"account_acct_1.{held['seq']}"
        assert held["as_of"]["offset"] > 0
        assert held["expires_at"] == api.clock.wall_ms() + 60_000
        spent = answer_of(await api.post(f"{path}/reservations/order-7/hold/confirm", {"amount": "12.5"}))
        assert spent["available"] == "87.5"
        state = (await api.get(path)).json()
        assert state["budgets"]["USD"]["spent"] == "12.5"
        assert state["reservations"] == {}
        assert state["as_of"] == spent["as_of"]


async def test_a_reservation_is_released_with_an_empty_body_and_a_percent_encoded_id() -> None:
    async with world() as api:
        path = await api.account()
        await api.post(f"{path}/reservations", {"amount": "30", **USD}, Idempotency_Key="batch/0")
        assert answer_of(await api.post(f"{path}/reservations/batch%2F0/release"))["available"] == "100"


async def test_a_deduction_a_credit_and_a_charge_move_the_budget() -> None:
    async with world() as api:
        path = await api.account()
        assert answer_of(await api.post(f"{path}/budget/deduct", {"amount": "1.5", **USD}))["available"] == "98.5"
        assert answer_of(await api.post(f"{path}/budget", {"amount": "1", "kind": "credit", **USD}))["available"] == "99.5"
        happened = answer_of(await api.post(f"{path}/facts", {"type": "outcome", "subtype": "call_qualified"}))
        assert happened["available"] is None
        charge = {"type": "charge", "amount": "0.5", "source_id": happened["fact_id"], **USD}
        assert answer_of(await api.post(f"{path}/facts", charge))["available"] == "99"


async def test_an_exhausted_budget_answers_402() -> None:
    async with world() as api:
        path = await api.account(deposit="10")
        charge = {"type": "charge", "source_id": await api.outcome()}
        for tail, body in (("reservations", {}), ("budget/deduct", {}), ("facts", charge)):
            problem = check_problem(await api.post(f"{path}/{tail}", {"amount": "10.01", **USD, **body}), 402, "budget_exhausted")
            assert problem.keys() >= ANSWER_FIELDS
            assert problem["fact_id"]


async def test_a_repeat_gives_the_first_outcome_and_says_so() -> None:
    async with world() as api:
        path = await api.account()
        first, again = [
            await api.post(f"{path}/budget/deduct", {"amount": "5", **USD}, Idempotency_Key="pay-1") for _ in range(2)
        ]
        assert "idempotency-replayed" not in first.headers
        assert again.headers["idempotency-replayed"] == "true"
        assert again.json()["repeated"] is True
        same = ("fact_id", "seq", "available", "outcome", "recorded_at")
        assert [again.json()[name] for name in same] == [first.json()[name] for name in same]
        assert await api.available() == "95"


async def test_a_repeated_refusal_is_the_first_refusal_also_when_there_is_money_now() -> None:
    async with world() as api:
        path = await api.account(deposit="1")
        for _ in range(2):
            response = await api.post(f"{path}/budget/deduct", {"amount": "5", **USD}, Idempotency_Key="pay-1")
            check_problem(response, 402, "budget_exhausted")
            await api.post(f"{path}/budget", {"amount": "100", **USD})
        assert response.headers["idempotency-replayed"] == "true"


async def test_the_same_id_with_another_body_answers_409() -> None:
    async with world() as api:
        path = await api.account()
        await api.post(f"{path}/budget/deduct", {"amount": "5", **USD}, Idempotency_Key="pay-1")
        response = await api.post(f"{path}/budget/deduct", {"amount": "6", **USD}, Idempotency_Key="pay-1")
        assert check_problem(response, 409, "id_reused")["command_id"] == "pay-1"


async def test_a_command_without_an_id_gets_one_and_is_told_it() -> None:
    async with world() as api:
        path = await api.account()
        assert answer_of(await api.post(f"{path}/budget/deduct", {"amount": "5", **USD}))["command_id"].startswith("auto-")


async def test_the_id_may_stand_in_the_body_and_must_then_agree_with_the_header() -> None:
    async with world() as api:
        path = await api.account()
        body = {"id": "pay-1", "amount": "5", **USD}
        assert answer_of(await api.post(f"{path}/budget/deduct", body))["command_id"] == "pay-1"
        assert answer_of(await api.post(f"{path}/budget/deduct", body, Idempotency_Key="pay-1"))["repeated"] is True
        check_problem(await api.post(f"{path}/budget/deduct", body, Idempotency_Key="pay-2"), 400, "command_id_conflict")
        item = {"op": "deduct_budget", "entity_id": "acct_1", **body}
        check_problem(await api.post("/v1/commands", item, Idempotency_Key="pay-2"), 400, "command_id_conflict")


async def test_a_bad_command_id_answers_400() -> None:
    async with world() as api:
        path = await api.account()
        body = {"amount": "5", **USD}
        check_problem(await api.post(f"{path}/budget/deduct", body, Idempotency_Key="with space"), 400, "bad_command_id")


async def test_an_empty_idempotency_key_is_a_bad_id_and_not_a_missing_one() -> None:
    """A caller whose variable was empty would be charged again by its retry."""
    async with world() as api:
        path = await api.account()
        body = {"amount": "5", **USD}
        check_problem(await api.post(f"{path}/budget/deduct", body, Idempotency_Key=""), 400, "bad_command_id")
        check_problem(await api.post(f"{path}/budget/deduct", {"id": "", **body}), 400, "bad_command_id")


async def test_a_time_out_answers_504_with_the_command_id_and_a_retry_gives_the_first_outcome() -> None:
    async with world() as api:
        path = await api.account()
        await api.get(path)
        api.ledger.lost = True
        body = {"amount": "5", **USD}
        lost = await api.post(f"{path}/budget/deduct", body, Idempotency_Key="pay-1")
        problem = check_problem(lost, 504, "timeout")
        assert problem["command_id"] == "pay-1"
        assert problem["as_of"] is None
        assert "the same id is safe" in problem["detail"]
        api.ledger.lost = False
        again = await api.post(f"{path}/budget/deduct", body, Idempotency_Key=problem["command_id"])
        assert answer_of(again)["available"] == "95"
        assert again.headers["idempotency-replayed"] == "true"
        assert await api.available() == "95"


@pytest.mark.parametrize("outcome", [Outcome.OVERLOADED, Outcome.WARMING_UP, Outcome.NOT_OWNER])
async def test_a_full_queue_and_its_like_answer_503_with_retry_after(outcome: Outcome) -> None:
    async with world() as api:
        path = await api.account()
        api.ledger.refusing = outcome
        response = await api.post(f"{path}/budget/deduct", {"amount": "5", **USD}, Idempotency_Key="pay-1")
        assert check_problem(response, 503, outcome)["command_id"] == "pay-1"
        assert int(response.headers["retry-after"]) >= 1


@pytest.mark.parametrize("amount", ["5.5", "5", "1e3", "true", "-0.1"])
async def test_an_amount_as_a_json_number_is_refused(amount: str) -> None:
    async with world() as api:
        path = await api.account()
        raw = f'{{"amount": {amount}, "currency": "USD"}}'.encode()
        problem = check_problem(await api.post(f"{path}/budget/deduct", raw), 422, "bad_amount")
        assert problem["errors"][0]["loc"] == ["amount"]
        command = f'{{"op": "deduct_budget", "entity_id": "acct_1", "amount": {amount}, "currency": "USD"}}'
        problem = check_problem(await api.post("/v1/commands", command.encode()), 422, "bad_amount")
        assert problem["errors"][0]["loc"] == ["amount"]
        batch = (await api.post("/v1/commands/batch", f'{{"commands": [{command}]}}'.encode())).json()["results"]
        assert (batch[0]["status"], batch[0]["code"]) == (422, "bad_amount")
        assert await api.available() == "100"


@pytest.mark.parametrize("amount", ["-1", "1e3", "0.0000000000001", "", "1,5", " 1", "٣", "0", "1" * 27])
async def test_an_amount_that_is_no_plain_decimal_above_zero_is_refused(amount: str) -> None:
    async with world() as api:
        path = await api.account()
        check_problem(await api.post(f"{path}/budget/deduct", {"amount": amount, **USD}), 422, "bad_amount")


async def test_an_unknown_currency_is_refused() -> None:
    async with world() as api:
        path = await api.account()
        check_problem(await api.post(f"{path}/budget", {"amount": "1", "currency": "XXX"}), 422, "unknown_currency")


@pytest.mark.parametrize("raw", [b"{", b"", b"[1]", b'"x"', b"\xff", b"NaN", b"[" * 50_000])
async def test_malformed_json_answers_400(raw: bytes) -> None:
    async with world() as api:
        path = await api.account()
        for route in (f"{path}/budget", "/v1/commands", "/v1/commands/batch", "/v1/entities"):
            check_problem(await api.post(route, raw), 400, "malformed")


@pytest.mark.parametrize("data", [b'{"a": 1e400}', b'{"a": "\xff"}', b'{"a": NaN}', b'{"a": "\\ud800"}', b"[1]", b"null", b'"x"'])
async def test_a_payload_that_a_reader_could_not_hold_is_refused_on_every_way_in(data: bytes) -> None:
    async with world() as api:
        path = await api.account()
        check_problem(await api.post("/v1/entities", b'{"id": "acct_2", "data": ' + data + b"}"), 400, "malformed")
        check_problem(await api.post(f"{path}/facts", b'{"type": "note", "data": ' + data + b"}"), 400, "malformed")
        check_problem(await api.send("PATCH", path, b'{"changes": {"data": ' + data + b"}}"), 400, "malformed")
        create = b'{"op": "create_entity", "id": "c", "entity_id": "acct_2", "data": ' + data + b"}"
        check_problem(await api.post("/v1/commands", create), 400, "malformed")
        batch = await api.post("/v1/commands/batch", b'{"commands": [' + create + b"]}")
        assert batch.status_code == 400 or batch.json()["results"][0]["status"] == 400


async def test_unknown_and_missing_fields_and_wrong_types_are_refused_with_their_place() -> None:
    async with world() as api:
        path = await api.account()
        body = {"amount": "1", "curency": "USD", "config_version": "7"}
        problem = check_problem(await api.post(f"{path}/budget", body), 400, "malformed")
        assert {tuple(error["loc"]) for error in problem["errors"]} == {("curency",), ("currency",), ("config_version",)}
        check_problem(await api.post("/v1/commands", {"op": "fly", "id": "x", "entity_id": "acct_1"}), 400, "unknown_command")
        item = {"op": "deduct_budget", "entity_id": "acct_1", "amount": "1", "curency": "USD"}
        check_problem(await api.post("/v1/commands", item), 400, "malformed")
        check_problem(await api.post(f"{path}/facts", b'{"type": "x", "\\ud800": 1}'), 400, "malformed")


async def test_a_body_of_another_content_type_is_told_which_one_is_needed() -> None:
    async with world() as api:
        path = await api.account()
        response = await api.post(f"{path}/budget", b'{"amount": "1", "currency": "USD"}', Content_Type="text/plain")
        assert "Content-Type" in check_problem(response, 400, "malformed")["errors"][0]["msg"]


async def test_a_body_that_is_declared_too_large_answers_413() -> None:
    async with world() as api:
        check_problem(await api.post("/v1/commands", b" " * (BODY_BYTES_MAX + 1)), 413, "too_large")


@pytest.mark.parametrize("route", ["/v1/commands", "/v1/commands/batch", "/v1/entities", "/v1/entities/acct_1/budget"])
async def test_a_chunked_body_is_refused_before_all_of_it_is_read(route: str) -> None:
    async with world() as api:
        sent = 0

        async def chunks() -> AsyncIterator[bytes]:
            nonlocal sent
            while sent < 100 * BODY_BYTES_MAX:
                sent += 65_536
                yield b"x" * 65_536

        headers = {"X-API-Key": api.key, "Content-Type": "application/json"}
        check_problem(await api.http.post(route, content=chunks(), headers=headers), 413, "too_large")
        # httpx's ASGI transport hands chunks over one by one.
        assert sent < 2 * BODY_BYTES_MAX


async def test_a_command_larger_than_one_record_answers_413() -> None:
    async with world() as api:
        path = await api.account()
        body = {"type": "note", "data": {"text": "x" * 270_000}}
        check_problem(await api.post(f"{path}/facts", body), 413, "too_large")
        check_problem(await api.post("/v1/commands", {"op": "append", "entity_id": "acct_1", **body}), 413, "too_large")


async def test_an_update_clears_with_null_merges_data_and_leaves_what_is_absent() -> None:
    async with world() as api:
        await api.post("/v1/entities", {"id": "acct_1", "subtype": "customer", "owner_id": "acct_0", "data": {"a": 1, "b": 2}})
        path = "/v1/entities/acct_1"
        changes = {"owner_id": None, "data": {"a": None, "c": 3}}
        answer_of(await api.send("PATCH", path, {"changes": changes, "expected_version": 1}))
        entity = (await api.get(path)).json()["entity"]
        assert (entity["subtype"], entity["owner_id"], entity["data"], entity["version"]) == (
            "customer",
            None,
            {"b": 2, "c": 3},
            2,
        )


async def test_if_match_takes_the_etag_of_a_read_and_refuses_an_older_one() -> None:
    async with world() as api:
        path = await api.account()
        etag = (await api.get(path)).headers["etag"]
        assert etag == '"1"'
        answer_of(await api.send("PATCH", path, {"changes": {"subtype": "x"}}, If_Match=etag))
        check_problem(await api.send("PATCH", path, {"changes": {"subtype": "y"}}, If_Match=etag), 409, "version_conflict")
        both = {"changes": {"subtype": "y"}, "expected_version": 3}
        check_problem(await api.send("PATCH", path, both, If_Match='"2"'), 400, "expected_version_conflict")


async def test_an_entity_that_exists_answers_409_and_a_bad_id_400() -> None:
    async with world() as api:
        await api.account()
        check_problem(await api.post("/v1/entities", {"id": "acct_1"}), 409, "entity_exists")
        check_problem(await api.post("/v1/entities", {"id": "nobody_1"}), 400, "bad_ledger_id")
        check_problem(await api.get("/v1/entities/nobody_1"), 400, "bad_ledger_id")
        check_problem(await api.post("/v1/commands", {"op": "read", "ledger_id": "asset_acct_1"}), 400, "bad_ledger_id")
        check_problem(
            await api.post("/v1/commands", {"op": "read", "entity_id": "acct_1", "ledger_id": "account_acct_2"}),
            400,
            "bad_ledger_id",
        )


async def test_one_command_takes_the_documented_json_by_entity_or_ledger() -> None:
    async with world() as api:
        await api.account()
        for address in ({"entity_id": "acct_1"}, {"ledger_id": "account_acct_1"}):
            answer_of(await api.post("/v1/commands", {"op": "deduct_budget", "amount": "1", **USD, **address}))
        read = answer_of(await api.post("/v1/commands", {"op": "read", "entity_id": "acct_1"}))
        assert read["state"]["budgets"]["USD"]["available"] == "98"


async def test_the_routes_and_the_documented_json_decide_the_same_command() -> None:
    """A client may change from one form to the other and keep its ids."""
    async with world() as api:
        path = await api.account()
        body = {"amount": "5", **USD, "workflow_id": "wf_1", "data": {"x": 1.50}}
        answer_of(await api.post(f"{path}/reservations", body, Idempotency_Key="r1"))
        again = await api.post("/v1/commands", {"op": "reserve", "id": "r1", "entity_id": "acct_1", **body})
        assert answer_of(again)["repeated"] is True


async def test_every_item_of_a_batch_is_answered_on_its_own() -> None:
    async with world() as api:
        await api.account(deposit="10")
        deduct = {"op": "deduct_budget", "entity_id": "acct_1", "amount": "6", **USD}
        commands = [
            deduct,
            {"op": "nonsense"},
            7,
            {**deduct, "id": "mine"},
            {**deduct, "amount": "4"},
            {**deduct, "entity_id": "acct_2"},
        ]
        response = await api.post("/v1/commands/batch", {"commands": commands}, Idempotency_Key="import-1")
        assert response.status_code == 200
        results = response.json()["results"]
        assert [(r["index"], r["status"]) for r in results] == [(0, 200), (1, 400), (2, 400), (3, 402), (4, 200), (5, 404)]
        assert [r["outcome"] for r in results] == [
            "accepted", "unknown_command", "malformed", "budget_exhausted", "accepted", "unknown_entity",
        ]  # fmt: skip
        ids = ["import-1/0", "import-1/1", "import-1/2", "mine", "import-1/4", "import-1/5"]
        assert [r["command_id"] for r in results] == ids
        assert await api.available() == "0"


async def test_a_batch_given_again_has_no_second_effect() -> None:
    async with world() as api:
        await api.account()
        batch = {"commands": [{"op": "deduct_budget", "entity_id": "acct_1", "amount": "1", **USD}] * 3}
        await api.post("/v1/commands/batch", batch, Idempotency_Key="import-1")
        again = (await api.post("/v1/commands/batch", batch, Idempotency_Key="import-1")).json()["results"]
        assert [r["repeated"] for r in again] == [True] * 3
        assert await api.available() == "97"
        await api.post("/v1/commands/batch", batch)
        assert await api.available() == "94"


async def test_a_batch_holds_one_to_a_thousand_commands() -> None:
    async with world() as api:
        await api.account(deposit="2000")
        item = {"op": "deduct_budget", "entity_id": "acct_1", "amount": "1", **USD}
        check_problem(await api.post("/v1/commands/batch", {"commands": []}), 422, "batch_size")
        check_problem(await api.post("/v1/commands/batch", {"commands": [item] * 1001}), 422, "batch_size")
        results = (await api.post("/v1/commands/batch", {"commands": [item] * 1000})).json()["results"]
        assert [r["available"] for r in results] == [str(1999 - i) for i in range(1000)]
        check_problem(await api.post("/v1/commands/batch", {"commands": [item], "more": 1}), 400, "malformed")


async def test_an_overloaded_item_of_a_batch_says_503() -> None:
    async with world() as api:
        await api.account()
        api.ledger.refusing = Outcome.OVERLOADED
        batch = {"commands": [{"op": "deduct_budget", "entity_id": "acct_1", "amount": "1", **USD}]}
        assert (await api.post("/v1/commands/batch", batch)).json()["results"][0]["status"] == 503


async def test_facts_are_given_as_they_are_stored_and_their_hashes_can_be_checked() -> None:
    async with world() as api:
        path = await api.account()
        await api.post(f"{path}/facts", b'{"type": "note", "data": {"price" : 1.50}}')
        response = await api.get(f"{path}/facts")
        page = response.json()
        assert (page["complete"], page["next_after"], page["head_seq"]) == (True, None, 3)
        assert [fact["seq"] for fact in page["facts"]] == [1, 2, 3]
        assert b'{"price" : 1.50}' in response.content
        for record in (r for p in api.ledger.inner.log.records for r in p if b"account_acct_1." in r.value):
            assert record.value in response.content
            assert sha256(record.value[:-75] + b"}").hexdigest() == json.loads(record.value)["hash"]


async def test_facts_come_in_pages_and_by_type() -> None:
    async with world() as api:
        path = await api.account()
        for _ in range(5):
            await api.post(f"{path}/budget/deduct", {"amount": "1", **USD})
        seen, after = [], 0
        while after is not None:
            page = (await api.get(f"{path}/facts?after={after}&limit=3")).json()
            seen += [fact["seq"] for fact in page["facts"]]
            after = page["next_after"]
        assert seen == [1, 2, 3, 4, 5, 6, 7]
        deposits = (await api.get(f"{path}/facts?type=deposit")).json()["facts"]
        assert [fact["type"] for fact in deposits] == ["deposit"]
        for query in ("limit=1001", "limit=0", "after=-1", "after=x"):
            check_problem(await api.get(f"{path}/facts?{query}"), 400, "bad_parameter")


async def test_facts_are_waited_for_and_then_said_to_be_incomplete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.facts.WAIT_S", 0.05)
    async with world() as api:
        path = await api.account()
        api.reads.lag = 1
        page = (await api.get(f"{path}/facts")).json()
        assert (page["complete"], page["head_seq"], [f["seq"] for f in page["facts"]], page["next_after"]) == (False, 2, [1], 1)
        assert page["as_of"]["offset"] == page["facts"][-1]["offset"]
        api.reads.lag = 2
        page = (await api.get(f"{path}/facts")).json()
        assert (page["complete"], page["facts"], page["next_after"]) == (False, [], 0)


def test_the_bodies_have_the_fields_of_their_commands() -> None:
    assert set(Links.__struct_fields__) <= set(LinksBody.model_fields)
    of_the_path = {"tenant_id", "ledger_id", "reply_to"}
    bodies = {"CreateEntity": "CreateEntityBody", "UpdateEntity": "UpdateEntityBody", "Append": "AppendBody"}
    for op in OPS.values():
        if op.__name__ in ("Read", "RevokeAccess"):  # both have no body
            continue
        body = getattr(schemas, bodies.get(op.__name__, f"{op.__name__}Body"))
        in_path = of_the_path | IN_PATH.get(op.__name__, set())
        assert set(body.model_fields) == {field.name for field in fields(op)} - in_path
    assert set(schemas.ChangesBody.model_fields) == set(Changes.__struct_fields__)
