"""
The local ClickHouse server, started for real. Owns: what clients may rely on. Does not own: what the engine computes.
"""

import asyncio
import gzip
import importlib.util
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import clickhouse_connect
import httpx
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.external import ExternalData

pytestmark = [
    pytest.mark.timeout(90),
    pytest.mark.skipif(importlib.util.find_spec("chdb") is None, reason="needs the `stack` extra"),
]

DEADLINE = 30.0
TABLE = "(a UInt64, s String) ENGINE = MergeTree ORDER BY a"
WINDOW = "SETTINGS non_replicated_deduplication_window = 1000"


@dataclass(frozen=True)
class Server:
    """A running server."""

    process: subprocess.Popen[bytes]
    port: int
    data: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, sql: str | bytes, **params: str) -> httpx.Response:
        return self.ask_with({}, sql, **params)

    def ask_with(self, headers: dict[str, str], sql: str | bytes, **params: str) -> httpx.Response:
        return httpx.post(self.url, content=sql, params=params, headers=headers, timeout=DEADLINE)

    def value(self, sql: str, **params: str) -> str:
        reply = self.ask(sql, **params)
        assert reply.status_code == 200, reply.text
        return reply.text.rstrip("\n")

    def client(self, database: str = "default") -> Client:
        return clickhouse_connect.get_client(host="127.0.0.1", port=self.port, database=database)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def eventually(what: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not what():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)


def launch(data: Path, port: int, **env: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "z0.stack.clickhouse", "--port", str(port), "--data", str(data)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, **env})


def answers(server: Server) -> bool:
    assert server.process.poll() is None, "the server stopped"
    try:
        return httpx.get(f"{server.url}/ping", timeout=DEADLINE).text == "Ok.\n"
    except httpx.TransportError:
        return False


@contextmanager
def running(data: Path, **env: str) -> Iterator[Server]:
    port = free_port()
    server = Server(launch(data, port, **env), port, data)
    try:
        eventually(lambda: answers(server))
        yield server
    finally:
        server.process.kill()
        server.process.communicate(timeout=DEADLINE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("clickhouse")) as started:
        yield started


@pytest.fixture
def table(server: Server, request: pytest.FixtureRequest) -> str:
    name = str(request.node.originalname)
    server.value(f"DROP TABLE IF EXISTS {name}")
    server.value(f"CREATE TABLE {name} {TABLE} {WINDOW}")
    return name


# Protocol


@pytest.mark.parametrize("path", ["/ping", "/", "/replicas_status"])
def test_health_paths_say_ok(server: Server, path: str) -> None:
    assert httpx.get(server.url + path).text == "Ok.\n"


def test_a_query_comes_as_a_parameter_as_a_body_or_in_two_parts(server: Server) -> None:
    assert httpx.get(server.url, params={"query": "SELECT 1 + 1"}).text == "2\n"
    assert server.value("SELECT 1 + 2") == "3"
    assert server.value("+ 3", query="SELECT 1") == "4"


def test_replies_carry_the_headers_of_a_server(server: Server) -> None:
    headers = server.ask("SELECT 1 FORMAT JSON", query_id="mine-1").headers
    assert headers["X-ClickHouse-Query-Id"] == "mine-1"
    assert headers["X-ClickHouse-Format"] == "JSON"
    assert headers["X-ClickHouse-Timezone"] == server.value("SELECT timezone()")
    assert headers["X-ClickHouse-Server-Display-Name"] == server.value("SELECT displayName()")
    assert json.loads(headers["X-ClickHouse-Summary"])["read_rows"] == "1"


def test_a_query_id_that_would_break_a_header_is_replaced(server: Server) -> None:
    assert "\n" not in server.ask("SELECT 1", query_id="a\r\nX-Evil: 1").headers["X-ClickHouse-Query-Id"]


