"""What a worker keeps beside the log may be lost or old: it is rebuilt."""

import asyncio
import shutil

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from tests.faults.callers import Callers
from tests.faults.cluster import Cluster
from tests.faults.worker import Orders
from tests.waiting import until
from z0.log.kafka import start_client
from z0.log.topics import migrate_topics
from z0.names import BUDGETS_CHANGELOG, LEDGERS_CHANGELOG

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]


async def test_a_crash_right_after_snapshots_with_only_direct_commands_since_loses_nothing(cluster: Cluster) -> None:
    """The floor names a fact offset, not only the offset of a Kafka command, so direct commands are replayed too."""
    dying = cluster.start(1, Orders(die_at="8 floor acked", die_at_time=3))
    async with Callers(cluster.config) as callers:
        done = asyncio.Event()
        await callers.open_accounts()
        asking = asyncio.create_task(callers.go_on(done, doors=("direct",)))
        assert await dying.ended() == -9
        cluster.start(1)
        await callers.heard(100)
        done.set()
        await asking
        await callers.settled()


@pytest.mark.faults
async def test_a_lost_changelog_is_rebuilt_from_the_log(cluster: Cluster) -> None:
    """Topic and disk are gone: the tables begin anew from the facts."""
    worker = cluster.start(1)
    async with Callers(cluster.config) as callers:
        await callers.open_accounts()
        await callers.ask(*(next(callers.work(account)) for account in callers.accounts for _ in range(5)))
        worker.kill()
        shutil.rmtree(cluster.config.home / "workers")
        await delete(cluster, LEDGERS_CHANGELOG, BUDGETS_CHANGELOG)
        assert set(await migrate_topics(cluster.config)) == {LEDGERS_CHANGELOG, BUDGETS_CHANGELOG}
        cluster.start(1)
        await callers.ask(*(told.command for told in callers.told))
        await callers.ask(*(next(callers.work(account)) for account in callers.accounts))
        await callers.settled()


@pytest.mark.faults
async def test_a_lost_changelog_behind_a_disk_that_is_still_there_is_noticed_or_survived(cluster: Cluster) -> None:
    """The store on disk says that it read further than the new changelog goes."""
    worker = cluster.start(1)
    async with Callers(cluster.config) as callers:
        await callers.open_accounts()
        await callers.ask(*(next(callers.work(account)) for account in callers.accounts for _ in range(5)))
        worker.kill()
        await delete(cluster, LEDGERS_CHANGELOG, BUDGETS_CHANGELOG)
        await migrate_topics(cluster.config)
        cluster.start(1)
        await callers.ask(*(told.command for told in callers.told))
        await callers.ask(*(next(callers.work(account)) for account in callers.accounts))
        await callers.settled()


async def delete(cluster: Cluster, *topics: str) -> None:
    """Delete topics and wait until they are gone."""
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.config.kafka_servers)
    await start_client(admin)
    await admin.delete_topics(list(topics))

    async def gone() -> bool:
        return not set(topics) & set(await admin.list_topics())

    await until(gone, f"{topics} gone")
    await admin.close()
