"""What a caller of the ledger sees. Twins: `z0.client.direct` (the direct door), `z0.client.memory` (in process, no server)."""

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from z0.domain.answer import Answer
from z0.domain.commands import Command


class Ledger(Protocol):
    """Submits commands to the one writer of each ledger."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def submit(self, command: Command, *, timeout_ms: int | None = None) -> Answer:
        """
        The answer to one command. Refusals, `overloaded` and `timeout` are outcomes of the answer, never exceptions.

        After `timeout` the same command with the same id may be sent again: it has one effect and one first outcome.
        """
        ...

    async def submit_many(self, commands: Sequence[Command], *, timeout_ms: int | None = None) -> list[Answer]:
        """The answers to many commands, in their order. Commands of one ledger are decided in the order given."""
        ...

    def partition_of(self, ledger_id: str) -> int:
        """The partition that holds a ledger."""
        ...

    def is_ready(self) -> bool:
        """Whether every partition has an owner that can be reached."""
        ...