@pytest.mark.parametrize(
    ("sql", "params", "status", "code", "name"),
    [
        ("SELECT * FROM nowhere", {}, 404, 60, "UNKNOWN_TABLE"),
        ("SELECT 1", {"database": "nowhere"}, 404, 81, "UNKNOWN_DATABASE"),
        ("SELEC 1", {}, 400, 62, "SYNTAX_ERROR"),
        ("", {}, 400, 62, "SYNTAX_ERROR"),
        ("SELECT 1; SELECT 2", {}, 400, 62, "SYNTAX_ERROR"),
        ("SELECT 1", {"no_such_setting": "1"}, 404, 115, "UNKNOWN_SETTING"),
        ("SELECT 1", {"a=1, b": "1"}, 404, 115, "UNKNOWN_SETTING"),
        ("SELECT {x:UInt8}", {}, 500, 456, "UNKNOWN_QUERY_PARAMETER"),
        ("SELECT throwIf(1)", {}, 500, 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ("SELECT count() FROM numbers(1000000000000)", {"max_execution_time": "0.2"}, 408, 159, "TIMEOUT_EXCEEDED"),
        ("SELECT 1", {"compress": "1"}, 501, 48, "NOT_IMPLEMENTED"),
        ("SELECT 1 INTO OUTFILE '/tmp/x'", {}, 501, 48, "NOT_IMPLEMENTED"),
        ("INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV", {}, 501, 48, "NOT_IMPLEMENTED"),
    ],
)
def test_errors_have_the_status_code_and_text_of_a_server(
    server: Server, sql: str, params: dict[str, str], status: int, code: int, name: str
) -> None:
    reply = server.ask(sql, **params)
    assert reply.status_code == status
    assert reply.headers["X-ClickHouse-Exception-Code"] == str(code)
    assert reply.text.startswith(f"Code: {code}. DB::Exception: ")
    assert f"({name}) (version " in reply.text


@pytest.mark.parametrize("params", [{}, {"readonly": "0"}, {"query_id": "x"}])
def test_a_get_changes_nothing(server: Server, table: str, params: dict[str, str]) -> None:
    reply = httpx.get(server.url, params={"query": f"INSERT INTO {table} VALUES (1, 'x')", **params})
    assert reply.headers["X-ClickHouse-Exception-Code"] == "164"
    assert server.value(f"SELECT count() FROM {table}") == "0"


def test_settings_hold_for_one_query_only(server: Server) -> None:
    ask = "SELECT getSetting('max_block_size')"
    before = server.value(ask)
    assert server.value(ask, max_block_size="4321") == "4321"
    assert server.value(ask) == before


def test_queries_have_a_time_limit_unless_they_set_one(server: Server) -> None:
    assert server.value("SELECT getSetting('max_execution_time')") == "60"


def test_parameters_are_bound_by_the_server(server: Server) -> None:
    assert server.value("SELECT {n:UInt8} + 1, {s:String}", param_n="41", param_s="it's; --") == "42\tit\\'s; --"


def test_long_parameters_fit_into_the_address(server: Server) -> None:
    assert server.value("SELECT length({s:String})", param_s="x" * 60_000) == "60000"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_large_replies_are_compressed_on_request(server: Server, encoding: str) -> None:
    sql = "SELECT number FROM numbers(5000)"
    reply = server.ask_with({"Accept-Encoding": encoding}, sql)
    assert reply.headers["Content-Encoding"] == encoding
    assert reply.text == server.ask_with({"Accept-Encoding": "identity"}, sql).text


def test_users_with_the_wrong_password_are_refused(tmp_path: Path) -> None:
    with running(tmp_path, CLICKHOUSE_USER="z0", CLICKHOUSE_PASSWORD="secret") as server:
        bad = [
            server.ask("SELECT 1"),
            server.ask_with({"X-ClickHouse-User": "z0", "X-ClickHouse-Key": "wrong"}, "SELECT 1"),
            server.ask("SELECT 1", user="z0", password="wrong"),
            server.ask_with({"Authorization": "Basic !!"}, "SELECT 1"),
        ]
        assert [(reply.status_code, reply.headers["X-ClickHouse-Exception-Code"]) for reply in bad] == [(403, "516")] * 4
        assert server.value("SELECT 1", user="z0", password="secret") == "1"
        assert httpx.post(server.url, content="SELECT 1", auth=("z0", "secret")).text == "1\n"


def test_the_go_client_is_greeted_in_its_own_layout_and_told_to_use_the_plain_one(server: Server) -> None:
    hello = "SELECT displayName(), version(), revision(), timezone()"
    reply = server.ask(hello, default_format="Native", client_protocol_version="54460").content
    assert reply.startswith(b"\x01\x00\x02\xff\xff\xff\xff\x00\x04\x01")
    assert b"\x0arevision()\x06UInt32\x00" + struct.pack("<I", 0) in reply
    assert (
        server.ask("SELECT 1", default_format="Native", client_protocol_version="54460").content == b"\x01\x01\x011\x05UInt8\x01"
    )


# clickhouse-connect


def test_clickhouse_connect_inserts_and_reads_columns(server: Server, table: str) -> None:
    with server.client() as client:
        columns: list[list[Any]] = [list(range(100_000)), [f"account-{n % 100}" for n in range(100_000)]]
        summary = client.insert(table, columns, column_names=["a", "s"], column_oriented=True)
        assert summary.written_rows == 100_000
        rows = client.query(f"SELECT s, count(), sum(a) FROM {table} GROUP BY s ORDER BY s LIMIT 1").result_rows
    assert rows == [("account-0", 1000, 49_950_000)]


@pytest.mark.parametrize("encoding", ["lz4", "zstd", "gzip", None])
def test_every_block_of_a_compressed_insert_arrives(server: Server, table: str, encoding: str | None) -> None:
    rows = 150_000
    with clickhouse_connect.get_client(host="127.0.0.1", port=server.port, compress=encoding or False) as client:
        client.insert(
            table, [list(range(rows)), ["wide enough for several blocks"] * rows], column_names=["a", "s"], column_oriented=True
        )
        assert len(client.query(f"SELECT a FROM {table}").result_rows) == rows


def test_clickhouse_connect_binds_and_sends_tables_along(server: Server) -> None:
    with server.client() as client:
        values = {"n": 4, "s": "it's\t\\ x", "l": ["a'b"]}
        assert client.query("SELECT {n:UInt8}, {s:String}, {l:Array(String)}", parameters=values).result_rows == [
            tuple(values.values())
        ]
        extra = ExternalData(file_name="ext.csv", fmt="CSV", structure="v UInt64", data=b"5\n6\n")
        assert client.query("SELECT sum(v) FROM ext", external_data=extra).result_rows == [(11,)]


def test_clickhouse_connect_sees_errors_with_their_code(server: Server) -> None:
    with server.client() as client, pytest.raises(DatabaseError) as raised:
        client.query("SELECT * FROM nowhere")
    assert raised.value.code == 60
    assert raised.value.name == "UNKNOWN_TABLE"


async def test_the_async_client_works_side_by_side(server: Server) -> None:
    async with await clickhouse_connect.get_async_client(host="127.0.0.1", port=server.port) as client:
        results = await asyncio.gather(*(client.query(f"SELECT {n}, sleep(0.2)") for n in range(8)))
    assert [result.result_rows[0][0] for result in results] == list(range(8))


def test_a_database_is_created_and_used_as_a_default(server: Server) -> None:
    with server.client() as client:
        client.command("CREATE DATABASE IF NOT EXISTS other")
    with server.client("other") as client:
        client.command(f"CREATE TABLE IF NOT EXISTS here {TABLE}")
        assert client.command("SELECT currentDatabase()") == "other"
        assert client.command("SELECT database FROM system.tables WHERE name = 'here'") == "other"
    assert server.value("SELECT currentDatabase()") == "default"


def test_databases_do_not_mix_between_concurrent_queries(server: Server) -> None:
    server.value("CREATE DATABASE IF NOT EXISTS other")

    def current(name: str) -> str:
        return server.value("SELECT currentDatabase() FROM numbers(1) WHERE sleep(0.02) = 0", database=name)

    names = ["default", "other", "system"] * 10
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(current, names)) == names


