"""
Where a sink's records come from and its dead letters go. Owns: the two small ports. Twins: `sinks.kafka`, `sinks.testing`.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from z0.errors import Z0Error
from z0.log.ports import Record
from z0.log.validity import Position


class SourceUnavailable(Z0Error):
    """The log does not answer now."""


class Source(Protocol):
    """The fact log as one sink reads it: every partition, each from its own place."""

    async def start(self) -> Mapping[int, tuple[int, int]]:
        """
        Connect; for every partition the first offset that is there and the next one to be written.

        Raises:
            SourceUnavailable: try again later.
        """
        ...

    def seek(self, offsets: Mapping[int, int]) -> None:
        """Go on at these offsets."""
        ...

    async def poll(self, rows_max: int, timeout_ms: int) -> Mapping[int, Sequence[Record]]:
        """
        What came in, in order by partition; empty after `timeout_ms`. Not polling is what holds the log back.

        Raises:
            LogBroken: an offset that was asked for is not there any more.
        """
        ...

    async def ends(self) -> Mapping[int, int]:
        """The next offset to be written, by partition, as far as it is known without asking."""
        ...

    async def show(self, positions: Mapping[int, Position]) -> None:
        """Let Kafka's own tools see how far the sink is. Only for show: it is not where the sink goes on."""
        ...

    async def close(self) -> None: ...


class DeadLetters(Protocol):
    """Where poison goes."""

    async def send(self, letters: Sequence[tuple[bytes, bytes]]) -> None:
        """Send (key, value) pairs; done when every one is acked."""
        ...

    async def close(self) -> None: ...
