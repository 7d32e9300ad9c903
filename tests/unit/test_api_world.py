"""
What the API's tests share: the application over the real engine in memory, a query store that reads that engine's log, and keys.

    async with world() as api:
        answer = await api.post("/v1/entities", {"id": "acct_1"})
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec

from api.app import create_app
from api.errors import Code, Problem
from api.keys import KeyRecord, Mode, Scope
from api.reads import Closing, ConfigRow, ConfigsWindow, FactRow, Late, Window
from z0.cli.tenants import create_key, create_tenant
from z0.client.memory import MemoryLedger
from z0.clock import ManualClock
from z0.codec import decode_fact
from z0.config import Config
from z0.configs.book import Book
from z0.domain.answer import Answer
from z0.domain.commands import Command
from z0.domain.config import PLATFORM_TENANT, ConfigData
from z0.domain.facts import StoredFact
from z0.domain.outcome import Outcome
from z0.names import CLAIM_KEY
from z0.receipts import Stored
from z0.receipts.from_log import LogHistory

BODY_BYTES_MAX = 300_000
VERSIONED = ("config", "versioned")


class MemoryReads:
    """`Reads` over the log of a `MemoryLedger`; `lag` hides the newest facts of every ledger."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self.lag = 0
        self.ready = True
        self.asked_for_closings = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def _rows(self, tenant_id: str, ledger_id: str) -> list[tuple[FactRow, str]]:
        records = self._ledger.log.records[self._ledger.partition_of(ledger_id)]
        facts = [(decode_fact(r.value), r.value) for r in records if r.key != CLAIM_KEY]
        mine = [(FactRow(f.seq, v), f.type) for f, v in facts if f.ledger_id == ledger_id and f.tenant_id == tenant_id]
        return mine[: len(mine) - self.lag]

    async def head(self, tenant_id: str, ledger_id: str) -> FactRow | None:
        rows = self._rows(tenant_id, ledger_id)
        return rows[-1][0] if rows else None

    async def facts(self, tenant_id: str, ledger_id: str, window: Window) -> Sequence[FactRow]:
        rows = self._rows(tenant_id, ledger_id)
        found = [row for row, kind in rows if window.after < row.seq <= window.upto and window.type in (None, kind)]
        return found[: window.limit]

    async def config(self, tenant_id: str, ledger_id: str, *, at: int | None, version: int | None) -> ConfigRow | None:
        rows = self._versions({tenant_id}, ledger_id)
        found = [row for row, of in rows if version in (None, of["version"]) and (at is None or _holds(row, of, at))]
        return found[0] if found else None

    async def configs(self, tenant_id: str, window: ConfigsWindow) -> Sequence[ConfigRow]:
        rows = self._versions({tenant_id, PLATFORM_TENANT}, None)
        found = [
            row
            for row, of in rows
            if _holds(row, of, window.at)
            and window.type in (None, of["type"])
            and (of["tenant_id"] == tenant_id or of["scope"] == "platform")
            and f"config_{row.config_id}" > window.after
        ]
        return sorted(found)[: window.limit]

    async def applying(self, tenant_id: str, names: Sequence[str], at: int) -> Sequence[bytes]:
        found = []
        for row, of in self._versions({tenant_id, PLATFORM_TENANT}, None):
            is_over = row.superseded_at is not None and row.superseded_at <= max(at, of["effective_at"])
            if of["applies_to"] in names and not is_over and (of["tenant_id"] == tenant_id or of["scope"] == "platform"):
                found.append(self._value(row.fact_id))
        return found

    def _value(self, fact_id: str) -> bytes:
        records = (record for log in self._ledger.log.records for record in log if record.key != CLAIM_KEY)
        return next(record.value for record in records if decode_fact(record.value).id == fact_id)

    def _versions(self, tenants: set[str], ledger_id: str | None) -> list[tuple[ConfigRow, dict[str, Any]]]:
        """Every version that is shown, with until when it holds."""
        records = [r for log in self._ledger.log.records for r in log if r.key != CLAIM_KEY]
        facts = [fact for fact in map(decode_fact, (r.value for r in records)) if (fact.type, fact.subtype) == VERSIONED]
        facts = [fact for fact in facts if fact.tenant_id in tenants and ledger_id in (None, fact.ledger_id)]
        bodies = [(fact, json.loads(bytes(fact.data))["config"]) for fact in facts]
        rows = []
        for fact, body in bodies:
            later = [b["effective_at"] for _, b in bodies if b["id"] == body["id"] and b["version"] > body["version"]]
            end = min(later, default=None)
            rows.append((ConfigRow(body["id"], json.dumps(body), end, fact.id, fact.recorded_at), body))
        return rows

    async def closings(self, tenant_id: str, late: Sequence[Late]) -> Sequence[Closing]:
        self.asked_for_closings += 1
        if not self.ready:
            raise Problem(Code.READS_UNAVAILABLE)
        return [self._closing(tenant_id, one) for one in late]

    def _closing(self, tenant_id: str, late: Late) -> Closing:
        facts = [decode_fact(row.value) for row, _ in self._rows(tenant_id, late.ledger_id)]
        closed = [fact for fact in facts if fact.seq < late.below and late.reservation_id in _closed_by(fact)]
        head = facts[-1].seq if facts else 0
        return Closing(closed[-1].subtype, closed[-1].recorded_at, head) if closed else Closing(None, None, head)

    def history(self, tenant_id: str) -> "LaggingHistory":
        return LaggingHistory(self._ledger.log, self._ledger.partition_of, tenant_id, lag=self.lag)

    async def is_ready(self) -> bool:
        return self.ready


