"""The parts of the benchmarks that need no stack: loads, the light HTTP client, what peers say, and peers that are missing."""

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import islice
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from z0.bench import http, recovery
from z0.bench.closedloop import closed_loop
from z0.bench.cluster import shared_out
from z0.bench.http_client import LOST, Pool, post
from z0.bench.load import ledgers, reservations, work
from z0.bench.peers import postgres, run, streams, turns
from z0.bench.peers.names import Peer
from z0.bench.peers.sizes import Size
from z0.client.owners import Owner
from z0.client.partitioner import partition_of
from z0.domain.commands import AddBudget, Confirm, CreateEntity, Reserve
from z0.errors import StackError, Z0Error

PGBENCH = """pgbench (18.0)
number of transactions actually processed: 127003
number of failed transactions: 0 (0.000%)
latency average = 2.520 ms
tps = 12697.944210 (without initial connection time)
"""


def test_a_hot_account_gets_nothing_but_reservations_with_ids_of_their_own() -> None:
    """They end by their expiry, or one account would soon hold more than it may."""
    commands = list(islice(reservations(ledgers(1, "x")), 50))
    assert {type(command) for command in commands} == {Reserve}
    assert {command.ledger_id for command in commands} == {"account_acct_x-0"}
    assert len({command.id for command in commands}) == 50


def test_every_reservation_of_the_work_is_confirmed() -> None:
    """On its account, so that holds do not pile up."""
    commands = list(islice(work(3, "x"), 12))
    held = {(command.ledger_id, command.id) for command in commands if isinstance(command, Reserve)}
    assert held == {(command.ledger_id, command.reservation_id) for command in commands if isinstance(command, Confirm)}


def test_every_entity_of_a_recovery_is_created_and_funded_and_every_tenth_holds_some() -> None:
    """In this order."""
    commands = list(recovery.story(20))
    assert [type(command) for command in commands[:5]] == [CreateEntity, AddBudget, Reserve, CreateEntity, AddBudget]
    assert sum(isinstance(command, Reserve) for command in commands) == 2


@pytest.mark.parametrize(
    ("owners", "workers", "shared"),
    [
        ("aaaa", 1, True),
        ("aabb", 2, True),
        ("aab", 2, True),
        ("aaaa", 2, False),
        ("aaab", 2, False),
        ("aabb", 1, False),
        ("", 1, False),
    ],
)
def test_workers_are_measured_once_each_has_its_share(owners: str, workers: int, shared: bool) -> None:
    """The first of two has all partitions for a moment."""
    assert shared_out([Owner(partition, 1, "", worker) for partition, worker in enumerate(owners)], workers) is shared


def test_every_partition_is_asked_whether_it_serves_again() -> None:
    """By an entity of its own, whose money nobody holds."""
    probes = recovery.probes_of(8, 1_000)
    assert sorted(partition_of(ledger_id, 8) for ledger_id in probes) == list(range(8))
    assert recovery.ledger_of(0) not in probes


async def test_a_closed_loop_asks_next_only_when_the_last_was_answered() -> None:
    """Never more at once than there are clients, and at least one answer each."""
    under_way = most = asked = 0

    async def ask() -> int:
        nonlocal under_way, most, asked
        under_way += 1
        asked += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return 10

    rate = await closed_loop(3, 0.01, ask)
    assert most == 3
    assert asked >= 3
    assert rate > 0


def test_a_command_over_http_says_no_tenant() -> None:
    """The tenant comes from the key."""
    command = next(work(1, "x"))
    assert http.item(command) == {
        "op": "reserve",
        "id": "r0",
        "ledger_id": "account_acct_x-0",
        "amount": "0.0125",
        "currency": "USD",
    }


