"""
A Kafka, and a worker, for one measurement. Owns: their folder, their ports, their end. Nothing of the user's is touched.
"""

import asyncio
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from z0 import stack
from z0.bench.processes import running
from z0.client import connect
from z0.config import Config, from_env
from z0.errors import Z0Error
from z0.log.topics import migrate_topics
from z0.stack.programs import environment

READY_TIMEOUT_S = 60.0


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


@contextmanager
def own_kafka() -> Iterator[Config]:
    """A fresh Kafka (jars are shared with the local stack), stopped and deleted at the end."""
    given = from_env()
    kafka, controller, door = free_ports(3)
    with tempfile.TemporaryDirectory(prefix="z0-bench-") as folder:
        config = given.model_copy(
            update={
                "home": Path(folder),
                "kafka": None,
                "kafka_port": kafka,
                "kafka_controller_port": controller,
                "door_port": door,
            }
        )
        try:
            stack.up(config, servers_only=True, only=("kafka",), report=lambda name, text: None)
            yield config
        finally:
            stack.down(config, lambda name, text: None)


@contextmanager
def own_worker() -> Iterator[Config]:
    """A fresh Kafka with one worker that serves every partition."""
    with own_kafka() as config:
        asyncio.run(migrate_topics(config))
        with running(["z0", "worker"], environment(config), config.home / "logs" / "bench-worker.log"):
            asyncio.run(_ready(config))
            yield config


async def _ready(config: Config) -> None:
    async with connect(config) as ledger:
        deadline = asyncio.get_running_loop().time() + READY_TIMEOUT_S
        while not ledger.is_ready():
            if asyncio.get_running_loop().time() > deadline:
                raise Z0Error(f"the worker did not take every partition within {READY_TIMEOUT_S:.0f} s")
            await asyncio.sleep(0.1)
