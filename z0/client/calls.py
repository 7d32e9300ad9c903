"""
What waits at the client. Owns: where the answer to each command belongs, and when its caller is given up.

A client sends tens of thousands of commands a second, so there is an object for each call, each turn and each group, and none for
a command.
"""

import asyncio
from collections.abc import Iterator

from z0.client.frames import STRETCH_BYTES_MAX
from z0.cut import cut
from z0.domain.answer import Answer


class Deadline:
    """When the calls of one turn with one timeout are given up: one timer for all of them."""

    __slots__ = ("_futures", "_timer", "open")

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_s: float) -> None:
        self._futures: list[asyncio.Future[None]] = []
        self._timer = loop.call_later(timeout_s, self._expire)
        self.open = 0

    def watch(self, future: "asyncio.Future[None]") -> None:
        """One more; each leaves once."""
        self._futures.append(future)
        self.open += 1

    def leave(self) -> None:
        """One needs it no more; with the last one the timer goes."""
        self.open -= 1
        if not self.open:
            self._timer.cancel()

    def _expire(self) -> None:
        for future in self._futures:
            if not future.done():
                future.set_result(None)


class Call:
    """What one caller waits for."""

    __slots__ = ("_deadline", "answers", "future", "missing")

    def __init__(self, count: int, future: "asyncio.Future[None]", deadline: Deadline) -> None:
        self.answers: list[Answer | None] = [None] * count
        self.missing = count
        self.future = future
        self._deadline = deadline
        deadline.watch(future)

    def end(self) -> None:
        """The caller has its answers, or went away: then it wants no retries."""
        self.missing = 0
        self._deadline.leave()

    def answer(self, place: int, answer: Answer) -> None:
        """Give one answer; the last one wakes the caller."""
        if self.missing:
            self.answers[place] = answer
            self.missing -= 1
            if not self.missing and not self.future.done():
                self.future.set_result(None)


class Group:
    """Commands on their way to one partition: three lists side by side, so that a command is no object of its own."""

    __slots__ = ("calls", "commands", "partition", "places")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.commands: list[bytes] = []
        self.calls: list[Call] = []  # whose each is
        self.places: list[int] = []  # and where in its call the answer belongs

    def add(self, command: bytes, call: Call, place: int) -> None:
        """One more command, behind the others."""
        self.commands.append(command)
        self.calls.append(call)
        self.places.append(place)

    def add_waiting(self, group: "Group") -> None:
        """What of another group somebody still waits for, in its order."""
        for command, call, place in zip(group.commands, group.calls, group.places, strict=True):
            if call.missing:
                self.add(command, call, place)

    def part(self, start: int, stop: int | None = None) -> "Group":
        """Some of it, as a group of its own."""
        part = Group(self.partition)
        part.commands, part.calls, part.places = self.commands[start:stop], self.calls[start:stop], self.places[start:stop]
        return part

    @property
    def bytes(self) -> int:
        """How much its commands are."""
        return sum(map(len, self.commands))

    def parts(self) -> Iterator["Group"]:
        """What of it fits in a frame each."""
        for stretch in cut(range(len(self.commands)), lambda n: len(self.commands[n]), STRETCH_BYTES_MAX):
            yield self.part(stretch[0], stretch[-1] + 1)


class Groups(dict[int, Group]):
    """Groups by partition, each made when it is first asked for."""

    def __missing__(self, partition: int) -> Group:
        group = self[partition] = Group(partition)
        return group
