"""
What a sink is. Owns: the contract between the runner and the sinks. Does not own: reading the log (`sinks.runner`), any store.

A sink keeps the place where it will go on (`Position`) in the store itself, beside the data, so that neither can be
ahead of the other for a reader. The runner adds slices and calls `flush`; it never adds while a flush is under way or
being repeated, so a flush may be repeated with the very same rows until it succeeds.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from z0.errors import Z0Error
from z0.log.reader import Read
from z0.log.validity import Position

Probe = Callable[[int], None]
"""Called with the number of each step of `flush` right after it, so that a test can die between two steps."""


def no_probe(_step: int) -> None:
    return None


class StoreUnavailable(Z0Error):
    """The store does not answer now; the same flush may be tried again."""


class Sink(Protocol):
    """One store behind the log."""

    @property
    def name(self) -> str:
        """One of `z0.names.SINK_*`."""
        ...

    @property
    def waiting(self) -> int:
        """Records that were added and are not durable yet."""
        ...

    async def start(self) -> Mapping[int, Position]:
        """
        Connect and give the stored position of every partition that has one.

        Raises:
            StoreUnavailable: try again later.
            SinkStopped: the store holds what this sink cannot go on from.
        """
        ...

    def add(self, partition: int, reads: Sequence[Read], position: Position) -> None:
        """Take consecutive records of a partition; `position` is the reader's after the last of them. Does no I/O."""
        ...

    async def flush(self, *, final: bool = False) -> Mapping[int, Position]:
        """
        Make durable what was added, and give the stored positions. `final`: nothing follows, so nothing is held back.

        Raises:
            StoreUnavailable: nothing is lost; call it again with nothing added in between.
            SinkStopped: another writer, or contents that contradict what is stored.
        """
        ...

    async def close(self) -> None:
        """Let go of the store; what was not flushed will be read again."""
        ...
