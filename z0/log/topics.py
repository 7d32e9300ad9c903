"""
The topics and their settings. Owns: what `z0 migrate` creates and what a start refuses. Names live in `z0.names`.

The settings are part of the ledger's safety: a compacted or transactional fact log would break the validity rule, a
create-time stamp would let the broker delete old facts at the next check, an unclean election would lose acked ones.
"""

from collections.abc import AsyncIterator, Container, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from z0 import kafka_url
from z0.config import Config
from z0.errors import TopicMismatch
from z0.log.kafka import start_client
from z0.log.producer import BATCH_BYTES_MAX
from z0.names import (
    ACCESS_CHANGELOG,
    BUDGETS_CHANGELOG,
    CAPS_CHANGELOG,
    COMMANDS,
    CONFIGS,
    DEAD_LETTERS,
    FACTS,
    LEDGERS_CHANGELOG,
    OWNERS,
)

DAY_MS: Final = 24 * 3600 * 1000
FOR_EVER: Final = "-1"


class Topic(NamedTuple):
    """A topic, its number of partitions, and the settings that it must have."""

    name: str
    partitions: int
    settings: Mapping[str, str]


def topics(config: Config) -> tuple[Topic, ...]:
    """Every topic of the ledger."""
    common = {"min.insync.replicas": str(config.min_insync_replicas), "unclean.leader.election.enable": "false"}
    large = {"max.message.bytes": str(BATCH_BYTES_MAX + 1024 * 1024)}
    arrival = {"message.timestamp.type": "LogAppendTime"}
    keep = {"cleanup.policy": "delete", "retention.ms": FOR_EVER, "retention.bytes": FOR_EVER}
    compact = {"cleanup.policy": "compact", "segment.bytes": str(64 * 1024 * 1024)}
    # Every worker reads all of it at its start, and the segment in use is not compacted: the sink's positions would fill it.
    small = {"cleanup.policy": "compact", "segment.bytes": str(4 * 1024 * 1024)}
    p = config.partitions
    return (
        Topic(COMMANDS, p, common | large | arrival | {"cleanup.policy": "delete", "retention.ms": str(7 * DAY_MS)}),
        Topic(FACTS, p, common | large | arrival | keep),
        Topic(LEDGERS_CHANGELOG, p, common | large | compact),
        Topic(BUDGETS_CHANGELOG, p, common | large | compact),
        Topic(CAPS_CHANGELOG, p, common | large | compact),
        Topic(ACCESS_CHANGELOG, p, common | large | compact),
        Topic(OWNERS, 1, common | compact),
        Topic(CONFIGS, 1, common | small),
        Topic(DEAD_LETTERS, 1, common | large | arrival | {"cleanup.policy": "delete", "retention.ms": str(30 * DAY_MS)}),
    )


async def migrate_topics(config: Config) -> list[str]:
    """
    Create what is missing; the names of the topics created.

    Raises:
        TopicMismatch: a topic exists with other settings, all of them listed.
    """
    async with _admin(config) as admin:
        there = set(await admin.list_topics())
        missing = [topic for topic in topics(config) if topic.name not in there]
        if missing:
            await admin.create_topics([_new(topic, config.replication) for topic in missing])
        problems = await _problems(admin, [topic for topic in topics(config) if topic.name in there])
    if problems:
        raise TopicMismatch("topics exist with other settings than the ledger needs:\n" + "\n".join(f"  - {p}" for p in problems))
    return [topic.name for topic in missing]


async def check_there(config: Config, *names: str) -> None:
    """
    What a look needs of these topics: a client waits for a missing one for most of a minute, and where the number of partitions
    is another, it asks the wrong ones. Other settings than the ledger needs keep nobody from looking.

    Raises:
        Unreachable: Kafka does not answer.
        TopicMismatch: a topic is missing or has another number of partitions.
    """
    asked = [topic for topic in topics(config) if topic.name in names]
    async with _admin(config) as admin:
        there = set(await admin.list_topics())
        counts = await _partitions(admin, [topic for topic in asked if topic.name in there])
    _refuse(_missing(asked, there) + _other_partitions(asked, counts))


async def check_topics(config: Config) -> None:
    """
    What every start checks.

    Raises:
        TopicMismatch: a topic is missing or has other settings.
    """
    async with _admin(config) as admin:
        there = set(await admin.list_topics())
        problems = await _problems(admin, [topic for topic in topics(config) if topic.name in there])
    _refuse(_missing(topics(config), there) + problems)


@asynccontextmanager
async def _admin(config: Config) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**kafka_url.options(config.kafka_servers))
    await start_client(admin)
    try:
        yield admin
    finally:
        await admin.close()


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise TopicMismatch("the topics are not what the ledger needs:\n" + "\n".join(f"  - {p}" for p in problems))


def _missing(asked: Iterable[Topic], there: Container[str]) -> list[str]:
    return [f"{topic.name}: missing; run `z0 migrate`" for topic in asked if topic.name not in there]


def _other_partitions(asked: Iterable[Topic], counts: Mapping[str, int]) -> list[str]:
    return [
        f"{topic.name}: has {has} partitions, Z0_PARTITIONS asks for {topic.partitions}; the number is fixed at creation"
        for topic in asked
        if (has := counts.get(topic.name, topic.partitions)) != topic.partitions
    ]


async def _partitions(admin: AIOKafkaAdminClient, present: Sequence[Topic]) -> dict[str, int]:
    if not present:
        return {}
    return {d["topic"]: len(d["partitions"]) for d in await admin.describe_topics([t.name for t in present])}


def _new(topic: Topic, replication: int) -> NewTopic:
    return NewTopic(topic.name, topic.partitions, replication, topic_configs=dict(topic.settings))


async def _problems(admin: AIOKafkaAdminClient, present: list[Topic]) -> list[str]:
    if not present:
        return []
    found = _other_partitions(present, await _partitions(admin, present))
    settings = await _settings(admin, [t.name for t in present])
    for topic in present:
        found += [
            f"{topic.name}: {name} is {settings[topic.name].get(name)}, needs {value}"
            for name, value in topic.settings.items()
            if settings[topic.name].get(name) != value
        ]
    return found


async def _settings(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    return {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]} for response in responses for resource in response.resources
    }
