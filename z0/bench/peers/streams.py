"""
The peer Kafka Streams, exactly_once_v2: the program in `kafka-streams`, compiled once into the cache folder. Owns: fetching its
jars, compiling and running it, and its figures: catch-up of what is on the topic before the start, then an open loop from topic
to topic, seen by a reader of committed records.
"""

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

import uvloop

from z0.bench import openloop
from z0.bench.figures import Figure
from z0.bench.peers.sizes import Size
from z0.bench.processes import running_program
from z0.bench.topics import Through, ends, make_topics, preload, span_ms, through_topics
from z0.config import Config
from z0.errors import StackError, Z0Error
from z0.stack.kafka import jars

HERE = Path(__file__).parent / "kafka-streams"
MAIN = "Reserve"
COMMANDS = "bench.streams.commands"
FACTS = "bench.streams.facts"
COMMIT_INTERVALS_MS = (100, 20)
AMOUNT = "0.0125"
JVM = ("-Xms256m", "-Xmx768m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20")  # as the broker's
RUNS = b"state RUNNING"
RUNS_WITHIN_S = 60.0


class Built(NamedTuple):
    """The program, ready to run."""

    java: str
    classpath: str


def build() -> Built:
    """
    Fetch and compile, or take what was compiled before.

    Raises:
        StackError: there is no Java compiler, no Maven, or one of them failed.
    """
    java, compiler = jars.java(), shutil.which("javac")
    target = cache() / f"kafka-streams-{_digest()}"
    if not target.is_dir():
        if compiler is None:
            raise StackError("there is no `javac` on the path; install a JDK of Java 17 or later")
        part = target.with_name(f"{target.name}.{os.getpid()}.part")
        jars.copy_dependencies(HERE / "pom.xml", part / "libs")
        _compile(compiler, part)
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
    return Built(java, f"{target / 'classes'}:{target / 'libs'}/*")


def cache() -> Path:
    """Where compiled peers are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "z0" / "bench"


def _digest() -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(HERE.iterdir()))).hexdigest()[:12]


def _compile(compiler: str, folder: Path) -> None:
    command = [compiler, "-cp", f"{folder / 'libs'}/*", "-d", str(folder / "classes"), str(HERE / f"{MAIN}.java")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError(f"the peer could not be compiled: {done.stderr.strip()}")


def measure(config: Config, size: Size) -> Mapping[str, Figure]:
    """All figures of Kafka Streams: both commit intervals, and the best of the two."""
    built = build()
    settings = {COMMANDS: {}, FACTS: {"message.timestamp.type": "LogAppendTime"}}
    uvloop.run(make_topics(config.kafka_servers, config.partitions, settings))
    commands = events(size.accounts)
    runs = {interval: _run(config, size, built, interval, commands) for interval in COMMIT_INTERVALS_MS}
    figures: dict[str, Figure] = {"durability": f"exactly_once_v2, acks=all, page cache, threads: {size.threads}"}
    for interval, run in runs.items():
        figures |= {f"{interval}ms_{name}": value for name, value in run.items()}
    return {
        **figures,
        "per_s": max(float(run["per_s"]) for run in runs.values()),
        "p99_ms": min(float(run["p99_ms"]) for run in runs.values()),
    }


def events(accounts: int) -> Iterator[tuple[str, str, bytes]]:
    """(account, id, command) for ever."""
    for number in count():
        account, name = f"account-{number % accounts}", f"s-{number}"
        yield account, name, json.dumps({"id": name, "account": account, "amount": AMOUNT}).encode()


def _run(
    config: Config, size: Size, built: Built, interval_ms: int, commands: Iterator[tuple[str, str, bytes]]
) -> Mapping[str, Figure]:
    through = Through(config.kafka_servers, COMMANDS, FACTS, config.partitions, "id", {"isolation_level": "read_committed"})
    start = uvloop.run(ends(through))
    records = ((account, value) for account, _, value in islice(commands, size.catch_up))
    uvloop.run(preload(config.kafka_servers, COMMANDS, config.partitions, records=records))
    with running(config, size, built, interval_ms):
        span = uvloop.run(span_ms(through, start, (b'"outcome":"accepted"',), expected=size.catch_up))
        schedule = partial(openloop.starting_now, size.topic_rate, size.seconds, size.warm_up_s)
        latency = uvloop.run(through_topics(through, commands, schedule))
    per_s = size.catch_up / span * 1000
    return {"per_s": per_s, **{name: latency[name] for name in ("p50_ms", "p99_ms", "lost")}}


@contextmanager
def running(config: Config, size: Size, built: Built, interval_ms: int) -> Iterator[None]:
    """The program, once it says that it runs."""
    log = config.home / "logs" / f"bench-streams-{interval_ms}.log"
    arguments = [config.kafka_servers, str(config.home / "bench-streams"), str(interval_ms), str(size.threads)]
    with running_program([built.java, *JVM, "-cp", built.classpath, MAIN, *arguments], {}, log) as process:
        deadline = time.monotonic() + RUNS_WITHIN_S
        while RUNS not in log.read_bytes():
            if process.poll() is not None or time.monotonic() > deadline:
                raise Z0Error(f"Kafka Streams does not run: {log.read_text()[-500:]}")
            time.sleep(0.1)
        yield
