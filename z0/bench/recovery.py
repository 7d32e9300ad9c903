"""
`z0 bench recovery`: how long a killed worker is away, what it holds in memory, and how large its index of ids is.

Method: entities are created and given money by preloaded commands, every tenth also a hold. When all is decided and snapshotted,
the worker is killed (kill -9) and started again at once: `local_s` from the kill until a command on every partition is answered.
Killed once more, and its folder deleted (tables and index): `cold_s` from the next start, in the same way. Only the log and the
changelogs are left then. The answers tell the balance, so a worker that serves something else than the log is found out.
"""

import asyncio
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from subprocess import Popen
from typing import NamedTuple

import psutil

from streams.app import home_of
from z0.bench.cluster import start_worker
from z0.bench.figures import Figure
from z0.bench.load import TENANT
from z0.bench.topics import preload, wait_for_records, watched
from z0.client import connect
from z0.client.partitioner import partition_of
from z0.codec import encode_command
from z0.config import Config
from z0.domain.commands import AddBudget, Command, CreateEntity, Reserve
from z0.domain.outcome import Outcome
from z0.errors import Z0Error
from z0.log.index import RocksIndex
from z0.log.topics import migrate_topics
from z0.names import ACCESS_CHANGELOG, BUDGETS_CHANGELOG, CAPS_CHANGELOG, COMMANDS, FACTS, LEDGERS_CHANGELOG

MIB = 1024 * 1024
HOLD_EVERY = 10
POLL_S = 0.2
QUIET_INTERVALS = 2  # snapshot intervals without a snapshot: the last pass is over
SERVE_WITHIN_MS = 300_000
CHANGELOGS = (LEDGERS_CHANGELOG, BUDGETS_CHANGELOG, CAPS_CHANGELOG, ACCESS_CHANGELOG)
DEPOSIT = 25
MARKS = (0.25, 0.5, 1.0)  # shares of the work at which memory is looked at


class Served(NamedTuple):
    """A worker that serves again."""

    seconds: float
    rss_mib: float


def ledger_of(number: int) -> str:
    """The ledger of an entity."""
    return f"account_acct_rec-{number}"


def story(entities: int) -> Iterator[Command]:
    """Every entity is created and gets money; every tenth holds some of it for a day."""
    for number in range(entities):
        ledger_id = ledger_of(number)
        yield CreateEntity(id="create", tenant_id=TENANT, ledger_id=ledger_id)
        yield AddBudget(id="fund", tenant_id=TENANT, ledger_id=ledger_id, amount=str(DEPOSIT), currency="USD")
        if number % HOLD_EVERY == 0:
            yield Reserve(id="hold", tenant_id=TENANT, ledger_id=ledger_id, amount="1.5", currency="USD", ttl_ms=24 * 3600 * 1000)


async def measure(config: Config, entities: int) -> Mapping[str, Figure]:
    """All figures of `z0 bench recovery`."""
    await migrate_topics(config)
    records = ((command.ledger_id, encode_command(command)) for command in story(entities))
    commands = await preload(config.kafka_servers, COMMANDS, config.partitions, records=records)
    probes = probes_of(config.partitions, entities)
    with start_worker(config) as worker:
        before = await _before(config, worker, commands)
        killed_at = _kill(worker)
    with start_worker(config) as worker:
        local = await _served(config, worker, probes, killed_at, 1)
        _kill(worker)
    shutil.rmtree(home_of(config))
    began = time.perf_counter()
    with start_worker(config) as worker:
        cold = await _served(config, worker, probes, began, 2)
    index_mib = await asyncio.to_thread(compacted_mib, home_of(config) / "index")
    return {
        "entities": entities,
        "commands": commands,
        **before,
        "local_s": local.seconds,
        "local_rss_mib": local.rss_mib,
        "cold_s": cold.seconds,
        "rss_mib": cold.rss_mib,
        "index_mib_per_million": index_mib / (commands + 2 * config.partitions) * 1e6,
    }


# Before the kill ---------------------------------------------------------------------------------


async def _before(config: Config, worker: Popen[bytes], commands: int) -> Mapping[str, Figure]:
    """Let the worker decide everything and write its snapshots, with an eye on its memory."""
    began = time.perf_counter()
    figures: dict[str, Figure] = {}
    async with watched(config.kafka_servers, FACTS, config.partitions) as look:
        for share in MARKS:
            await wait_for_records(look, int(commands * share), FACTS)
            figures[f"rss_at_{share:.0%}_mib".replace("%", "_percent")] = rss_mib(worker)
    figures["decided_per_s"] = commands / (time.perf_counter() - began)
    settling = time.perf_counter()
    await _settled(config)
    return {**figures, "settle_s": time.perf_counter() - settling, "settled_rss_mib": rss_mib(worker)}


async def _settled(config: Config) -> None:
    """Wait until no snapshot was written for a while: the floor is as high as it gets."""
    quiet_s = QUIET_INTERVALS * config.snapshot_interval_ms / 1000
    async with AsyncExitStack() as stack:
        looks = [await stack.enter_async_context(watched(config.kafka_servers, n, config.partitions)) for n in CHANGELOGS]
        seen, since = -1, time.perf_counter()
        while time.perf_counter() - since < quiet_s:
            now = sum([sum((await look()).values()) for look in looks])
            if now != seen:
                seen, since = now, time.perf_counter()
            await asyncio.sleep(POLL_S)


def _kill(worker: Popen[bytes]) -> float:
    """SIGKILL; when that was."""
    worker.kill()
    at = time.perf_counter()
    worker.wait()
    return at


# After it ----------------------------------------------------------------------------------------


def probes_of(partitions: int, entities: int) -> list[str]:
    """For every partition an entity without a hold; fewer where there are not enough entities."""
    found: dict[int, str] = {}
    for number in range(entities):
        if number % HOLD_EVERY:
            found.setdefault(partition_of(ledger_of(number), partitions), ledger_of(number))
        if len(found) == partitions:
            break
    return list(found.values())


async def _served(config: Config, worker: Popen[bytes], probes: list[str], since: float, time_number: int) -> Served:
    """
    Give every probe one dollar more and wait for the answers.

    Raises:
        Z0Error: an answer is missing, or tells of another balance than the log's.
    """
    of = [
        AddBudget(id=f"probe-{time_number}", tenant_id=TENANT, ledger_id=ledger_id, amount="1", currency="USD")
        for ledger_id in probes
    ]
    async with connect(config) as ledger:
        answers = await ledger.submit_many(of, timeout_ms=SERVE_WITHIN_MS)
    seconds = time.perf_counter() - since
    expected = str(DEPOSIT + time_number)
    for answer in answers:
        if answer.outcome is not Outcome.ACCEPTED or answer.available != expected:
            raise Z0Error(f"{answer.ledger_id}: {answer.outcome}, {answer.available} available; expected {expected}")
    return Served(seconds, rss_mib(worker))


def rss_mib(process: Popen[bytes]) -> float:
    """Resident memory of a process."""
    return float(psutil.Process(process.pid).memory_info().rss / MIB)


def compacted_mib(folder: Path) -> float:
    """The size of the index once everything is written and compacted; nobody may have it open."""
    for partition in sorted(folder.iterdir()):
        index = RocksIndex(partition)
        index._db.flush()
        index._db.compact_range(None, None)
        index.close()
    return sum(path.stat().st_size for path in folder.rglob("*.sst")) / MIB
