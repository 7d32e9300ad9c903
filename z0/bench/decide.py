"""
`z0 bench decide`: preloaded commands through one worker with everything on, against the idiomatic Faust worker.

Method: all commands are on their topic before the worker starts. The rate is commands / (broker's time of the last fact -
broker's time of the first fact), so starting up is not counted for either. Both run one after the other on one broker.
"""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from z0.bench import idiomatic
from z0.bench.figures import Figure
from z0.bench.load import setup, work
from z0.bench.processes import running
from z0.client.partitioner import partition_of
from z0.codec import encode_command
from z0.config import Config
from z0.errors import Z0Error
from z0.log.kafka import new_producer
from z0.log.topics import migrate_topics
from z0.names import COMMANDS, FACTS
from z0.stack.programs import environment

PATIENCE_S = 180.0
POLL_S = 0.1
PRODUCE_BATCH = 2_000


async def preload(producer: AIOKafkaProducer, topic: str, partitions: int, records: Iterable[tuple[str, bytes]]) -> int:
    """Write records in batches to the partition of their key; how many there were."""
    by_partition: dict[int, list[tuple[str, bytes]]] = {p: [] for p in range(partitions)}
    count, acks = 0, []
    for key, value in records:
        waiting = by_partition[partition_of(key, partitions)]
        waiting.append((key, value))
        count += 1
        if len(waiting) == PRODUCE_BATCH:
            acks.append(await _send(producer, topic, partition_of(key, partitions), waiting))
            waiting.clear()
    acks += [await _send(producer, topic, p, waiting) for p, waiting in by_partition.items() if waiting]
    await asyncio.gather(*acks)
    return count


async def _send(
    producer: AIOKafkaProducer, topic: str, partition: int, records: list[tuple[str, bytes]]
) -> "asyncio.Future[object]":
    batch = producer.create_batch()
    for key, value in records:
        batch.append(key=key.encode(), value=value, timestamp=None)
    batch.close()
    sent: asyncio.Future[object] = await producer.send_batch(batch, topic, partition=partition)
    return sent


async def span_ms(servers: str, topic: str, partitions: int, marks: tuple[bytes, ...], expected: int) -> int:
    """Wait until `expected` records with all `marks` are there; milliseconds from first to last by the broker's clock."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers, enable_auto_commit=False, auto_offset_reset="earliest", max_poll_records=5_000
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, p) for p in range(partitions)])
        ends = await consumer.end_offsets(consumer.assignment())
        for partition, end in ends.items():
            consumer.seek(partition, end)
        await _wait_for_end(consumer, sum(ends.values()) + expected)
        return await _span(consumer, marks, expected)
    finally:
        await consumer.stop()


async def _wait_for_end(consumer: AIOKafkaConsumer, expected: int) -> None:
    """Look at the ends only: reading along would take CPU from what is measured."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if sum((await consumer.end_offsets(consumer.assignment())).values()) >= expected:
            return
        await asyncio.sleep(POLL_S)
    raise Z0Error(f"fewer than {expected} facts after {PATIENCE_S:.0f} s")


async def _span(consumer: AIOKafkaConsumer, marks: tuple[bytes, ...], expected: int) -> int:
    first, last, seen = 2**62, 0, 0
    deadline = time.monotonic() + PATIENCE_S
    while seen < expected and time.monotonic() < deadline:
        for records in (await consumer.getmany(timeout_ms=1_000)).values():
            for record in records:
                if all(mark in record.value for mark in marks):
                    seen += 1
                    first, last = min(first, record.timestamp), max(last, record.timestamp)
    if seen < expected:
        raise Z0Error(f"{seen} of {expected} facts came")
    return max(1, last - first)


async def ours(config: Config, accounts: int, commands: int) -> float:
    """Decisions per second of one z0 worker."""
    await migrate_topics(config)
    run = f"d{time.time_ns():x}"
    producer = new_producer(config.kafka_servers)
    await producer.start()
    records = ((c.ledger_id, encode_command(c)) for c in (*setup(accounts, run), *islice(work(accounts, run), commands)))
    await preload(producer, COMMANDS, config.partitions, records)
    await producer.stop()
    with running(["z0", "worker"], environment(config), config.home / "logs" / "bench-worker.log"):
        span = await span_ms(config.kafka_servers, FACTS, config.partitions, (run.encode(), b'"type":"budget"'), commands)
    return commands / span * 1000


async def theirs(config: Config, accounts: int, commands: int) -> float:
    """Events per second of the idiomatic Faust worker."""
    await _peer_topics(config)
    producer = new_producer(config.kafka_servers)
    await producer.start()
    keys = [f"account-{n}" for n in range(accounts)]
    events = (
        (keys[n % accounts], json.dumps({"id": str(n), "account": keys[n % accounts], "amount": "0.0125"}).encode())
        for n in range(commands)
    )
    await preload(producer, idiomatic.COMMANDS, config.partitions, events)
    await producer.stop()
    folder = Path(config.home) / "bench-idiomatic"
    arguments = ["z0.bench.idiomatic", config.kafka_servers, str(folder), str(config.partitions)]
    with running(arguments, {}, config.home / "logs" / "bench-idiomatic.log"):
        span = await span_ms(config.kafka_servers, idiomatic.FACTS, config.partitions, (), commands)
    return commands / span * 1000


async def _peer_topics(config: Config) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=config.kafka_servers)
    await admin.start()
    try:
        stamped = {"message.timestamp.type": "LogAppendTime"}
        names = {idiomatic.COMMANDS: {}, idiomatic.FACTS: stamped, idiomatic.CHANGELOG: {"cleanup.policy": "compact"}}
        await admin.create_topics(
            [NewTopic(name, config.partitions, 1, topic_configs=settings) for name, settings in names.items()]
        )
    finally:
        await admin.close()


async def measure(config: Config, *, accounts: int, commands: int, peer_commands: int) -> Mapping[str, Figure]:
    """All figures of `z0 bench decide`."""
    theirs_per_s = await theirs(config, accounts, peer_commands) if peer_commands else 0.0
    ours_per_s = await ours(config, accounts, commands)
    figures: dict[str, Figure] = {"commands": commands, "accounts": accounts, "decisions_per_s": ours_per_s}
    if peer_commands:
        figures |= {"faust_per_s": theirs_per_s, "ratio": ours_per_s / theirs_per_s}
    return figures
