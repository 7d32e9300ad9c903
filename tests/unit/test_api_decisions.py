"""Receipts over HTTP: the caller's own decisions, by fact or command id, and nobody else's."""

from typing import Any

from api import facts
from tests.unit.test_api_eligibility import CAP, USD, capped
from tests.unit.test_api_world import answer_of, check_problem, world

FACT = "/v1/decisions/account_acct_1"


async def test_a_decision_is_explained_by_its_fact_and_by_its_command() -> None:
    """The same receipt, with the config that said no in the version that did."""
    async with world() as api:
        path = await capped(api)
        refused = (await api.post(f"{path}/authorize", {"amount": "60", **USD}, Idempotency_Key="job/7")).json()
        receipt: dict[str, Any] = answer_of(await api.get(f"/v1/decisions/{refused['fact_id']}"))
        assert (receipt["bytes_equal"], receipt["digest_matches"], receipt["chain"]["holds"]) == (True, True, True)
        assert (receipt["outcome"], receipt["rule"]) == ("cap_exhausted", "cap.cfg_cap/daily")
        assert receipt["command"]["amount"] == "60"
        assert [(c["id"], c["version"]) for c in receipt["configs"]] == [("cfg_cap", 1)]
        assert receipt["before"]["balance"]["available"] == receipt["after"]["balance"]["available"] == "100"
        assert receipt["position"] == refused["as_of"] | {"epoch": receipt["fact"]["epoch"]}
        raised = CAP | {"settings": {"limits": [CAP["settings"]["limits"][0] | {"max_amount": "70"}]}}
        answer_of(await api.put_config("cfg_cap", raised, key=await api.new_key(scopes="read,write,admin")))
        for ledger in ("acct_1", "account_acct_1"):
            assert answer_of(await api.get(f"/v1/decisions/job/7?ledger={ledger}")) == receipt


async def test_what_is_not_there_and_what_is_anothers_is_unknown() -> None:
    """A fact that never was, a command that left none, another tenant's entity, and one that nobody has."""
    async with world() as api:
        await api.account()
        for path in (f"{FACT}.99", "/v1/decisions/never?ledger=acct_1"):
            check_problem(await api.get(path), 404, "unknown_decision")
        foreign = await api.get(f"{FACT}.1", key=api.other)
        missing = await api.get("/v1/decisions/account_acct_9.1", key=api.other)
        assert check_problem(foreign, 404, "unknown_entity")["detail"] == check_problem(missing, 404, "unknown_entity")["detail"]
        check_problem(await api.get("/v1/decisions/job-7?ledger=acct_1", key=api.other), 404, "unknown_entity")


async def test_an_id_that_is_none_is_a_bad_parameter_that_says_what_one_looks_like() -> None:
    async with world() as api:
        for path in ("/v1/decisions/job-7", f"{FACT}.0", "/v1/decisions/job-7?ledger=nobody"):
            assert "account_acct_1" in check_problem(await api.get(path), 400, "bad_parameter")["detail"]


async def test_the_keys_of_a_tenant_are_explained_to_its_administrators_only() -> None:
    """As they are read by them only."""
    async with world() as api:
        record = next(r for log in api.ledger.inner.log.records for r in log if r.key.startswith(b"key_"))
        path = f"/v1/decisions/{record.key.decode()}.1"
        check_problem(await api.get(path), 403, "forbidden")
        check_problem(await api.get("/v1/decisions/account_acct_1.1", key=await api.new_key(scopes="write")), 403, "forbidden")


async def test_a_decision_that_the_query_store_does_not_have_yet_is_asked_for_again(monkeypatch: Any) -> None:
    """It is known to the ledger: no 404, and when to come back."""
    monkeypatch.setattr(facts, "WAIT_S", 0.05)
    async with world() as api:
        await api.account()
        api.reads.lag = 1
        response = await api.get(f"{FACT}.2")
        check_problem(response, 503, "reads_unavailable")
        assert response.headers["Retry-After"]
        check_problem(await api.get("/v1/decisions/never?ledger=acct_1"), 503, "reads_unavailable")
        assert answer_of(await api.get(f"{FACT}.1"))["bytes_equal"]
