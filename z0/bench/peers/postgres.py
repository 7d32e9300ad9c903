"""
The peer Postgres: the local one, fsync on, with the function of `postgres.sql`. Single calls by pgbench, which is the lightest
client there is for it; batches, and an open loop whose waiting commands go out grouped, by psycopg.
"""

import asyncio
import os
import re
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from itertools import count
from urllib.parse import urlsplit

import psycopg
import uvloop

from z0.bench import openloop
from z0.bench.closedloop import closed_loop
from z0.bench.figures import Figure
from z0.bench.openloop import Tally
from z0.bench.peers.sizes import Size
from z0.config import Config
from z0.errors import Z0Error
from z0.stack import postgres

AMOUNT = "0.0125"
FUNDS = "1000000000"
GRACE_S = 30.0
DURABILITY = "fsync, synchronous_commit=on"
PGBENCH_THREADS = 2
_SINGLE = """\\set n random(1, 1000000000000000)
\\set a random(0, {last})
SELECT reserve(:client_id || '-' || :n, 'account-' || :a, {amount});
"""
_MANY = "SELECT reserve_many(%s::text[], %s::text[], %s::numeric[])"
_TPS = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)


def measure(config: Config, size: Size) -> Mapping[str, Figure]:
    """All figures of Postgres."""
    prepare(config, size)
    single = singles(config, size)
    batch, grouped = uvloop.run(_grouped(config, size))
    return {
        "durability": f"{DURABILITY}, connections: {size.batch_clients}, of single calls {size.single_clients}",
        "single_per_s": single,
        "batch_per_s": batch,
        "p50_ms": grouped["p50_ms"],
        "p99_ms": grouped["p99_ms"],
        "lost": grouped["lost"],
    }


def prepare(config: Config, size: Size) -> None:
    """The tables, the functions, and accounts with money."""
    with psycopg.connect(config.postgres_url, autocommit=True) as connection:
        connection.execute(files("z0.bench.peers").joinpath("postgres.sql").read_bytes())
        rows = "SELECT 'account-' || n, %s::numeric FROM generate_series(0, %s) n"
        connection.execute(f"INSERT INTO accounts (account, balance) {rows}".encode(), (FUNDS, size.accounts - 1))
        connection.execute("ANALYZE accounts")


def singles(config: Config, size: Size) -> float:
    """Single calls a second."""
    script = config.home / "single.sql"
    script.write_text(_SINGLE.format(last=size.accounts - 1, amount=AMOUNT))
    url = urlsplit(config.postgres_url)
    options = ["-n", "-M", "prepared", "-c", size.single_clients, "-j", PGBENCH_THREADS, "-T", max(1, round(size.seconds))]
    login = ["-h", url.hostname, "-p", url.port, "-U", url.username, "-f", script, url.path.strip("/")]
    command = [str(part) for part in (postgres.binaries() / "pgbench", *options, *login)]
    environment = {**os.environ, "PGPASSWORD": url.password or ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return calls_per_s(done.stdout, done.stderr)


def calls_per_s(output: str, errors: str = "") -> float:
    """
    What pgbench says.

    Raises:
        Z0Error: it says nothing, or that calls failed.
    """
    found = _TPS.search(output)
    if found is None or "number of failed transactions: 0 " not in output:
        raise Z0Error(f"pgbench did not measure: {output[-300:]} {errors[-300:]}")
    return float(found[1])


class Clients:
    """Connections that each send one group at a time."""

    def __init__(self, connections: Sequence[psycopg.AsyncConnection[tuple[list[str]]]], size: Size) -> None:
        self._connections = connections
        self._size = size
        self._numbers = count()
        self._free = list(connections)

    async def batches(self, size: Size) -> float:
        """Decisions per second in batches, by as many connections as `size` says."""
        return await closed_loop(size.batch_clients, size.seconds, lambda: self.reserve(size.batch))

    async def reserve(self, number: int) -> int:
        """Reserve on as many accounts in turn, by a connection that is free; how many were accepted."""
        connection = self._free.pop()
        try:
            names = [next(self._numbers) for _ in range(number)]
            ids = [f"b-{name}" for name in names]
            accounts = [f"account-{name % self._size.accounts}" for name in names]
            cursor = await connection.execute(_MANY, (ids, accounts, [AMOUNT] * number), prepare=True)
            row = await cursor.fetchone()
            return row[0].count("accepted") if row is not None else 0
        finally:
            self._free.append(connection)


@asynccontextmanager
async def clients(config: Config, size: Size, count: int) -> AsyncIterator[Clients]:
    """So many connections."""
    connections = [await psycopg.AsyncConnection.connect(config.postgres_url, autocommit=True) for _ in range(count)]
    try:
        yield Clients(connections, size)
    finally:
        for connection in connections:
            await connection.close()


async def _grouped(config: Config, size: Size) -> tuple[float, Mapping[str, Figure]]:
    async with clients(config, size, size.batch_clients) as those:
        return await those.batches(size), await open_loop(those, size)


async def open_loop(those: Clients, size: Size) -> Mapping[str, Figure]:
    """Commands are due at fixed times; a free connection takes all that wait, up to a batch."""
    tally = Tally(openloop.starting_now(size.rate, size.seconds, size.warm_up_s))
    due, taken = 0, 0
    more = asyncio.Event()

    async def client() -> None:
        nonlocal taken
        while taken < tally.schedule.total:
            if taken == due:
                more.clear()
                await more.wait()
                continue
            items = range(taken, min(due, taken + size.batch))
            taken = items.stop
            await those.reserve(len(items))
            tally.done(items)
        more.set()  # nothing is left for those who wait

    def hand(first: int, number: int) -> None:
        nonlocal due
        due = first + number
        more.set()

    serving = [asyncio.create_task(client()) for _ in range(size.batch_clients)]
    await openloop.drive(tally.schedule, hand)
    _, late = await asyncio.wait(serving, timeout=GRACE_S)
    for task in late:
        task.cancel()
    return tally.figures()
