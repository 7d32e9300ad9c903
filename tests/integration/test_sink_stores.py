"""What each store promises by itself: insert-only facts, migrations, the metrics query, the proof of the archive."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import psycopg
import pytest

from sinks.archive import manifest
from sinks.archive.bucket import Bucket
from sinks.archive.sink import ArchiveSink
from sinks.archive.verify import ArchiveBroken, verify
from sinks.base import Sink, StoreUnavailable
from sinks.clickhouse.client import Store
from sinks.clickhouse.sink import ClickHouseSink
from sinks.migrate import migrate
from sinks.postgres.sink import PostgresSink
from sinks.testing import LogMaker, slices
from tests.contract.test_sinks import copy, log_of, own_stores, rig_of, stores
from tests.facts import FactLog, proof_of, reads_of
from z0.config import Config
from z0.domain.commands import Append, CreateEntity
from z0.log.validity import Position

__all__ = ["stores"]  # a fixture
pytestmark = [pytest.mark.stack, pytest.mark.filterwarnings("ignore::ResourceWarning")]
# As the seed writes it.
SEEDS_QUERY = """SELECT
tenant_id,
SUM(_sample_interval) as invocations
FROM z0_invocations
WHERE timestamp > NOW() - INTERVAL '1 hour'
GROUP BY tenant_id, blob1
ORDER BY invocations DESC"""


async def test_migrating_again_changes_nothing(stores: Config) -> None:
    """Every start may run it."""
    assert await asyncio.to_thread(migrate, stores) == []


async def test_two_migrations_at_once_both_end_well(stack: Config) -> None:
    """Postgres takes a lock; ClickHouse's statements can be run twice."""
    with own_stores(stack) as config:
        done = await asyncio.gather(*(asyncio.to_thread(migrate, config) for _ in range(2)))
    assert sum(line.startswith("postgres") for lines in done for line in lines) == 9


@pytest.mark.parametrize("statement", ["UPDATE facts SET type = 'x'", "DELETE FROM facts", "TRUNCATE facts"])
async def test_facts_can_only_be_inserted(stores: Config, statement: str) -> None:
    """The database refuses, also to its owner, also where no row would be touched."""
    with psycopg.connect(stores.postgres_url) as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute(statement.encode())


async def test_the_stored_bytes_come_back_to_the_byte(stores: Config) -> None:
    """The hash is over them; payloads that jsonb cannot hold are NULL there and whole in `value`."""
    log = LogMaker(1)
    base: dict[str, Any] = {"tenant_id": "t", "ledger_id": "account_acct_1"}
    log.command(0, CreateEntity(**base, id="c0", data=msgspec.Raw(b'{"name":"a\\u0000b","n":[1.50,2e3]}')))
    for number, data in enumerate((b'{"a": "\\u0000"}', b'{"a": 1.50}', b'{"a": 1e999999}', '{"a": "\u20ac"}'.encode())):
        log.command(0, Append(**base, id=f"c{number + 1}", type="note", subtype="x\0y", data=msgspec.Raw(data)))
    await copy(rig_of(stores, "postgres"), log)
    await copy(rig_of(stores, "clickhouse"), log)
    with psycopg.connect(stores.postgres_url) as connection:
        rows = connection.execute("SELECT value, data::text, subtype FROM facts ORDER BY log_offset").fetchall()
        assert connection.execute("SELECT data->>'name' FROM entities").fetchone() == ("a\ufffdb",)
    assert [row[0] for row in rows] == [record.value for record in log.records[0][1:]]
    assert [row[1] for row in rows[1:]] == [None, '{"a": 1.50}', None, '{"a": "\u20ac"}']
    assert {row[2] for row in rows[1:]} == {"x\ufffdy"}


async def test_the_seeds_query_runs_as_it_stands(stores: Config) -> None:
    """One point an invocation, by tenant and asset, of the last hour only."""
    now_ms = int(time.time() * 1000)
    log = LogMaker(1, start_ms=now_ms - 5_000)
    base: dict[str, Any] = {"tenant_id": "tenant_1", "ledger_id": "asset_asset_1"}
    log.command(0, CreateEntity(**base, id="c"))
    for number in range(7):
        asset = "asset_2" if number < 2 else "asset_1"
        log.command(0, Append(**base, id=f"i{number}", type="invocation", asset_id=asset))
    old = LogMaker(1, start_ms=now_ms - 7_200_000)
    old.facts(30)
    await copy(rig_of(stores, "clickhouse"), log)
    store = Store(stores.clickhouse_url)
    assert store.query(SEEDS_QUERY) == [("tenant_1", 5), ("tenant_1", 2)]
    store.close()


async def test_money_is_exact_in_clickhouse(stores: Config) -> None:
    """The sums of 12-decimal amounts agree with the ledger's own."""
    log = log_of(300)
    await copy(rig_of(stores, "clickhouse"), log)
    store = Store(stores.clickhouse_url)
    rows = store.query("SELECT ledger_id, currency, sum(amount) FROM facts WHERE type = 'deposit' GROUP BY 1, 2")
    store.close()
    found = {(ledger, currency): int(amount * 10**12) for ledger, currency, amount in rows}
    states = {(name, currency): b.deposited for name, s in log.states.items() for currency, b in s.budgets.items() if b.deposited}
    assert found == states


