"""Topics on the real Kafka: made once, and refused where they are not what the ledger needs."""

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from tests.waiting import until
from z0.config import Config
from z0.errors import TopicMismatch
from z0.log.topics import check_there, check_topics, migrate_topics, topics
from z0.names import DEAD_LETTERS, FACTS, OWNERS

pytestmark = pytest.mark.stack


async def test_migrating_again_changes_nothing(stack: Config) -> None:
    """`z0 migrate` may run at every start."""
    assert await migrate_topics(stack) == []
    await check_topics(stack)


async def test_a_start_on_other_settings_is_refused_with_every_difference(stack: Config) -> None:
    """Another number of partitions would send an entity's commands to two writers."""
    other = stack.model_copy(update={"partitions": stack.partitions + 1, "min_insync_replicas": 2})
    with pytest.raises(TopicMismatch) as caught:
        await check_topics(other)
    message = str(caught.value)
    of_ledgers = [topic for topic in topics(stack) if topic.partitions == stack.partitions]
    assert message.count("partitions, Z0_PARTITIONS asks for") == len(of_ledgers)
    assert message.count("min.insync.replicas is 1, needs 2") == len(topics(stack))


async def test_a_look_asks_for_its_topics_and_their_partitions_and_for_no_more(stack: Config) -> None:
    """A client would wait most of a minute for a missing one, and end in a traceback; other settings keep nobody from looking."""
    await check_there(stack.model_copy(update={"min_insync_replicas": 2, "replication": 2}), FACTS, OWNERS)
    with pytest.raises(TopicMismatch, match=f"{FACTS}: has 4 partitions, Z0_PARTITIONS asks for 5"):
        await check_there(stack.model_copy(update={"partitions": 5}), FACTS, OWNERS)
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka_servers)
    await admin.start()
    try:
        await admin.delete_topics([DEAD_LETTERS])
        await until(lambda: _is_gone(admin), "the topic is deleted")
        with pytest.raises(TopicMismatch, match=f"{DEAD_LETTERS}: missing; run `z0 migrate`"):
            await check_there(stack, DEAD_LETTERS)
    finally:
        await admin.close()
        assert await migrate_topics(stack) == [DEAD_LETTERS]


async def _is_gone(admin: AIOKafkaAdminClient) -> bool:
    return DEAD_LETTERS not in await admin.list_topics()


async def test_a_migration_onto_other_settings_is_refused_too(stack: Config) -> None:
    """It creates what is missing and never changes what is there."""
    with pytest.raises(TopicMismatch, match="the number is fixed at creation"):
        await migrate_topics(stack.model_copy(update={"partitions": stack.partitions + 1}))
