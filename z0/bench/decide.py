"""
`z0 bench decide`: preloaded commands through one worker with everything on, against the idiomatic Faust worker.

Method: all commands are on their topic before the worker starts. The rate is commands / (broker's time of the last fact -
broker's time of the first fact), so starting up is not counted for either. Both run one after the other on one broker.
"""

import json
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from z0.bench import idiomatic
from z0.bench.cluster import start_worker
from z0.bench.figures import Figure
from z0.bench.load import setup, work
from z0.bench.processes import running
from z0.bench.topics import Pair, Through, ends, make_topics, preload, preload_at_once, span_ms
from z0.codec import encode_command
from z0.config import Config
from z0.log.topics import migrate_topics
from z0.names import COMMANDS, FACTS


async def ours(config: Config, accounts: int, commands: int) -> float:
    """Decisions per second of one z0 worker."""
    await migrate_topics(config)
    run = f"d{time.time_ns():x}"
    start = await ends(_through(config))
    await preload(config.kafka_servers, COMMANDS, config.partitions, records=_records(accounts, commands, run))
    with start_worker(config):
        return await _per_s(config, start, run, commands)


async def by_those_who_serve(config: Config, accounts: int, commands: int) -> float:
    """
    Decisions per second of the workers that serve now.

    They read committed records only, so one transaction gives each the commands of its partitions in one moment: the span holds
    neither the sharing out of the partitions nor the producing.
    """
    run = f"d{time.time_ns():x}"
    start = await ends(_through(config))
    await preload_at_once(config.kafka_servers, COMMANDS, config.partitions, records=_records(accounts, commands, run))
    return await _per_s(config, start, run, commands)


def _through(config: Config) -> Through:
    return Through(config.kafka_servers, COMMANDS, FACTS, config.partitions, "command_id")


def _records(accounts: int, commands: int, run: str) -> Iterator[Pair]:
    return ((c.ledger_id, encode_command(c)) for c in (*setup(accounts, run), *islice(work(accounts, run), commands)))


async def _per_s(config: Config, start: Mapping[int, int], run: str, commands: int) -> float:
    return commands / await span_ms(_through(config), start, (run.encode(), b'"type":"budget"'), expected=commands) * 1000


async def theirs(config: Config, accounts: int, commands: int, *options: str) -> float:
    """Events per second of the idiomatic Faust worker."""
    await make_topics(config.kafka_servers, config.partitions, idiomatic.TOPICS)
    keys = [f"account-{n}" for n in range(accounts)]
    events = (
        (keys[n % accounts], json.dumps({"id": str(n), "account": keys[n % accounts], "amount": "0.0125"}).encode())
        for n in range(commands)
    )
    await preload(config.kafka_servers, idiomatic.COMMANDS, config.partitions, records=events)
    folder = Path(config.home) / "bench-idiomatic"
    arguments = ["z0.bench.idiomatic", config.kafka_servers, str(folder), str(config.partitions), *options]
    with running(arguments, {}, config.home / "logs" / "bench-idiomatic.log"):
        through = Through(config.kafka_servers, idiomatic.COMMANDS, idiomatic.FACTS, config.partitions, "id")
        span = await span_ms(through, dict.fromkeys(range(config.partitions), 0), (), expected=commands)
    return commands / span * 1000


async def measure(config: Config, *, accounts: int, commands: int, peer_commands: int) -> Mapping[str, Figure]:
    """All figures of `z0 bench decide`."""
    theirs_per_s = await theirs(config, accounts, peer_commands) if peer_commands else 0.0
    ours_per_s = await ours(config, accounts, commands)
    figures: dict[str, Figure] = {"commands": commands, "accounts": accounts, "decisions_per_s": ours_per_s}
    if peer_commands:
        figures |= {"faust_per_s": theirs_per_s, "ratio": ours_per_s / theirs_per_s}
    return figures
