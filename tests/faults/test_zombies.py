"""Workers that lost their partition and do not know it: what they write and say afterwards counts for nothing."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tables.store import pack, unpack
from tests.faults.callers import Callers
from tests.faults.cluster import Cluster, epochs, pause
from tests.faults.visitor import visiting
from tests.faults.worker import Orders
from tests.waiting import until
from z0.config import Config
from z0.domain.commands import AddBudget, Command, Read, Reserve
from z0.domain.outcome import Outcome, is_transient
from z0.log.kafka import new_reader, start_client
from z0.log.producer import BatchProducer, open_producer
from z0.names import BUDGETS_CHANGELOG, LEDGERS_CHANGELOG

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]
ACK_TAKES_S = 0.5


async def test_a_worker_that_slept_past_its_session_tells_nobody_what_the_log_does_not_hold(cluster: Cluster) -> None:
    """Another takes over while it is frozen; when it wakes, its appends are void and its reads unanswered."""
    sleeper = cluster.start(1)
    async with Callers(cluster.config) as callers:
        await cluster.serving(callers.ledger, sleeper)
        await callers.open_accounts()
        done = asyncio.Event()
        asking = asyncio.create_task(callers.go_on(done))
        await callers.heard(50)
        before = epochs(callers.ledger)
        sleeper.freeze()
        successor = cluster.start(2)
        await cluster.serving(callers.ledger, successor, more_than=before)
        await callers.heard(50)
        taken = epochs(callers.ledger)
        sleeper.wake()
        await cluster.serving(callers.ledger, sleeper, successor, more_than=taken)
        await callers.heard(50)
        done.set()
        await asking
        await callers.settled()


async def test_a_sleeper_answers_neither_what_it_is_asked_nor_what_it_writes(cluster: Cluster) -> None:
    """
    It is asked while it is frozen, and answers before it has heard of its successor: only its lease stands between a read and a
    state of yesterday, and only the offset of the ack between an append and a lie.
    """
    sleeper = cluster.start(1)
    async with Callers(cluster.config) as callers, visiting(sleeper) as visitor:
        await cluster.serving(callers.ledger, sleeper)
        await callers.open_accounts()
        read_of, written = one_of_each_partition(callers)
        before = epochs(callers.ledger)
        sleeper.freeze()
        successor = cluster.start(2)
        await cluster.serving(callers.ledger, successor, more_than=before)
        await callers.ask(callers.of(AddBudget, read_of, amount="50", currency="USD"))
        await visitor.ask(callers.ledger.partition_of(read_of), callers.of(Read, read_of))
        late = callers.of(AddBudget, written, amount="7", currency="USD")
        await visitor.ask(callers.ledger.partition_of(written), late)
        sleeper.wake()
        answers = [await visitor.answer(), await visitor.answer()]
        assert all(is_transient(answer.outcome) for answer in answers), answers
        found = await callers.settled()
        assert (written, late.id) not in found.facts
        assert found.voids


def one_of_each_partition(callers: Callers) -> list[str]:
    """An account of each: what is decided on one cannot end the epoch of the other."""
    return list({callers.ledger.partition_of(account): account for account in callers.accounts}.values())


@pytest.mark.faults
async def test_a_batch_of_a_dead_epoch_that_lands_late_is_void(cluster: Cluster, tmp_path: Path) -> None:
    """It is held back in the worker while another claims, and sent when that one has long appended."""
    hold = tmp_path / "hold"
    late = cluster.start(1, Orders(hold_file=str(hold)))
    async with Callers(cluster.config) as callers:
        await cluster.serving(callers.ledger, late)
        await callers.open_accounts()
        done, before = asyncio.Event(), epochs(callers.ledger)
        hold.touch()
        asking = asyncio.create_task(callers.go_on(done))
        await reaches(late, "no ack for offsets")  # the epoch is dead for itself; the batch still waits
        late.freeze()
        successor = cluster.start(2)
        await cluster.serving(callers.ledger, successor, more_than=before)
        await callers.heard(50)
        hold.unlink()
        late.wake()
        await callers.heard(50)

        async def landed() -> bool:
            return bool((await callers.settled()).voids)

        done.set()
        await asking
        await until(landed, "the late batch in the log", 60)
        await callers.settled()


@pytest.mark.faults
async def test_a_lost_batch_voids_those_decided_on_top_of_it(cluster: Cluster, tmp_path: Path) -> None:
    """
    Batch n is acked and lost, and n+1 lands: its facts expect other offsets than they have. Whoever was told of n was told what
    the broker said; what was decided on top of it is told to nobody, and decided again without it.
    """
    orders = Orders(drop_file=str(tmp_path / "drop"), hold_file=str(tmp_path / "hold"))
    slowly = cluster.config.model_copy(update={"snapshot_interval_ms": 60_000})  # none between the two batches
    worker = Cluster(slowly).start(1, orders)
    cluster.workers.append(worker)
    async with Callers(cluster.config, accounts=3) as callers:
        await cluster.serving(callers.ledger, worker)
        await callers.open_accounts()
        lost, on_top = zip(*[await lose_one(callers, account, tmp_path) for account in callers.accounts], strict=True)
        await callers.ask(*(next(callers.work(account)) for account in callers.accounts for _ in range(5)))
        found = await callers.settled()
    assert not {command.id for command in lost} & {command_id for _, command_id in found.facts}
    assert {read.fact.command_id for read in found.voids if read.fact} == {command.id for command in on_top}
    again = [found.facts[command.ledger_id, command.id].outcome for command in on_top]
    assert again == [Outcome.BUDGET_EXHAUSTED] * 3


async def lose_one(callers: Callers, account: str, orders: Path) -> tuple[Command, Command]:
    """A deposit that is acked and lost, and a hold that only it could pay, decided before the ack and answered when it landed."""
    deposit = callers.of(AddBudget, account, amount="1000", currency="USD")
    hold = callers.of(Reserve, account, amount="500", currency="USD")
    held, dropping = orders / "hold", orders / "drop"
    held.touch()
    dropping.touch()
    losing = asyncio.create_task(callers.ledger.submit_many([deposit]))
    await dropped(dropping)
    asking = asyncio.create_task(callers.ask(hold))
    await pause(ACK_TAKES_S)
    held.unlink()
    assert [answer.outcome for answer in await losing] == [Outcome.ACCEPTED]
    await asking
    return deposit, hold


async def test_a_stale_snapshot_that_compaction_kept_alone_is_not_believed(cluster: Cluster) -> None:
    """
    A worker that lost its partition writes behind its successor, and the changelog is compacted for real.

    The next recovery finds only the stale snapshot of that account, does not take it, and rebuilds the account from its facts.
    """
    first = cluster.start(1)
    async with Callers(cluster.config, accounts=1) as callers:
        [account] = callers.accounts
        await cluster.serving(callers.ledger, first)
        await callers.open_accounts()
        partition = callers.ledger.partition_of(account)
        stale = {topic: await newest(cluster.config, topic, partition, account) for topic in CHANGELOGS}
        before = epochs(callers.ledger)
        first.kill()
        second = cluster.start(2)
        await cluster.serving(callers.ledger, second, more_than=before)
        money = [next(callers.work(account)) for _ in range(20)]
        await callers.ask(*money)
        for topic in CHANGELOGS:
            await newest(cluster.config, topic, partition, account, epoch=epochs(callers.ledger)[partition])
        claimed = epochs(callers.ledger)
        second.kill()
        await write_and_compact(cluster.config, partition, account, stale)
        third = cluster.start(3)  # a disk of its own: everything comes from the changelogs
        await cluster.serving(callers.ledger, third, more_than=claimed)
        await callers.ask(*money)
        await callers.ask(*(next(callers.work(account)) for _ in range(5)))
        assert all(told.answer.repeated for told in callers.told[-25:-5])
        await callers.settled()


CHANGELOGS = (LEDGERS_CHANGELOG, BUDGETS_CHANGELOG)


async def reaches(worker: Any, text: str) -> None:
    """Wait until a worker's log says something."""

    async def so() -> bool:
        return bool(worker.says(text))

    await until(so, f"{text!r} in its log", 90)


