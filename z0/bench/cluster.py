"""
A Kafka, and a worker, for one measurement. Owns: their folder, their ports, their end. Nothing of the user's is touched.
"""

import asyncio
import random
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import islice
from pathlib import Path

from z0 import stack
from z0.bench.processes import running
from z0.client import connect
from z0.client.owners import Owner
from z0.config import Config, from_env
from z0.errors import Z0Error
from z0.log.topics import migrate_topics
from z0.stack import layout
from z0.stack.kafka import jars
from z0.stack.ports import is_free
from z0.stack.programs import environment, worker_config

READY_TIMEOUT_S = 60.0
PORTS_FROM, PORTS_TO = 20_000, 32_000  # Linux gives ports from 32,768 on to connections
PORTS_IN_A_ROW = 10
PORTS = ("kafka_port", "kafka_controller_port", "postgres_port", "api_port", "door_port")


def free_ports(count: int) -> list[int]:
    """
    Ports that nobody has now, nor the nine above each: several workers, brokers, and the S3 server take those.

    None of those that the system gives to connections: one would have it between this look and the server's start.
    """
    firsts = range(PORTS_FROM, PORTS_TO, PORTS_IN_A_ROW)
    free = (first for first in random.sample(firsts, len(firsts)) if all(is_free(first + n) for n in range(PORTS_IN_A_ROW)))
    return list(islice(free, count))


def own_kafka() -> AbstractContextManager[Config]:
    """A fresh Kafka, stopped and deleted at the end."""
    return own_servers("kafka")


@contextmanager
def own_servers(*names: str) -> Iterator[Config]:
    """Fresh servers of the local stack, stopped and deleted at the end."""
    given = from_env()
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    with tempfile.TemporaryDirectory(prefix="z0-bench-") as folder:
        config = given.model_copy(update={"home": Path(folder), "kafka": None, "postgres": None, **ports})
        _share_jars(given, config)
        try:
            stack.up(config, servers_only=True, only=names, report=lambda name, text: None)
            yield config
        finally:
            stack.down(config, lambda name, text: None)


def _share_jars(given: Config, config: Config) -> None:
    """The local stack's jars where it has them; else Maven fetches them once more."""
    have, want = (jars.libs(layout.of(c).data("kafka")) for c in (given, config))
    if have.is_dir():
        want.parent.mkdir(parents=True)
        want.symlink_to(have)


@contextmanager
def own_worker() -> Iterator[Config]:
    """A fresh Kafka with one worker that serves every partition."""
    with own_kafka() as config:
        asyncio.run(migrate_topics(config))
        with worker(config):
            yield config


@contextmanager
def workers(config: Config, count: int) -> Iterator[None]:
    """Several workers, each of which serves its share of the partitions."""
    with ExitStack() as those:
        for number in range(1, count + 1):
            those.enter_context(start_worker(worker_config(config, number)))
        asyncio.run(ready(config, count))
        yield


@contextmanager
def worker(config: Config) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that serves every partition."""
    with start_worker(config) as process:
        asyncio.run(ready(config))
        yield process


def start_worker(config: Config) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """A worker that may not serve yet."""
    return running(["z0", "worker"], environment(config), config.home / "logs" / f"bench-{config.worker_id}.log")


async def ready(config: Config, count: int = 1) -> None:
    """
    Wait until every partition has an owner, and each of `count` workers its share of them.

    Raises:
        Z0Error: not within a minute.
    """
    async with connect(config) as ledger:
        deadline = asyncio.get_running_loop().time() + READY_TIMEOUT_S
        while not (ledger.is_ready() and shared_out(ledger.owners().values(), count)):
            if asyncio.get_running_loop().time() > deadline:
                raise Z0Error(f"not within {READY_TIMEOUT_S:.0f} s: every partition has an owner, of {count}")
            await asyncio.sleep(0.1)


def shared_out(owners: Iterable[Owner], count: int) -> bool:
    """Whether so many workers own partitions, each as many as the others or one less."""
    shares = Counter(owner.worker for owner in owners).values()
    return len(shares) == count and max(shares) - min(shares) <= 1
