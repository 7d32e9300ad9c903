"""What closed a reservation that its ledger has forgotten, out of a real Postgres, and over HTTP on the real stack."""

import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import msgspec
import psycopg
import pytest

from api.closings import AWAY, Closings
from api.keys import KeyRecord, Mode, Scope
from api.reads import Closing, Late, PostgresReads, load_queries
from tests.facts import NOW_MS, FactLog
from tests.integration.test_api_servers import url
from tests.integration.test_reconcile import copy, store
from tests.waiting import until
from z0.cli.tenants import create_key, create_tenant
from z0.client import connect
from z0.config import Config
from z0.domain.answer import Answer
from z0.domain.commands import Confirm
from z0.domain.expiry import EXPIRIES_PER_FACT_MAX
from z0.domain.outcome import Outcome
from z0.domain.payloads import ExpiredData
from z0.domain.state import ENDED_MAX

__all__ = ["store", "url"]  # fixtures
pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]
LEDGER, OTHER = "account_acct_1", "account_acct_2"
TENANT = "tenant_1"
SCANS = {"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan"}
LONGEST_S = 1.0  # far above the bound of a look-up, far below what a hanging server makes its clients wait


def expired(*names: str) -> dict[str, Any]:
    return {"data": msgspec.Raw(msgspec.json.encode(ExpiredData(dict.fromkeys(names, "1"))))}


def history() -> FactLog:
    """Two ledgers with reservations of the same ids, one used twice, and an expiry of as many as one fact holds."""
    log = FactLog()
    log.fact(1, "acct_1", "budget/reserved", reservation_id="r1")
    for way, name in (("confirmed", "r1"), ("released", "r2"), ("transferred_out", "r/3"), ("released", "r1")):
        log.fact(1, "acct_1", f"budget/{way}", reservation_id=name)
    log.fact(1, "acct_1", "budget/expired", **expired("r4", *(f"e{n}" for n in range(EXPIRIES_PER_FACT_MAX - 1))))
    log.fact(1, "acct_2", "budget/expired", **expired("r1", "e7"))
    log.fact(1, "acct_2", "budget/expired", data=msgspec.Raw(b'{"reservations":["no","object"]}'))
    log.fact(1, "acct_2", "decision/refused", reservation_id="r2")
    return log


async def test_every_way_to_close_a_reservation_is_found_on_its_ledger_and_for_its_tenant(store: str) -> None:
    await copy(store, history())
    wanted = {
        Late(LEDGER, "r1", 9): ("released", 5), Late(LEDGER, "r1", 5): ("confirmed", 2), Late(LEDGER, "r1", 2): None,
        Late(LEDGER, "r2", 9): ("released", 3), Late(LEDGER, "r/3", 9): ("transferred_out", 4),
        Late(LEDGER, "r4", 9): ("expired", 6), Late(LEDGER, "e498", 9): ("expired", 6), Late(LEDGER, "e499", 9): None,
        Late(OTHER, "r1", 9): ("expired", 7), Late(OTHER, "e7", 9): ("expired", 7), Late(OTHER, "r2", 9): None,
        Late(OTHER, "r1", 1): None,
    }  # fmt: skip
    heads = {LEDGER: 6, OTHER: 3}
    async with PostgresReads(store) as reads:
        found = dict(zip(wanted, await reads.closings(TENANT, list(wanted)), strict=True))
        foreign = await reads.closings("tenant_2", list(wanted))
    assert found == {
        late: Closing(was[0] if was else None, NOW_MS + was[1] if was else None, heads[late.ledger_id])
        for late, was in wanted.items()
    }
    assert set(foreign) == {Closing(None, None, 0)}


# A hot account: as many reservations made as closed, and a tenth of its facts expiries.
MANY = """
INSERT INTO facts (id, ledger_id, seq, type, subtype, timestamp, recorded_at, tenant_id, entity_id, rules, reservation_id, data,
                   epoch, log_partition, log_offset, log_time, prev_hash, hash, value)
SELECT 'account_acct_1.' || n, 'account_acct_1', n, 'budget', (ARRAY['reserved', 'confirmed', 'expired'])[kind], n, n, 'tenant_1',
       'acct_1', 1, CASE WHEN kind < 3 THEN 'r' || n / 2 END,
       CASE WHEN kind = 3 THEN jsonb_build_object('reservations', jsonb_build_object('e' || n, '1')) END, 0, 0, n, n, '', '', ''
  FROM (SELECT n, CASE WHEN n % 10 = 0 THEN 3 ELSE 1 + n % 2 END AS kind FROM generate_series(1, 20000) AS n) AS numbered
"""


@pytest.mark.parametrize("is_analyzed", [True, False], ids=["analyzed", "never analyzed"])
def test_no_closing_is_looked_for_by_walking_through_a_hot_account(store: str, is_analyzed: bool) -> None:
    given = {"tenant_id": TENANT, "ledger_ids": [LEDGER], "reservation_ids": ["never"], "below": [20_001]}
    query = b"EXPLAIN (ANALYZE, FORMAT JSON) " + load_queries()["closings"].encode()
    with psycopg.connect(store, autocommit=True) as connection:
        connection.execute("ALTER TABLE facts SET (autovacuum_enabled = off)")
        connection.execute(MANY.encode())
        if is_analyzed:
            connection.execute("ANALYZE facts")
        ((plan,),) = connection.execute(query, given).fetchall()
    nodes = list(nodes_of(plan[0]["Plan"]))
    assert {node["Index Name"] for node in nodes if "Index Name" in node} == {"facts_closings", "facts_expired", "facts_ledger"}
    assert sum(node.get("Rows Removed by Filter", 0) + node["Actual Rows"] for node in nodes if node["Node Type"] in SCANS) < 5


