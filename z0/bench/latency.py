"""
`z0 bench latency`: open loop. Commands are due at fixed times whatever the system does; time counts from when one was due.

Direct door: through `z0.client`, from due to answer. Kafka door: from due to the fact being seen by a reader of `z0.facts`.
A command that never came back counts as lost.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from z0.bench import openloop
from z0.bench.figures import Figure
from z0.bench.load import ledgers, reservations, setup, work
from z0.bench.openloop import Tally
from z0.bench.topics import Through, through_topics
from z0.client import DirectLedger, connect
from z0.codec import encode_command
from z0.config import Config
from z0.domain.commands import Command
from z0.domain.outcome import Outcome
from z0.errors import Z0Error
from z0.names import COMMANDS, FACTS

GRACE_S = 5.0
READY_S = 30.0
SETUP_BATCH = 1_000


class Load(NamedTuple):
    """What is asked for. `hot`: every command reserves on one single account."""

    rate: int
    seconds: float
    warm_up_s: float
    accounts: int
    hot: bool = False


async def direct(config: Config, load: Load) -> Mapping[str, Figure]:
    """From due to answer, through the client."""
    async with connect(config) as ledger:
        return await ask_at(ledger, load, await prepare(ledger, load))


async def kafka(config: Config, load: Load) -> Mapping[str, Figure]:
    """From due (then produced) to the fact seen by a reader of `z0.facts`."""
    async with connect(config) as ledger:
        commands = await prepare(ledger, load)
    records = ((command.ledger_id, command.id, encode_command(command)) for command in commands)
    through = Through(config.kafka_servers, COMMANDS, FACTS, config.partitions, "command_id")
    return await through_topics(through, records, lambda: openloop.starting_now(load.rate, load.seconds, load.warm_up_s))


async def prepare(ledger: DirectLedger, load: Load) -> Iterator[Command]:
    """Make the accounts of a run; its commands."""
    run = f"l{time.time_ns():x}"
    accounts = 1 if load.hot else load.accounts
    await make_accounts(ledger, accounts, run)
    return reservations(ledgers(1, run)) if load.hot else work(accounts, run)


async def make_accounts(ledger: DirectLedger, accounts: int, run: str) -> None:
    """
    Accounts with money, once every partition has an owner.

    Raises:
        Z0Error: there is no owner, or an account was refused.
    """
    deadline = time.perf_counter() + READY_S
    while not ledger.is_ready():
        if time.perf_counter() > deadline:
            raise Z0Error("not every partition has an owner; start the stack with `z0 up`")
        await asyncio.sleep(0.05)
    commands = list(setup(accounts, run))
    for start in range(0, len(commands), SETUP_BATCH):
        answers = await ledger.submit_many(commands[start : start + SETUP_BATCH], timeout_ms=30_000)
        bad = next((answer for answer in answers if answer.outcome is not Outcome.ACCEPTED), None)
        if bad is not None:
            raise Z0Error(f"an account could not be made: {bad.outcome}")


async def ask_at(ledger: DirectLedger, load: Load, commands: Iterator[Command]) -> Mapping[str, Figure]:
    """Ask at fixed times; the commands of a tick that go to one partition are one call, as they are one frame."""
    tally = Tally(openloop.starting_now(load.rate, load.seconds, load.warm_up_s))
    tasks: set[asyncio.Task[None]] = set()

    async def ask(items: list[int], asked: list[Command]) -> None:
        for item, answer in zip(items, await ledger.submit_many(asked), strict=True):
            if answer.outcome is Outcome.TIMEOUT:
                continue
            tally.done(range(item, item + 1))
            if answer.outcome is not Outcome.ACCEPTED:
                tally.refused[answer.outcome] += 1

    def hand(first: int, count: int) -> None:
        by_partition: dict[int, tuple[list[int], list[Command]]] = defaultdict(lambda: ([], []))
        for item, command in enumerate(islice(commands, count), first):
            items, asked = by_partition[ledger.partition_of(command.ledger_id)]
            items.append(item)
            asked.append(command)
        for items, asked in by_partition.values():
            task = asyncio.create_task(ask(items, asked))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    await openloop.drive(tally.schedule, hand)
    if tasks:
        await asyncio.wait(tasks, timeout=GRACE_S + READY_S)
    return tally.figures()