@pytest.fixture
async def server() -> AsyncIterator[int]:
    """A server that sends back what it gets, in chunks; its port."""

    async def echo(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if body == b'"die"':
            assert request.transport is not None
            request.transport.abort()
        response = web.StreamResponse(status=200 if request.headers["X-API-Key"] == "good" else 401)
        await response.prepare(request)
        await response.write(body[:3])
        await response.write(body[3:])
        return response

    application = web.Application()
    application.router.add_post("/echo", echo)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield int(runner.addresses[0][1])
    await runner.cleanup()


def echo_of(value: object, key: str = "good") -> bytes:
    """A request that comes back."""
    return post("/echo", "localhost", key, msgspec.json.encode(value))


async def test_every_answer_over_http_goes_to_who_asked(server: int) -> None:
    """Also where more ask than there are connections."""
    pool = Pool("127.0.0.1", server)
    await pool.open(3)
    answers = await asyncio.gather(*(pool.answer(echo_of(f"number {n}")) for n in range(20)))
    assert [msgspec.json.decode(answer.body) for answer in answers] == [f"number {n}" for n in range(20)]
    assert (await pool.answer(echo_of("x", key="bad"))).status == 401
    pool.close()


async def test_a_connection_that_breaks_is_a_lost_answer_and_nobody_waits_for_ever(server: int) -> None:
    """Neither who asked nor who waited behind."""
    pool = Pool("127.0.0.1", server)
    await pool.open(1)
    answers = await asyncio.wait_for(asyncio.gather(pool.answer(echo_of("die")), pool.answer(echo_of("next"))), 20)
    assert list(answers) == [LOST, LOST]
    pool.close()


def test_the_rate_of_single_calls_is_what_pgbench_says() -> None:
    """And a run with failed calls is none."""
    assert postgres.calls_per_s(PGBENCH) == pytest.approx(12_697.94421)
    with pytest.raises(Z0Error, match="did not measure"):
        postgres.calls_per_s(PGBENCH.replace("transactions: 0 ", "transactions: 3 "))
    with pytest.raises(Z0Error, match="connection refused"):
        postgres.calls_per_s("", "connection refused")


def test_a_peer_that_cannot_be_had_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not left out in silence, and the others are measured all the same."""

    def missing(*_: object) -> dict[str, float]:
        raise StackError("there is no `javac`\non the path")

    monkeypatch.setattr(run, "_MEASURES", {Peer.STREAMS: missing, Peer.FAUST: lambda *_: {"per_s": 1_000.0}})
    said: list[str] = []
    figures = run.measure(Size(), [Peer.STREAMS, Peer.FAUST], said.append)
    assert figures == {"streams": "not measured: there is no `javac` on the path", "faust_per_s": 1_000.0}
    assert said == ["measuring streams", "measuring faust"]


def test_who_takes_turns_comes_first_as_often_as_last() -> None:
    """But for the last turn, where their number is odd."""
    assert "".join(turns.in_turns("abc")) == "abccbaabccbaabc"


def test_ours_is_told_as_a_multiple_of_the_middle_of_the_turns_of_postgres() -> None:
    """Which a slow moment does not move."""
    assert turns.middle([30.0, 900.0, 28.0, 31.0, 29.0]) == 30.0
    figures = {"ours_p99_ms": 45.0, "ours_fsync_p99_ms": 15.0, "postgres_p99_ms": 30.0}
    assert turns.to_postgres("p99_ms", figures) == {"ours_p99_ms_to_postgres": 1.5, "ours_fsync_p99_ms_to_postgres": 0.5}


def test_without_a_java_compiler_kafka_streams_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Instead of a traceback."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("z0.stack.kafka.jars.java", lambda: "java")
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(StackError, match="JDK of Java 17"):
        streams.build()


def test_work_for_kafka_streams_names_its_account_and_its_id() -> None:
    """The key is the account, so that one task has all of its balance."""
    account, name, value = list(islice(streams.events(1_000), 1_001))[1_000]
    assert (account, name) == ("account-0", "s-1000")
    assert msgspec.json.decode(value) == {"id": name, "account": account, "amount": "0.0125"}


async def test_a_closed_loop_counts_what_every_client_got_done() -> None:
    """Also what others finish while one waits."""
    asked = 0

    async def ask() -> int:
        nonlocal asked
        await asyncio.sleep(0)
        asked += 1
        return 1

    began = time.perf_counter()
    rate = await closed_loop(10, 0.05, ask)
    assert asked / (time.perf_counter() - began) <= rate <= asked / 0.05
