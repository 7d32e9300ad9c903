"""
`z0 bench rolling`: two workers, many entities, a planned restart of each under load. Owns: the restarts, the longest wait.

A restart is what an operator does: start the new process, which loads and stands by, and end the old one with SIGTERM; or
`cold`: end the old one first. Commands are due at fixed times over all entities in turn, so whatever stands still shows as the
wait of the commands that came meanwhile. At the end the log is read: every answer that a caller got must stand in it.
"""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

from streams.alone import stands_by
from streams.app import home_of
from z0.bench.figures import Figure
from z0.bench.load import TENANT, ledgers
from z0.bench.processes import start, stop
from z0.client import DirectLedger, connect
from z0.config import Config
from z0.domain.answer import Answer
from z0.domain.commands import AddBudget, Command, CreateEntity
from z0.domain.outcome import Outcome
from z0.errors import Z0Error
from z0.log.kafka import KafkaLog
from z0.log.reader import FactReader
from z0.log.validity import Position, Standing
from z0.stack.programs import environment, worker_config

SETUP_BATCH = 2_000
PATIENT_MS = 60_000
SETTLED_S = 3.0  # of undisturbed load around each restart
TICK_S = 0.01
READY_S = 90.0


class Answered(NamedTuple):
    """A command, when it was due and answered, and what it was told."""

    command: Command
    due_s: float
    answered_s: float
    answer: Answer


class Traffic:
    """Deposits at fixed times over all entities in turn."""

    def __init__(self, ledger: DirectLedger, ledger_ids: list[str], rate: int) -> None:
        self._ledger = ledger
        self._ids = ledger_ids
        self._rate = rate
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.answered: list[Answered] = []

    async def run(self) -> None:
        """Until `stop`."""
        began, sent = time.perf_counter(), 0
        while not self._stopping:
            due = int((time.perf_counter() - began) * self._rate)
            if due > sent:
                self._send(sent, due, began)
                sent = due
            await asyncio.sleep(TICK_S)
        await asyncio.gather(*self._tasks)

    def stop(self) -> None:
        """No more commands; those under way are waited for."""
        self._stopping = True

    def _send(self, first: int, end: int, began: float) -> None:
        by_partition: dict[int, list[int]] = {}
        for n in range(first, end):
            by_partition.setdefault(self._ledger.partition_of(self._ids[n % len(self._ids)]), []).append(n)
        for numbers in by_partition.values():
            task = asyncio.create_task(self._ask(numbers, began))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _ask(self, numbers: list[int], began: float) -> None:
        commands = [deposit(self._ids[n % len(self._ids)], f"d{n}") for n in numbers]
        answers = await self._ledger.submit_many(commands, timeout_ms=PATIENT_MS)
        now = time.perf_counter()
        for n, command, answer in zip(numbers, commands, answers, strict=True):
            self.answered.append(Answered(command, began + n / self._rate, now, answer))

    def longest_wait_s(self, since_s: float, until_s: float) -> float:
        """Of the commands that were under way at some time in between."""
        waits = (a.answered_s - a.due_s for a in self.answered if a.answered_s > since_s and a.due_s < until_s)
        return max(waits, default=0.0)


def deposit(ledger_id: str, command_id: str) -> AddBudget:
    """A command that is never refused."""
    return AddBudget(id=command_id, tenant_id=TENANT, ledger_id=ledger_id, amount="1", currency="USD")


class Workers:
    """Worker processes that share the partitions."""

    def __init__(self, config: Config, count: int) -> None:
        self.configs = [worker_config(config, number + 1) for number in range(count)]
        self._processes = [self._start(one) for one in self.configs]

    def _start(self, config: Config) -> subprocess.Popen[bytes]:
        log = config.home / "logs" / f"bench-{config.worker_id}.log"
        return start(["z0", "worker"], environment(config), log)

    async def restart(self, number: int, *, cold: bool) -> float:
        """Replace one; when its end began."""
        old, config = self._processes[number], self.configs[number]
        if not cold:
            new = self._processes[number] = self._start(config)
            await _until(lambda: stands_by(home_of(config), new.pid), "the new process stands by")
        began = time.perf_counter()
        await asyncio.to_thread(stop, old)
        if cold:
            self._processes[number] = self._start(config)
        return began

    async def stop(self) -> None:
        """SIGTERM to all, and wait."""
        await asyncio.gather(*(asyncio.to_thread(stop, process) for process in self._processes))


