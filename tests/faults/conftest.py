"""Fixtures of the fault tests: a Kafka of their own, and on it a cluster with fresh topics for each test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.conftest import free_ports
from tests.faults.cluster import Cluster, fresh_topics
from z0 import stack as local
from z0.config import Config, from_env


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory, _clean_environment: None) -> Iterator[Config]:
    """One broker."""
    yield from brokers(1, tmp_path_factory.mktemp("faults"))


def brokers(count: int, home: Path) -> Iterator[Config]:
    """A Kafka of some brokers, stopped at the end. The jars are this machine's, where it has them."""
    ports = free_ports()
    config = from_env().model_copy(
        update={"home": home, "partitions": 2, "snapshot_interval_ms": 300, "kafka_nodes": count, **ports}
    )
    names = ["kafka", *(f"kafka-{node}" for node in range(2, count + 1))]
    try:
        local.up(config, servers_only=True, only=names, report=lambda name, text: None)
        yield config
    finally:
        local.down(config, lambda name, text: None)


@pytest.fixture
async def cluster(kafka: Config, tmp_path: Path) -> AsyncIterator[Cluster]:
    """Fresh topics, fresh disks, no worker yet."""
    await fresh_topics(kafka)
    cluster = Cluster(kafka.model_copy(update={"home": tmp_path}))
    yield cluster
    cluster.close()
