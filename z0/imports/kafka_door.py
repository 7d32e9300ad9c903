"""
The Kafka door: commands straight to `z0.commands`, outcomes from the log. Owns: the window, the resending, the waiting.

A producer of this kind hands over and goes on: it does not wait for a reserve before it sends its confirm, so a refused
reserve shows as two refusals, `budget_exhausted` and `reservation_not_open`. At most `window` commands are open at once,
which bounds the memory and makes the measured latency that of the ledger and not of our own queue.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from z0 import kafka_url
from z0.client.partitioner import partition_of
from z0.codec import digest_of, encode_command
from z0.errors import no_answer
from z0.imports.backoff import Backoff
from z0.imports.build import RowCommands, Step
from z0.imports.doors import Decided, Listener
from z0.imports.errors import DoorError
from z0.imports.outcomes import CommandKey, Heard, Outcomes
from z0.names import COMMANDS, DEAD_LETTERS, FACTS

WINDOW: Final = 2_000
LINGER_MS: Final = 2
LOOK_BACK_AFTER_S: Final = 10.0


Began = Callable[[Mapping[int, int]], Mapping[int, int]]


class KafkaDoor:
    """
    Commands of any tenants, by a producer that the topic admits.

    `began` gives the offsets of the fact log at which the first run of this import began, from those of now.
    """

    def __init__(self, servers: str, *, began: Began, window: int = WINDOW, quiet_s: float = 180.0, prefix: str = "") -> None:
        self._servers = servers
        self._began = began
        self._window = window
        self._quiet_s = quiet_s
        self._prefix = prefix
        self._outcomes: Outcomes | None = None
        self._producer: AIOKafkaProducer | None = None
        self._partitions = 0
        self._sizes: dict[str, int] = {}
        self._looked_back = False
        self._open: dict[CommandKey, tuple[Step, float]] = {}
        self._earlier: dict[CommandKey, Heard] = {}
        self._changed = asyncio.Event()
        self._heard_at = time.monotonic()
        self._listener: Listener | None = None
        self._following: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            self._outcomes = await self._connect()
        except KafkaError as error:
            await self.__aexit__()
            raise DoorError(no_answer("Kafka", error)) from None
        self._outcomes.start_at(self._began(self._outcomes.end))
        await self._remember(self._outcomes)
        self._following = asyncio.create_task(self._follow(self._outcomes))
        return self

    async def _connect(self) -> Outcomes:
        self._producer = await self._new_producer()
        commands, facts, letters = [len(await self._producer.partitions_for(topic)) for topic in (COMMANDS, FACTS, DEAD_LETTERS)]
        self._partitions = commands
        self._sizes = {"facts": facts, "dead_letters": letters}
        return await Outcomes(self._servers, **self._sizes).__aenter__()

    async def _remember(self, outcomes: Outcomes) -> None:
        async for heard in outcomes.earlier():
            if heard.key.command_id.startswith(self._prefix):
                self._earlier[heard.key] = heard

    async def __aexit__(self, *_error: object) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        if self._outcomes is not None:
            await self._outcomes.__aexit__()
        if self._producer is not None:
            await self._producer.stop()

    async def _new_producer(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(**kafka_url.options(self._servers), acks="all", enable_idempotence=True, linger_ms=LINGER_MS)
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer

    async def send(self, rows: Sequence[RowCommands], listener: Listener) -> None:
        self._listener = listener
        steps = [step for row in rows for step in row.steps if not self._known(step, listener)]
        await self._room(len(steps))
        # Waiting for room may have looked back into the log: what turned up there must not be sent and waited for.
        steps = [step for step in steps if not self._known(step, listener)]
        listener.sent(len(steps))
        now = time.perf_counter()
        self._open.update((_key(step), (step, now)) for step in steps)
        backoff = Backoff(self._quiet_s)
        while (reason := await self._produce(steps)) is not None:
            listener.retried(reason)
            await backoff.wait(reason)
            await self._replace_producer(backoff, listener)

    async def finish(self, listener: Listener) -> int:
        self._listener = listener
        with suppress(TimeoutError):
            while self._open:
                await self._news()
        return len(self._open)

    def _known(self, step: Step, listener: Listener) -> bool:
        """Whether an earlier run got the outcome of this very command; sending it again would leave no new fact to wait for."""
        heard = self._earlier.pop(_key(step), None)
        if heard is None or heard.digest != digest_of(encode_command(step.command)):
            return False
        listener.decided(Decided(step, heard.outcome, repeated=True, latency_ms=None))
        return True

    async def _room(self, count: int) -> None:
        try:
            while self._open and len(self._open) + count > self._window:
                await self._news()
        except TimeoutError:
            raise DoorError(
                f"no outcome for {self._quiet_s:.0f} s while {len(self._open)} commands wait; does a worker run? "
                "Run the same command again: nothing is doubled"
            ) from None

    async def _news(self) -> None:
        """
        Wait for outcomes; after a while of silence look once whether the log has had them all along.

        Raises:
            TimeoutError: there was none for too long.
        """
        try:
            await self._change(self._quiet_s if self._looked_back else min(self._quiet_s, LOOK_BACK_AFTER_S))
        except TimeoutError:
            if self._looked_back:
                raise
            await self._look_back()

    async def _change(self, within_s: float) -> None:
        self._changed.clear()
        left_s = self._heard_at + within_s - time.monotonic()
        waiting = asyncio.create_task(self._changed.wait())
        assert self._following is not None, "used inside `async with`"
        done, _ = await asyncio.wait({waiting, self._following}, timeout=max(left_s, 0.0), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._following in done:
            self._following.result()  # raises what ended it
        if not done:
            raise TimeoutError

    async def _look_back(self) -> None:
        """An import begun elsewhere left no note here of where in the log it began: then it is the whole log that knows."""
        self._looked_back = True
        async with Outcomes(self._servers, **self._sizes) as outcomes:
            outcomes.start_at(dict.fromkeys(outcomes.end, 0))
            await self._remember(outcomes)
        for key in list(self._open):
            if heard := self._earlier.pop(key, None):
                self._settle(heard, repeated=True)

    async def _produce(self, steps: Sequence[Step]) -> str | None:
        """
        Send all and wait for the acks; gives what went wrong, if anything did.

        Idempotence keeps the order per partition and lets nothing behind a lost batch through, so sending all again in
        order is safe: what came through before is a repeat.
        """
        assert self._producer is not None, "used inside `async with`"
        # The window counts as quiet only from here on: a long pause between two sends is no silence of the ledger.
        self._heard_at = time.monotonic()
        acks = []
        try:
            for step in steps:
                ledger_id = step.command.ledger_id
                partition = partition_of(ledger_id, self._partitions)
                acks.append(await self._producer.send(COMMANDS, step.value, key=ledger_id.encode(), partition=partition))
        except KafkaError as error:
            await asyncio.gather(*acks, return_exceptions=True)
            return f"Kafka at {self._servers}: {error!r}"
        failed = [ack for ack in await asyncio.gather(*acks, return_exceptions=True) if isinstance(ack, BaseException)]
        return f"Kafka at {self._servers}: {failed[0]!r}" if failed else None

    async def _replace_producer(self, backoff: Backoff, listener: Listener) -> None:
        """An idempotent producer that lost a batch is done for; the next one starts its own sequence."""
        assert self._producer is not None, "used inside `async with`"
        with suppress(KafkaError):
            await self._producer.stop()
        while True:
            try:
                self._producer = await self._new_producer()
                return
            except KafkaError as error:
                listener.retried(repr(error))
                await backoff.wait(f"Kafka at {self._servers}: {error!r}")

    async def _follow(self, outcomes: Outcomes) -> None:
        async for batch in outcomes.batches():
            for heard in batch:
                self._settle(heard)
            if batch:
                self._changed.set()

    def _settle(self, heard: Heard, *, repeated: bool = False) -> None:
        opened = self._open.pop(heard.key, None)
        if opened is None or self._listener is None:
            return
        step, began = opened
        self._heard_at = time.monotonic()
        took_ms = None if repeated else (time.perf_counter() - began) * 1000
        self._listener.decided(Decided(step, heard.outcome, repeated, took_ms))


def _key(step: Step) -> CommandKey:
    return CommandKey(step.command.tenant_id, step.command.ledger_id, step.command.id)
