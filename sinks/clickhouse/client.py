"""
The way to ClickHouse. Owns: connecting, inserting JSON lines under a token, and which errors pass by themselves.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError
from urllib3.exceptions import HTTPError

from sinks.base import StoreUnavailable
from z0.errors import SinkStopped, no_answer, refused

CONNECT_TIMEOUT_S: Final = 5  # then it is tried again, at growing intervals
ANSWER_TIMEOUT_S: Final = 60  # a batch takes a second; a minute means a dying server, and the same batch may be sent again
# Codes that pass by themselves: full disks, time-outs, sockets, too many queries or parts, memory, read-only, shutting down,
# Keeper away.
TRANSIENT_CODES: Final = frozenset({75, 243, 159, 160, 164, 202, 203, 209, 210, 236, 241, 242, 252, 279, 319, 425, 439, 999})
_CODE = re.compile(r"(?:[Cc]ode:?|error code) ?(\d+)")
# The rows go in synchronously: an asynchronous insert (the default of newer servers) would be acknowledged for its buffer.
# The facts' own JSON goes in as it is: unknown members are skipped, since fields are only ever added.
_INSERT: Final = {
    "async_insert": 0,
    "insert_deduplicate": 1,
    "input_format_skip_unknown_fields": 1,
    "input_format_json_read_objects_as_strings": 1,
    "input_format_json_read_numbers_as_strings": 1,
}
# Since 26.2 this is the main switch; older servers do not know it.
_INSERT_SINCE_26: Final = {"deduplicate_insert": "enable"}


class Address(NamedTuple):
    """The parts of `Config.clickhouse_url`."""

    host: str
    port: int
    user: str
    password: str
    database: str
    secure: bool


def address_of(url: str) -> Address:
    """Take a URL apart; the database is `default` where none is given."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = parts.port or (8443 if secure else 8123)
    user, password = unquote(parts.username or "default"), unquote(parts.password or "")
    return Address(parts.hostname or "127.0.0.1", port, user, password, parts.path.strip("/") or "default", secure)


class Store:
    """One database of one ClickHouse; calls block."""

    def __init__(self, url: str, *, database: str | None = None) -> None:
        self.address = address_of(url)
        self._database = database if database is not None else self.address.database
        self._client: Client | None = None

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Sequence[Sequence[Any]]:
        """The rows of a SELECT."""
        with self._connected() as client:
            return client.query(sql, parameters=dict(parameters or {})).result_rows

    def command(self, sql: str) -> None:
        """Run a statement that gives no rows."""
        with self._connected() as client:
            client.command(sql)

    def insert(self, table: str, lines: Sequence[bytes], token: str) -> None:
        """
        Insert JSON objects, one each, in ONE block; a block whose token was seen before is dropped by the server.

        The client may send an insert again on its own when a connection turns out to be stale: hence never without a token.
        """
        with self._connected() as client:
            settings = {**_INSERT, "insert_deduplication_token": token}
            if "deduplicate_insert" in client.server_settings:
                settings.update(_INSERT_SINCE_26)
            client.raw_insert(table, None, b"\n".join(lines), settings=settings, fmt="JSONEachRow")

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    @contextmanager
    def _connected(self) -> Iterator[Client]:
        try:
            if self._client is None:
                self._client = self._connect()
            yield self._client
        except (OperationalError, HTTPError, OSError) as error:
            self.close()
            raise StoreUnavailable(no_answer("ClickHouse", _short(error))) from error
        except ClickHouseError as error:
            code = _CODE.search(str(error))
            if code is not None and int(code[1]) in TRANSIENT_CODES:
                raise StoreUnavailable(no_answer("ClickHouse", _short(error))) from error
            raise SinkStopped(refused("ClickHouse", "a statement", _short(error))) from error

    def _connect(self) -> Client:
        address = self.address
        return clickhouse_connect.get_client(
            host=address.host,
            port=address.port,
            username=address.user,
            password=address.password,
            database=self._database,
            secure=address.secure,
            autogenerate_session_id=False,  # sessions would make concurrent queries wait for each other
            connect_timeout=CONNECT_TIMEOUT_S,
            send_receive_timeout=ANSWER_TIMEOUT_S,
        )


def _short(error: Exception) -> str:
    return str(error)[:500]
