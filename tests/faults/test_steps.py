"""kill -9 after each numbered step of the order of effects: nothing told is lost, nothing has two effects."""

import asyncio
import shutil

import pytest

from tables.ledgers import FLOOR_KEY
from tests.faults.callers import Callers
from tests.faults.cluster import Cluster
from tests.faults.test_disks import delete
from tests.faults.test_zombies import newest
from tests.faults.worker import STEPS, Orders
from z0.domain.commands import Read
from z0.log.topics import migrate_topics
from z0.names import BUDGETS_CHANGELOG, LEDGERS_CHANGELOG

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]
QUICK = {"3 durable, ack unread", "5 indexed", "8 snapshots acked", "claim 4 fenced"}
ONCE = {"2 sent out", *(step for step in STEPS if step.startswith("claim"))}  # the others are reached all the time
MARKS = [pytest.param(step, id=step, marks=() if step in QUICK else pytest.mark.faults) for step in STEPS]


@pytest.mark.parametrize("step", MARKS)
async def test_a_worker_killed_after_a_step_loses_nothing_and_doubles_nothing(cluster: Cluster, step: str) -> None:
    """The next process of the same name, on the same disk, goes on from there."""
    async with Callers(cluster.config) as callers:
        if step == "claim 3 floor taken back":
            await lose_a_table(cluster, callers)
        dying = cluster.start(1, Orders(die_at=step, die_at_time=1 if step in ONCE else 3))
        done = asyncio.Event()
        asking = asyncio.create_task(open_and_go_on(callers, done) if not callers.told else callers.go_on(done))
        if step == "2 sent out":
            await send_dead_letters(callers)
        assert await dying.ended() == -9, dying.tail()
        cluster.start(1)
        await callers.heard(100)
        done.set()
        await asking
        found = await callers.settled()
    assert found.claims > cluster.config.partitions or step in ONCE


async def lose_a_table(cluster: Cluster, callers: Callers) -> None:
    """Accounts with snapshots and a floor above them, and then one table's changelog and the disk are gone."""
    opener = cluster.start(1)
    await callers.open_accounts()
    for account in callers.accounts:
        await newest(cluster.config, LEDGERS_CHANGELOG, callers.ledger.partition_of(account), account)
    for partition in range(cluster.config.partitions):
        await newest(cluster.config, LEDGERS_CHANGELOG, partition, FLOOR_KEY.decode())
    opener.kill()
    shutil.rmtree(cluster.config.home / "workers")
    await delete(cluster, BUDGETS_CHANGELOG)
    assert await migrate_topics(cluster.config) == [BUDGETS_CHANGELOG]


async def open_and_go_on(callers: Callers, done: asyncio.Event) -> None:
    """Accounts, then traffic at both doors."""
    await callers.open_accounts()
    await callers.go_on(done)


async def send_dead_letters(callers: Callers) -> None:
    """Commands for nobody, by Kafka: each becomes a dead letter, which is the step."""
    for _ in range(6):
        await callers.produce_only(Read(id="lost", tenant_id="tenant_faults", ledger_id="account_acct_nobody"))
