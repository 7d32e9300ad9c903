"""What a worker keeps beside the log may be lost or old: it is rebuilt."""

import asyncio
import json
import shutil
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from msgspec import Raw

from tests.faults.callers import PATIENT_MS, TENANT, Callers
from tests.faults.cluster import Cluster
from tests.faults.test_zombies import newest
from tests.faults.worker import Orders
from tests.waiting import until
from z0.domain.commands import Confirm, GrantAccess, Read, Reserve
from z0.domain.config import ConfigVersion, encode_version, topic_key
from z0.domain.facts import ConfigType, Scope
from z0.log.kafka import start_client
from z0.log.producer import open_producer
from z0.log.topics import migrate_topics
from z0.names import ACCESS_CHANGELOG, BUDGETS_CHANGELOG, CAPS_CHANGELOG, CONFIGS, LEDGERS_CHANGELOG

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]
EVERY_CHANGELOG = (LEDGERS_CHANGELOG, BUDGETS_CHANGELOG, CAPS_CHANGELOG, ACCESS_CHANGELOG)
LOST = [
    pytest.param((LEDGERS_CHANGELOG, BUDGETS_CHANGELOG), id="ledgers and budgets"),
    pytest.param((BUDGETS_CHANGELOG,), id="budgets"),
    pytest.param((CAPS_CHANGELOG,), id="caps"),
    pytest.param((ACCESS_CHANGELOG,), id="access"),
]


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
@pytest.mark.parametrize("topics", LOST)
async def test_a_lost_changelog_is_rebuilt_from_the_log(cluster: Cluster, topics: tuple[str, ...]) -> None:
    """Topic and disk are gone: the tables begin anew from the facts."""
    async with Callers(cluster.config, accounts=2) as callers:
        await used_under_every_table(cluster, callers)
        shown = await show(callers)
        cluster.workers[0].kill()
        shutil.rmtree(cluster.config.home / "workers")
        await delete(cluster, *topics)
        assert set(await migrate_topics(cluster.config)) == set(topics)
        cluster.start(1)
        await goes_on(callers, shown)


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


async def used_under_every_table(cluster: Cluster, callers: Callers) -> None:
    """Accounts with money, holds, roles and counted limits, all of it in snapshots."""
    await put_cap(cluster)
    cluster.start(1)
    await callers.open_accounts()
    for account in callers.accounts:
        work = (next(callers.work(account)) for _ in range(5))
        await callers.ask(callers.of(GrantAccess, account, grantee_id="user_1", role="owner"), *work)
        hold = callers.of(Reserve, account, amount="2", currency="USD", ttl_ms=3_600_000)
        await callers.ask(hold, callers.of(Confirm, account, reservation_id=hold.id))
    for account in callers.accounts:
        for topic in EVERY_CHANGELOG:
            await newest(cluster.config, topic, callers.ledger.partition_of(account), account)


async def put_cap(cluster: Cluster) -> None:
    """As the sink of configs would: a limit that every account counts under, and none meets."""
    cap = ConfigVersion(
        id="cfg_1",
        version=1,
        type=ConfigType.CAP,
        scope=Scope.TENANT,
        applies_to="*",
        tenant_id=TENANT,
        effective_at=0,
        settings=Raw(b'{"limits":[{"name":"all","counts":"spend","window":"total","max_count":1000}]}'),
    )
    producer = await open_producer(cluster.config.kafka_servers, CONFIGS)
    await producer.append(TopicPartition(CONFIGS, 0), [(topic_key(cap.id, cap.version), encode_version(cap))])
    await producer.stop()


async def show(callers: Callers) -> list[Any]:
    """What every account holds, under every table."""
    reads = [callers.of(Read, account) for account in callers.accounts]
    answers = await callers.ledger.submit_many(reads, timeout_ms=PATIENT_MS)
    shown = [json.loads(answer.state) for answer in answers]
    assert all(state["budgets"] and state["access"] and state["caps"] for state in shown), shown[0]
    return shown


async def goes_on(callers: Callers, shown: list[Any]) -> None:
    """Everything is as it was, every command has been decided, and there may be more."""
    assert await show(callers) == shown
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
