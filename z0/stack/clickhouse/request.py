"""
What came over HTTP. Owns: which parameter means what, and reading a request into a query.
Does not own: running it (`engine`), who may ask (`account`).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from z0.stack.clickhouse import encodings, errors, statement
from z0.stack.clickhouse.engine import External, Query
from z0.stack.clickhouse.statement import Statement

# fmt: off
# Parameters of the interface itself; every other one is a setting of the engine.
_INTERFACE: Final = frozenset({
    "query", "database", "default_format", "query_id", "user", "password",
    "quota_key", "stacktrace", "role", "session_id", "session_timeout", "session_check",
    "close_session", "compress", "decompress", "wait_end_of_query", "buffer_size", "client_protocol_version",
})
# fmt: on
# A body above this is taken apart in a thread: unpacking it would hold up the event loop.
_QUICK: Final = 64 * 1024
_PARAMETER: Final = "param_"
_TABLE_PARTS: Final = ("_structure", "_types", "_format")


@dataclass(frozen=True, slots=True)
class Asked:
    """A query, and what its reply needs to know."""

    query: Query
    accept: str
    protocol: int


@dataclass(frozen=True, slots=True)
class _Body:
    """The body as it came, or the parts of a form."""

    data: bytes = b""
    encoding: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


async def read(http: web.Request) -> Asked:
    """Read a request; the engine has not been asked anything yet."""
    body = await _body(http)
    if len(body.data) <= _QUICK:
        return _asked(http, body)
    return await asyncio.to_thread(_asked, http, body)


async def _body(http: web.Request) -> _Body:
    if http.content_type == "multipart/form-data":
        return await _form(http)
    return _Body(data=await http.read(), encoding=http.headers.get("Content-Encoding", ""))


def _asked(http: web.Request, body: _Body) -> Asked:
    given = {**http.query, **body.fields}
    _refuse_block_compression(given)
    found = _statement(given.get("query", ""), encodings.decoded(body.data, body.encoding))
    return Asked(
        query=_query(http, given, found, _externals(given, body.files)),
        accept=encodings.chosen(http.headers.get("Accept-Encoding", "")) if _may_compress(given) else "",
        protocol=int(given["client_protocol_version"]) if given.get("client_protocol_version", "").isdigit() else 0,
    )


async def _form(http: web.Request) -> _Body:
    """Texts are parameters, files are tables that live for the query."""
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for name, part in (await http.post()).items():
        if isinstance(part, web.FileField):
            files[name] = part.file.read()
        elif isinstance(part, str):
            fields[name] = part
        else:
            files[name] = bytes(part)
    return _Body(fields=fields, files=files)


def _statement(query: str, data: bytes) -> Statement:
    """The text of the `query` parameter, then the body, as one text with a line end between."""
    text = query.encode("utf-8", "surrogateescape")
    found = statement.parse(text + b"\n" + data if text and data else text or data)
    if not found.sql.strip():
        raise errors.refuse(errors.SYNTAX_ERROR, "Empty query")
    if statement.touches_files(found):
        raise errors.refuse(errors.NOT_IMPLEMENTED, "INTO OUTFILE and FROM INFILE are for the command line client")
    return found


def _query(http: web.Request, given: Mapping[str, str], found: Statement, tables: tuple[External, ...]) -> Query:
    headers = http.headers
    return Query(
        statement=found,
        database=given.get("database") or headers.get("X-ClickHouse-Database") or "",
        default_format=given.get("default_format") or headers.get("X-ClickHouse-Format") or "TabSeparated",
        settings=_settings(given, {table.name for table in tables}),
        parameters={name.removeprefix(_PARAMETER): value for name, value in given.items() if name.startswith(_PARAMETER)},
        externals=tables,
        read_only=http.method != "POST",
    )


def _settings(given: Mapping[str, str], tables: set[str]) -> dict[str, str]:
    of_tables = {name + part for name in tables for part in _TABLE_PARTS}
    ours = _INTERFACE | of_tables
    return {name: value for name, value in given.items() if name not in ours and not name.startswith(_PARAMETER)}


def _externals(given: Mapping[str, str], files: Mapping[str, bytes]) -> tuple[External, ...]:
    return tuple(_external(given, name, data) for name, data in files.items())


def _external(given: Mapping[str, str], name: str, data: bytes) -> External:
    structure = given.get(f"{name}_structure") or _from_types(given.get(f"{name}_types", ""))
    if not structure:
        raise errors.refuse(errors.BAD_ARGUMENTS, f"Neither structure nor types are given for the external table {name}")
    return External(name, structure, given.get(f"{name}_format", "TabSeparated"), data)


def _from_types(types: str) -> str:
    """Bare types get the names the server gives them: _1, _2, ..."""
    return ", ".join(f"_{number} {kind}" for number, kind in enumerate(_split(types), start=1))


def _split(types: str) -> list[str]:
    parts, depth = [""], 0
    for char in types:
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts if part.strip()]


def _may_compress(given: Mapping[str, str]) -> bool:
    return given.get("enable_http_compression", "1") not in ("0", "false")


def _refuse_block_compression(given: Mapping[str, str]) -> None:
    """Better no answer than bytes the client cannot read: `compress=1` asks for checksummed blocks."""
    for name in ("compress", "decompress"):
        if given.get(name, "0") not in ("0", "false", ""):
            raise errors.refuse(
                errors.NOT_IMPLEMENTED, f"{name}=1 (ClickHouse blocks) is not served; use Accept-Encoding and Content-Encoding"
            )
