"""
Our part of the side-by-side run. Half of the commands reserve and half confirm those reservations: holds that nobody closes
would pile up. Each is a decision with a balance check and a look-up of its id; the peers only ever reserve.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice

import uvloop

from z0.bench import decide, latency
from z0.bench.closedloop import closed_loop
from z0.bench.cluster import worker, workers
from z0.bench.figures import Figure
from z0.bench.load import work
from z0.bench.peers.sizes import Size
from z0.bench.topics import make_topics
from z0.client import DirectLedger, connect
from z0.config import Config
from z0.domain.commands import Command
from z0.domain.outcome import Outcome
from z0.log.topics import migrate_topics, topics
from z0.names import FACTS

FSYNC = {"flush.messages": "1"}
# Each append of each partition waits for the disk by itself; Postgres has one log for all, which its commits share. On one
# partition all that waits shares an append, too.
FSYNC_PARTITIONS = 1
WORKERS = 2  # as Kafka Streams has threads; Postgres has a process for each client
PAGE_CACHE_BY_TWO = f"acks=all, page cache, workers: {WORKERS}"
FSYNC_BY_ONE = f"acks=all, fsync per append, workers: 1, partitions: {FSYNC_PARTITIONS}"


def page_cache(config: Config, size: Size) -> Mapping[str, Figure]:
    """Acked by all replicas and not yet on their disks, as Kafka does by default."""
    catch_up = uvloop.run(decide.ours(config, size.accounts, size.catch_up))
    with worker(config):
        direct = uvloop.run(_direct(config, size))
        kafka = uvloop.run(latency.kafka(config, load(size._replace(rate=size.topic_rate))))
    return {
        "durability": "acks=all, page cache, workers: 1",
        **direct,
        "catch_up_per_s": catch_up,
        "topic_p99_ms": kafka["p99_ms"],
        "topic_lost": kafka["lost"],
    }


def two_workers(config: Config, size: Size) -> Mapping[str, Figure]:
    """The same where two workers share the partitions; each serves its own before anything is counted."""
    with two_serve(config):
        catch_up = uvloop.run(decide.by_those_who_serve(config, size.accounts, size.catch_up))
        direct = uvloop.run(_direct(config, size))
    return {"durability": PAGE_CACHE_BY_TWO, **direct, "catch_up_per_s": catch_up}


def fsync(config: Config, size: Size) -> Mapping[str, Figure]:
    """Every append is on the disk before it is acked."""
    with one_serves_with_fsync(config) as config_of_one:
        return {"durability": FSYNC_BY_ONE, **uvloop.run(_direct(config_of_one, size))}


@contextmanager
def two_serve(config: Config) -> Iterator[None]:
    """Two workers, each with its share of the partitions."""
    asyncio.run(migrate_topics(config))
    with workers(config, WORKERS):
        yield


@contextmanager
def one_serves_with_fsync(config: Config) -> Iterator[Config]:
    """One worker, whose facts are on the disk before it is told so; its settings."""
    config = config.model_copy(update={"partitions": FSYNC_PARTITIONS})
    asyncio.run(_migrate_with_fsync(config))
    with worker(config):
        yield config


async def _migrate_with_fsync(config: Config) -> None:
    settings = next(topic.settings for topic in topics(config) if topic.name == FACTS)
    await make_topics(config.kafka_servers, config.partitions, {FACTS: {**settings, **FSYNC}})
    await migrate_topics(config)


async def _direct(config: Config, size: Size) -> Mapping[str, Figure]:
    """Batches by a few clients, then an open loop of single decisions."""
    async with connect(config) as ledger:
        run = f"p{time.time_ns():x}"
        await latency.make_accounts(ledger, size.accounts, run)
        commands = work(size.accounts, run)
        per_s = await batches(ledger, size, commands)
        open_loop = await latency.ask_at(ledger, load(size), commands)
    return {"per_s": per_s, "p50_ms": open_loop["p50_ms"], "p99_ms": open_loop["p99_ms"], "lost": open_loop["lost"]}


def load(size: Size) -> latency.Load:
    """The open loop of single decisions."""
    return latency.Load(size.rate, size.seconds, size.warm_up_s, size.accounts)


async def batches(ledger: DirectLedger, size: Size, commands: Iterator[Command]) -> float:
    """Decisions per second in batches."""

    async def ask() -> int:
        answers = await ledger.submit_many(list(islice(commands, size.batch)))
        return sum(answer.outcome is Outcome.ACCEPTED for answer in answers)

    return await closed_loop(size.batch_clients, size.seconds, ask)
