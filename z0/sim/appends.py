"""
The fact log and the outbox as a process reaches them. Owns: what may happen to a batch on its way. Twins of `z0.log.kafka`.

A batch is one of: landed and acked; landed, and the ack lost; lost; late, when its writer has long given it up.
"""

import asyncio
from asyncio import Future
from collections.abc import AsyncIterator, Sequence
from typing import Final

from z0.errors import LogBroken
from z0.log.ports import Appended, Message, Record
from z0.names import CLAIM_KEY, COMMANDS
from z0.sim.broker import Letter, now_s
from z0.sim.faults import Fault, FaultKind
from z0.sim.machine import Machine

READ_BATCH: Final = 60
REQUEST_TIMEOUT_S: Final = 12.0
AT_ONCE_SHARE: Final = 0.7  # of the batches are on the wire when `append` returns; the others wait for the producer's task
READY_SHARE: Final = 0.5  # of the rounds need not wait for their turn
APPEND_FAULTS: Final = (
    FaultKind.LOSE_BATCH,
    FaultKind.LOSE_ACK,
    FaultKind.NO_ANSWER,
    FaultKind.UNKNOWN_OFFSET,
    FaultKind.DELAY_BATCH,
)
LANDS: Final = (FaultKind.LOSE_ACK, FaultKind.NO_ANSWER, FaultKind.UNKNOWN_OFFSET)


class SimLog:
    """`z0.log.ports.Log` of one process."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    async def writer(self, partition: int) -> "SimWriter":
        await self._machine.trip()
        return SimWriter(self._machine, partition)

    async def read(self, partition: int, start: int, end: int) -> AsyncIterator[list[Record]]:
        log = self._machine.cluster.broker.facts[partition]
        if start > len(log):
            raise LogBroken(f"partition {partition} ends at {len(log)}, asked for {start}")
        for first in range(start, end, READ_BATCH):
            await self._machine.trip()
            self._machine.gate("replay")
            yield log[first : min(first + READ_BATCH, end)]

    async def bounds(self, partition: int) -> tuple[int, int]:
        await self._machine.trip()
        return 0, len(self._machine.cluster.broker.facts[partition])

    async def bounds_of(self, topic: str, partition: int) -> tuple[int, int]:
        assert topic == COMMANDS, "of the facts it is `bounds`"
        await self._machine.trip()
        return 0, len(self._machine.cluster.broker.commands[partition])

    async def offset_at(self, partition: int, timestamp_ms: int) -> int:
        log = self._machine.cluster.broker.facts[partition]
        return next((record.offset for record in log if record.timestamp_ms >= timestamp_ms), len(log))


class SimWriter:
    """`z0.log.ports.Writer`: one producer's way to a partition; what it sends arrives in order."""

    def __init__(self, machine: Machine, partition: int) -> None:
        self._machine = machine
        self._partition = partition
        self._lands_s = 0.0

    def ready(self) -> "Future[bool] | None":
        """At once, or after a moment in which much may happen."""
        cluster = self._machine.cluster
        if cluster.chance.random() < READY_SHARE:
            return None
        turn: Future[bool] = asyncio.get_running_loop().create_future()
        cluster.loop.call_later(cluster.network.delay(), _go, turn)
        return turn

    def append(self, records: Sequence[tuple[bytes, bytes]]) -> "Future[Appended]":
        machine = self._machine
        name = "claim" if records[0][0] == CLAIM_KEY else "append"
        machine.gate(f"{name}.before")
        future: Future[Appended] = asyncio.get_running_loop().create_future()
        if machine.cluster.chance.random() < AT_ONCE_SHARE:
            self._depart(records, future)
        else:  # in the process: a batch of one that is stopped meanwhile departs when it goes on
            machine.cluster.loop.call_later(machine.cluster.network.delay(), self._depart, records, future)
        machine.gate(f"{name}.after")
        return future

    def _depart(self, records: Sequence[tuple[bytes, bytes]], future: "Future[Appended]") -> None:
        cluster = self._machine.cluster
        fault = cluster.armed.at_effect(self._partition, *APPEND_FAULTS)
        if fault is not None:
            cluster.note(self._machine.process.name, f"{fault.kind} on partition {self._partition}, {len(records)} records")
        if fault is None or fault.kind in LANDS:
            self._lands_s = max(self._lands_s, cluster.loop.time() + cluster.network.delay())
            cluster.loop.call_at(self._lands_s, self._land, records, future, fault, context=cluster.outside())
            return
        if fault.kind is FaultKind.DELAY_BATCH:
            cluster.network.later(fault.for_ms / 1000, cluster.broker.land_facts, self._partition, records)
        self._fail(future)

    def _land(self, records: Sequence[tuple[bytes, bytes]], future: "Future[Appended]", fault: Fault | None) -> None:
        cluster = self._machine.cluster
        landed = cluster.broker.land_facts(self._partition, records)
        if fault is None:
            cluster.network.later(cluster.network.delay(), _resolve, future, landed)
        elif fault.kind is FaultKind.UNKNOWN_OFFSET:
            cluster.network.later(cluster.network.delay(), _resolve, future, Appended(-1, -1))
        elif fault.kind is FaultKind.LOSE_ACK:
            self._fail(future)

    def _fail(self, future: "Future[Appended]") -> None:
        network = self._machine.cluster.network
        delay_s = network.delay() if self._machine.cluster.chance.random() < 0.5 else REQUEST_TIMEOUT_S
        network.later(delay_s, _reject, future)


def _go(turn: "Future[bool]") -> None:
    if not turn.done():
        turn.set_result(True)


def _resolve(future: "Future[Appended]", landed: Appended) -> None:
    if not future.done():
        future.set_result(landed)


def _reject(future: "Future[Appended]") -> None:
    if not future.done():
        future.set_exception(TimeoutError("the broker's answer was lost"))


class SimOutbox:
    """`z0.log.ports.Outbox` of one engine: forwards and dead letters, one after the other."""

    def __init__(self, machine: Machine, partition: int) -> None:
        self._machine = machine
        self._partition = partition

    async def send(self, messages: Sequence[Message]) -> None:
        machine = self._machine
        machine.gate("outbox.before")
        for number, message in enumerate(messages):
            if number:
                machine.gate("outbox.between")
            fault = machine.cluster.armed.at_effect(self._partition, FaultKind.OUTBOX_LOST, FaultKind.OUTBOX_ACK_LOST)
            if fault is None or fault.kind is FaultKind.OUTBOX_ACK_LOST:
                await machine.send(lambda message=message: self._land(message))  # type: ignore[misc]  # bound at once
            if fault is not None:
                raise TimeoutError("the outbox's answer was lost")
        machine.gate("outbox.after")

    def _land(self, message: Message) -> None:
        broker = self._machine.cluster.broker
        if message.topic == COMMANDS:
            broker.land_command(message.partition, message.key, message.value, message.headers)
        else:
            broker.letters.append(Letter(message.key, message.value, now_s()))
