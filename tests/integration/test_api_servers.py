"""The API over a real Postgres and behind a real uvicorn; the ledger is the engine in memory."""

import asyncio
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import uvicorn

from api.app import create_app
from api.errors import Code, Problem
from api.keys import KeyRecord, Mode, Scope
from api.reads import FactRow, PostgresReads, Window
from sinks.postgres.migrate import migrate
from sinks.postgres.sink import PostgresSink
from tests.unit.test_api_world import FaultyLedger, MemoryReads
from z0.cli.tenants import create_key, create_tenant
from z0.client.memory import MemoryLedger
from z0.config import Config
from z0.domain.answer import Answer
from z0.domain.commands import AddBudget, Command, CreateEntity
from z0.domain.outcome import Outcome
from z0.log.reader import FactReader
from z0.log.validity import Position
from z0.stack import postgres

pytestmark = pytest.mark.stack
ACME = "tenant_acme"


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Postgres of our own, migrated."""
    home: Path = tmp_path_factory.mktemp("api-postgres")
    config = Config(home=home, postgres_port=_free_port())
    program = postgres.program(config)
    assert program.command is not None
    program.prepare(lambda *_: None)
    process = subprocess.Popen(program.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not program.healthy(1.0):
            assert time.monotonic() < deadline, "Postgres did not start"
            time.sleep(0.1)
        migrate(config.postgres_url)
        yield config.postgres_url
    finally:
        process.send_signal(program.stop_signal)
        process.wait(30)


async def _replicate(ledger: MemoryLedger, url: str) -> None:
    """What the sink's runner does, once."""
    sink = PostgresSink(url)
    positions = await sink.start()
    for partition, records in enumerate(ledger.log.records):
        position = positions.get(partition, Position())
        reader = FactReader(partition, position)
        reads = list(reader.read(records[position.next_offset :]))
        sink.add(partition, reads, reader.position)
    await sink.flush(final=True)
    await sink.close()


async def _account(ledger: MemoryLedger, name: str, tenant: str, deposits: int) -> str:
    where = f"account_{name}"
    assert (await ledger.submit(CreateEntity(id="c", tenant_id=tenant, ledger_id=where))).outcome is Outcome.ACCEPTED
    for i in range(deposits):
        await ledger.submit(AddBudget(id=f"d{i}", tenant_id=tenant, ledger_id=where, amount="1.50", currency="USD"))
    return where


async def test_facts_come_from_postgres_as_they_were_stored_and_only_to_their_tenant(url: str) -> None:
    async with MemoryLedger() as ledger, PostgresReads(url) as reads:
        mine = await _account(ledger, "acct_1", ACME, 5)
        await _account(ledger, "acct_2", "tenant_other", 1)
        await _replicate(ledger, url)
        stored = {r.value for p in ledger.log.records for r in p if b'"ledger_id":"account_acct_1"' in r.value}
        rows = await reads.facts(ACME, mine, Window(after=0, upto=6, limit=100))
        assert [row.seq for row in rows] == [1, 2, 3, 4, 5, 6]
        assert {row.value for row in rows} == stored
        assert [r.seq for r in await reads.facts(ACME, mine, Window(after=2, upto=5, limit=2))] == [3, 4]
        assert [r.seq for r in await reads.facts(ACME, mine, Window(after=0, upto=6, limit=9, type="lifecycle"))] == [1]
        assert await reads.head(ACME, mine) == FactRow(6, rows[-1].value)
        assert await reads.facts("tenant_other", mine, Window(after=0, upto=6, limit=100)) == []
        assert await reads.head("tenant_other", mine) is None
        assert await reads.is_ready()


async def test_without_postgres_reads_are_unavailable_and_the_api_still_starts() -> None:
    async with PostgresReads(f"postgresql://z0:z0@127.0.0.1:{_free_port()}/z0") as reads:
        assert not await reads.is_ready()
        with pytest.raises(Problem) as problem:
            await reads.head(ACME, "account_acct_1")
        assert problem.value.code is Code.READS_UNAVAILABLE
        assert problem.value.status == 503


class _Gated(FaultyLedger):
    """Answers nobody while the gate is closed."""

    def __init__(self, inner: MemoryLedger) -> None:
        super().__init__(inner)
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0

    async def submit(self, command: Command, *, timeout_ms: int | None = None) -> Answer:
        self.waiting += 1
        await self.gate.wait()
        return await super().submit(command, timeout_ms=timeout_ms)


class _Served(NamedTuple):
    http: httpx.AsyncClient
    port: int
    server: uvicorn.Server
    ledger: _Gated


async def _until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not what():  # noqa: ASYNC110 - neither uvicorn nor the twin tells when
            await asyncio.sleep(0.01)


@asynccontextmanager
async def _served() -> AsyncIterator[_Served]:
    memory, port = MemoryLedger(), _free_port()
    ledger = _Gated(memory)
    app = create_app(config=Config(body_bytes_max=100_000), ledger=ledger, reads=MemoryReads(memory))
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", ws="none", lifespan="on"))
    task = asyncio.create_task(server.serve())
    await _until(lambda: server.started)
    await create_tenant(memory, "acme")
    key = (await create_key(memory, "acme", KeyRecord(hash="", mode=Mode.LIVE, scopes=[Scope.READ, Scope.WRITE]))).key
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers={"X-API-Key": key}) as http:
        yield _Served(http, port, server, ledger)
    server.should_exit = True
    await task


async def test_a_server_decides_and_refuses_a_chunked_body_before_all_of_it_came() -> None:
    async with _served() as api:
        assert (await api.http.post("/v1/entities", json={"id": "acct_1"})).status_code == 200
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        key = api.http.headers["X-API-Key"]
        head = f"POST /v1/commands HTTP/1.1\r\nHost: z0\r\nX-API-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        # Never finished: the answer has to come from what was sent so far.
        for _ in range(12):
            writer.write(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
        status = await asyncio.wait_for(reader.readline(), 5)
        assert b" 413 " in status
        writer.close()


async def test_a_request_without_a_key_is_refused_before_its_body_came() -> None:
    async with _served() as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.write(b"POST /v1/commands HTTP/1.1\r\nHost: z0\r\nContent-Length: 50000\r\n\r\n")
        assert b" 401 " in await asyncio.wait_for(reader.readline(), 5)
        writer.close()


async def test_requests_under_way_are_answered_before_the_server_stops() -> None:
    async with _served() as api:
        await api.http.post("/v1/entities", json={"id": "acct_1"})
        api.ledger.gate.clear()
        api.ledger.waiting = 0
        body = {"amount": "1", "currency": "USD"}
        asked = [asyncio.create_task(api.http.post("/v1/entities/acct_1/budget", json=body)) for _ in range(20)]
        await _until(lambda: api.ledger.waiting == 20)
        api.server.should_exit = True
        await asyncio.sleep(0.3)
        api.ledger.gate.set()
        assert {(await answer).status_code for answer in asked} == {200}
