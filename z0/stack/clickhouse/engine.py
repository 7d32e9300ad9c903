"""
The engine in this process. Owns: opening and closing it, and running one query on a connection of its own.
Does not own: threads and queues (`lanes`), what came over HTTP (`request`).

A connection costs about a tenth of a millisecond, keeps its own database and settings, and connections run in
parallel. So each query gets a fresh one: what `USE` and `SET` did to it ends with it, and nothing is shared.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, cast

from chdb import _chdb

from z0.stack.clickhouse import errors, sql
from z0.stack.clickhouse.statement import Statement

_FAILURES: Final = """
SELECT code, toInt32(value), toInt32(query_id = queryID()), name, last_error_message FROM system.errors WHERE NOT remote
"""


class _Result(Protocol):
    def bytes(self) -> bytes: ...
    def elapsed(self) -> float: ...
    def rows_read(self) -> int: ...
    def bytes_read(self) -> int: ...
    def rows_written(self) -> int: ...
    def bytes_written(self) -> int: ...
    def storage_rows_read(self) -> int: ...
    def storage_bytes_read(self) -> int: ...


class _Connection(Protocol):
    def query(self, query_str: str | bytes, format: str) -> _Result: ...  # noqa: A002 the engine's own name
    def classify_query(self, sql: str | bytes) -> dict[str, object]: ...
    def send_insert(self, query_str: str | bytes, format: str) -> object: ...  # noqa: A002
    def insert_append(self, insert: object, data: bytes) -> None: ...
    def insert_done(self, insert: object) -> _Result: ...
    def insert_cancel(self, insert: object) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class External:
    """A table that lives for one query, sent along with it."""

    name: str
    structure: str
    format: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Query:
    """One statement with everything that it may see."""

    statement: Statement
    database: str = ""
    default_format: str = "TabSeparated"
    settings: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    externals: tuple[External, ...] = ()
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query gave, and what it cost."""

    body: bytes
    format: str
    summary: dict[str, int]


@dataclass(frozen=True, slots=True)
class About:
    """What the engine says of itself in every reply."""

    version: str
    timezone: str
    display_name: str


class Engine:
    """The one engine of this process, on one folder."""

    def __init__(self, folder: Path, query_seconds: int) -> None:
        self._folder = str(folder)
        self._base = {"max_execution_time": str(query_seconds), "implicit_select": "0"}
        # Held open for as long as the server runs: the engine lives while any connection does.
        self._root = _connect(self._folder)
        self.about = _about(self._root)

    def close(self) -> None:
        self._root.close()

    def interrupt(self) -> None:
        """End every query that still runs."""
        with suppress(RuntimeError):
            self._root.query("KILL QUERY WHERE true ASYNC", "Null")

    def run(self, query: Query) -> Answer:
        """Run one query in the calling thread."""
        with self._connection() as connection, _engine_errors():
            _prepare(connection, query, {**self._base, **query.settings})
            return _answer(connection, query)

    @contextmanager
    def _connection(self) -> Iterator[_Connection]:
        connection = _connect(self._folder)
        try:
            yield connection
        finally:
            connection.close()


def _connect(folder: str) -> _Connection:
    # The public wrapper has no `classify_query` and reads some formats itself; the module below it is typed in part only.
    return cast(_Connection, cast(Any, _chdb).connect(folder))


@contextmanager
def _engine_errors() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise errors.from_engine(str(error)) from None


def _about(connection: _Connection) -> About:
    text = connection.query("SELECT version(), timezone(), displayName()", "TabSeparated").bytes().decode()
    return About(*text.rstrip("\n").split("\t"))


def _prepare(connection: _Connection, query: Query, settings: dict[str, str]) -> None:
    """Database, tables of the caller, then settings and parameters: `readonly` would forbid what comes before."""
    if query.database:
        connection.query(f"USE {sql.identifier(query.database)}", "TabSeparated")
    for table in query.externals:
        _create_external(connection, table)
    if query.read_only and settings.get("readonly", "0") == "0":
        settings = settings | {"readonly": "2"}
    parameters = {f"param_{name}": value for name, value in query.parameters.items()}
    connection.query(sql.set_statement(settings | parameters), "TabSeparated")


def _create_external(connection: _Connection, table: External) -> None:
    name = sql.identifier(table.name)
    connection.query(f"CREATE TEMPORARY TABLE {name} ({table.structure}) ENGINE = Memory", "TabSeparated")
    _insert(connection, f"INSERT INTO {name}", table.format, table.data)


def _answer(connection: _Connection, query: Query) -> Answer:
    statement = query.statement
    if statement.data is not None and statement.format is not None:
        result = _insert(connection, statement.sql, statement.format, statement.data)
        return Answer(b"", "", _summary(result))
    if connection.classify_query(statement.sql)["statement_count"] not in (0, 1):
        raise errors.refuse(errors.SYNTAX_ERROR, "Syntax error: Multi-statements are not allowed")
    result = connection.query(statement.sql, query.default_format)
    form = (statement.format or query.default_format) if statement.yields else ""
    return Answer(result.bytes(), form, _summary(result))


def _insert(connection: _Connection, head: str | bytes, form: str, data: bytes) -> _Result:
    """
    Rows in the caller's format, given to the engine in one piece: up to a million rows are kept whole or not at all.

    The engine says that all is written also where its storage took nothing (a full disk, a constraint), so it is asked.
    """
    before = {code: count for code, count, *_ in _failures(connection)}
    insert = connection.send_insert(head, form)
    try:
        if data:
            connection.insert_append(insert, data)
        result = connection.insert_done(insert)
    except BaseException:
        # What was wrong is worth more to the caller than what cancelling thinks of it.
        with suppress(RuntimeError):
            connection.insert_cancel(insert)
        raise
    for code, count, is_ours, name, text in _failures(connection):
        if is_ours or (code in errors.OF_STORAGE and count > before.get(code, 0)):
            raise errors.refuse((code, name), text)
    return result


def _failures(connection: _Connection) -> list[tuple[int, int, int, str, str]]:
    """
    Per code: how often, whether the last time was in this connection's query, its name, what was said.

    Only the last one of a code is kept. One of another query may hide ours, so where the storage fails at all, nobody's rows
    are said to be there; an insert with a token may be sent again.
    """
    result = connection.query(_FAILURES, "JSONCompactEachRow")
    return [tuple(json.loads(line)) for line in result.bytes().splitlines()]


def _summary(result: _Result) -> dict[str, int]:
    return {
        "read_rows": result.storage_rows_read(),
        "read_bytes": result.storage_bytes_read(),
        "written_rows": result.rows_written(),
        "written_bytes": result.bytes_written(),
        "result_rows": result.rows_read(),
        "result_bytes": result.bytes_read(),
        "elapsed_ns": int(result.elapsed() * 1_000_000_000),
    }