def _closed_by(fact: StoredFact) -> set[str | None]:
    """The reservations that a fact closed."""
    if (fact.type, fact.subtype) == ("budget", "expired"):
        return set(json.loads(bytes(fact.data))["reservations"])
    return {fact.reservation_id} if fact.type == "budget" and fact.subtype != "reserved" else set()


class LaggingHistory(LogHistory):
    """A history without the newest `lag` facts of every ledger."""

    name = "postgres"

    def __init__(self, *given: Any, lag: int) -> None:
        super().__init__(*given)
        self._lag = lag

    async def facts(self, ledger_id: str) -> AsyncGenerator[Sequence[Stored], None]:
        found = [stored async for piece in super().facts(ledger_id) for stored in piece]
        yield found[: len(found) - self._lag]


def _holds(row: ConfigRow, body: dict[str, Any], at: int) -> bool:
    return bool(body["effective_at"] <= at and (row.superseded_at is None or row.superseded_at > at))


class FaultyLedger:
    """A `Ledger` that can lose answers (`lost`: decided, then a time-out), refuse commands (`refusing`), and keep what it saw."""

    def __init__(self, inner: MemoryLedger) -> None:
        self.inner = inner
        self.lost = False
        self.refusing: Outcome | None = None
        self.ready = True
        self.seen: list[Command] = []

    async def __aenter__(self) -> Self:
        await self.inner.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.inner.__aexit__(kind, error, trace)

    def partition_of(self, ledger_id: str) -> int:
        return self.inner.partition_of(ledger_id)

    def is_ready(self) -> bool:
        return self.ready

    async def submit(self, command: Command, *, timeout_ms: int | None = None) -> Answer:
        return (await self.submit_many([command], timeout_ms=timeout_ms))[0]

    async def submit_many(self, commands: Sequence[Command], *, timeout_ms: int | None = None) -> list[Answer]:
        self.seen.extend(commands)
        if self.refusing is not None:
            return [Answer(c.id, c.ledger_id, self.refusing) for c in commands]
        answers = await self.inner.submit_many(commands, timeout_ms=timeout_ms)
        # Like the direct client: it knows the partition, but no position.
        return [Answer(c.id, c.ledger_id, Outcome.TIMEOUT, partition=0) for c in commands] if self.lost else answers


