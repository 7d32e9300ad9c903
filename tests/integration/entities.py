"""
Entities by the thousand through one engine, and what the process then holds. Owns: the program that `test_memory` runs.

Run as `python -m tests.integration.entities FOLDER LIVE_MAX FIRST THEN`. Prints how many entities were touched and the resident
memory, after FIRST entities and after THEN more. The engine, its index and its tables on disk are the real ones; the log and the
changelogs only count, so that nothing but the engine could grow.
"""

import asyncio
import ctypes
import gc
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

import faust
import psutil

from tables.access import access_table
from tables.base import SnapshotTable
from tables.budgets import budgets_table
from tables.caps import caps_table
from tables.ledgers import ledgers_table
from tables.snapshots import Tables, TableSnapshots
from z0.clock import SystemClock
from z0.codec import encode_command
from z0.domain.commands import AddBudget, CreateEntity
from z0.domain.outcome import Outcome
from z0.log.engine import Host, Limits, PartitionEngine, Ports
from z0.log.inbox import DirectGroup
from z0.log.index import RocksIndex
from z0.log.memory import MemoryLease, MemoryOutbox, NoPolicies
from z0.log.ports import Appended, Record

GROUP: Final = 250
TENANT: Final = "tenant_memory"


class CountingLog:
    """A fact log that forgets: it only knows how long it is. A first epoch reads nothing back."""

    def __init__(self) -> None:
        self.end = 0

    async def writer(self, partition: int) -> "CountingLog":
        return self

    def ready(self) -> None:
        """At any time."""

    def append(self, records: Sequence[tuple[bytes, bytes]]) -> "asyncio.Future[Appended]":
        acked: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        acked.set_result(Appended(self.end, SystemClock().wall_ms()))
        self.end += len(records)
        return acked

    async def read(self, partition: int, start: int, end: int) -> AsyncIterator[list[Record]]:
        assert start == end, "nothing to read"
        for _ in ():
            yield []

    async def bounds(self, partition: int) -> tuple[int, int]:
        return 0, self.end

    async def offset_at(self, partition: int, timestamp_ms: int) -> int:
        return self.end


class Engine:
    """One engine over real tables in a folder."""

    def __init__(self, folder: Path, live_max: int) -> None:
        app = faust.App("entities", broker="kafka://nowhere:1", store="rocksdb://", datadir=str(folder / "faust"))
        self.tables = Tables(*(_counted(make(app, 1)) for make in (ledgers_table, budgets_table, caps_table, access_table)))
        self._index = RocksIndex(folder / "index")
        twins = (CountingLog(), TableSnapshots(self.tables), MemoryOutbox(), MemoryLease(), SystemClock(), NoPolicies())
        ports = Ports(*twins, open_index=lambda _: self._index, partition_of=lambda _: 0)
        self.serving = asyncio.Event()
        host = Host("entities", "nowhere:1", self._announced, self._rewound)
        self.engine = PartitionEngine(0, ports, host, Limits(live_entities_max=live_max, snapshot_interval_ms=200))

    async def _announced(self, partition: int, epoch: int) -> None:
        self.serving.set()

    async def _rewound(self, partition: int) -> None:
        """There is no Kafka door here."""

    async def touch(self, first: int, count: int) -> None:
        """Create entities and give them money."""
        for start in range(first, first + count, GROUP):
            commands = [encode_command(c) for n in range(start, min(start + GROUP, first + count)) for c in _commands(n)]
            done: asyncio.Future[DirectGroup] = asyncio.get_running_loop().create_future()
            self.engine.offer_direct(DirectGroup(commands, done.set_result))
            answers = (await done).answers
            assert all(answer is not None and answer.outcome is Outcome.ACCEPTED for answer in answers), answers

    def resident(self) -> int:
        """Bytes of resident memory, without what RocksDB has not written to its files yet and what only waits to be freed."""
        for table in self.tables:
            table.store._db_for_partition(0).flush()  # type: ignore[attr-defined]
        self._index._db.flush()
        gc.collect()
        if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
            libc.malloc_trim(0)
        return int(psutil.Process().memory_info().rss)


def _counted(table: SnapshotTable) -> SnapshotTable:
    """A table whose changelog is only counted."""
    end = 0

    async def send(topic: str, partition: int, records: Sequence[tuple[bytes, bytes]]) -> Appended:
        nonlocal end
        end += len(records)
        return Appended(end - len(records), 0)

    table.send_batch = send
    return table


def _commands(number: int) -> tuple[CreateEntity, AddBudget]:
    of: dict[str, Any] = {"tenant_id": TENANT, "ledger_id": f"account_acct_{number}"}
    return CreateEntity(id="create", **of), AddBudget(id="fund", amount="25", currency="USD", **of)


async def main(folder: Path, live_max: int, first: int, then: int) -> None:
    """Print what is resident at both moments."""
    engine = Engine(folder, live_max)
    running = asyncio.create_task(engine.engine.run())
    await engine.serving.wait()
    touched = 0
    for count in (first, then):
        await engine.touch(touched, count)
        touched += count
        print(touched, engine.resident(), flush=True)  # noqa: T201
    engine.engine.stop()
    await running


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
