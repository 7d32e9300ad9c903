"""
The ledger in this process: the real engine on in-memory twins, no server. Owns: a `Ledger` for tests and for trying things out.

What it decides is what a worker decides; what it does not have is durability.
"""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import msgspec

from z0.client.partitioner import partition_of
from z0.clock import Clock, SystemClock
from z0.codec import encode_command
from z0.domain.answer import Answer
from z0.domain.commands import Command
from z0.domain.outcome import Outcome
from z0.errors import EpochDead
from z0.log.engine import Host, Limits, PartitionEngine, Ports
from z0.log.inbox import DirectGroup
from z0.log.index import CommandIndex, MemoryIndex
from z0.log.memory import MemoryLease, MemoryLog, MemoryOutbox, MemorySnapshots, NoPolicies
from z0.log.ports import Policies


class MemoryLedger:
    """A `Ledger` whose partitions run here. `log`, `snapshots` and `outbox` are open to tests."""

    def __init__(
        self,
        partitions: int = 2,
        clock: Clock | None = None,
        limits: Limits | None = None,
        *,
        open_index: Callable[[int], CommandIndex] = lambda _: MemoryIndex(),
    ) -> None:
        self.partitions = partitions
        self.clock = clock or SystemClock()
        self.log = MemoryLog(partitions, self.clock)
        self.snapshots = MemorySnapshots()
        self.outbox = MemoryOutbox()
        self.lease = MemoryLease()
        self.policies: Policies = NoPolicies()
        self._limits = limits or Limits()
        self._open_index = open_index
        self._serving: dict[int, asyncio.Event] = {p: asyncio.Event() for p in range(partitions)}
        self.engines: list[PartitionEngine] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        twins = (self.log, self.snapshots, self.outbox, self.lease, self.clock, self.policies)
        ports = Ports(*twins, open_index=self._open_index, partition_of=self.partition_of)
        host = Host("memory", "memory", self._announce, self._rewind)
        self.engines = [PartitionEngine(p, ports, host, self._limits) for p in range(self.partitions)]
        self._tasks = [asyncio.create_task(engine.run()) for engine in self.engines]
        await asyncio.gather(*(event.wait() for event in self._serving.values()))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for engine in self.engines:
            engine.stop()
        await asyncio.gather(*self._tasks)

    async def _announce(self, partition: int, epoch: int) -> None:
        self._serving[partition].set()

    async def _rewind(self, partition: int) -> None:
        """There is no Kafka door here."""

    def partition_of(self, ledger_id: str) -> int:
        return partition_of(ledger_id, self.partitions)

    def is_ready(self) -> bool:
        return all(engine.is_serving for engine in self.engines)

    async def submit(self, command: Command, *, timeout_ms: int | None = None) -> Answer:
        return (await self.submit_many([command], timeout_ms=timeout_ms))[0]

    async def submit_many(self, commands: Sequence[Command], *, timeout_ms: int | None = None) -> list[Answer]:
        answers = await asyncio.gather(*(self._ask(partition, commands) for partition in range(self.partitions)))
        by_index = {index: answer for part in answers for index, answer in part.items()}
        return [by_index[index] for index in range(len(commands))]

    async def _ask(self, partition: int, commands: Sequence[Command]) -> dict[int, Answer]:
        mine = [i for i, command in enumerate(commands) if self.partition_of(command.ledger_id) == partition]
        if not mine:
            return {}
        done: asyncio.Future[DirectGroup] = asyncio.get_running_loop().create_future()
        self.engines[partition].offer_direct(DirectGroup([encode_command(commands[i]) for i in mine], done.set_result))
        group = await self._unless_it_ends(self._tasks[partition], done)
        return {i: _named(answer, commands[i]) for i, answer in zip(mine, group.answers, strict=True)}

    @staticmethod
    async def _unless_it_ends(engine: "asyncio.Task[None]", done: "asyncio.Future[DirectGroup]") -> DirectGroup:
        """The answered group; where the engine ended by a fault instead, that fault: nobody else would tell the caller."""

        def ended(task: "asyncio.Task[None]") -> None:
            if not done.done():
                done.set_exception(task.exception() or EpochDead("the engine was stopped"))

        engine.add_done_callback(ended)
        try:
            return await done
        finally:
            engine.remove_done_callback(ended)


def _named(answer: Answer | None, command: Command) -> Answer:
    """An answer that names its command also where the engine could not read it."""
    if answer is None:
        return Answer(command.id, command.ledger_id, Outcome.TIMEOUT)
    return msgspec.structs.replace(answer, command_id=command.id, ledger_id=command.ledger_id)
