"""
A worker that follows a test's orders: it dies at a step, has another clock, or loses a batch. Owns: how.

Run as `python -m tests.faults.worker ORDERS`. It is the shipped worker with some of its functions wrapped from outside; nothing
of this is in the product. A step that no longer exists fails here, not in silence. Where functions of compiled modules are
wrapped it runs their sources: compiled code calls its own functions past any wrapper.
"""

import asyncio
import functools
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

HELD_BACK_S: Final = 0.01


class Orders(Struct, frozen=True):
    """What a worker is to do besides its work."""

    die_at: str = ""  # a step of `STEPS`
    die_at_time: int = 1  # the first time that it is reached, or a later one
    session_s: float = 3.0  # so that a take-over does not take 10 s
    clock_ahead_ms: int = 0
    clock_file: str = ""  # milliseconds ahead are read from here, where it exists
    hold_file: str = ""  # while this file exists, batches of facts are held back, and sent when it is gone
    drop_file: str = ""  # while this file exists, one batch of facts is lost (and the file removed), and acked all the same


def encode_orders(orders: Orders) -> str:
    """As a command line argument."""
    return msgspec.json.encode(orders).decode()


# After which function of the shipped worker each step is done; the numbers are those of the docstrings of `z0.log.engine` and
# `z0.log.recovery`.
STEPS: Final = {
    "1 decided": "z0.log.deciding:Decider.decide_round",
    "2 sent out": "z0.log.engine:PartitionEngine._send_out",
    "3 handed over": "z0.log.engine:PartitionEngine._append",
    "3 durable, ack unread": "z0.log.kafka:KafkaWriter.append",
    "4 compared": "z0.log.engine:PartitionEngine._acked",
    "5 indexed": "z0.log.index:RocksIndex.put",
    "6 answered": "streams.door:_Visitor._flush",
    "7 acknowledged": "z0.log.engine:PartitionEngine._finish",
    "8 snapshots acked": "tables.snapshots:TableSnapshots.save",
    "8 floor acked": "tables.snapshots:TableSnapshots.save_floor",
    "claim 2 appended": "z0.log.recovery:_claim",
    "claim 3 floor taken back": "tables.snapshots:TableSnapshots.save_floor",
    "claim 4 fenced": "z0.log.recovery:_fence",
    "claim 5 replayed": "z0.log.engine:begin",
}


def main(orders: Orders) -> None:
    """Wrap what the orders ask for, then work."""
    if orders.die_at or orders.hold_file or orders.drop_file:
        os.environ["Z0_COMPILED"] = "0"
    import streams.app
    from streams.worker import run_worker
    from z0.config import from_env

    streams.app.SESSION_TIMEOUT_S = orders.session_s  # type: ignore[misc]
    streams.app.HEARTBEAT_INTERVAL_S = min(1.0, orders.session_s / 4)  # type: ignore[misc]
    if orders.die_at:
        _die_after(STEPS[orders.die_at], orders)
    if orders.clock_ahead_ms or orders.clock_file:
        _set_clock(orders)
    if orders.hold_file or orders.drop_file:
        _meddle(orders)
    run_worker(from_env())


def _die_after(where: str, orders: Orders) -> None:
    owner, name = _find(where)
    original = getattr(owner, name)
    reached = 0

    def one_more(arguments: tuple[Any, ...], result: Any) -> None:
        nonlocal reached
        reached += _counts(orders.die_at, arguments, result)
        if reached >= orders.die_at_time:
            os.kill(os.getpid(), signal.SIGKILL)

    @functools.wraps(original)
    async def later(*arguments: Any, **named: Any) -> Any:
        result = await original(*arguments, **named)
        one_more(arguments, result)
        return result

    @functools.wraps(original)
    def now(*arguments: Any, **named: Any) -> Any:
        result = original(*arguments, **named)
        if isinstance(result, asyncio.Future) and orders.die_at == "3 durable, ack unread":
            result.add_done_callback(lambda done: one_more(arguments, done))  # before the engine hears of it
        else:
            one_more(arguments, result)
        return result

    setattr(owner, name, later if asyncio.iscoroutinefunction(original) else now)


def _counts(step: str, arguments: tuple[Any, ...], result: Any) -> bool:
    """Whether this call is the step itself: rounds without facts, other topics' batches and a replay's index do not count."""
    if step == "1 decided":
        return bool(result.records)
    if step == "3 handed over":
        return result is not None
    if step == "3 durable, ack unread":
        return bool(arguments[1][0][0] != b"!claim")
    if step == "5 indexed":
        return bool(arguments[1])
    if step == "7 acknowledged":
        return bool(arguments[1].acknowledge)
    if step.endswith("floor taken back"):
        return bool(arguments[3].fact_offset == 0)
    if step == "8 floor acked":
        return bool(arguments[3].fact_offset > 0)
    return True


def _find(where: str) -> tuple[Any, str]:
    module, _, path = where.partition(":")
    owner: Any = __import__(module, fromlist=["_"])
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    return owner, name


def _set_clock(orders: Orders) -> None:
    from z0.clock import SystemClock

    true_ms = SystemClock.wall_ms

    def wall_ms(self: SystemClock) -> int:
        file = Path(orders.clock_file) if orders.clock_file else None
        ahead = int(file.read_text()) if file is not None and file.exists() else orders.clock_ahead_ms
        return true_ms(self) + ahead

    SystemClock.wall_ms = wall_ms  # type: ignore[method-assign]


def _meddle(orders: Orders) -> None:
    """Only of batches of facts. What is held back goes on living when the engine has given it up, as it does in a producer."""
    from streams import host
    from z0.log import kafka
    from z0.log.engine import Limits

    host.Limits = functools.partial(Limits, ack_timeout_s=3.0)  # type: ignore[attr-defined, assignment]
    append = kafka.KafkaWriter.append

    def append_or_not(self: kafka.KafkaWriter, records: Any) -> "asyncio.Future[Any]":
        if records[0][0] == b"!claim":
            return append(self, records)
        if orders.drop_file and _removed(Path(orders.drop_file)):
            return asyncio.create_task(_forge_ack(records, orders.hold_file))
        if orders.hold_file and _exists(orders.hold_file):
            return asyncio.shield(asyncio.create_task(_send_late(self.at.partition, records, orders.hold_file)))
        return append(self, records)

    kafka.KafkaWriter.append = append_or_not  # type: ignore[method-assign]


async def _forge_ack(records: Any, hold_file: str) -> Any:
    """As a broker does that loses what it acked: the batch is said to be where its facts say that they are."""
    from z0.codec import decode_fact
    from z0.log.ports import Appended

    while _exists(hold_file):  # noqa: ASYNC110 - a file has no event
        await asyncio.sleep(HELD_BACK_S)
    return Appended(decode_fact(records[0][1]).offset, 0)


async def _send_late(partition: int, records: Any, hold_file: str) -> Any:
    from aiokafka import TopicPartition

    from z0.config import from_env
    from z0.log.producer import open_producer
    from z0.names import FACTS

    while _exists(hold_file):  # noqa: ASYNC110 - a file has no event
        await asyncio.sleep(HELD_BACK_S)
    producer = await open_producer(from_env().kafka_servers, FACTS)
    try:
        return await producer.append(TopicPartition(FACTS, partition), records)
    finally:
        await producer.stop()


def _exists(file: str) -> bool:
    return Path(file).exists()


def _removed(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Orders))
