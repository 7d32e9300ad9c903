"""
`z0 bench http`: decisions over HTTP, with the whole way behind them: API, client, direct door, engine, log. No sinks.

Single decisions are an open loop: time counts from when a request was due. Batches are a closed loop: each client sends its
next batch when the last one is answered. A request that is not answered is lost; one answered with another status than 200, or
a command of a batch that is not accepted, is refused.
"""

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from typing import NamedTuple

import msgspec

from z0.bench import openloop
from z0.bench.closedloop import closed_loop
from z0.bench.cluster import own_kafka, worker
from z0.bench.figures import Figure, named
from z0.bench.http_client import LOST, Answer, Pool, post
from z0.bench.load import setup, work
from z0.bench.openloop import Tally
from z0.bench.processes import running
from z0.config import Config
from z0.domain.commands import Command
from z0.errors import Z0Error
from z0.log.topics import migrate_topics
from z0.stack import health
from z0.stack.programs import PYTHON, environment

TENANT = "bench"
GRACE_S = 10.0
READY_S = 60.0
SETUP_BATCH = 500
_ACCEPTED = b'"outcome":"accepted"'
_encode = msgspec.json.Encoder().encode


class Load(NamedTuple):
    """What is asked for."""

    rate: int
    seconds: float
    warm_up_s: float
    accounts: int
    batch: int
    batch_clients: int
    batch_seconds: float


class Door(NamedTuple):
    """Where to ask, and with which key."""

    pool: Pool
    host: str
    key: str

    def request(self, path: str, body: object) -> bytes:
        return post(path, self.host, self.key, _encode(body))

    def single(self, command: Command) -> bytes:
        return self.request("/v1/commands", item(command))

    def batch(self, commands: Iterator[Command]) -> bytes:
        return self.request("/v1/commands/batch", {"commands": [item(command) for command in commands]})


def item(command: Command) -> dict[str, object]:
    """A command as a caller sends it: the tenant comes from the key."""
    given: dict[str, object] = msgspec.to_builtins(command)
    del given["tenant_id"]
    return given


@contextmanager
def own_api(api_workers: int) -> Iterator[tuple[Config, str]]:
    """A fresh Kafka, a worker and an API, with a tenant's key."""
    with own_kafka() as config:
        asyncio.run(migrate_topics(config))
        arguments = ["z0", "api", "--workers", str(api_workers)]
        with worker(config), running(arguments, environment(config), config.home / "logs" / "bench-api.log"):
            _z0(config, "tenant", "create", TENANT)
            key = _z0(config, "key", "create", "--tenant", TENANT, "--json")
            _wait_for(config)
            yield config, str(json.loads(key)["key"])


def _z0(config: Config, *arguments: str) -> str:
    command = [*PYTHON, "z0", *arguments]
    done = subprocess.run(command, env=environment(config), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Z0Error(f"`z0 {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout


def _wait_for(config: Config) -> None:
    deadline = time.monotonic() + READY_S
    while not health.http_ok(f"{config.api_url}/healthz", 1.0):
        if time.monotonic() > deadline:
            raise Z0Error(f"the API does not answer within {READY_S:.0f} s")
        time.sleep(0.1)


async def measure(config: Config, key: str, load: Load) -> Mapping[str, Figure]:
    """All figures of `z0 bench http`."""
    pool = Pool(config.api_host, config.api_port)
    await pool.open()
    door = Door(pool, f"{config.api_host}:{config.api_port}", key)
    try:
        run = f"w{time.time_ns():x}"
        await make_accounts(door, load.accounts, run)
        commands = work(load.accounts, run)
        single = await singles(door, load, commands)
        return {**named("single", single), **await batches(door, load, commands)}
    finally:
        pool.close()


async def make_accounts(door: Door, accounts: int, run: str) -> None:
    """
    Accounts with money.

    Raises:
        Z0Error: one was refused.
    """
    commands = list(setup(accounts, run))
    for start in range(0, len(commands), SETUP_BATCH):
        some = commands[start : start + SETUP_BATCH]
        answer = await door.pool.answer(door.batch(iter(some)))
        if answer.body.count(_ACCEPTED) != len(some):
            raise Z0Error(f"accounts could not be made: {answer.status} {answer.body[:300]!r}")


async def singles(door: Door, load: Load, commands: Iterator[Command]) -> Mapping[str, Figure]:
    """One command per request, at fixed times."""
    tally = Tally(openloop.starting_now(load.rate, load.seconds, load.warm_up_s))
    back = asyncio.Event()
    missing = tally.schedule.total

    def ask(number: int, command: Command) -> None:
        def done(answer: Answer) -> None:
            nonlocal missing
            missing -= 1
            if answer is not LOST:
                tally.done(range(number, number + 1))
                if answer.status != 200:
                    tally.refused[f"status {answer.status}"] += 1
            if not missing:
                back.set()

        door.pool.ask(door.single(command), done)

    def hand(first: int, count: int) -> None:
        for number, command in enumerate(islice(commands, count), first):
            ask(number, command)

    await openloop.drive(tally.schedule, hand)
    with suppress(TimeoutError):  # what is missing then is lost, and said so
        await asyncio.wait_for(back.wait(), GRACE_S)
    figures = dict(tally.figures())
    return {"per_s": figures.pop("rate_per_s"), **figures}


async def batches(door: Door, load: Load, commands: Iterator[Command]) -> Mapping[str, Figure]:
    """Batches from a few clients, each sending its next when the last is answered."""
    refused = 0

    async def ask() -> int:
        nonlocal refused
        answer = await door.pool.answer(door.batch(islice(commands, load.batch)))
        accepted = answer.body.count(_ACCEPTED)
        refused += load.batch - accepted
        return accepted

    rate = await closed_loop(load.batch_clients, load.batch_seconds, ask)
    return {"batch_decisions_per_s": rate, "batch_refused": refused}
