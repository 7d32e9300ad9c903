"""The Kafka door under faults: rebalances in mid-batch, what no ledger can take, aborted transactions, expired commands."""

import asyncio
import json
from collections.abc import Sequence

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from tests.faults.auditor import Found
from tests.faults.callers import Callers
from tests.faults.cluster import Cluster, epochs
from tests.faults.worker import Orders
from tests.waiting import until
from z0.codec import encode_command
from z0.config import Config
from z0.domain.commands import AddBudget, Command
from z0.log.kafka import KafkaLog, start_client
from z0.log.reader import Read
from z0.names import COMMANDS, DEAD_LETTERS

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]
BURST = 100
BURST_EVERY_S = 0.1


async def dead_letters(config: Config) -> list[dict[str, object]]:
    """Every dead letter."""
    log = KafkaLog(config.kafka_servers, DEAD_LETTERS)
    _, end = await log.bounds(0)
    return [json.loads(record.value) async for records in log.read(0, 0, end) for record in records]


async def test_a_misrouted_and_a_malformed_command_in_mid_batch_survive_a_kill_behind_them(cluster: Cluster) -> None:
    """The applied offset passes neither before its forward or its dead letter is acked."""
    async with Callers(cluster.config) as callers:
        opener = cluster.start(1)
        await callers.open_accounts()
        opener.kill()
        partition = callers.ledger.partition_of(callers.accounts[0])
        elsewhere = next(a for a in callers.accounts if callers.ledger.partition_of(a) != partition)
        here = [a for a in callers.accounts if callers.ledger.partition_of(a) == partition]
        misrouted = deposit(callers, elsewhere)
        await callers.produce(*(deposit(callers, here[n % len(here)]) for n in range(50)))
        await callers.produce_raw(elsewhere, encode_command(misrouted), partition)
        bad_at = await callers.produce_raw(here[0], b"no command at all", partition)
        await callers.produce(*(deposit(callers, here[n % len(here)]) for n in range(50)))
        for step in ("1 decided", "2 sent out", "3 durable, ack unread", "7 acknowledged"):
            assert await cluster.start(1, Orders(die_at=step)).ended() == -9
        cluster.start(1)
        callers.produced.append(misrouted)
        await callers.settled()
        letters = {(letter["partition"], letter["offset"]) for letter in await dead_letters(cluster.config)}
    assert letters == {(partition, bad_at)}


@pytest.mark.faults
async def test_poison_and_oversize_commands_do_not_stop_what_is_behind_them(cluster: Cluster) -> None:
    """Each becomes a dead letter; a kill in the middle does not lose any."""
    worker = cluster.start(1)
    async with Callers(cluster.config) as callers:
        await callers.open_accounts()
        account = callers.accounts[0]
        poison = [b"", b"\x00\xff", b"[]", b'{"op":"add_budget"}', b'{"op":"fly","id":"1"}', b"x" * 300_000, b"\x01" * 3_000_000]
        offsets = [await callers.produce_raw(account, value) for value in poison]
        worker.kill()
        await callers.produce(*(deposit(callers, account) for _ in range(20)))
        cluster.start(1)
        await callers.settled()
        letters = {letter["offset"] for letter in await dead_letters(cluster.config)}
    assert letters == set(offsets)


@pytest.mark.faults
async def test_commands_of_an_aborted_transaction_have_no_effect(cluster: Cluster) -> None:
    """Producers may use transactions; what they take back was never asked."""
    cluster.start(1)
    async with Callers(cluster.config) as callers:
        await callers.open_accounts()
        account = callers.accounts[0]
        aborted = [deposit(callers, account) for _ in range(5)]
        committed = [deposit(callers, account) for _ in range(5)]
        producer = AIOKafkaProducer(bootstrap_servers=cluster.config.kafka_servers, transactional_id="faults")
        await start_client(producer)
        await in_transaction(producer, aborted, commit=False)
        await in_transaction(producer, committed, commit=True)
        await in_transaction(producer, [deposit(callers, account)], commit=False)
        await producer.stop()
        callers.produced += committed
        found = await callers.settled()
        assert not [c for c in aborted if (c.ledger_id, c.id) in found.facts]
        await all_committed(callers, account)


