"""
Delivery of `z0.commands` to a simulated worker: the real consumer (`streams.transport`) over a twin of its thread.

Owns: fetching from the twin of the topic, with the time between a fetch and its delivery in which a rewind may come.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, Final

from faust.types import TP

from streams.transport import BatchConsumer
from z0.names import COMMANDS
from z0.sim.machine import Machine

FETCH_RECORDS_MAX: Final = 12


class FetchThread:
    """The thread that aiokafka runs in: positions, fetches, seeks, commits. What it hands over takes a while to arrive."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._positions: dict[TP, int] = {}
        self.generation = -1

    def assign(self, generation: int, partitions: tuple[int, ...]) -> None:
        """A new assignment; positions are set by the seek that follows."""
        self.generation = generation
        self._positions = {TP(COMMANDS, partition): 0 for partition in partitions}

    def assignment(self) -> set[TP]:
        return set(self._positions)

    async def getmany(self, active: set[TP] | None, timeout: float) -> dict[TP, Any]:
        if not self._ready(active):
            await self._machine.cluster.broker.until_commands(timeout)
        await self._machine.trip()
        fetched = self._fetch(active)
        if fetched:
            await self._machine.trip()  # from the thread to the loop: a seek may come before it arrives
        return fetched

    def _ready(self, active: set[TP] | None) -> bool:
        topics = self._machine.cluster.broker.commands
        return any(len(topics[tp.partition]) > at for tp, at in self._positions.items() if active is None or tp in active)

    def _fetch(self, active: set[TP] | None) -> dict[TP, Any]:
        fetched: dict[TP, Any] = {}
        for tp in sorted(self._positions):
            if active is not None and tp not in active:
                continue
            at = self._positions[tp]
            size = self._machine.cluster.chance.randint(1, FETCH_RECORDS_MAX)
            records = self._machine.cluster.broker.commands[tp.partition][at : at + size]
            if records:
                fetched[tp] = records
                self._positions[tp] = records[-1].offset + 1
        return fetched

    def position_now(self, tp: TP) -> int | None:
        return self._positions.get(tp)

    async def seek_soon(self, tp: TP, offset: int) -> None:
        await self._machine.trip()
        if tp in self._positions:
            self._positions[tp] = offset
        await self._machine.trip()

    async def seek_to_committed(self) -> dict[TP, int | None]:
        await self._machine.trip()
        committed = self._machine.cluster.group.committed
        found = {tp: committed.get(tp.partition) for tp in sorted(self._positions)}
        for tp, offset in found.items():
            await self.seek_soon(tp, offset or 0)
        return found

    async def commit(self, offsets: Mapping[TP, int]) -> bool:
        await self._machine.trip()
        self._machine.gate("commit")
        by_partition = {tp.partition: offset for tp, offset in sorted(offsets.items())}
        return self._machine.cluster.group.commit(self._machine.process.name, self.generation, by_partition)


class SimConsumer(BatchConsumer):
    """The real consumer; of Faust's app it sees as much as it touches."""

    def __init__(
        self,
        machine: Machine,
        host: Any,
        deliver: Callable[[Any], Awaitable[None]],
        on_revoked: Callable[[set[TP]], Awaitable[None]],
        on_assigned: Callable[[set[TP], int], Awaitable[None]],
    ) -> None:
        self._machine = machine
        app = SimpleNamespace(
            host=host,
            in_transaction=False,
            client_only=False,
            producer=None,
            consumer_generation_id=0,
            sensors=SimpleNamespace(on_message_in=None),
            conf=SimpleNamespace(
                broker_commit_every=None,
                ConsumerScheduler=lambda: None,
                broker_commit_interval=1.0,
                broker_commit_livelock_soft_timeout=300.0,
            ),
            _start_span_from_rebalancing=lambda name: nullcontext(),
            on_rebalance_return=lambda: None,
            should_stop=False,
        )
        transport = SimpleNamespace(app=app, create_transaction_manager=lambda **_: None)
        super().__init__(transport, deliver, on_revoked, on_assigned, loop=machine.cluster.loop)

    def _new_consumer_thread(self) -> Any:
        return FetchThread(self._machine)

    def add_dependency(self, service: Any) -> Any:
        """There is no thread to start."""
        return service

    @property
    def thread(self) -> FetchThread:
        """The twin."""
        thread: Any = self._thread
        assert isinstance(thread, FetchThread)
        return thread

    async def drain(self) -> None:
        """Fetch and deliver for ever."""
        await self._drain_messages(SimpleNamespace(_stopped=asyncio.Event()))

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit what was acked; as Faust does, whether or not it worked."""
        acked = ((tp, self._new_offset(tp)) for tp in self._filter_tps_with_pending_acks())
        offsets = {tp: offset for tp, offset in acked if offset is not None and self._should_commit(tp, offset)}
        offsets = {tp: offset for tp, offset in offsets.items() if tp in self.assignment()}
        if not offsets:
            return False
        await self._thread.commit(offsets)
        self._committed_offset.update(offsets)
        return True
