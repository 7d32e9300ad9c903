"""A disk that is full: a worker, and a sink before its store, say so, lose nothing, and go on when there is room again."""

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import pytest
from msgspec import Raw

from sinks.archive.bucket import Bucket
from sinks.base import Sink, no_probe
from sinks.clickhouse.migrate import migrate as migrate_clickhouse
from sinks.policy import Backoff, BatchLimit, Policy
from sinks.postgres.migrate import migrate as migrate_postgres
from sinks.runner import Runner
from sinks.testing import LogMaker, MemoryDeadLetters, MemorySource
from tests.conftest import free_ports
from tests.contract.test_sinks import copy, log_of, rig_of
from tests.faults.callers import Callers
from tests.faults.cluster import Cluster, Worker
from tests.waiting import until
from z0 import stack as local
from z0.config import Config, from_env
from z0.domain.commands import AddBudget, CreateEntity
from z0.domain.outcome import Outcome
from z0.stack import layout

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]
BLOCK = 4096


class SmallDisk:
    """A disk of its own for one folder, that can be filled and emptied."""

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / "ballast"

    def fill(self, *, but: int = 0) -> None:
        """To the last block, but for so many bytes."""
        with self._ballast.open("wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(BLOCK))
            except OSError:
                ballast.truncate(max(0, ballast.tell() - but))

    def empty(self) -> None:
        """There is room again."""
        self._ballast.unlink()


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[SmallDisk]:
    """Under a folder; the test is skipped where nobody lets it have one."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=777", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a disk of a chosen size needs the right to mount one: {mounted.stderr.decode()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def disk(cluster: Cluster) -> Iterator[SmallDisk]:
    """Under the workers' folder."""
    with small_disk(cluster.config.home / "workers", 64) as disk:
        yield disk
        cluster.close()


async def said(worker: Worker, text: str, seconds: float = 60.0) -> None:
    """Wait until a worker has said something."""

    async def so() -> bool:
        return worker.says(text)

    await until(so, lambda: f"{text!r} in its log:\n{worker.tail()}", seconds)


@pytest.mark.faults
async def test_a_worker_whose_disk_is_full_under_load_ends_with_the_reason_and_its_successor_goes_on(
    cluster: Cluster, disk: SmallDisk
) -> None:
    """
    Ids that cannot be kept would be decided twice: it stops before anybody is told, and ends without winding up first, while its
    partitions have no owner. Started on the full disk it ends again.
    """
    worker = cluster.start(1)
    async with Callers(cluster.config) as callers:
        done = asyncio.Event()
        await callers.open_accounts()
        asking = asyncio.create_task(callers.go_on(done))
        await callers.heard(100)
        disk.fill()
        assert await worker.ended() == 1
        assert worker.says("No space left on device")
        assert worker.says("closed, since something stopped this worker")
        assert not worker.says("Closing rocksdb")
        second = cluster.start(1)
        assert await second.ended() == 1
        disk.empty()
        cluster.start(1)
        await callers.heard(100)
        done.set()
        await asking
        await callers.settled()


async def test_a_disk_that_was_full_for_a_moment_stops_snapshots_for_that_moment_only(cluster: Cluster, disk: SmallDisk) -> None:
    """There is room for ids, not for snapshots; the same worker writes them again as soon as there is, and they are right."""
    worker = cluster.start(1)
    async with Callers(cluster.config) as callers:
        await cluster.serving(callers.ledger, worker)
        disk.fill(but=128 * 1024)
        large = Raw(msgspec.json.encode({"text": "x" * 100_000}))
        await callers.ask(*(callers.of(CreateEntity, account, data=large) for account in callers.accounts))
        await said(worker, "a snapshot failed")
        assert worker.says("No space left on device")
        disk.empty()
        await said(worker, "was opened anew after a write that failed")
        await callers.ask(*(callers.of(AddBudget, account, amount="100", currency="USD") for account in callers.accounts))
        assert {told.answer.outcome for told in callers.told} == {Outcome.ACCEPTED}
        assert worker.process.poll() is None
        worker.kill()
        cluster.start(1)
        await callers.ask(*(next(callers.work(account)) for account in callers.accounts for _ in range(5)))
        await callers.settled()


@pytest.mark.faults
@pytest.mark.parametrize(("name", "server"), [("postgres", "postgres"), ("clickhouse", "clickhouse"), ("archive", "s3")])
async def test_a_sink_waits_before_a_store_whose_disk_is_full_and_has_every_fact_once_there_is_room(
    name: str, server: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It never takes for stored what the store did not take."""
    config = from_env().model_copy(update={"home": tmp_path, **free_ports()})
    with small_disk(layout.of(config).data(server), 160) as disk:
        try:
            await asyncio.to_thread(local.up, config, servers_only=True, only=[server], report=lambda name, text: None)
            await asyncio.to_thread(MIGRATIONS[name], config)
            rig, log = rig_of(config, name), log_of(300)
            await copy(rig, log)
            disk.fill()
            log.facts(20_000)
            copying = asyncio.create_task(all_of(log, rig.sink(no_probe)))
            for _ in range(3):
                caplog.clear()
                await waits(caplog, name)
            assert not copying.done()
            disk.empty()
            await asyncio.wait_for(copying, 60)
            assert rig.facts() == log.valid
        finally:
            await asyncio.to_thread(local.down, config, lambda name, text: None)


MIGRATIONS: Final[dict[str, Callable[[Config], object]]] = {
    "postgres": lambda config: migrate_postgres(config.postgres_url),
    "clickhouse": lambda config: migrate_clickhouse(config.clickhouse_url),
    "archive": lambda config: Bucket(config.s3_url).create(),
}


async def all_of(log: LogMaker, sink: Sink) -> None:
    """One life of a sink, up to the log's end."""
    policy = Policy(batch=BatchLimit(rows_max=5_000, age_ms=200), backoff=Backoff(100, 500))
    runner = Runner(sink, MemorySource(log.records), MemoryDeadLetters(), policy=policy)
    await runner.run(asyncio.Event(), to_end=True)


async def waits(caplog: pytest.LogCaptureFixture, name: str) -> None:
    """Wait until a sink has said that it waits."""

    async def so() -> bool:
        return any(f"sink {name} waits" in record.getMessage() for record in caplog.records)

    await until(so, f"the {name} sink waiting")