def nodes_of(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from nodes_of(below)


@contextmanager
def stopped(store: str) -> Iterator[None]:
    """The server processes of a store's readers do not run: connections stand, and nobody answers."""
    with psycopg.connect(store) as connection:
        found = connection.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'late'").fetchall()
    assert found, "a reader is connected"
    for (pid,) in found:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for (pid,) in found:
            os.kill(pid, signal.SIGCONT)


async def test_a_postgres_that_hangs_or_is_gone_delays_no_answer_and_is_asked_again(store: str) -> None:
    await copy(store, history())
    command = Confirm(id="late", tenant_id=TENANT, ledger_id=LEDGER, reservation_id="r2")
    refusal = Answer("late", LEDGER, Outcome.RESERVATION_NOT_OPEN, seq=7)
    async with PostgresReads(f"{store}&application_name=late") as reads:
        closings = Closings(reads)

        async def told() -> bool:
            (answer,) = await closings.told([command], [refusal])
            return answer.detail == f"released at {NOW_MS + 3}"

        await until(told, "a connection")
        with stopped(store):
            began = time.monotonic()
            (answer,) = await closings.told([command], [refusal])
            assert (answer.detail, time.monotonic() - began < LONGEST_S) == (AWAY, True)
        await until(told, "it answers again")
    async with PostgresReads("postgresql://z0:z0@127.0.0.1:1/z0") as nobody:
        began = time.monotonic()
        (answer,) = await Closings(nobody).told([command], [refusal])
        assert (answer.detail, time.monotonic() - began < LONGEST_S) == (AWAY, True)


class Caller:
    """A tenant with one account over HTTP."""

    def __init__(self, http: httpx.AsyncClient, tenant_id: str) -> None:
        self.http = http
        self.tenant_id = tenant_id
        self.account = f"acct_{uuid.uuid4().hex}"
        self.path = f"/v1/entities/{self.account}"

    async def batch(self, *commands: dict[str, Any]) -> list[dict[str, Any]]:
        sent = [{"entity_id": self.account, **command} for command in commands]
        response = await self.http.post("/v1/commands/batch", json={"commands": sent})
        assert response.status_code == 200, response.text
        return list(response.json()["results"])

    async def hold(self, names: list[str], **more: Any) -> None:
        held = await self.batch(*({"op": "reserve", "id": n, "amount": "0.01", "currency": "USD", **more} for n in names))
        assert {item["status"] for item in held} == {200}

    async def are_all_closed(self) -> bool:
        return bool((await self.http.get(f"{self.path}/reservations")).json()["open"] == 0)

    async def told(self, *details: tuple[str, str]) -> None:
        """Until a confirm of each reservation says the detail; the same commands again and again."""
        commands = [{"op": "confirm", "id": f"late/{name}", "reservation_id": name} for name, _ in details]

        async def said() -> bool:
            results = await self.batch(*commands)
            assert {item["code"] for item in results} == {"reservation_not_open"}
            return [item["detail"] for item in results] == [detail for _, detail in details]

        await until(said, f"late confirms are told what became of {len(details)} reservations")


@asynccontextmanager
async def caller(stack: Config) -> AsyncIterator[Caller]:
    """A new tenant's, with 100 USD."""
    tenant = f"t{uuid.uuid4().hex[:10]}"
    async with connect(stack) as ledger:
        await create_tenant(ledger, tenant)
        key = (await create_key(ledger, tenant, KeyRecord(hash="", mode=Mode.TEST, scopes=[Scope.READ, Scope.WRITE]))).key
    async with httpx.AsyncClient(base_url=stack.api_url, headers={"X-API-Key": key}, timeout=30) as http:
        found = Caller(http, f"tenant_{tenant}")
        await found.batch({"op": "create_entity"}, {"op": "add_budget", "amount": "100", "currency": "USD"})
        yield found


async def test_a_late_confirm_over_http_is_told_what_became_of_any_of_more_reservations_than_a_ledger_remembers(
    stack: Config,
) -> None:
    async with caller(stack) as api:
        names = [f"r{n}" for n in range(2 * ENDED_MAX)]
        await api.hold(names)
        closed = await api.batch(
            *({"op": "release" if n % 2 else "confirm", "id": f"c{n}", "reservation_id": name} for n, name in enumerate(names))
        )
        words = ("confirmed", "released")
        became = [(name, f"{words[n % 2]} at {closed[n]['recorded_at']}") for n, name in enumerate(names)]
        await api.told(*became)


async def test_a_late_confirm_over_http_is_told_of_a_mass_expiry(stack: Config) -> None:
    async with caller(stack) as api:
        names = [f"r{n}" for n in range(700)]
        await api.hold(names, ttl_ms=1_000)
        await until(api.are_all_closed, "all of them expire")
        facts = (await api.http.get(f"{api.path}/facts?type=budget&limit=1000")).json()["facts"]
        at = {name: f["recorded_at"] for f in facts if f["subtype"] == "expired" for name in f["data"]["reservations"]}
        assert at.keys() == set(names)
        await api.told(*((name, f"expired at {at[name]}") for name in names))
