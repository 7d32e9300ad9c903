"""
A simulated sink: the real runner over the twins. Owns: its process, and a store that fences a second writer, as the real ones do.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from sinks.base import StoreUnavailable
from sinks.policy import Backoff, BatchLimit, Policy
from sinks.runner import Runner
from sinks.testing import MemoryDeadLetters
from z0.domain.config import encode_version, version_of_fact
from z0.domain.facts import FactType
from z0.errors import SinkStopped
from z0.log.ports import Record
from z0.log.reader import Read
from z0.log.validity import Position, Standing
from z0.sim.loop import Process
from z0.sim.machine import Cluster, Machine
from z0.sim.network import SimClock

POLICY: Final = Policy(batch=BatchLimit(rows_max=40, age_ms=300, poll_rows_max=25), backoff=Backoff(first_ms=100, most_ms=1_000))
RESTART_S: Final = 1.0


class Row(NamedTuple):
    """One fact as the store has it."""

    partition: int
    offset: int
    fact_id: str
    value: bytes


class Store:
    """Rows and positions, written together; outlives the sink's process."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.positions: dict[int, Position] = {}
        self.down_until_s = 0.0


class SimSource:
    """`sinks.source.Source` of one process."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._next: dict[int, int] = {}

    async def start(self) -> Mapping[int, tuple[int, int]]:
        await self._machine.trip()
        return {partition: (0, len(log)) for partition, log in enumerate(self._machine.cluster.broker.facts)}

    def seek(self, offsets: Mapping[int, int]) -> None:
        self._next = dict(offsets)

    async def poll(self, rows_max: int, timeout_ms: int) -> Mapping[int, Sequence[Record]]:
        logs = self._machine.cluster.broker.facts
        if not any(len(logs[partition]) > at for partition, at in self._next.items()):
            await self._machine.cluster.broker.until_facts(timeout_ms / 1000)
        await self._machine.trip()
        self._machine.gate("sink.read")
        found = {partition: logs[partition][at : at + rows_max] for partition, at in self._next.items()}
        for partition, records in found.items():
            self._next[partition] += len(records)
        return found

    async def ends(self) -> Mapping[int, int]:
        return {partition: len(log) for partition, log in enumerate(self._machine.cluster.broker.facts)}

    async def show(self, positions: Mapping[int, Position]) -> None:
        self._machine.gate("show")

    async def close(self) -> None:
        """Nothing to let go of."""


class SimSink:
    """`sinks.base.Sink` over the store: data and positions in one step, only where the positions are still the ones it knows."""

    name = "sim"

    def __init__(self, machine: Machine, store: Store) -> None:
        self._machine = machine
        self._store = store
        self._known: dict[int, Position] = {}
        self._added: list[tuple[int, Sequence[Read], Position]] = []

    @property
    def waiting(self) -> int:
        return sum(len(reads) for _, reads, _ in self._added)

    async def start(self) -> Mapping[int, Position]:
        await self._machine.trip()
        self._known = dict(self._store.positions)
        return dict(self._known)

    def add(self, partition: int, reads: Sequence[Read], position: Position) -> None:
        self._added.append((partition, reads, position))
        self._machine.gate("sink.added")

    async def flush(self, *, final: bool = False) -> Mapping[int, Position]:
        self._machine.gate("flush.before")
        if self._machine.cluster.loop.time() < self._store.down_until_s:
            raise StoreUnavailable("down")
        fenced = False

        def commit() -> None:
            nonlocal fenced
            fenced = self._known != self._store.positions
            if not fenced:
                self._commit()

        await self._machine.send(commit)
        self._machine.gate("flush.after")
        if fenced:
            raise SinkStopped("another writer has been here")
        self._known = dict(self._store.positions)
        self._added = []
        return dict(self._known)

    def _commit(self) -> None:
        for partition, reads, position in self._added:
            for read in reads:
                if read.standing is Standing.VALID and read.fact is not None:
                    self._store.rows.append(Row(partition, read.offset, read.fact.id, read.value))
                    if read.fact.type == FactType.CONFIG:  # what the sink `configs` does with it
                        self._machine.cluster.broker.land_config(encode_version(version_of_fact(read.fact.data)))
            self._store.positions[partition] = position

    async def close(self) -> None:
        self._added = []


class SinkProcess:
    """One sink over all of its lives; a stopped one that goes on meets its successor at the store."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.store = Store()
        self.process: Process | None = None

    def start(self) -> None:
        """A new process; one that is stopped and not dead stays beside it."""
        self.process = Process("sink", self.cluster.loop)
        self.process.spawn(self._main(Machine(self.cluster, self.process, SimClock(self.cluster.loop))))

    async def _main(self, machine: Machine) -> None:
        runner = Runner(SimSink(machine, self.store), SimSource(machine), MemoryDeadLetters(), policy=POLICY, clock=machine.clock)
        try:
            await runner.run(asyncio.Event())
        except SinkStopped as stopped:
            self.cluster.note("sink", str(stopped))
            machine.process.kill()
            if self.process is machine.process:  # the supervisor starts what ended
                self.cluster.network.later(RESTART_S, self.start)
        except Exception as error:
            self.cluster.stopped.append(f"sink stopped: {error!r}")

    def take_over(self) -> None:
        """Another sink starts while the old one is stopped: somebody thought that it was dead."""
        self.cluster.note("sink", "another one is started beside it")
        self.start()

    def down(self, for_ms: int) -> None:
        """The store does not answer for a while."""
        self.store.down_until_s = self.cluster.loop.time() + for_ms / 1000
