"""
The clients of a run. Owns: asking until an answer is final, as `z0.client` does, and remembering who was told what, and when.
"""

import asyncio
from asyncio import Future
from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

import msgspec

from z0.client.partitioner import partition_of
from z0.domain.answer import Answer
from z0.domain.outcome import Outcome, is_transient
from z0.sim.broker import Owners
from z0.sim.configured import FACT
from z0.sim.machine import Cluster
from z0.sim.plan import Door, Flow, Step
from z0.sim.worker import Worker

TIMEOUT_S: Final = 5.0
PAUSE_S: Final = 0.15


class Told(NamedTuple):
    """One answer that reached a caller: to these bytes, asked at one time, said by the worker at another, heard at a third."""

    command: bytes
    answer: Answer
    asked_s: float
    said_s: float
    heard_s: float


class _Address(msgspec.Struct, frozen=True):
    ledger_id: str


_address = msgspec.json.Decoder(_Address)


def _ledger_of(command: bytes) -> str:
    """Where a client sends a command; what it cannot read goes anywhere."""
    try:
        return _address.decode(command).ledger_id
    except msgspec.DecodeError:
        return "account_acct_0"


class Clients:
    """All callers of a run."""

    def __init__(self, cluster: Cluster, workers: Sequence[Worker]) -> None:
        self._cluster = cluster
        self._workers = {worker.name: worker for worker in workers}
        self.told: list[Told] = []
        self.asked: list[bytes] = []

    async def run(self, flow: Flow) -> None:
        """One flow, to its end."""
        accepted, fact = True, b""
        for step in flow.steps:
            await asyncio.sleep(step.pause_ms / 1000)
            if step.only_if_accepted and not accepted:
                return
            if step.door is Door.KAFKA:
                await self._produce(step)
            else:
                answers = await self.ask([command.replace(FACT, fact) for command in step.commands], behind=step.behind)
                accepted = all(answer.outcome is Outcome.ACCEPTED for answer in answers)
                if b'"op":"append"' in step.commands[0]:
                    fact = f"{answers[0].ledger_id}.{answers[0].seq}".encode()

    async def _produce(self, step: Step) -> None:
        for command in step.commands:
            await self._cluster.network.trip()
            key = step.key if step.key is not None else _ledger_of(command).encode()
            home = partition_of(key.decode(), self._cluster.partitions)
            self._cluster.broker.land_command(home if step.partition < 0 else step.partition, key, command)

    async def ask(self, commands: Sequence[bytes], *, behind: bool = False) -> list[Answer]:
        """Ask until every answer is final; who is behind asks the owner of yesterday first."""
        self.asked += commands
        owners = self._cluster.broker.former if behind else self._cluster.broker.owners
        found: dict[int, Answer] = {}
        while len(found) < len(commands):
            missing = [n for n in range(len(commands)) if n not in found]
            answers = await self._once([commands[n] for n in missing], owners)
            owners = self._cluster.broker.owners
            for n, answer in zip(missing, answers, strict=False):
                if not is_transient(answer.outcome):
                    found[n] = answer
            if len(found) < len(commands):
                await asyncio.sleep(PAUSE_S * (1 + self._cluster.chance.random()))
        return [found[n] for n in range(len(commands))]

    async def _once(self, commands: Sequence[bytes], owners: Owners) -> list[Answer]:
        partition = partition_of(_ledger_of(commands[0]), self._cluster.partitions)
        _, name = owners.get(partition, (-1, ""))
        worker = self._workers.get(name)
        if worker is None:
            return []
        heard: Future[list[Answer]] = asyncio.get_running_loop().create_future()
        reply = partial(self._hear, heard, commands, self._cluster.loop.time())
        self._cluster.network.later(self._cluster.network.delay(), worker.ask, partition, commands, reply)
        try:
            return await asyncio.wait_for(heard, TIMEOUT_S)
        except TimeoutError:
            return []

    def _hear(
        self, heard: "Future[list[Answer]]", commands: Sequence[bytes], asked_s: float, said_s: float, answers: list[Answer]
    ) -> None:
        """An answer that comes after the caller gave up is an answer too: it must not be wrong."""
        now = self._cluster.loop.time()
        self.told += [Told(c, a, asked_s, said_s, now) for c, a in zip(commands, answers, strict=True)]
        if not heard.done():
            heard.set_result(answers)
