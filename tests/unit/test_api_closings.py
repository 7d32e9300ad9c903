"""Who comes late for a reservation that the ledger has forgotten is told what became of it, out of the query store."""

from typing import Any

from api.closings import AWAY, NEVER_MADE
from tests.unit.test_api_world import World, answer_of, check_problem, world
from z0.domain.state import ENDED_MAX

USD = {"currency": "USD"}


async def hold(api: World, *names: str, **more: Any) -> None:
    """Reservations of a cent by their ids."""
    commands = [{"op": "reserve", "id": n, "entity_id": "acct_1", "amount": "0.01", **USD, **more} for n in names]
    assert {r["status"] for r in await batch(api, *commands)} == {200}


async def batch(api: World, *commands: dict[str, Any]) -> list[dict[str, Any]]:
    return list((await api.post("/v1/commands/batch", {"commands": list(commands)})).json()["results"])


def closing(op: str, name: str, command_id: str) -> dict[str, Any]:
    return {"op": op, "id": command_id, "entity_id": "acct_1", "reservation_id": name}


async def forgotten(api: World, called: str = "more") -> None:
    """As many closings as a ledger remembers: what was closed before is forgotten."""
    names = [f"{called}-{n}" for n in range(ENDED_MAX)]
    await hold(api, *names)
    assert {r["status"] for r in await batch(api, *(closing("confirm", n, f"{n}/c") for n in names))} == {200}


async def story(api: World) -> dict[str, str]:
    """An account with one reservation confirmed, one released and 200 expired, all forgotten: what became of the named ones."""
    await api.account()
    await hold(api, "kept", "back")
    done = [answer_of(await api.post(f"/v1/entities/acct_1/reservations/{n}")) for n in ("kept/confirm", "back/release")]
    await hold(api, *(f"late-{n}" for n in range(200)), ttl_ms=1_000)
    api.clock.advance(2_000)
    await forgotten(api)
    expired = [
        f for f in (await api.get("/v1/entities/acct_1/facts?limit=1000")).json()["facts"] if f.get("subtype") == "expired"
    ]
    assert len(expired) == 1
    became = f"expired at {expired[0]['recorded_at']}"
    return {
        "kept": f"confirmed at {done[0]['recorded_at']}", "back": f"released at {done[1]['recorded_at']}",
        "late-0": became, "late-199": became,
    }  # fmt: skip


async def test_a_late_confirm_or_release_is_told_what_became_of_a_forgotten_reservation() -> None:
    async with world() as api:
        for name, detail in (await story(api)).items():
            for op in ("confirm", "release"):
                problem = check_problem(
                    await api.post(f"/v1/entities/acct_1/reservations/{name}/{op}"), 409, "reservation_not_open"
                )
                assert problem["detail"] == detail


async def test_a_batch_asks_the_query_store_once_and_only_for_what_the_ledger_forgot() -> None:
    async with world() as api:
        became = await story(api)
        commands = [
            *(closing("confirm", name, f"again/{name}") for name in became),
            closing("release", "more-7", "remembered"),
            {"op": "deduct_budget", "id": "other", "entity_id": "acct_1", "amount": "1", **USD},
            closing("confirm", "none", "never"),
            closing("confirm", "no id", "no-id"),
        ]
        results = await batch(api, *commands)
        assert [r["detail"] for r in results[:4]] == list(became.values())
        assert results[4]["detail"].startswith("confirmed at ")
        assert (results[5]["status"], "detail" in results[5]) == (200, False)
        assert [r["detail"] for r in results[6:]] == [NEVER_MADE, NEVER_MADE]
        assert api.reads.asked_for_closings == 1
        await batch(api, closing("release", "more-7", "remembered-2"), closing("confirm", "no id", "no-id-2"))
        assert api.reads.asked_for_closings == 1


async def test_a_repeat_of_the_refusal_is_told_the_same_also_where_the_id_was_used_again_since() -> None:
    async with world() as api:
        became = await story(api)
        first = await batch(api, closing("confirm", "kept", "late"))
        api.clock.advance(1_000)
        again = {"op": "reserve", "id": "again", "entity_id": "acct_1", "reservation_id": "kept", "amount": "1", **USD}
        assert [r["status"] for r in await batch(api, again, closing("release", "kept", "again/r"))] == [200, 200]
        await forgotten(api, "even-more")
        repeated, new = await batch(api, closing("confirm", "kept", "late"), closing("confirm", "kept", "later"))
        assert (first[0]["detail"], repeated["detail"], repeated["repeated"]) == (became["kept"], became["kept"], True)
        assert new["detail"].startswith("released at ")


async def test_a_query_store_that_is_behind_or_away_says_so_and_the_same_id_is_told_later() -> None:
    async with world() as api:
        became = await story(api)
        head = (await api.get("/v1/entities/acct_1")).json()["seq"]
        api.reads.lag = 10
        behind, early = await batch(api, closing("confirm", "kept", "a"), closing("confirm", "none", "b"))
        assert behind["detail"] == f"{became['kept']}, as far as the query store has the ledger: up to seq {head + 2 - 10}"
        assert early["detail"].startswith(f"not known yet: the query store has the ledger up to seq {head + 2 - 10}")
        api.reads.ready = False
        away = check_problem(
            await api.post("/v1/entities/acct_1/reservations/kept/confirm", Idempotency_Key="c"), 409, "reservation_not_open"
        )
        assert away["detail"] == AWAY
        api.reads.lag, api.reads.ready = 0, True
        told = await batch(api, *(closing("confirm", name, at) for name, at in (("kept", "a"), ("none", "b"), ("kept", "c"))))
        assert [(r["detail"], r["repeated"]) for r in told] == [(d, True) for d in (became["kept"], NEVER_MADE, became["kept"])]


async def test_nobody_is_told_of_another_tenants_reservation() -> None:
    async with world() as api:
        await story(api)
        assert (await api.get("/v1/entities/acct_1", key=api.other)).status_code == 404
        foreign = await api.post("/v1/entities/acct_1/reservations/kept/confirm", key=api.other)
        assert "confirmed" not in check_problem(foreign, 404, "unknown_entity")["detail"]
