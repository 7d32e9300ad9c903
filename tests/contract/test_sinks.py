"""The laws of a sink, over all three stores: each fact once, the position with the data, one writer."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, NamedTuple

import psycopg
import pytest

from sinks.archive.bucket import Bucket
from sinks.archive.sealing import SealPolicy
from sinks.archive.sink import ArchiveSink
from sinks.base import Probe, Sink, no_probe
from sinks.clickhouse.client import Store
from sinks.clickhouse.sink import ClickHouseSink
from sinks.counts import _archive, _clickhouse, _postgres
from sinks.migrate import migrate
from sinks.postgres.sink import PostgresSink
from sinks.testing import LogMaker, slices
from z0.clock import ManualClock
from z0.config import Config
from z0.domain.state import SUMS
from z0.errors import SinkStopped
from z0.log.validity import Position

pytestmark = [pytest.mark.stack, pytest.mark.filterwarnings("ignore::ResourceWarning")]
RANGE = 40
STEPS = {"postgres": range(1, 6), "clickhouse": range(1, 5), "archive": range(1, 3)}
STORES = tuple(STEPS)


class Killed(Exception):
    """The process died here."""


class Rig(NamedTuple):
    """One store of its own: how to make a sink on it, and how to count what it holds."""

    config: Config
    name: str
    sink: Callable[[Probe], Sink]
    facts: Callable[[], int]


@contextlib.contextmanager
def own_stores(stack: Config) -> Iterator[Config]:
    """The same servers, with a schema, a database and a bucket that nobody else uses; gone at the end, for buckets take space."""
    tag = uuid.uuid4().hex[:12]
    given = {
        "postgres": f"{stack.postgres_url}?options=-csearch_path%3Dt_{tag}",
        "clickhouse": f"{stack.clickhouse_url.rpartition('/')[0]}/t_{tag}",
        "s3": f"{stack.s3_url.rpartition('/')[0]}/t-{tag}",
    }
    config = stack.model_copy(update=given)
    _postgres_schema(stack, f"CREATE SCHEMA t_{tag}")
    try:
        yield config
    finally:
        _postgres_schema(stack, f"DROP SCHEMA t_{tag} CASCADE")
        store = Store(stack.clickhouse_url, database="default")
        store.command(f"DROP DATABASE IF EXISTS t_{tag}")
        store.close()
        _drop_bucket(Bucket(config.s3_url))


def _postgres_schema(stack: Config, statement: str) -> None:
    with psycopg.connect(stack.postgres_url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute(statement.encode())


def _drop_bucket(bucket: Bucket) -> None:
    name = bucket.address.bucket
    with contextlib.suppress(SinkStopped):  # a test may never have made it
        for key in bucket.keys(""):
            bucket._client.delete_object(Bucket=name, Key=key)
        bucket._client.delete_bucket(Bucket=name)
    bucket.close()


@pytest.fixture
async def stores(stack: Config) -> AsyncIterator[Config]:
    """Stores of one's own, with their schemas."""
    with own_stores(stack) as config:
        await asyncio.to_thread(migrate, config)
        yield config


def rig_of(config: Config, name: str) -> Rig:
    makers: dict[str, tuple[Callable[[Probe], Sink], Callable[[], int]]] = {
        "postgres": (lambda probe: PostgresSink(config.postgres_url, probe=probe), lambda: _postgres(config)),
        "clickhouse": (lambda probe: ClickHouseSink(config.clickhouse_url, probe=probe), lambda: _clickhouse(config)),
        "archive": (
            lambda probe: ArchiveSink(config.s3_url, RANGE, policy=SealPolicy(), clock=ManualClock(), probe=probe),
            lambda: _archive(config),
        ),
    }
    return Rig(config, name, *makers[name])


@pytest.fixture(params=STORES)
def rig(request: pytest.FixtureRequest, stores: Config) -> Rig:
    return rig_of(stores, request.param)


