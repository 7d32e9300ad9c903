"""
What the API asks Postgres. Owns: the port `Reads` and its implementation over `queries.sql`. Twin in the tests.
Does not own: the schema (`sinks/postgres/migrations`), nor who writes it.

Every query filters on the tenant. Nothing is opened before `__aenter__`, and the API starts also while Postgres is away.
"""

import asyncio
from collections.abc import Sequence
from importlib.resources import files
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol, Self

import psycopg
from psycopg.abc import Params
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from api.errors import Code, Problem
from z0.domain.config import PLATFORM_TENANT
from z0.receipts import History
from z0.receipts.from_postgres import PostgresHistory

POOL_MAX: Final = 8  # queries of a millisecond each: eight at once are thousands a second
ASK_TIMEOUT_S: Final = 2.0  # they take milliseconds; a store that is silent for this long is away
PING_TIMEOUT_S: Final = 1.0  # a probe of readiness is asked for every few seconds


class FactRow(NamedTuple):
    """A fact as it is stored: its bytes, hash included."""

    seq: int
    value: bytes


class Window(NamedTuple):
    """Which facts of a ledger: above `after`, up to `upto`, of a type where one is given."""

    after: int
    upto: int
    limit: int
    type: str | None = None


class ConfigRow(NamedTuple):
    """One version of a config: `config` is its JSON."""

    config_id: str
    config: str
    superseded_at: int | None
    fact_id: str
    recorded_at: int


class ConfigsWindow(NamedTuple):
    """Which configs: effective at a moment, of a type where one is given, with an id above `after`."""

    at: int
    limit: int
    type: str | None = None
    after: str = ""


class Late(NamedTuple):
    """A reservation of a ledger that was not open any more at a seq."""

    ledger_id: str
    reservation_id: str
    below: int


class Closing(NamedTuple):
    """The last fact that closed a reservation below that seq, where the store has one; `head`: the ledger's newest seq there."""

    subtype: str | None
    recorded_at: int | None
    head: int


class Reads(Protocol):
    """The query store."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def head(self, tenant_id: str, ledger_id: str) -> FactRow | None:
        """The newest fact that the store has of a ledger."""
        ...

    async def facts(self, tenant_id: str, ledger_id: str, window: Window) -> Sequence[FactRow]:
        """Facts of a ledger in the order of their seq."""
        ...

    async def config(self, tenant_id: str, ledger_id: str, *, at: int | None, version: int | None) -> ConfigRow | None:
        """The version of a config that is effective at a moment, or the one of a number, or both."""
        ...

    async def configs(self, tenant_id: str, window: ConfigsWindow) -> Sequence[ConfigRow]:
        """The tenant's configs and those of the platform, each in the version of the moment, in the order of their ids."""
        ...

    async def applying(self, tenant_id: str, names: Sequence[str], at: int) -> Sequence[bytes]:
        """
        Facts `config/versioned`, of the tenant or of platform scope, of all configs that apply to one of the names: of each at
        least the version of the moment, and those that are to come after it.
        """
        ...

    async def closings(self, tenant_id: str, late: Sequence[Late]) -> Sequence[Closing]:
        """What closed each of the reservations, in their order."""
        ...

    def history(self, tenant_id: str) -> History:
        """The tenant's facts from the first on, for a receipt."""
        ...

    async def is_ready(self) -> bool:
        """Whether the store answers now."""
        ...


class PostgresReads:
    """`Reads` over Postgres."""

    def __init__(self, url: str) -> None:
        self._pool = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=POOL_MAX,
            open=False,
            timeout=ASK_TIMEOUT_S,
            kwargs={"autocommit": True},
            configure=_configure,
            # One round trip more, so that a restart of Postgres costs no request.
            check=AsyncConnectionPool.check_connection,
        )
        self._queries = load_queries()

    async def __aenter__(self) -> Self:
        await self._pool.open(wait=False)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._pool.close()

    async def head(self, tenant_id: str, ledger_id: str) -> FactRow | None:
        rows = await self._ask("head", {"tenant_id": tenant_id, "ledger_id": ledger_id})
        return FactRow(*rows[0]) if rows else None

    async def facts(self, tenant_id: str, ledger_id: str, window: Window) -> Sequence[FactRow]:
        given = {"tenant_id": tenant_id, "ledger_id": ledger_id, **window._asdict()}
        return [FactRow(*row) for row in await self._ask("facts", given)]

    async def config(self, tenant_id: str, ledger_id: str, *, at: int | None, version: int | None) -> ConfigRow | None:
        given = {"tenant_id": tenant_id, "ledger_id": ledger_id, "at": at, "version": version}
        rows = await self._ask("config", given)
        return ConfigRow(*rows[0]) if rows else None

    async def configs(self, tenant_id: str, window: ConfigsWindow) -> Sequence[ConfigRow]:
        rows = await self._ask("configs", {"tenant_id": tenant_id, "platform": PLATFORM_TENANT, **window._asdict()})
        return [ConfigRow(*row) for row in rows]

    async def applying(self, tenant_id: str, names: Sequence[str], at: int) -> Sequence[bytes]:
        given = {"tenant_id": tenant_id, "platform": PLATFORM_TENANT, "names": list(names), "at": at}
        return [value for (value,) in await self._ask("applying", given)]

    async def closings(self, tenant_id: str, late: Sequence[Late]) -> Sequence[Closing]:
        ledgers, reservations, below = zip(*late, strict=True)
        given = {"ledger_ids": list(ledgers), "reservation_ids": list(reservations), "below": list(below)}
        return [Closing(*row) for row in await self._ask("closings", given | {"tenant_id": tenant_id})]

    def history(self, tenant_id: str) -> History:
        return PostgresHistory(self._run, tenant_id)

    async def is_ready(self) -> bool:
        try:
            async with asyncio.timeout(PING_TIMEOUT_S):
                await self._ask("ping", None)
        except (Problem, TimeoutError):
            return False
        return True

    async def _ask(self, name: str, given: Params | None) -> list[tuple[Any, ...]]:
        return await self._run(self._queries[name], given)

    async def _run(self, query: str, given: Params | None) -> list[tuple[Any, ...]]:
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S), self._pool.connection() as connection:
                cursor = await connection.execute(query.encode(), given)
                return await cursor.fetchall()
        except (psycopg.Error, PoolTimeout, TimeoutError) as error:
            raise Problem(Code.READS_UNAVAILABLE) from error


async def _configure(connection: "psycopg.AsyncConnection[Any]") -> None:
    """Every query here takes a few rows by an index; compiled for what the planner fears, it would take longer than it runs."""
    await connection.execute("SET jit = off")


def load_queries() -> dict[str, str]:
    """The statements of `queries.sql` by the name in the line `-- name: ...` above each."""
    text = files("api").joinpath("queries.sql").read_text()
    parts = text.split("-- name: ")[1:]
    return {name.strip(): statement.strip() for name, _, statement in (part.partition("\n") for part in parts)}
