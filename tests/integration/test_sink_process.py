"""`z0 sink NAME` as a process over a real Kafka: from the log into the store, through kills, to an end by SIGTERM."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from sinks.build import sink_of
from sinks.kafka import KafkaDeadLetters, KafkaSource
from sinks.migrate import migrate
from sinks.policy import BatchLimit, Policy
from sinks.runner import Runner
from sinks.testing import LogMaker
from tests.contract.test_sinks import log_of, own_stores, rig_of
from z0.config import Config
from z0.names import DEAD_LETTERS

pytestmark = [pytest.mark.stack, pytest.mark.filterwarnings("ignore::ResourceWarning")]
NAMES = ("postgres", "clickhouse", "archive")
ROOT = Path(__file__).parents[2]
# The process under test reads a topic of its own: the fact log of the stack has facts of other tests.
MAIN = """
import asyncio, sys
import sinks.build, sinks.kafka
from z0.config import from_env
source = sinks.kafka.KafkaSource
sinks.build.KafkaSource = lambda servers, name: source(servers, name, {topic!r})
asyncio.run(sinks.build.run_sink(from_env(), sys.argv[1]))
"""


class Topic:
    """A log on a topic of its own."""

    def __init__(self, servers: str, log: LogMaker) -> None:
        self.name = f"t-{uuid.uuid4().hex[:10]}"
        self.log = log
        self._servers = servers
        self._sent = dict.fromkeys(log.records, 0)

    async def create(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._servers)
        await admin.start()
        there = set(await admin.list_topics())
        topics = [NewTopic(self.name, len(self.log.records), 1)]
        topics += [NewTopic(DEAD_LETTERS, 1, 1)] if DEAD_LETTERS not in there else []
        await admin.create_topics(topics)
        await admin.close()

    async def send(self) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self._servers, enable_idempotence=True)
        await producer.start()
        for partition, records in self.log.records.items():
            sent = [await producer.send(self.name, r.value, r.key, partition) for r in records[self._sent[partition] :]]
            for future in sent:
                await future
            self._sent[partition] = len(records)
        await producer.stop()


@pytest.fixture
async def stores(stack: Config) -> AsyncIterator[Config]:
    """Small batches and ranges, so that a kill falls between them."""
    small = {"sink_batch_rows_max": 200, "sink_batch_age_ms": 100, "archive_range_facts": 300}
    with own_stores(stack.model_copy(update=small)) as config:
        await asyncio.to_thread(migrate, config)
        yield config


async def topic_of(config: Config, log: LogMaker) -> Topic:
    topic = Topic(config.kafka_servers, log)
    await topic.create()
    await topic.send()
    return topic


def process(config: Config, topic: Topic, name: str) -> "subprocess.Popen[bytes]":
    given = {f"Z0_{field.upper()}": str(value) for field, value in config if value is not None and field != "door_secret"}
    command = [sys.executable, "-c", MAIN.format(topic=topic.name), name]
    return subprocess.Popen(command, env={**os.environ, **given}, cwd=ROOT)


async def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition, bounded."""
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110 - the condition is another process's
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("name", NAMES)
async def test_a_sink_that_is_killed_again_and_again_stores_every_fact_once(stores: Config, name: str) -> None:
    """kill -9 while it writes, three times; then the rest, and SIGTERM ends it with 0, the archive's tail sealed."""
    topic, rig = await topic_of(stores, log_of(3_000)), rig_of(stores, name)
    for part in (1, 2, 3):
        running = process(stores, topic, name)
        aim = part * topic.log.valid // 5
        await until(lambda aim=aim: rig.facts() >= aim)  # type: ignore[misc]  # bound at once
        running.kill()
        running.wait()
        topic.log.facts(500)
        await topic.send()
    running = process(stores, topic, name)
    # Full ranges only: what is not sealed yet is sealed by the SIGTERM.
    await until(lambda: rig.facts() >= (topic.log.valid if name != "archive" else topic.log.valid - 900))
    running.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(running.wait, 30) == 0
    if name != "archive":
        assert rig.facts() == topic.log.valid
    else:
        await run(stores, topic, name)
        assert rig.facts() == topic.log.valid


async def run(config: Config, topic: Topic, name: str) -> Runner:
    servers = config.kafka_servers
    policy = Policy(batch=BatchLimit(rows_max=300, age_ms=50))
    source = KafkaSource(servers, name, topic.name)
    runner = Runner(sink_of(config, name), source, KafkaDeadLetters(servers), policy=policy)
    await runner.run(asyncio.Event(), to_end=True)
    return runner


@pytest.mark.parametrize("name", NAMES)
async def test_poison_on_the_log_is_a_dead_letter_on_kafka(stores: Config, name: str) -> None:
    """Acked on the dead-letter topic under its place; everything around it is stored."""
    log = log_of(400)
    at = len(log.records[0])
    log.land(0, b"who", b"\xfe poison")
    log.claim(0)
    log.facts(100)
    topic = await topic_of(stores, log)
    runner = await run(stores, topic, name)
    assert rig_of(stores, name).facts() == log.valid
    assert (runner.status.dead_letters, runner.status.lag_total) == (1, 0)
    letter = await _letter(stores.kafka_servers, f"z0.facts-0-{at}".encode(), name)
    assert (letter["topic"], letter["partition"], letter["offset"]) == ("z0.facts", 0, at)


async def _letter(servers: str, key: bytes, sink: str) -> dict[str, object]:
    consumer = AIOKafkaConsumer(DEAD_LETTERS, bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(20):
            async for record in consumer:
                letter: dict[str, object] = json.loads(record.value)
                if record.key == key and letter["sink"] == sink:
                    return letter
    finally:
        await consumer.stop()
    raise AssertionError("unreachable: the loop ends only by its time limit")
