"""
What a simulated process runs on. Owns: gates, where faults strike a process, and the cluster that all processes share.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context
from random import Random

from z0.sim.broker import Broker
from z0.sim.faults import Armed, Fault, FaultKind
from z0.sim.group import Group
from z0.sim.loop import OUTSIDE, Process, ProcessGone, VirtualLoop
from z0.sim.network import Network, SimClock


class Cluster:
    """Everything outside of the processes, and the faults that wait for them."""

    def __init__(self, loop: VirtualLoop, seed: int, partitions: int) -> None:
        self.loop = loop
        self.partitions = partitions
        self.network = Network(loop, Random(f"{seed}/network"))
        self.broker = Broker(partitions, SimClock(loop))
        self.group = Group(self.network, partitions, Random(f"{seed}/group"))
        self.armed = Armed()
        self.chance = Random(f"{seed}/chance")
        self.history: list[tuple[float, str, str]] = []
        self.stopped: list[str] = []  # processes that stopped by themselves: somebody has to look
        self.on_kill: Callable[[Process, Fault], None] = lambda process, fault: None

    def outside(self) -> Context:
        """The context of callbacks that belong to no process."""
        return OUTSIDE

    def note(self, who: str, what: str) -> None:
        """Remember what happened, for the report of a failure."""
        self.history.append((self.loop.time(), who, what))

    def gate(self, process: Process, gate: str) -> None:
        """
        A process passes a gate.

        Raises:
            ProcessGone: it was killed here.
        """
        if process.dead:
            raise ProcessGone
        fault = self.armed.at_gate(process.name, gate)
        if fault is not None:
            self.strike(process, fault)
            if process.dead:
                raise ProcessGone

    def strike(self, process: Process, fault: Fault) -> None:
        """Kill or stop a process."""
        self.note(process.name, f"{fault.told} {fault.gate or 'at once'}, for {fault.for_ms} ms")
        if fault.kind is FaultKind.SUSPEND:
            process.suspend()
            self.network.later(fault.for_ms / 1000, process.resume)
        else:
            process.kill()
            self.on_kill(process, fault)


class Machine:
    """One process, its clock and its way to the cluster."""

    def __init__(self, cluster: Cluster, process: Process, clock: SimClock) -> None:
        self.cluster = cluster
        self.process = process
        self.clock = clock

    def gate(self, gate: str) -> None:
        """Between two effects: see `Cluster.gate`."""
        self.cluster.gate(self.process, gate)

    async def trip(self) -> None:
        """A message to or from the outside."""
        await self.cluster.network.trip()

    async def send(self, effect: Callable[[], None], late_s: float | None = None) -> None:
        """Have an effect outside, and hear that it happened. A process that stops or dies on the way may have had it."""
        done = asyncio.Event()

        def arrive() -> None:
            effect()
            self.cluster.network.later(self.cluster.network.delay(), done.set)

        self.cluster.network.later(self.cluster.network.delay() if late_s is None else late_s, arrive)
        await done.wait()
