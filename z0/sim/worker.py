"""
A simulated worker: the real engine host, lease and consumer on twins. Owns: the life of its process, from join to kill.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from faust.types import TP

from streams.host import EngineHost
from streams.lease import GroupLease
from streams.transport import FetchedCommands
from z0.client.partitioner import partition_of
from z0.config import Config
from z0.configs.book import Book
from z0.configs.reader import fill
from z0.domain.answer import Answer
from z0.log.engine import Host, Limits, PartitionEngine, Ports
from z0.log.inbox import DirectGroup
from z0.log.index import CommandIndex
from z0.sim.appends import SimLog, SimOutbox
from z0.sim.delivery import SimConsumer
from z0.sim.disk import Disk, GatedIndex, GatedSnapshots
from z0.sim.group import SESSION_S, Beat
from z0.sim.loop import Process
from z0.sim.machine import Cluster, Machine
from z0.sim.network import SimClock

HEARTBEAT_S: Final = 2.0
COMMIT_S: Final = 1.0
TICK_INTERVAL_S: Final = 0.5
CONFIG: Final = Config()


class Gated(SimClock):
    """The engine's clock: reading the batch's time is where a round begins."""

    machine: Machine

    def wall_ms(self) -> int:
        self.machine.gate("decide")
        return super().wall_ms()


class SimHost(EngineHost):
    """The real host over twins: which engines run, how they are taken and released."""

    def __init__(self, machine: Machine, lease: GroupLease, disk: Disk, limits: Limits) -> None:
        super().__init__(CONFIG, machine.clock, lease, Path())
        self._machine = machine
        self._disk = disk
        self._limits = limits
        self._log = SimLog(machine)  # type: ignore[assignment]  # the host's own is Kafka's
        self.twins = GatedSnapshots(machine, disk)
        self.snapshots = self.twins

    def _new_engine(self, partition: int) -> PartitionEngine:
        partitions = self._machine.cluster.partitions
        ports = Ports(
            log=self._log,
            snapshots=self.twins,
            outbox=SimOutbox(self._machine, partition),
            lease=self.lease,
            clock=self.clock,
            policies=self._configs.book,
            open_index=self._open_index,
            partition_of=lambda ledger_id: partition_of(ledger_id, partitions),
            command_bounds=self._command_bounds,
        )
        host = Host(self._machine.process.name, self.address, self._announce, self._rewind)
        return PartitionEngine(partition, ports, host, self._limits)

    def _open_index(self, partition: int) -> CommandIndex:
        return GatedIndex(self._machine, self._disk.indexes[partition])

    @property
    def book(self) -> Book:
        """Its copy of all configs."""
        return self._configs.book

    @property
    def address(self) -> str:
        return self._machine.process.name

    async def _send_announcement(self, partition: int, epoch: int) -> None:
        self._machine.gate("announce.before")
        self._machine.cluster.note(self.address, f"partition {partition}: epoch {epoch}")
        await self._machine.send(lambda: self._machine.cluster.broker.announce(partition, epoch, self.address))
        self._machine.gate("announce.after")


class Worker:
    """One worker over all of its lives."""

    def __init__(self, number: int, cluster: Cluster, limits: Limits, *, memory_tables: bool) -> None:
        self.number = number
        self.name = f"worker-{number}"
        self.cluster = cluster
        self.disk = Disk(in_memory=memory_tables)
        self.clock = Gated(cluster.loop)
        self._limits = limits
        self.process: Process | None = None
        self.unheard_until_s = 0.0

    # Life ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """A new process, where none runs."""
        if self.process is not None and not self.process.dead:
            return
        self.process = Process(self.name, self.cluster.loop)
        self.machine = self.clock.machine = Machine(self.cluster, self.process, self.clock)
        self.lease = GroupLease(self.clock, int(SESSION_S * 1000))
        self.host = SimHost(self.machine, self.lease, self.disk, self._limits)
        self.host.crash = self._stopped_by_itself
        self.consumer = SimConsumer(self.machine, self.host, self._deliver, self._on_revoked, self._on_assigned)
        self.host.rewind = self.consumer.rewind
        self.host.committed = self.consumer.committed
        self._queue: deque[Any] = deque()
        self._queued = asyncio.Event()
        self._recovery: asyncio.Task[None] | None = None
        self._configs_read = asyncio.Event()
        for part in (
            self.consumer.read_commands(),
            self._agent(),
            self._commit(),
            self._tick(),
            self._configs(),
            self._membership(),
        ):
            self.process.spawn(part).add_done_callback(self._ended)

    async def _membership(self) -> None:
        while True:
            await self._beat(await self._join())

    def _ended(self, part: "asyncio.Task[None]") -> None:
        """None of them ever ends by itself."""
        error = part.exception() if not part.cancelled() else None
        if isinstance(error, Exception):
            self._stopped_by_itself(error)

    def _stopped_by_itself(self, error: BaseException) -> None:
        self.cluster.stopped.append(f"{self.name} stopped: {error!r}")
        assert self.process is not None, "it runs"
        self.process.kill()

    def restart(self, after_s: float) -> None:
        """Stop in order (engines finish and write their snapshots, what was acked is committed), and start again later."""
        if self.process is not None and not self.process.dead:
            self.process.spawn(self._stop(self.process, after_s))

    async def _stop(self, process: Process, after_s: float) -> None:
        await self.host.release(self.host.partitions())
        await self.consumer.commit()
        self.cluster.network.later(after_s, self.start)
        process.kill()

    # The group -----------------------------------------------------------------------------------

    async def _join(self) -> int:
        """Let go of everything, and have what the next generation gives."""
        await self.consumer.on_partitions_revoked(self.consumer.assignment())
        await self.machine.trip()
        joined = self.cluster.group.join(self.name)
        assignment = await joined
        await self.machine.trip()
        self.cluster.note(self.name, f"generation {assignment.generation}: partitions {list(assignment.partitions)}")
        self.consumer.thread.assign(*assignment)
        self.consumer.app.consumer_generation_id = assignment.generation
        await self.consumer.on_partitions_assigned(self.consumer.assignment(), assignment.generation)
        return assignment.generation

    async def _beat(self, generation: int) -> None:
        """Send heartbeats until the group asks for another join."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            sent_ms = self.clock.alive_ms()
            await self.machine.trip()
            if self.cluster.loop.time() < self.unheard_until_s:
                continue
            beat = self.cluster.group.heartbeat(self.name, generation)
            await self.machine.trip()
            if beat is not Beat.UNKNOWN:
                self.lease.renew(sent_ms)
            if beat is not Beat.OK:
                return

    async def _on_revoked(self, revoked: set[TP]) -> None:
        """As Faust does: stop the flow, forget what the agent has not looked at, give up the recovery."""
        self.consumer.stop_flow()
        self._queue.clear()
        if self._recovery is not None:
            self._recovery.cancel()

    async def _on_assigned(self, assigned: set[TP], generation: int) -> None:
        self._recovery = asyncio.create_task(self._recover(sorted(tp.partition for tp in assigned)))

    async def _recover(self, partitions: Sequence[int]) -> None:
        for table in self.host.twins.tables:
            await table.recover(partitions)
        await self._configs_read.wait()
        await self.consumer.learn_committed()  # as `streams.recovery`
        if self.consumer.is_settled:  # as `streams.app` does when Faust says that a rebalance is complete
            self.host.take(sorted(tp.partition for tp in self.consumer.assignment()))
        await self.consumer.perform_seek()
        self.consumer.resume_flow()

    # Kafka's commands ----------------------------------------------------------------------------

    async def _deliver(self, message: Any) -> None:
        self._queue.append(message)
        self._queued.set()

    async def _agent(self) -> None:
        """As `streams.agents.commands`."""
        while True:
            while not self._queue:
                self._queued.clear()
                await self._queued.wait()
            for batch in self._queue.popleft().batches:
                if not self.host.offer_kafka(batch, self._acknowledgement(batch)):
                    await self.consumer.rewind(batch.partition)

    def _acknowledgement(self, batch: FetchedCommands) -> Callable[[], None]:
        def acknowledge() -> None:
            self.machine.gate("acknowledge.before")
            self.consumer.acknowledge(batch)
            self.machine.gate("acknowledge.after")

        return acknowledge

    async def _configs(self) -> None:
        """As `z0.configs.reader`: all there are, before any engine decides; then what comes."""
        broker, read = self.cluster.broker, 0
        while True:
            await self.machine.trip()
            fill(self.host.book, broker.configs[read:])
            read = len(broker.configs)
            self._configs_read.set()
            if read == len(broker.configs):
                await broker.until_configs()

    async def _tick(self) -> None:
        """As the timer of `streams.app`."""
        while True:
            await asyncio.sleep(TICK_INTERVAL_S)
            self.host.tick()

    async def _commit(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_S)
            await self.consumer.commit()

    def redeliver(self, partition: int) -> None:
        """Have a partition read again from its committed offset."""
        if self.process is not None and not self.process.dead:
            self.process.spawn(self.consumer.rewind(partition))

    # The direct door -----------------------------------------------------------------------------

    def ask(self, partition: int, commands: Sequence[bytes], reply: Callable[[float, list[Answer]], None]) -> None:
        """A request arrives. A process that stopped has it in its socket; one that is gone refuses the connection."""
        if self.process is None or self.process.dead:
            return
        machine, host = self.machine, self.host

        def done(group: DirectGroup) -> None:
            if machine.process.dead:
                return
            machine.gate("answer.before")
            answers = [answer for answer in group.answers if answer is not None]
            self.cluster.network.later(self.cluster.network.delay(), reply, self.cluster.loop.time(), answers)
            machine.gate("answer.after")

        self.process.call(lambda: host.offer_direct(partition, DirectGroup(commands, done)))
