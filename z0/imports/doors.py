"""
A door: the way that an import's commands take. Owns: the contract. Twins: `http_door`, `kafka_door`; tests bring one in memory.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from z0.imports.build import RowCommands, Step


class Decided(NamedTuple):
    """What one command came to."""

    step: Step
    outcome: str
    repeated: bool  # the first outcome of an earlier run; it has no new effect
    latency_ms: float | None  # from handing it over to knowing the outcome; None: it was not sent


class Listener(Protocol):
    """Who hears what happens; called in the event loop, must be quick."""

    def sent(self, count: int) -> None: ...

    def decided(self, decided: Decided) -> None: ...

    def skipped(self, step: Step) -> None:
        """A step that it needs was refused, so it was not sent."""
        ...

    def retried(self, reason: str) -> None: ...


class Door(Protocol):
    """Hands over commands, in order; used as a context manager."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def send(self, rows: Sequence[RowCommands], listener: Listener) -> None:
        """
        Hand over the commands of some rows. One call at a time.

        Raises:
            DoorError: the ledger could not be reached in the time allowed, or refuses this client.
        """
        ...

    async def finish(self, listener: Listener) -> int:
        """Wait for the outcomes that are still open; gives how many never came."""
        ...
