"""
Delivery of `z0.commands` to a simulated worker: the real consumer (`streams.transport`) over twins of its reader and its thread.

Owns: fetching from the twin of the topic, with the time that a fetch takes, in which a rewind may come.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, Final

from faust.types import TP

from streams.transport import BatchConsumer
from z0.names import COMMANDS
from z0.sim.machine import Machine

FETCH_RECORDS_MAX: Final = 12


class Reader:
    """The twin of `streams.reading.CommandReader`: positions and fetches, which take their time."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._positions: dict[int, int] = {}

    def assign(self, positions: Mapping[int, int]) -> None:
        self._positions = dict(positions)

    def partitions(self) -> set[int]:
        return set(self._positions)

    def seek(self, partition: int, offset: int) -> None:
        if partition in self._positions:
            self._positions[partition] = offset

    def position(self, partition: int) -> int | None:
        return self._positions.get(partition)

    async def fetch(self, partitions: Iterable[int], timeout_s: float) -> dict[int, Any]:
        wanted = list(partitions)
        asked = {partition: self._positions.get(partition) for partition in wanted}
        if not any(self._waiting(partition) for partition in wanted):
            await self._machine.cluster.broker.until_commands(timeout_s)
        await self._machine.trip()
        fetched = {p: self._take(p) for p in sorted(wanted) if self._positions.get(p) == asked[p]}  # else another asks for it
        return {partition: records for partition, records in fetched.items() if records}

    def _waiting(self, partition: int) -> bool:
        at = self._positions.get(partition)
        return at is not None and len(self._machine.cluster.broker.commands[partition]) > at

    def _take(self, partition: int) -> Any:
        if not self._waiting(partition):
            return []
        at = self._positions[partition]
        size = self._machine.cluster.chance.randint(1, FETCH_RECORDS_MAX)
        records = self._machine.cluster.broker.commands[partition][at : at + size]
        self._positions[partition] = records[-1].offset + 1
        return records


class GroupThread:
    """The thread that Faust's consumer runs in: the group, and its commits."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._assignment: set[TP] = set()
        self.generation = -1

    def assign(self, generation: int, partitions: tuple[int, ...]) -> None:
        """A new assignment."""
        self.generation = generation
        self._assignment = {TP(COMMANDS, partition) for partition in partitions}

    def assignment(self) -> set[TP]:
        return set(self._assignment)

    def still_reads(self) -> None:
        """The twin of the group waits for heartbeats alone."""

    async def seek_to_committed(self) -> dict[TP, int | None]:
        committed: dict[TP, int | None] = {}
        for tp in sorted(self._assignment):
            await self._machine.trip()
            committed[tp] = self._machine.cluster.group.committed.get(tp.partition)
            await self._machine.trip()
        return committed

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
            commands=Reader(machine),
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
        return GroupThread(self._machine)

    def add_dependency(self, service: Any) -> Any:
        """There is no thread to start."""
        return service

    @property
    def thread(self) -> GroupThread:
        """The twin."""
        thread: Any = self._thread
        assert isinstance(thread, GroupThread)
        return thread

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
