"""Brokers that die, or stand still: the leader of a partition among three, and the only one for 20 seconds."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from tests.faults.callers import Callers
from tests.faults.cluster import Cluster, fresh_topics, pause
from tests.faults.conftest import brokers
from z0 import stack as local
from z0.config import Config
from z0.log.kafka import start_client
from z0.names import FACTS, FAUST_APP
from z0.stack import layout, supervise
from z0.stack.kafka import node_name

pytestmark = [pytest.mark.stack, pytest.mark.faults, pytest.mark.timeout(500)]
AWAY_S = 20.0


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, _clean_environment: None) -> Iterator[Config]:
    """Three brokers."""
    yield from brokers(3, tmp_path_factory.mktemp("three"))


@pytest.fixture
async def replicated(three: Config, tmp_path: Path) -> AsyncIterator[Cluster]:
    """Every topic on all three, two of which must have a fact before it counts."""
    replicated = three.model_copy(update={"replication": 3, "min_insync_replicas": 2})
    await fresh_topics(replicated)
    cluster = Cluster(replicated.model_copy(update={"home": tmp_path}))
    yield cluster
    cluster.close()


async def leaders(config: Config) -> dict[int, int]:
    """The broker that leads each partition of the fact log."""
    admin = AIOKafkaAdminClient(bootstrap_servers=config.kafka_servers)
    await start_client(admin)
    try:
        [topic] = await admin.describe_topics([FACTS])
        return {partition["partition"]: partition["leader"] for partition in topic["partitions"]}
    finally:
        await admin.close()


async def leader_only(config: Config) -> int:
    """A broker that leads a partition and does not look after the workers' group: else they wait for the group's word, too."""
    admin = AIOKafkaAdminClient(bootstrap_servers=config.kafka_servers)
    await start_client(admin)
    try:
        coordinator = await admin.find_coordinator(FAUST_APP)
    finally:
        await admin.close()
    return next(leader for leader in (await leaders(config)).values() if leader != coordinator)


async def test_killing_the_leader_of_a_partition_under_load_loses_nothing(three: Config, replicated: Cluster) -> None:
    """Twice: first the leader of partition 0, then, when that broker is back, whoever leads partition 1."""
    worker = replicated.start(1)
    async with Callers(replicated.config) as callers:
        await replicated.serving(callers.ledger, worker)
        await callers.open_accounts()
        done = asyncio.Event()
        asking = asyncio.create_task(callers.go_on(done))
        for partition in (0, 1):
            await callers.heard(50)
            leader = (await leaders(three))[partition]
            local.kill(three, node_name(leader), signal.SIGKILL)
            await callers.heard(100)
        done.set()
        await asking
        await callers.settled()
    assert worker.process.poll() is None, worker.tail()


async def test_a_leader_that_stands_still_is_left_and_what_it_reads_later_counts_once(three: Config, replicated: Cluster) -> None:
    """It takes connections and answers nothing; what its clients gave up meanwhile is in its sockets when it goes on."""
    worker = replicated.start(1)
    async with Callers(replicated.config) as callers:
        await replicated.serving(callers.ledger, worker)
        await callers.open_accounts()
        done = asyncio.Event()
        asking = asyncio.create_task(callers.go_on(done, doors=("direct",)))
        await callers.heard(50)
        still = node_name(await leader_only(three))
        local.kill(three, still, signal.SIGSTOP)
        try:
            await callers.heard(100)
        finally:
            local.kill(three, still, signal.SIGCONT)
        await callers.heard(100)
        done.set()
        await asking
        await callers.settled()
    assert worker.process.poll() is None, worker.tail()


async def test_a_broker_that_is_away_for_20_seconds_is_waited_for(kafka: Config, cluster: Cluster) -> None:
    """The worker outlives it; callers wait, ask again under their ids, and get one effect each."""
    worker = cluster.start(1)
    supervisor = supervise.connect(layout.of(kafka))
    assert supervisor is not None
    async with Callers(cluster.config) as callers:
        await cluster.serving(callers.ledger, worker)
        await callers.open_accounts()
        done = asyncio.Event()
        asking = asyncio.create_task(callers.go_on(done, doors=("direct",)))
        await callers.heard(50)
        local.kill(kafka, "kafka", signal.SIGKILL)
        supervisor.stop("kafka")
        await pause(AWAY_S)
        supervisor.start("kafka")
        await callers.heard(100)
        done.set()
        await asking
        await callers.settled()
    assert worker.process.poll() is None, worker.tail()