def log_of(facts: int = 150) -> LogMaker:
    """A log with claims in the middle, and facts of dead epochs."""
    maker = LogMaker(2, seed=7)
    maker.facts(facts // 2)
    maker.claim(0)
    maker.zombie(0)
    maker.facts(facts - facts // 2)
    return maker


async def copy(rig: Rig, log: LogMaker, *, probe: Probe = no_probe, final: bool = True) -> Mapping[int, Position]:
    """One life of a sink: from the stored position to the log's end, flushing after each slice."""
    sink = rig.sink(probe)
    try:
        start = await sink.start()
        for partition, reads, position in slices(log, start, size=30):
            sink.add(partition, reads, position)
            await sink.flush()
        return await sink.flush(final=final)
    finally:
        await sink.close()


def ends(log: LogMaker) -> dict[int, int]:
    return {partition: len(records) for partition, records in log.records.items()}


async def test_an_empty_store_has_no_positions(rig: Rig) -> None:
    """A sink starts where its store says, and an empty store says nothing."""
    sink = rig.sink(no_probe)
    assert await sink.start() == {}
    await sink.close()


async def test_every_valid_fact_is_stored_once_and_nothing_else(rig: Rig) -> None:
    """Claims and void records are not counted; the position is the log's end."""
    log = log_of()
    stored = await copy(rig, log)
    assert rig.facts() == log.valid
    assert {partition: at.next_offset for partition, at in stored.items()} == ends(log)


async def test_a_new_life_goes_on_where_the_last_one_stored(rig: Rig) -> None:
    """The position comes back with its epoch, and reading on from it adds only what is new."""
    log = log_of()
    stored = await copy(rig, log)
    assert await copy(rig, log) == stored
    log.facts(50)
    await copy(rig, log)
    assert rig.facts() == log.valid


@pytest.mark.parametrize(("rig", "step"), [(name, step) for name in STORES for step in STEPS[name]], indirect=["rig"])
async def test_a_death_after_any_step_loses_nothing_and_doubles_nothing(rig: Rig, step: int) -> None:
    """Killed after each numbered step of the first flush and of a later one, then started again."""
    log = log_of()
    for times in (1, 2, 3):
        with pytest.raises(Killed):
            await copy(rig, log, probe=_killer(step, times))
        log.facts(60)
    await copy(rig, log)
    assert rig.facts() == log.valid
    assert {p: at.next_offset for p, at in (await copy(rig, log)).items()} == ends(log)


def _killer(step: int, times: int) -> Probe:
    left = times

    def probe(reached: int) -> None:
        nonlocal left
        left -= reached == step
        if not left:
            raise Killed

    return probe


async def test_two_deaths_in_a_row_with_other_batches_in_between(rig: Rig) -> None:
    """What was intended by a dead process is finished as it was intended, whatever batches the next one would have made."""
    log = log_of()
    for size, step in ((17, 1), (90, 2), (41, 1)):
        sink = rig.sink(_killer(step, 1))
        for partition, reads, position in slices(log, await sink.start(), size=size):
            sink.add(partition, reads, position)
        with pytest.raises(Killed):
            await sink.flush(final=True)
        await sink.close()
    await copy(rig, log)
    assert rig.facts() == log.valid


async def test_a_second_writer_is_fenced(rig: Rig) -> None:
    """Of two sinks that start from one position only the first to flush goes on; the other stops and leaves nothing behind."""
    log = log_of()
    first, second = rig.sink(no_probe), rig.sink(no_probe)
    await first.start()
    await second.start()
    for partition, reads, position in slices(log, {}, size=1_000):
        first.add(partition, reads, position)
    for partition, reads, position in slices(log, {}, size=25)[:2]:
        second.add(partition, reads, position)
    await first.flush(final=True)
    with pytest.raises(SinkStopped):
        await second.flush(final=True)
    await first.close()
    await second.close()
    assert rig.facts() == log.valid
    await copy(rig, log)
    assert rig.facts() == log.valid


async def test_two_writers_at_once_store_everything_once(rig: Rig) -> None:
    """Both run through the whole log side by side with other batches; whoever is fenced stops, and the counts are right."""
    log = log_of()
    lives = [_life(rig, log, size) for size in (20, 33)]
    outcomes = await asyncio.gather(*lives, return_exceptions=True)
    assert all(outcome is None or isinstance(outcome, SinkStopped) for outcome in outcomes), outcomes
    await copy(rig, log)
    assert rig.facts() == log.valid


async def _life(rig: Rig, log: LogMaker, size: int) -> None:
    sink = rig.sink(no_probe)
    try:
        for partition, reads, position in slices(log, await sink.start(), size=size):
            sink.add(partition, reads, position)
            await sink.flush(final=True)
    finally:
        await sink.close()


async def test_a_log_that_was_replaced_stops_the_sink(rig: Rig) -> None:
    """The same offsets with other facts: whatever was begun is not finished with them."""
    with pytest.raises(Killed):
        await copy(rig, log_of(), probe=_killer(1 if rig.name != "postgres" else 5, 1))
    other = LogMaker(2, seed=99)
    other.facts(150)
    if rig.name == "postgres":
        _forget_positions(rig.config)
    with pytest.raises(SinkStopped):
        await copy(rig, other)


def _forget_positions(config: Config) -> None:
    with psycopg.connect(config.postgres_url) as connection:
        connection.execute("DELETE FROM sink_positions")


async def test_rows_and_states_agree_in_postgres(stores: Config) -> None:
    """Balances and entities are what the ledger's own fold says, also after a replay from the log's start."""
    rig, log = rig_of(stores, "postgres"), log_of(400)
    await copy(rig, log)
    _check_balances(stores, log)
    _forget_positions(stores)
    await copy(rig, log)
    assert rig.facts() == log.valid
    _check_balances(stores, log)


def _check_balances(config: Config, log: LogMaker) -> None:
    scale = 10**12
    with psycopg.connect(config.postgres_url) as connection:
        names = "deposited, credits, spent, transferred_in, transferred_out, reserved, remaining, available"
        rows = connection.execute(f"SELECT ledger_id, currency, {names} FROM balances".encode()).fetchall()
        entities: dict[str, int] = dict(connection.execute("SELECT ledger_id, version FROM entities").fetchall())
    stored = {(ledger, currency): tuple(int(amount * scale) for amount in sums) for ledger, currency, *sums in rows}
    expected: dict[tuple[str, str], tuple[Any, ...]] = {
        (ledger, currency): (*(getattr(budget, name) for name in SUMS), budget.remaining, budget.available)
        for ledger, state in log.states.items()
        for currency, budget in state.budgets.items()
    }
    assert {key: sums for key, sums in stored.items() if any(sums)} == {key: sums for key, sums in expected.items() if any(sums)}
    assert entities == {ledger: state.entity.version for ledger, state in log.states.items() if state.entity}


async def test_clickhouse_holds_no_row_twice_after_all_of_it(stores: Config) -> None:
    """The statement that the sink's docstring gives for finding doubles finds none, in both tables."""
    rig, log = rig_of(stores, "clickhouse"), log_of(300)
    for step in (1, 2, 3, 4):
        with pytest.raises(Killed):
            await copy(rig, log, probe=_killer(step, 1))
        log.facts(20)
    await copy(rig, log)
    store = Store(stores.clickhouse_url)
    for table in ("facts", "z0_invocations"):
        assert store.query(f"SELECT count() - uniqExact((partition, offset)) FROM {table}") == [(0,)]
    store.close()
