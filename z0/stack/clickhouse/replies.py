"""
Replies as a ClickHouse server sends them. Owns: headers, status and content types. Does not own: what is in the body.
"""

import json
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from z0.stack.clickhouse.engine import About
from z0.stack.clickhouse.errors import EngineError

_CONTENT_TYPES: Final = (
    ("JSONEachRow", "application/x-ndjson; charset=UTF-8"),
    ("JSONCompactEachRow", "application/x-ndjson; charset=UTF-8"),
    ("JSONStringsEachRow", "application/x-ndjson; charset=UTF-8"),
    ("JSON", "application/json; charset=UTF-8"),
    ("CSV", "text/csv; charset=UTF-8"),
    ("TabSeparated", "text/tab-separated-values; charset=UTF-8"),
    ("TSV", "text/tab-separated-values; charset=UTF-8"),
    ("XML", "application/xml; charset=UTF-8"),
    ("Native", "application/octet-stream"),
    ("RowBinary", "application/octet-stream"),
    ("Parquet", "application/octet-stream"),
    ("Arrow", "application/octet-stream"),
)
_PLAIN: Final = "text/plain; charset=UTF-8"


class Replies:
    """Writes replies that all name the same engine."""

    def __init__(self, about: About) -> None:
        self._about = about

    def answer(self, query_id: str, body: bytes, form: str, encoding: str, summary: Mapping[str, int]) -> web.Response:
        headers = self._headers(query_id)
        headers["Content-Type"] = _content_type(form)
        headers["X-ClickHouse-Summary"] = _summary(summary)
        if form:
            headers["X-ClickHouse-Format"] = form
        if encoding:
            headers["Content-Encoding"] = encoding
        return web.Response(body=body, headers=headers)

    def error(self, query_id: str, error: EngineError) -> web.Response:
        headers = self._headers(query_id)
        headers["X-ClickHouse-Exception-Code"] = str(error.code)
        headers["Content-Type"] = _PLAIN
        return web.Response(status=error.status, body=error.body(self._about.version), headers=headers)

    def _headers(self, query_id: str) -> dict[str, str]:
        return {
            "X-ClickHouse-Server-Display-Name": self._about.display_name,
            "X-ClickHouse-Timezone": self._about.timezone,
            "X-ClickHouse-Query-Id": query_id,
        }


def _summary(counts: Mapping[str, int]) -> str:
    """Numbers as strings: that is how the server writes them, since some exceed what JSON readers keep."""
    keys = (
        "read_rows",
        "read_bytes",
        "written_rows",
        "written_bytes",
        "total_rows_to_read",
        "result_rows",
        "result_bytes",
        "elapsed_ns",
    )
    return json.dumps({key: str(counts.get(key, 0)) for key in keys}, separators=(",", ":"))


def _content_type(form: str) -> str:
    return next((kind for prefix, kind in _CONTENT_TYPES if form.startswith(prefix)), _PLAIN)