async def dropped(file: Path) -> None:
    """Wait until a batch was dropped."""

    async def so() -> bool:
        return not file.exists()  # noqa: ASYNC240 - a file has no event

    await until(so, "a batch dropped", 60)


async def newest(config: Config, topic: str, partition: int, account: str, epoch: int | None = None) -> bytes:
    """The newest snapshot of an account in a changelog, of an epoch where one is named; waited for."""

    async def found() -> bytes | None:
        values = [value for key, value in await records(config, topic, partition) if key == account.encode()]
        wanted = [value for value in values if epoch is None or unpack(value)[0] == epoch]
        return wanted[-1] if wanted else None

    return await until(found, f"a snapshot of {account} in {topic}", 60)


async def records(config: Config, topic: str, partition: int) -> list[tuple[bytes, bytes]]:
    """Everything that a partition of a changelog holds now."""
    reader, at = new_reader(config.kafka_servers), TopicPartition(topic, partition)
    await start_client(reader)
    try:
        return [record async for record in _records(reader, at)]
    finally:
        await reader.stop()


async def _records(reader: AIOKafkaConsumer, at: TopicPartition) -> Any:
    reader.assign([at])
    await reader.seek_to_beginning(at)
    end = (await reader.end_offsets([at]))[at]
    while await reader.position(at) < end:
        for record in (await reader.getmany(at, timeout_ms=200)).get(at, []):
            yield record.key, record.value


async def write_and_compact(config: Config, partition: int, account: str, stale: dict[str, bytes]) -> None:
    """What the first worker would have sent late; then the broker's cleaner is made to run over it."""
    producer = await open_producer(config.kafka_servers, *stale)
    for topic, value in stale.items():
        await producer.append(TopicPartition(topic, partition), [(account.encode(), value)])
        await compact_soon(config, topic)
    for topic in stale:
        await compacted(config, producer, topic, partition, account)
    await producer.stop()


async def compact_soon(config: Config, topic: str) -> None:
    """Small segments that are cleaned at once."""
    admin: Any = AIOKafkaAdminClient(bootstrap_servers=config.kafka_servers)
    await start_client(admin)
    settings = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0.001", "min.compaction.lag.ms": "0"}
    kept = {"cleanup.policy": "compact", "min.insync.replicas": "1", "unclean.leader.election.enable": "false"}
    kept |= {"max.message.bytes": str(9 * 1024 * 1024), "segment.bytes": str(64 * 1024 * 1024)}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs={**kept, **settings})])
    await admin.close()


async def compacted(config: Config, producer: BatchProducer, topic: str, partition: int, account: str) -> None:
    """Wait until the account's stale snapshot is its only one; other records roll the segments meanwhile."""

    async def so() -> bool:
        await producer.append(TopicPartition(topic, partition), [(b"filler", pack(0, b""))])
        return len([key for key, _ in await records(config, topic, partition) if key == account.encode()]) == 1

    await until(so, f"{topic} compacted", 90)
