"""A Kafka of its own and workers that a test starts, kills and freezes. Owns: their processes and their end."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient

from tests.faults.worker import Orders, encode_orders
from tests.waiting import until
from z0.bench.processes import stop
from z0.client import DirectLedger
from z0.config import Config
from z0.log.kafka import start_client
from z0.log.topics import migrate_topics
from z0.stack.programs import environment, worker_config

ROOT = Path(__file__).parents[2]
STARTS_S = 90.0  # on a busy machine


class Worker:
    """One worker process."""

    def __init__(self, config: Config, orders: Orders) -> None:
        self.config = config
        self.log = config.home / f"{config.worker_id}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tests.faults.worker", encode_orders(orders)],
                env={**os.environ, **environment(config), "PYTHONPATH": str(ROOT)},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """It stands still, and does not know."""
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """It goes on, and thinks that no time has passed."""
        self.process.send_signal(signal.SIGCONT)

    async def ended(self) -> int:
        """Its exit code; -9 where it died at its step."""

        async def code() -> tuple[int] | None:
            return (self.process.poll() or 0,) if self.process.poll() is not None else None

        return (await until(code, lambda: f"the end of {self.config.worker_id}\n{self.tail()}", STARTS_S))[0]

    def tail(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])

    def says(self, text: str) -> bool:
        """Whether its log holds a text."""
        return text in self.log.read_text(errors="replace")


class Cluster:
    """The workers of one test on fresh topics."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.workers: list[Worker] = []

    def start(self, number: int = 1, orders: Orders | None = None) -> Worker:
        """Start a worker; one with the same number has the same name, door and disk."""
        worker = Worker(worker_config(self.config, number), orders or Orders())
        self.workers.append(worker)
        return worker

    async def serving(self, ledger: DirectLedger, *workers: Worker, more_than: dict[int, int] | None = None) -> None:
        """Wait until these workers, and only they, own every partition, under epochs newer than some."""
        names, older = {worker.config.worker_id for worker in workers}, more_than or {}

        async def so() -> bool:
            dead = [worker for worker in workers if worker.process.poll() is not None]
            assert not dead, f"{dead[0].config.worker_id} ended with {dead[0].process.returncode}\n{dead[0].tail()}"
            owners = ledger.owners()
            fresh = all(owner.epoch > older.get(partition, -1) for partition, owner in owners.items())
            return ledger.is_ready() and fresh and {owner.worker for owner in owners.values()} == names

        await until(so, lambda: _not_serving(ledger, names, workers), STARTS_S)

    def close(self) -> None:
        """End every worker."""
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.wake()
            stop(worker.process)


def _not_serving(ledger: DirectLedger, names: set[str], workers: Sequence[Worker]) -> str:
    return f"{names} serve every partition: {ledger.owners()}\n" + "\n".join(worker.tail() for worker in workers)


def epochs(ledger: DirectLedger) -> dict[int, int]:
    """The epochs in force, as announced."""
    return {partition: owner.epoch for partition, owner in ledger.owners().items()}


async def fresh_topics(config: Config) -> None:
    """Every topic of the ledger made anew, and with them the group's offsets."""
    admin = AIOKafkaAdminClient(bootstrap_servers=config.kafka_servers)
    await start_client(admin)
    try:
        there = [name for name in await admin.list_topics() if name.startswith("z0.")]
        if there:
            await admin.delete_topics(there)

        async def gone() -> bool:
            return not [name for name in await admin.list_topics() if name.startswith("z0.")]

        await until(gone, "the old topics gone")
    finally:
        await admin.close()
    await migrate_topics(config)


async def pause(seconds: float) -> None:
    """How long a fault itself lasts; never used to wait for something to have happened."""
    await asyncio.sleep(seconds)