async def test_what_a_decision_looked_at_is_in_clickhouse_too(stores: Config) -> None:
    """Maps and an array, from the fact's own bytes; a proof stays JSON."""
    log = FactLog(1)
    outcome = log.fact(0, "asset_1", "outcome")
    log.fact(
        0, "acct_1", "charge/incurred", amount="5", currency="USD", configs=msgspec.Raw(b'{"cfg_1":3}'),
        counted={"cfg_1/daily": 7}, usage={"a\0b": "1200"}, warnings=("LATE",), **proof_of(outcome),
    )  # fmt: skip
    sink = ClickHouseSink(stores.clickhouse_url)
    await sink.start()
    for partition, reads, position in reads_of(log):
        sink.add(partition, reads, position)
    await sink.flush()
    await sink.close()
    store = Store(stores.clickhouse_url)
    [row] = store.query(
        "SELECT configs['cfg_1'], counted['cfg_1/daily'], usage, warnings, source FROM facts WHERE type = 'charge'"
    )
    store.close()
    assert tuple(row[:4]) == (3, 7, {"a\0b": "1200"}, ["LATE"])
    assert msgspec.json.decode(row[4])["hash"] == outcome.hash


async def test_the_archive_proves_itself_from_the_bucket_alone(stores: Config) -> None:
    """Counts, positions and heads; a hash that was noted earlier must be met."""
    log = log_of()
    stored = await copy(rig_of(stores, "archive"), log)
    proved = list(verify(Bucket(stores.s3_url)))
    assert sum(part.facts for part in proved) == log.valid
    assert {part.partition: part.position for part in proved} == stored
    assert sum(part.records for part in proved) == sum(map(len, log.records.values()))
    heads = [part.head for part in proved]
    log.facts(100)
    await copy(rig_of(stores, "archive"), log)
    assert sum(part.facts for part in verify(Bucket(stores.s3_url), heads)) == log.valid
    with pytest.raises(ArchiveBroken, match="cut off"):
        list(verify(Bucket(stores.s3_url), ["0f" * 32]))


async def test_an_archive_that_was_touched_does_not_prove(stores: Config) -> None:
    """An object replaced, an object missing, a manifest rewritten, a manifest missing in the middle."""
    await copy(rig_of(stores, "archive"), log_of(300))
    bucket = Bucket(stores.s3_url)
    keys = bucket.keys(manifest.manifest_prefix(0))
    first = bucket.get(keys[0]) or b""
    sealed = manifest.decode(first)
    body = bucket.get(sealed.object) or b""
    forged = manifest.encode(msgspec.structs.replace(sealed, facts=sealed.facts + 1))
    for key, there, touched in (
        (sealed.object, body, body[:-1] + b"x"),
        (sealed.object, body, None),
        (keys[0], first, forged),
        (keys[1], bucket.get(keys[1]) or b"", None),
    ):
        _put(bucket, key, touched)
        with pytest.raises(ArchiveBroken):
            list(verify(bucket))
        _put(bucket, key, there)
    assert list(verify(bucket))


def _put(bucket: Bucket, key: str, body: bytes | None) -> None:
    """What nobody but an attacker does."""
    if body is None:
        bucket._client.delete_object(Bucket=bucket.address.bucket, Key=key)
    else:
        bucket._client.put_object(Bucket=bucket.address.bucket, Key=key, Body=body)


@pytest.mark.parametrize("name", ["postgres", "clickhouse", "archive"])
async def test_a_server_that_is_away_is_a_transient_error(name: str) -> None:
    """The runner waits for it."""
    sinks: dict[str, Callable[[], Sink]] = {
        "postgres": lambda: PostgresSink("postgresql://z0:z0@127.0.0.1:1/z0"),
        "clickhouse": lambda: ClickHouseSink("http://default:@127.0.0.1:1/z0"),
        "archive": lambda: ArchiveSink("http://a:b@127.0.0.1:1/z0-archive", 100),
    }
    with pytest.raises(StoreUnavailable):
        await sinks[name]().start()


async def test_a_commit_whose_answer_was_lost_is_not_done_twice(stores: Config) -> None:
    """The positions tell that the batch is in the store."""
    log = log_of()
    lost = [True]

    def lose(step: int) -> None:
        if step == 5 and lost.pop():
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    lost.insert(0, False)
    sink = PostgresSink(stores.postgres_url, probe=lose)
    start: Mapping[int, Position] = await sink.start()
    for partition, reads, position in slices(log, start):
        sink.add(partition, reads, position)
    with pytest.raises(StoreUnavailable):
        await sink.flush()
    await sink.flush()
    await sink.close()
    assert rig_of(stores, "postgres").facts() == log.valid
