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

        await until(refused, f"the clock noticed:\n{worker.tail()}", 90)
        assert not callers.ledger.owners()
        ahead.write_text("0")
        await cluster.serving(callers.ledger, worker)
        await callers.open_accounts()
        found = await callers.settled()
    assert {read.standing.value for reads in found.reads.values() for read in reads} == {"claim", "valid"}


async def test_a_clock_that_is_set_back_an_hour_does_not_take_time_back_in_the_log(cluster: Cluster, tmp_path: Path) -> None:
    """Within an epoch the partition's time stands still; a claim under such a clock is not used."""
    ahead = tmp_path / "ahead"
    ahead.write_text("0")
    worker = cluster.start(1, Orders(clock_file=str(ahead)))
    async with Callers(cluster.config) as callers:
        await cluster.serving(callers.ledger, worker)
        await callers.open_accounts()
        ahead.write_text(str(-HOUR_MS))
        done = asyncio.Event()
        asking = asyncio.create_task(callers.go_on(done))
        await callers.heard(100)
        done.set()
        await asking
        found = await callers.settled()  # the auditor checks that time goes forward on every ledger
        times = [fact.recorded_at for fact in found.facts.values()]
        claimed_at = await first_time(cluster.config)
        assert min(times) > claimed_at - 60_000


async def first_time(config: Config) -> int:
    """The broker's time of the first record of the log."""
    async for records in KafkaLog(config.kafka_servers).read(0, 0, 1):
        return records[0].timestamp_ms
    raise AssertionError("an empty log")
