"""
What the engine and the readers need from the outside, as small protocols. Owns: the contracts. Twins: `z0.log.memory`.
"""

from asyncio import Future
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from z0.domain.commands import PutConfig
from z0.domain.draft import Refusal
from z0.domain.policy import Policy
from z0.log.claims import Floor
from z0.log.snapshot import LedgerSnapshot


class Record(NamedTuple):
    """One record of a partition of the log."""

    offset: int
    key: bytes
    value: bytes
    timestamp_ms: int


class Appended(NamedTuple):
    """Where a batch landed: the offset of its first record and the broker's time."""

    base_offset: int
    log_time_ms: int


class CommandBounds(NamedTuple):
    """A partition of `z0.commands`: the first offset that is there, the next to be written, and the group's committed one."""

    first: int
    end: int
    committed: int


class Writer(Protocol):
    """One producer's way to one partition, for one epoch."""

    def ready(self) -> "Future[bool] | None":
        """
        True when it is time for the next round, None: now. A question of pace alone; whoever asks may set it to False, and asks
        again.
        """
        ...

    def append(self, records: Sequence[tuple[bytes, bytes]]) -> "Future[Appended]":
        """
        Send (key, value) pairs as ONE record batch, acks=all. One batch at a time may be under way.

        The future fails, or gives offset -1, where the broker's answer is not known: then the epoch is dead.
        """
        ...


class Log(Protocol):
    """The fact log: one partition has many readers, and one writer per epoch."""

    async def writer(self, partition: int) -> Writer:
        """A writer for one epoch. What another has appended may land late: the validity rule tells, not the writer."""
        ...

    def read(self, partition: int, start: int, end: int) -> AsyncIterator[list[Record]]:
        """
        All records from `start` up to, not including, `end`, in order.

        Raises:
            LogBroken: `start` is below the log's start or beyond its end.
            Unreachable: nothing comes.
        """
        ...

    async def bounds(self, partition: int) -> tuple[int, int]:
        """The first offset that is there and the next one to be written."""
        ...

    async def offset_at(self, partition: int, timestamp_ms: int) -> int:
        """The first offset at or after a time; the log's end where there is none."""
        ...


class Lease(Protocol):
    """Whether the group still counts this worker as alive."""

    def holds(self) -> bool:
        """True while a heartbeat of the current generation, counted from its sending, is younger than the session."""
        ...


class Policies(Protocol):
    """What the configs say, from this process's copy of them; `z0.configs` implements it."""

    def policy(self, tenant_id: str, ledger_id: str, at_ms: int) -> Policy:
        """What holds for an entity at a moment, the strictest of all scopes."""
        ...

    def pinned(self, policy: Policy, config_id: str, version: int) -> Policy | None:
        """
        The policy with that version of a pricing config in place of the present one; as it is where the id names no pricing
        config that applies. None: no such version is known.
        """
        ...

    def refuse(self, command: PutConfig, at_ms: int) -> Refusal | None:
        """Why a config may not be written: its settings do not fit its type, or loosen a wider scope."""
        ...


class Snapshots(Protocol):
    """Where snapshots of entities are kept; `z0.log.memory` and the Faust tables implement it."""

    def load(self, partition: int, ledger_id: str) -> LedgerSnapshot | None:
        """The newest snapshot that is not void."""
        ...

    def expiries(self, partition: int) -> Iterable[tuple[str, int]]:
        """(ledger id, when its first reservation ends) of every entity whose snapshot holds one."""
        ...

    def floor(self, partition: int) -> Floor:
        """Where a replay must start; `Floor()` where nothing is stored."""
        ...

    def needs_full_replay(self, partition: int) -> bool:
        """
        Whether an entity is left with void snapshots only, or a table has lost what is below the floor: facts must be folded
        from the log's beginning.
        """
        ...

    def claim(self, partition: int, epoch: int) -> Awaitable[None]:
        """Fence the snapshots of earlier epochs; done when it is acked."""
        ...

    def save(self, partition: int, epoch: int, snapshots: Mapping[str, LedgerSnapshot]) -> Awaitable[None]:
        """Write snapshots by ledger id; done when every one is acked, fails if any is not."""
        ...

    def save_floor(self, partition: int, epoch: int, floor: Floor) -> Awaitable[None]:
        """Move the floor; done when acked."""
        ...


class Outbox(Protocol):
    """What a command causes elsewhere: forwards and dead letters."""

    async def send(self, messages: Sequence["Message"]) -> None:
        """Send and wait until all are acked."""
        ...


class Message(NamedTuple):
    """A record for another topic."""

    topic: str
    key: bytes
    value: bytes
    partition: int
    headers: tuple[tuple[str, bytes], ...] = ()
