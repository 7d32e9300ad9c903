"""
One run of a plan. Owns: its course: workload and faults, then calm, then everything must come to rest. Judges nothing.
"""

import asyncio
import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from z0.codec import encode_command
from z0.domain.commands import Read
from z0.log.engine import Limits
from z0.sim.clients import Clients
from z0.sim.evidence import Evidence
from z0.sim.faults import IN_PROCESS, Fault, FaultKind, process_of
from z0.sim.loop import Process, Stuck, VirtualLoop, running
from z0.sim.machine import Cluster
from z0.sim.plan import Flow, Plan
from z0.sim.sink import SinkProcess
from z0.sim.worker import Worker
from z0.sim.workload import TENANT

REST_MAX_S: Final = 180.0
LOOK_S: Final = 0.25
DUE_S: Final = 2.5  # until then everything that was due at rest has been released, asked for or not


def play(plan: Plan) -> Evidence:
    """Play a plan to its end, in virtual time."""
    loop = VirtualLoop()
    scenario = Scenario(plan, loop)
    with alone(plan.seed, scenario.cluster):
        try:
            loop.run_until_complete(scenario.run())
            return scenario.evidence()
        finally:
            loop.finish()


class _Listener(logging.Handler):
    """What the code under test logs becomes part of the history."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(logging.WARNING)
        self._cluster = cluster

    def emit(self, record: logging.LogRecord) -> None:
        self._cluster.note(running() or record.name, record.getMessage())


@contextmanager
def alone(seed: int, cluster: Cluster) -> Iterator[None]:
    """Chance by the seed alone (the engine's jitter asks `random`), and log lines go into the history."""
    state, root = random.getstate(), logging.getLogger()
    handlers, level = root.handlers, root.level
    random.seed(f"{seed}/jitter")
    root.handlers = [_Listener(cluster)]
    root.setLevel(logging.WARNING)
    try:
        yield
    finally:
        random.setstate(state)
        root.handlers = handlers
        root.setLevel(level)


class Scenario:
    """A cluster, its workers, a sink, and the clients."""

    def __init__(self, plan: Plan, loop: VirtualLoop) -> None:
        self._plan = plan
        self.cluster = Cluster(loop, plan.seed, plan.partitions)
        self.cluster.on_kill = self._killed
        limits = Limits(snapshot_interval_ms=plan.snapshot_interval_ms, live_entities_max=plan.live_entities_max)
        self.workers = [Worker(n, self.cluster, limits, memory_tables=plan.memory_tables) for n in range(plan.workers)]
        self.sink = SinkProcess(self.cluster)
        self.clients = Clients(self.cluster, self.workers)
        self._flows: list[asyncio.Task[None]] = []
        self.at_rest = False
        self.restless = ""

    async def run(self) -> None:
        """Workload and faults; calm; rest; a last look at every ledger."""
        self.start()
        self._flows = [asyncio.ensure_future(self._flow(flow)) for flow in self._plan.flows]
        for fault in self._plan.faults:
            self.cluster.network.later(fault.at_ms / 1000, self._arm, fault)
        await asyncio.sleep(self._plan.calm_ms / 1000)
        await self.finish()

    def start(self) -> None:
        """Start every process."""
        for worker in self.workers:
            worker.start()
        self.sink.start()

    async def finish(self) -> None:
        """Calm; rest; a last look at every ledger."""
        self._calm()
        await self._rest()
        if self.at_rest:
            await asyncio.sleep(DUE_S)
            await self._last_look()
            await self._rest()

    async def _flow(self, flow: Flow) -> None:
        await asyncio.sleep(flow.at_ms / 1000)
        await self.clients.run(flow)

    # Faults --------------------------------------------------------------------------------------

    def _arm(self, fault: Fault) -> None:
        """Faults with a gate wait for it; the others strike now."""
        kind = fault.kind
        if kind in IN_PROCESS and not fault.gate:
            process = self._process(fault)
            if process is not None and not process.dead and not process.suspended:
                self.cluster.armed.struck[kind] += 1
                self.cluster.strike(process, fault)
        elif kind in _NOW:
            self.cluster.armed.struck[kind] += 1
            self.cluster.note("fault", f"{kind} worker {fault.worker} partition {fault.partition} {fault.for_ms}")
            self._now(fault, self.workers[fault.worker])
        else:
            self.cluster.armed.arm(fault)

    def _now(self, fault: Fault, worker: Worker) -> None:
        match fault.kind:
            case FaultKind.STOP:
                worker.restart(fault.for_ms / 1000)
            case FaultKind.REBALANCE:
                self.cluster.group.rebalance()
            case FaultKind.UNHEARD:
                worker.unheard_until_s = self.cluster.loop.time() + fault.for_ms / 1000
            case FaultKind.CLOCK:
                worker.clock.offset_ms = fault.for_ms
            case FaultKind.REDELIVER:
                worker.redeliver(fault.partition)
            case FaultKind.COMPACT:
                for changelog in self.cluster.broker.changelogs.values():
                    changelog.compact()
            case _:
                self.sink.down(fault.for_ms)

    def _process(self, fault: Fault) -> Process | None:
        return self.sink.process if process_of(fault) == "sink" else self.workers[fault.worker].process

    def _killed(self, process: Process, fault: Fault) -> None:
        """What was killed starts again after a while."""
        if process.name == "sink":
            if process is self.sink.process:
                self.cluster.network.later(fault.for_ms / 1000, self._restart_sink, process)
            return
        worker = self.workers[int(process.name.removeprefix("worker-"))]
        worker.disk.crashed(fault.kind)
        if fault.kind is FaultKind.LOSE_CHANGELOG:
            self.cluster.broker.lose_changelog(fault.changelog, worker.name)
        self.cluster.network.later(fault.for_ms / 1000, worker.start)

    def _restart_sink(self, process: Process) -> None:
        if process is self.sink.process and process.dead:
            self.sink.start()

    def _calm(self) -> None:
        """Nothing more goes wrong; who is dead starts, who is stopped goes on. What is late still lands."""
        self.cluster.note("calm", "")
        self.cluster.armed.disarm()
        for worker in self.workers:
            worker.unheard_until_s = 0.0
            worker.clock.offset_ms = 0
            if worker.process is not None and worker.process.suspended:
                worker.process.resume()
            worker.start()
        self.sink.store.down_until_s = 0.0
        sink = self.sink.process
        assert sink is not None, "started"
        if sink.suspended:
            sink.resume()
        self._restart_sink(sink)

    # Rest ----------------------------------------------------------------------------------------

    async def _rest(self) -> None:
        """Wait until nobody waits for anything, within a bound."""
        deadline = self.cluster.loop.time() + REST_MAX_S
        while self.cluster.loop.time() < deadline:
            await asyncio.sleep(LOOK_S)
            self.restless = self._unrest()
            if not self.restless or self.cluster.stopped:
                break
        self.at_rest = not self.restless

    def _unrest(self) -> str:
        """What is not at rest yet."""
        broker = self.cluster.broker
        waiting = sum(not flow.done() for flow in self._flows)
        if waiting:
            return f"{waiting} clients wait"
        for partition, topic in enumerate(broker.commands):
            if topic and self.cluster.group.committed.get(partition, 0) < len(topic):
                return f"commands of partition {partition} are not committed"
        for partition, log in enumerate(broker.facts):
            position = self.sink.store.positions.get(partition)
            if log and (position is None or position.next_offset < len(log)):
                return f"the sink is behind on partition {partition}"
        return ""

    async def _last_look(self) -> None:
        """Read every ledger: what its owner shows must be what the log says."""
        ledgers = sorted({str(record.key, "ascii") for log in self.cluster.broker.facts for record in log})
        for number, ledger in enumerate(name for name in ledgers if not name.startswith("!")):
            read = Read(id=f"last{number}", tenant_id=TENANT, ledger_id=ledger)
            self._flows.append(asyncio.ensure_future(self._ask(encode_command(read))))

    async def _ask(self, command: bytes) -> None:
        await self.clients.ask([command])

    def evidence(self) -> Evidence:
        """What the auditor gets to see."""
        cluster, broker = self.cluster, self.cluster.broker
        problems = [*cluster.stopped, *([] if self.at_rest or cluster.stopped else [f"no rest: {self.restless}"])]
        for flow in self._flows:
            if flow.done() and flow.exception() is not None:
                raise flow.exception() or Stuck()
        return Evidence(
            facts=broker.facts,
            facts_at_s=broker.facts_at_s,
            commands=broker.commands,
            commands_at_s=broker.commands_at_s,
            letters=broker.letters,
            told=self.clients.told,
            asked=self.clients.asked,
            rows=self.sink.store.rows,
            problems=problems,
            struck=cluster.armed.struck,
            history=cluster.history,
            virtual_s=cluster.loop.time(),
            ended_ms=broker.clock.wall_ms(),
            callbacks=cluster.loop.callbacks,
            rebalances=cluster.group.rebalances,
        )


_NOW: Final = frozenset(
    {
        FaultKind.STOP,
        FaultKind.REBALANCE,
        FaultKind.UNHEARD,
        FaultKind.CLOCK,
        FaultKind.REDELIVER,
        FaultKind.COMPACT,
        FaultKind.STORE_DOWN,
    }
)