# Inserts


def test_an_insert_repeated_under_one_token_is_kept_once(server: Server, table: str) -> None:
    for sent in ("first", "again"):
        server.value(f'INSERT INTO {table} FORMAT JSONEachRow\n{{"a": 1, "s": "{sent}"}}', insert_deduplication_token="t-1")
    server.value(f'INSERT INTO {table} FORMAT JSONEachRow\n{{"a": 2, "s": "other"}}', insert_deduplication_token="t-2")
    assert server.value(f"SELECT groupArray(s) FROM (SELECT * FROM {table} ORDER BY a)") == "['first','other']"


@pytest.mark.parametrize(
    ("form", "data"),
    [
        ("JSONEachRow", b'{"a": 7, "s": "x;y"}\n'),
        ("CSV", b'7,"x;y"\n'),
        ("TabSeparated", b"7\tx;y\n"),
        ("RowBinary", struct.pack("<Q", 7) + b"\x03x;y"),
        ("VALUES", b"(7, 'x;y')"),
    ],
)
def test_data_comes_in_any_format_after_the_text_or_in_the_body(server: Server, table: str, form: str, data: bytes) -> None:
    insert = f"INSERT INTO {table} (a, s) FORMAT {form}"
    assert server.ask(insert.encode() + b"\n" + data, insert_deduplication_token="one").status_code == 200
    assert server.ask(data, query=insert, insert_deduplication_token="two").status_code == 200
    assert server.value(f"SELECT count(), any(a), any(s) FROM {table}") == "2\t7\tx;y"


def test_rows_that_the_storage_did_not_take_are_refused_and_not_said_to_be_there(server: Server, table: str) -> None:
    """The engine itself says that they were written."""
    server.ask(f"ALTER TABLE {table} ADD CONSTRAINT small CHECK a < 100")
    reply = server.ask(f'INSERT INTO {table} FORMAT JSONEachRow {{"a": 5000, "s": "x"}}')
    assert (reply.status_code, reply.headers["x-clickhouse-exception-code"]) == (500, "469")
    assert server.ask(f'INSERT INTO {table} FORMAT JSONEachRow {{"a": 5, "s": "x"}}').status_code == 200
    assert server.value(f"SELECT groupArray(a) FROM {table}") == "[5]"