async def measure(config: Config, *, entities: int, rate: int, workers: int = 2, cold: bool = False) -> Mapping[str, Figure]:
    """The figures of one rolling restart."""
    async with _running(config, workers) as those, connect(config) as ledger:
        await _until(lambda: _all_serve(ledger, those.configs), "every worker serves partitions")
        ids = ledgers(entities, f"r{time.time_ns():x}")
        await create(ledger, ids)
        traffic = Traffic(ledger, ids, rate)
        running = asyncio.create_task(traffic.run())
        figures: dict[str, Figure] = {}
        for number in range(workers):
            figures |= await _roll(number, those, ledger, traffic, cold=cold)
        traffic.stop()
        await running
    lost = await lost_answers(config, traffic.answered)
    longest_s = traffic.longest_wait_s(0, time.perf_counter())
    return {**figures, "entities": entities, "commands": len(traffic.answered), "lost": lost, "stall_max_s": longest_s}


async def _roll(number: int, workers: Workers, ledger: DirectLedger, traffic: Traffic, *, cold: bool) -> dict[str, Figure]:
    await asyncio.sleep(SETTLED_S)
    owners = ledger.owners()
    mine = [partition for partition, owner in owners.items() if owner.worker == workers.configs[number].worker_id]
    began = await workers.restart(number, cold=cold)

    def taken_again() -> bool:
        now = ledger.owners()
        return all(now[partition].epoch > owners[partition].epoch for partition in mine)

    await _until(taken_again, "its partitions are served again")
    served_s = time.perf_counter() - began
    await asyncio.sleep(SETTLED_S)
    name = f"worker_{number + 1}"
    stall_s = traffic.longest_wait_s(began, time.perf_counter())
    return {f"{name}_served_s": served_s, f"{name}_stall_s": stall_s}


async def create(ledger: DirectLedger, ids: list[str]) -> None:
    """Every entity with its first fact."""
    for first in range(0, len(ids), SETUP_BATCH):
        commands = [CreateEntity(id="create", tenant_id=TENANT, ledger_id=id_) for id_ in ids[first : first + SETUP_BATCH]]
        answers = await ledger.submit_many(commands, timeout_ms=PATIENT_MS)
        if any(answer.outcome is not Outcome.ACCEPTED for answer in answers):
            raise Z0Error("not every entity could be created")


async def lost_answers(config: Config, answered: list[Answered]) -> int:
    """How many callers were told what the log does not hold, or nothing at all."""
    log, facts = KafkaLog(config.kafka_servers), dict[tuple[str, str], int]()
    for partition in range(config.partitions):
        _, end = await log.bounds(partition)
        reader = FactReader(partition, Position())
        async for records in log.read(partition, 0, end):
            for read in reader.read(records):
                if read.standing is Standing.VALID and read.fact is not None and read.fact.command_id is not None:
                    facts[read.fact.ledger_id, read.fact.command_id] = read.fact.seq
    return sum(
        a.answer.outcome is not Outcome.ACCEPTED or facts.get((a.command.ledger_id, a.command.id)) != a.answer.seq
        for a in answered
    )


@asynccontextmanager
async def _running(config: Config, count: int) -> AsyncIterator[Workers]:
    workers = Workers(config, count)
    try:
        yield workers
    finally:
        await workers.stop()


def _all_serve(ledger: DirectLedger, configs: list[Config]) -> bool:
    owning = {owner.worker for owner in ledger.owners().values()}
    return ledger.is_ready() and owning == {config.worker_id for config in configs}


async def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.perf_counter() + READY_S
    while not condition():
        if time.perf_counter() > deadline:
            raise Z0Error(f"not within {READY_S:.0f} s: {what}")
        await asyncio.sleep(0.1)
