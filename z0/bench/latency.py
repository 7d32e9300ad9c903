"""
`z0 bench latency`: open loop. Commands are due at fixed times whatever the system does; time counts from when one was due.

Direct door: through `z0.client`, from due to answer. Kafka door: from due to the fact being seen by a reader of `z0.facts`.
A command that never came back counts as lost.
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from z0.bench.figures import Figure, percentile
from z0.bench.load import setup, work
from z0.client import DirectLedger, connect
from z0.client.partitioner import partition_of
from z0.codec import encode_command
from z0.config import Config
from z0.domain.commands import Command
from z0.domain.outcome import Outcome
from z0.errors import Z0Error
from z0.log.kafka import new_producer, new_reader
from z0.names import COMMANDS, FACTS

TICK_S = 0.001
GRACE_S = 5.0
WARM_UP_S = 12.0
SETUP_BATCH = 1_000
Send = Callable[[list[Command], float], None]


class Tally:
    """Latencies by command, in milliseconds; the warm-up is not counted."""

    def __init__(self) -> None:
        self._from = float("inf")
        self.latencies_ms: list[float] = []
        self.sent = 0
        self.refused = 0

    def start(self, at: float) -> None:
        """Count what is due from then on."""
        self._from = at

    def due(self, count: int, at: float) -> None:
        """Commands that became due."""
        self.sent += count if at >= self._from else 0

    def done(self, at: float, count: int = 1) -> None:
        """Commands due at `at` are back now."""
        if at >= self._from:
            self.latencies_ms += [(time.perf_counter() - at) * 1000] * count

    def figures(self, seconds: float) -> dict[str, Figure]:
        """The printed figures."""
        if not self.latencies_ms:
            raise Z0Error("no command came back; is the worker up (`z0 status`)?")
        ordered = sorted(self.latencies_ms)
        return {
            "rate_per_s": len(ordered) / seconds,
            "p50_ms": percentile(ordered, 0.5),
            "p99_ms": percentile(ordered, 0.99),
            "p999_ms": percentile(ordered, 0.999),
            "max_ms": ordered[-1],
            "lost": self.sent - len(ordered),
            "refused": self.refused,
        }


async def open_loop(rate: int, seconds: float, commands: Iterator[Command], send: Send, tally: Tally) -> None:
    """Hand out what is due at every tick, late or not."""
    start, handed = time.perf_counter(), 0
    tally.start(start + WARM_UP_S)
    while (now := time.perf_counter()) - start < seconds + WARM_UP_S:
        due = int((now - start) * rate)
        if due > handed:
            send(list(islice(commands, due - handed)), start + (handed + 1) / rate)
            handed = due
        await asyncio.sleep(TICK_S)


async def direct(config: Config, *, rate: int, seconds: int, accounts: int) -> Mapping[str, Figure]:
    """From due to answer, through the client."""
    async with connect(config) as ledger:
        run = await prepare(ledger, accounts)
        tally = Tally()
        tasks: set[asyncio.Task[None]] = set()

        async def ask(commands: list[Command], at: float) -> None:
            answers = await ledger.submit_many(commands)
            back = sum(answer.outcome is not Outcome.TIMEOUT for answer in answers)
            tally.refused += sum(answer.outcome is not Outcome.ACCEPTED for answer in answers)
            tally.done(at, back)

        def send(commands: list[Command], at: float) -> None:
            tally.due(len(commands), at)
            task = asyncio.create_task(ask(commands, at))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        await open_loop(rate, seconds, work(accounts, run), send, tally)
        await asyncio.wait_for(asyncio.gather(*tasks), GRACE_S + config.command_timeout_ms / 1000)
    return tally.figures(seconds)


async def prepare(ledger: DirectLedger, accounts: int) -> str:
    """Make the accounts of a run; its name."""
    deadline = time.perf_counter() + 30
    while not ledger.is_ready():
        if time.perf_counter() > deadline:
            raise Z0Error("not every partition has an owner; start the stack with `z0 up`")
        await asyncio.sleep(0.05)
    run = f"l{time.time_ns():x}"
    commands = list(setup(accounts, run))
    for start in range(0, len(commands), SETUP_BATCH):
        answers = await ledger.submit_many(commands[start : start + SETUP_BATCH], timeout_ms=30_000)
        bad = next((answer for answer in answers if answer.outcome is not Outcome.ACCEPTED), None)
        if bad is not None:
            raise Z0Error(f"an account could not be made: {bad.outcome}")
    return run


async def kafka(config: Config, *, rate: int, seconds: int, accounts: int) -> Mapping[str, Figure]:
    """From due (then produced) to the fact seen by a reader of `z0.facts`."""
    async with connect(config) as ledger:
        run = await prepare(ledger, accounts)
    producer, reader = new_producer(config.kafka_servers), new_reader(config.kafka_servers)
    await producer.start()
    await reader.start()
    try:
        tally = Tally()
        due: dict[tuple[bytes, bytes], float] = {}
        watching = asyncio.create_task(_watch(reader, config.partitions, due, tally))
        await asyncio.sleep(0.5)  # the reader is at the end before the first command is due
        send = _kafka_send(producer, config.partitions, due, tally)
        await open_loop(rate, seconds, work(accounts, run), send, tally)
        await _until_empty(due)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        return tally.figures(seconds)
    finally:
        await producer.stop()
        await reader.stop()


def _kafka_send(producer: AIOKafkaProducer, partitions: int, due: dict[tuple[bytes, bytes], float], tally: Tally) -> Send:
    sends: set[asyncio.Task[None]] = set()

    async def produce(commands: list[Command]) -> None:
        for command in commands:
            partition = partition_of(command.ledger_id, partitions)
            await producer.send(COMMANDS, key=command.ledger_id.encode(), value=encode_command(command), partition=partition)

    def send(commands: list[Command], at: float) -> None:
        tally.due(len(commands), at)
        due.update({(command.ledger_id.encode(), command.id.encode()): at for command in commands})
        task = asyncio.create_task(produce(commands))
        sends.add(task)
        task.add_done_callback(sends.discard)

    return send


_COMMAND_ID = re.compile(rb'"command_id":"([^"]+)"')


async def _watch(reader: AIOKafkaConsumer, partitions: int, due: dict[tuple[bytes, bytes], float], tally: Tally) -> None:
    at = [TopicPartition(FACTS, p) for p in range(partitions)]
    reader.assign(at)
    for partition, end in (await reader.end_offsets(at)).items():
        reader.seek(partition, end)
    while True:
        for records in (await reader.getmany(timeout_ms=100)).values():
            for record in records:
                found = _COMMAND_ID.search(record.value)
                sent_at = due.pop((record.key, found[1]), None) if found else None
                if sent_at is not None:
                    tally.done(sent_at)


async def _until_empty(due: dict[tuple[bytes, bytes], float]) -> None:
    deadline = time.perf_counter() + GRACE_S
    while due and time.perf_counter() < deadline:  # noqa: ASYNC110 - a dictionary has no event
        await asyncio.sleep(0.05)
