"""kill -9 after each numbered step of the order of effects: nothing told is lost, nothing has two effects."""

import asyncio

import pytest

from tests.faults.callers import Callers
from tests.faults.cluster import Cluster
from tests.faults.worker import STEPS, Orders
from z0.domain.commands import Read

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]
QUICK = {"3 durable, ack unread", "5 indexed", "8 snapshots acked", "claim 3 fenced"}
ONCE = {"2 sent out", *(step for step in STEPS if step.startswith("claim"))}  # the others are reached all the time
MARKS = [pytest.param(step, id=step, marks=() if step in QUICK else pytest.mark.faults) for step in STEPS]


@pytest.mark.parametrize("step", MARKS)
async def test_a_worker_killed_after_a_step_loses_nothing_and_doubles_nothing(cluster: Cluster, step: str) -> None:
    """The next process of the same name, on the same disk, goes on from there."""
    dying = cluster.start(1, Orders(die_at=step, die_at_time=1 if step in ONCE else 3))
    async with Callers(cluster.config) as callers:
        done = asyncio.Event()
        asking = asyncio.create_task(open_and_go_on(callers, done))
        if step == "2 sent out":
            await send_dead_letters(callers)
        assert await dying.ended() == -9, dying.tail()
        cluster.start(1)
        await callers.heard(100)
        done.set()
        await asking
        found = await callers.settled()
    assert found.claims > cluster.config.partitions or step in ONCE


async def open_and_go_on(callers: Callers, done: asyncio.Event) -> None:
    """Accounts, then traffic at both doors."""
    await callers.open_accounts()
    await callers.go_on(done)


async def send_dead_letters(callers: Callers) -> None:
    """Commands for nobody, by Kafka: each becomes a dead letter, which is the step."""
    for _ in range(6):
        await callers.produce_only(Read(id="lost", tenant_id="tenant_faults", ledger_id="account_acct_nobody"))
