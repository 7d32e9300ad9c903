"""A worker's clock that is wrong: far ahead, or set back while it works."""

import asyncio
from pathlib import Path

import pytest

from tests.faults.callers import Callers
from tests.faults.cluster import Cluster
from tests.faults.worker import Orders
from tests.waiting import until
from z0.config import Config
from z0.log.kafka import KafkaLog

pytestmark = [pytest.mark.stack, pytest.mark.faults, pytest.mark.timeout(400)]
HOUR_MS = 3_600_000


async def test_a_worker_an_hour_ahead_serves_nothing_until_its_clock_is_set(cluster: Cluster, tmp_path: Path) -> None:
    """It compares its clock with the broker's on its claim, and tries again, ever less often."""
    ahead = tmp_path / "ahead"
    ahead.write_text(str(HOUR_MS))
    worker = cluster.start(1, Orders(clock_file=str(ahead)))
    async with Callers(cluster.config) as callers:

        async def refused() -> bool:
            return worker.says("set the clock")

        await until(refused, lambda: f"the clock noticed:\n{worker.tail()}", 90)
        assert not callers.ledger.owners()
        ahead.write_text("0")
        await cluster.serving(callers.ledger, worker)
        await callers.open_accounts()
        found = await callers.settled()
    assert {read.standing.value for reads in found.reads.values() for read in reads} == {"claim", "valid"}


@pytest.mark.parametrize("moved_ms", [HOUR_MS, -HOUR_MS], ids=["ahead", "back"])
async def test_a_clock_that_is_set_an_hour_off_while_it_serves_gets_into_no_fact(
    cluster: Cluster, tmp_path: Path, moved_ms: int
) -> None:
    """The epoch ends before anything is decided by it; no claim under such a clock is used, until it is set right."""
    ahead = tmp_path / "ahead"
    ahead.write_text("0")
    worker = cluster.start(1, Orders(clock_file=str(ahead)))
    async with Callers(cluster.config) as callers:
        await cluster.serving(callers.ledger, worker)
        await callers.open_accounts()
        done = asyncio.Event()
        asking = asyncio.create_task(callers.go_on(done))
        await callers.heard(100)
        ahead.write_text(str(moved_ms))

        async def noticed() -> bool:
            return worker.says("clock was moved by") and worker.says("set the clock")

        await until(noticed, lambda: f"the clock noticed:\n{worker.tail()}", 90)
        ahead.write_text("0")
        await callers.heard(100)
        done.set()
        await asking
        found = await callers.settled()  # the auditor checks that time goes forward on every ledger
        times = [fact.recorded_at for fact in found.facts.values()]
        claimed_at = await first_time(cluster.config)
        assert claimed_at - 60_000 < min(times)
        assert max(times) < claimed_at + HOUR_MS - 600_000  # the test itself takes some minutes at most


async def first_time(config: Config) -> int:
    """The broker's time of the first record of the log."""
    async for records in KafkaLog(config.kafka_servers).read(0, 0, 1):
        return records[0].timestamp_ms
    raise AssertionError("an empty log")