class World:
    """The application, a client of it, and what stands behind it. Tenant `acme` has a key, `other` too."""

    def __init__(self, ledger: FaultyLedger, reads: MemoryReads, clock: ManualClock, http: httpx.AsyncClient) -> None:
        self.ledger = ledger
        self.reads = reads
        self.clock = clock
        self.http = http
        self.key = ""
        self.other = ""
        self.book = Book()

    async def new_key(self, tenant: str = "acme", scopes: str = "read,write", expires_at: int | None = None) -> str:
        """Make a key as `z0 key create` does."""
        wanted = KeyRecord(hash="", mode=Mode.LIVE, scopes=[Scope(s) for s in scopes.split(",")], expires_at=expires_at)
        return (await create_key(self.ledger.inner, tenant, wanted)).key

    async def send(self, method: str, path: str, body: Any = None, *, key: str | None = None, **headers: str) -> httpx.Response:
        """A request with acme's key, or another; header names with `_` for `-`."""
        sent = {"X-API-Key": key if key is not None else self.key} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        if body is None:
            return await self.http.request(method, path, headers=sent)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.http.request(method, path, content=content, headers={"Content-Type": "application/json"} | sent)

    async def get(self, path: str, **more: str) -> httpx.Response:
        return await self.send("GET", path, None, **more)

    async def post(self, path: str, body: Any = None, **more: str) -> httpx.Response:
        return await self.send("POST", path, body, **more)

    async def account(self, name: str = "acct_1", deposit: str | None = "100", **more: str) -> str:
        """An account, with money where a deposit is given."""
        assert (await self.post("/v1/entities", {"id": name}, **more)).status_code == 200
        if deposit is not None:
            paid = await self.post(f"/v1/entities/{name}/budget", {"amount": deposit, "currency": "USD"}, **more)
            assert paid.status_code == 200
        return f"/v1/entities/{name}"

    async def outcome(self, path: str = "/v1/entities/acct_1") -> str:
        """The id of a new outcome on an entity's ledger, for charges to name."""
        return str(answer_of(await self.post(f"{path}/facts", {"type": "outcome"}))["fact_id"])

    async def put_config(self, name: str, config: dict[str, Any], *, key: str) -> httpx.Response:
        """Write a config and bring it round to the ledger's copy of all of them, as the topic of configs does."""
        response = await self.post(f"/v1/configs/{name}", config, key=key)
        for record in (record for log in self.ledger.inner.log.records for record in log if record.key != CLAIM_KEY):
            fact = decode_fact(record.value)
            if (fact.type, fact.subtype) == VERSIONED:
                self.book.add(msgspec.json.decode(fact.data, type=ConfigData).config)
        return response

    async def available(self, path: str = "/v1/entities/acct_1") -> str:
        state = (await self.get(path)).json()
        return str(state["budgets"]["USD"]["available"])


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """The application, started."""
    clock = ManualClock()
    memory = MemoryLedger(clock=clock)
    memory.policies = book = Book()
    ledger, reads = FaultyLedger(memory), MemoryReads(memory)
    app = create_app(config=Config(body_bytes_max=BODY_BYTES_MAX), ledger=ledger, reads=reads, clock=clock)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://z0") as http:
        api = World(ledger, reads, clock, http)
        api.book = book
        for name in ("acme", "other"):
            await create_tenant(memory, name)
        api.key, api.other = await api.new_key(), await api.new_key("other")
        yield api


def check_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check the shape of a problem (RFC 9457) and give its members."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["type"] == f"urn:z0:problem:{code}"
    assert (body["code"], body["status"]) == (code, status)
    assert body["title"]
    assert body["detail"]
    assert body["instance"] == response.request.url.path
    return dict(body)


def answer_of(response: httpx.Response) -> dict[str, Any]:
    """The answer that an accepted command got."""
    assert response.status_code == 200, response.text
    return dict(msgspec.json.decode(response.content))