async def in_transaction(producer: AIOKafkaProducer, commands: Sequence[Command], *, commit: bool) -> None:
    """Produce in one transaction and end it."""
    await producer.begin_transaction()
    for command in commands:
        await producer.send_and_wait(COMMANDS, key=command.ledger_id.encode(), value=encode_command(command))
    await (producer.commit_transaction() if commit else producer.abort_transaction())


async def all_committed(callers: Callers, account: str) -> None:
    """Markers and aborted records at the end are passed too, or they would look like lost commands when they expire."""
    partition = callers.ledger.partition_of(account)
    _, end = await KafkaLog(callers.config.kafka_servers, COMMANDS).bounds(partition)

    async def so() -> bool:
        admin = AIOKafkaAdminClient(bootstrap_servers=callers.config.kafka_servers)
        await start_client(admin)
        try:
            offsets = await admin.list_consumer_group_offsets("z0-worker")
            known = offsets.get(TopicPartition(COMMANDS, partition))
            return known is not None and known.offset == end
        finally:
            await admin.close()

    await until(so, f"the group at the end, {end}", 60)


async def test_commands_that_expired_unread_stop_the_worker(cluster: Cluster) -> None:
    """What was never decided is not passed over in silence."""
    async with Callers(cluster.config) as callers:
        commands = [deposit(callers, callers.accounts[0]) for _ in range(5)]
        await callers.produce_only(*commands)
        partition = callers.ledger.partition_of(callers.accounts[0])
        admin = AIOKafkaAdminClient(bootstrap_servers=cluster.config.kafka_servers)
        await start_client(admin)
        await admin.delete_records({TopicPartition(COMMANDS, partition): RecordsToDelete(3)})
        await admin.close()
        worker = cluster.start(1)
        assert await worker.ended() > 0
        assert worker.says("starts at 3")


async def test_a_rebalance_in_mid_batch_leaves_each_command_one_effect(cluster: Cluster) -> None:
    """A second worker comes, and the first goes, while commands come all the time: some wait at every claim."""
    first = cluster.start(1)
    async with Callers(cluster.config) as callers:
        await callers.open_accounts()
        done = asyncio.Event()
        asking = asyncio.create_task(callers.go_on(done, doors=("direct",)))
        before = epochs(callers.ledger)
        producing = asyncio.create_task(flood(callers, done))
        second = cluster.start(2)
        await cluster.serving(callers.ledger, first, second, more_than=before)
        first.kill()
        await cluster.serving(callers.ledger, second, more_than={})
        done.set()
        await producing
        await asking
        found = await callers.settled()
        newer = {
            partition: [claim for claim in claims(found, partition) if claim.offset > before[partition]] for partition in before
        }
        assert all(newer.values())
        for partition, those in newer.items():
            sent_at = await times(cluster.config, partition)
            for claim in those:
                assert waited(found, partition, claim, sent_at), f"no command waited when partition {partition} changed hands"


async def flood(callers: Callers, until_done: asyncio.Event) -> None:
    """Deposits over all accounts, for as long as the faults last."""
    while not until_done.is_set():
        accounts = [callers.random.choice(callers.accounts) for _ in range(BURST)]
        commands = [deposit(callers, account) for account in accounts]
        sent = [await callers.producer.send(COMMANDS, key=c.ledger_id.encode(), value=encode_command(c)) for c in commands]
        await asyncio.gather(*sent)
        callers.produced += commands
        await asyncio.sleep(BURST_EVERY_S)


def claims(found: Found, partition: int) -> list[Read]:
    """The claims of a partition."""
    return [read for read in found.reads[partition] if read.claim is not None]


async def times(config: Config, partition: int) -> dict[int, int]:
    """When each command of a partition arrived, by the broker's clock."""
    log = KafkaLog(config.kafka_servers, COMMANDS)
    first, end = await log.bounds(partition)
    return {record.offset: record.timestamp_ms async for records in log.read(partition, first, end) for record in records}


def waited(found: Found, partition: int, claim: Read, sent_at: dict[int, int]) -> int:
    """How many commands were on the topic before a claim, by the broker's clock, and were decided after it."""
    causes = [read.fact.cause for read in found.reads[partition] if read.fact is not None and read.offset > claim.offset]
    return sum(cause is not None and sent_at[cause.offset] < claim.timestamp_ms for cause in causes)


def deposit(callers: Callers, account: str) -> AddBudget:
    """A command that is accepted wherever the account exists."""
    command = callers.of(AddBudget, account, amount="1", currency="USD")
    assert isinstance(command, AddBudget)
    return command