def test_the_word_format_inside_text_is_not_taken_for_a_format(server: Server, table: str) -> None:
    server.value(f"INSERT INTO {table} /* FORMAT CSV */ (`a`, s) VALUES (1, 'a FORMAT CSV b')")
    assert server.value(f"SELECT s FROM {table} WHERE s != ' FORMAT JSON'") == "a FORMAT CSV b"


@pytest.mark.parametrize(
    ("form", "body"),
    [
        ("CSV", b"1,x\n2,y\nthree,z\n"),
        ("JSONEachRow", b'{"a": 1, "s": "x"}\n{"a": '),
        ("RowBinary", struct.pack("<Q", 7) + b"\x03x"),
    ],
)
def test_a_bad_body_is_refused_whole_and_loses_nothing_else(server: Server, table: str, form: str, body: bytes) -> None:
    server.value(f"INSERT INTO {table} VALUES (100, 'kept')")
    reply = server.ask(body, query=f"INSERT INTO {table} FORMAT {form}")
    assert reply.status_code >= 400
    assert reply.text.startswith(f"Code: {reply.headers['X-ClickHouse-Exception-Code']}. DB::Exception: ")
    server.value(f"INSERT INTO {table} VALUES (101, 'after')")
    assert server.value(f"SELECT groupArray(a) FROM (SELECT a FROM {table} ORDER BY a)") == "[100,101]"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"1,x\n")[:-4]),
        ("deflate", zlib.compress(b"1,x\n")[:-2]),
        ("zstd", b"nonsense"),
        ("lz4", b"nonsense"),
    ],
)
def test_a_broken_compressed_body_is_refused(server: Server, table: str, encoding: str, body: bytes) -> None:
    reply = server.ask_with({"Content-Encoding": encoding}, body, query=f"INSERT INTO {table} FORMAT CSV")
    assert reply.headers["X-ClickHouse-Exception-Code"] == "271"
    assert server.value(f"SELECT count() FROM {table}") == "0"


# One process, one folder


def test_ping_answers_during_a_long_query(server: Server) -> None:
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(server.value, "SELECT count() FROM numbers(1000) WHERE sleepEachRow(0.001) = 0")
        eventually(lambda: server.value("SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow(0.001)%'") == "2")
        started = time.monotonic()
        assert httpx.get(f"{server.url}/ping").text == "Ok.\n"
        assert time.monotonic() - started < 0.5
        assert not long.done()
        assert long.result(DEADLINE) == "1000"


def test_a_full_queue_refuses_at_once(server: Server) -> None:
    sql = "SELECT sleep(0.2)"

    async def many() -> list[str | None]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(timeout=DEADLINE, limits=limits) as client:
            replies = await asyncio.gather(*(client.post(server.url, content=sql) for _ in range(80)))
        return [reply.headers.get("X-ClickHouse-Exception-Code") for reply in replies]

    codes = asyncio.run(many())
    assert set(codes) == {None, "202"}
    assert codes.count(None) >= 68
    assert server.value("SELECT 1") == "1"


def test_a_second_server_on_the_folder_says_why_it_stops(server: Server) -> None:
    second = launch(server.data, free_port())
    _, said = second.communicate(timeout=DEADLINE)
    assert second.returncode == 1
    assert said.decode().splitlines() == [
        f"the data folder {server.data} is in use by process {server.process.pid}: one server per folder"
    ]


def test_data_and_tokens_outlive_kill_9_and_restart(tmp_path: Path) -> None:
    insert = "INSERT INTO kept VALUES (1, 'x')"
    with running(tmp_path) as server:
        server.value(f"CREATE TABLE kept {TABLE} {WINDOW}")
        server.value(insert, insert_deduplication_token="token")
        server.process.kill()
    with running(tmp_path) as server:
        server.value(insert, insert_deduplication_token="token")
        assert server.value("SELECT count(), any(s) FROM kept") == "1\tx"


def test_sigterm_lets_running_queries_finish(tmp_path: Path) -> None:
    with running(tmp_path) as server, ThreadPoolExecutor(1) as pool:
        last = pool.submit(server.value, "SELECT count() FROM numbers(1000) WHERE sleepEachRow(0.001) = 0")
        eventually(lambda: server.value("SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow(0.001)%'") == "2")
        server.process.send_signal(signal.SIGTERM)
        assert last.result(DEADLINE) == "1000"
        assert server.process.wait(DEADLINE) == 0
