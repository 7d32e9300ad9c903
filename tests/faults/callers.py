"""Callers at both doors, who remember what they asked and what they were told. Owns: the load of the fault tests."""

import asyncio
import random
import uuid
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaProducer

from tests.faults.auditor import Found, Told, audit_log, check_answers, check_decided
from tests.waiting import until
from z0.client import DirectLedger, connect
from z0.codec import encode_command
from z0.config import Config
from z0.domain.commands import AddBudget, Command, Confirm, CreateEntity, DeductBudget, Release, Reserve
from z0.domain.outcome import Outcome
from z0.log.kafka import new_producer
from z0.names import COMMANDS

TENANT = "tenant_faults"
PATIENT_MS = 120_000  # longer than any fault here lasts, also on a busy machine
GROUP = 4


class Callers:
    """Several callers on accounts of their own; the seed is printed."""

    def __init__(self, config: Config, *, accounts: int = 12, seed: int | None = None) -> None:
        self.config = config
        self.seed = seed if seed is not None else random.randrange(2**32)
        print(f"seed={self.seed}")  # noqa: T201 - shown where a test fails
        self.random = random.Random(self.seed)
        run = uuid.uuid4().hex[:12]
        self.accounts = [f"account_acct_{run}-{n}" for n in range(accounts)]
        self.told: list[Told] = []
        self.produced: list[Command] = []
        self.ledger: DirectLedger = connect(config)
        self.producer: AIOKafkaProducer = new_producer(config.kafka_servers)
        self._holds: dict[str, list[str]] = {account: [] for account in self.accounts}
        self._number = 0
        self._going_on: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self.ledger.__aenter__()
        await self.producer.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for caller in self._going_on:  # where a test fails, what they say of a closed producer would hide what failed first
            caller.cancel()
        await asyncio.gather(*self._going_on, return_exceptions=True)
        await self.producer.stop()
        await self.ledger.__aexit__(kind, error, trace)

    async def ask(self, *commands: Command) -> None:
        """Ask by the direct door, and keep what was told."""
        answers = await self.ledger.submit_many(commands, timeout_ms=PATIENT_MS)
        self.told += [Told(command, answer) for command, answer in zip(commands, answers, strict=True)]

    async def produce(self, *commands: Command) -> None:
        """Hand over by the Kafka door; done when the broker has them."""
        await self.produce_only(*commands)
        self.produced += commands

    async def produce_only(self, *commands: Command) -> None:
        """The same for commands that will not get a fact."""
        for command in commands:
            await self.produce_raw(command.ledger_id, encode_command(command))

    async def produce_raw(self, key: str, value: bytes, partition: int | None = None) -> int:
        """A record of any bytes, on any partition; its offset."""
        return int((await self.producer.send_and_wait(COMMANDS, key=key.encode(), value=value, partition=partition)).offset)

    async def open_accounts(self) -> None:
        """Every account, with money."""
        for account in self.accounts:
            await self.ask(self.of(CreateEntity, account), self.of(AddBudget, account, amount="100", currency="USD"))
        assert {told.answer.outcome for told in self.told} == {Outcome.ACCEPTED}

    async def heard(self, more: int, seconds: float = 120.0) -> None:
        """Wait until so many more answers have come."""
        want = len(self.told) + more

        async def so() -> bool:
            return len(self.told) >= want

        await until(so, f"{more} more answers", seconds)

    async def go_on(self, until_done: asyncio.Event, *, doors: Sequence[str] = ("direct", "kafka")) -> None:
        """Ask until the event is set and every answer has come."""
        callers = [self._at_the_direct_door(until_done) for _ in range(GROUP)] if "direct" in doors else []
        callers += [self._at_the_kafka_door(until_done)] if "kafka" in doors else []
        self._going_on += [asyncio.create_task(caller) for caller in callers]
        await asyncio.gather(*self._going_on)

    async def _at_the_direct_door(self, until_done: asyncio.Event) -> None:
        while not until_done.is_set():
            account = self.random.choice(self.accounts)
            commands = [next(self.work(account)) for _ in range(GROUP)]
            if self.random.random() < 0.2 and self.told:
                commands.append(self.random.choice(self.told).command)  # again, under its id
            await self.ask(*commands)

    async def _at_the_kafka_door(self, until_done: asyncio.Event) -> None:
        while not until_done.is_set():
            await self.produce(*(next(self.work(self.random.choice(self.accounts))) for _ in range(GROUP)))
            await asyncio.sleep(0.02)

    def work(self, account: str) -> Iterator[Command]:
        """For ever: money in, money held, money out, and now and then too much of it."""
        while True:
            name = self.random.choice(("add", "reserve", "reserve", "confirm", "release", "deduct", "too much"))
            holds = self._holds[account]
            if name == "add":
                yield self.of(AddBudget, account, amount="5", currency="USD")
            elif name == "reserve":
                command = self.of(Reserve, account, amount="3", currency="USD", ttl_ms=60_000)
                holds.append(command.id)
                yield command
            elif name in ("confirm", "release") and holds:
                hold = holds.pop(self.random.randrange(len(holds)))
                kind = Confirm if name == "confirm" else Release
                yield self.of(kind, account, reservation_id=hold, **({"amount": "1.5"} if kind is Confirm else {}))
            elif name == "deduct":
                yield self.of(DeductBudget, account, amount="0.25", currency="USD")
            else:
                yield self.of(Reserve, account, amount="1000000", currency="USD")

    def of(self, kind: type[Command], account: str, **fields: object) -> Command:
        """A command under a new id."""
        self._number += 1
        if kind is Reserve:
            fields["reservation_id"] = f"c{self._number}"
        return kind(id=f"c{self._number}", tenant_id=TENANT, ledger_id=account, **fields)  # type: ignore[arg-type]

    async def settled(self, seconds: float = 90.0) -> Found:
        """Wait until everything produced is decided; audit the log and every answer."""

        async def decided() -> Found | None:
            found = await audit_log(self.config)
            return found if all((c.ledger_id, c.id) in found.facts for c in self.produced) else None

        found = await until(decided, "every produced command in the log", seconds)
        check_decided(found, self.produced)
        check_answers(found, self.told)
        return found
