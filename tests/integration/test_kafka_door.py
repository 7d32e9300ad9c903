"""The Kafka door on the real stack: facts for good commands, dead letters for bad ones, and nothing dropped."""

import json
import uuid
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from tests.waiting import until
from z0.client import DirectLedger, connect
from z0.client.partitioner import partition_of
from z0.codec import encode_command
from z0.config import Config
from z0.domain.commands import AddBudget, Command, CreateEntity, Read, Reserve
from z0.domain.outcome import Outcome
from z0.log.kafka import new_producer, new_reader
from z0.names import COMMANDS, DEAD_LETTERS

pytestmark = pytest.mark.stack
TENANT = "tenant_kafka"


@pytest.fixture
async def producer(stack: Config) -> AsyncIterator[AIOKafkaProducer]:
    """Any producer; here aiokafka's."""
    producer = new_producer(stack.kafka_servers)
    await producer.start()
    yield producer
    await producer.stop()


@pytest.fixture
async def ledger(stack: Config) -> AsyncIterator[DirectLedger]:
    """The client, to see what a ledger holds."""
    async with connect(stack) as ledger:
        yield ledger


def new_account() -> str:
    """A ledger that no other test uses."""
    return f"account_acct_{uuid.uuid4().hex}"


async def produce(producer: AIOKafkaProducer, command: Command, key: str | None = None, partition: int | None = None) -> None:
    """Write a command with its ledger id, or another key, as key."""
    await producer.send_and_wait(
        COMMANDS, key=(key or command.ledger_id).encode(), value=encode_command(command), partition=partition
    )


async def seq_of(ledger: DirectLedger, ledger_id: str) -> int:
    """How many facts a ledger has; 0 where it does not exist."""
    answer = await ledger.submit(Read(id="look", tenant_id=TENANT, ledger_id=ledger_id))
    return int(json.loads(answer.state)["seq"]) if answer.outcome is Outcome.ACCEPTED else 0


async def dead_letter_of(config: Config, mark: str) -> dict[str, object]:
    """The dead letter whose value holds a mark."""
    reader, at = new_reader(config.kafka_servers), TopicPartition(DEAD_LETTERS, 0)
    await reader.start()
    try:
        reader.assign([at])
        await reader.seek_to_beginning(at)

        async def found() -> dict[str, object] | None:
            records = (await reader.getmany(at, timeout_ms=200)).get(at, [])
            return next((json.loads(r.value) for r in records if mark.encode() in r.value), None)

        return await until(found, f"a dead letter with {mark}")
    finally:
        await reader.stop()


async def test_a_command_from_any_producer_is_decided_once_however_often_it_is_produced(
    producer: AIOKafkaProducer, ledger: DirectLedger
) -> None:
    """The command id is the identity, not the record."""
    account = new_account()
    for command in (
        CreateEntity(id="1", tenant_id=TENANT, ledger_id=account),
        AddBudget(id="2", tenant_id=TENANT, ledger_id=account, amount="5", currency="USD"),
        AddBudget(id="2", tenant_id=TENANT, ledger_id=account, amount="5", currency="USD"),
        Reserve(id="3", tenant_id=TENANT, ledger_id=account, amount="6", currency="USD"),
    ):
        await produce(producer, command)

    async def decided() -> bool:
        return await seq_of(ledger, account) == 3

    await until(decided, "three facts")
    repeated = await ledger.submit(AddBudget(id="2", tenant_id=TENANT, ledger_id=account, amount="5", currency="USD"))
    refused = await ledger.submit(Reserve(id="3", tenant_id=TENANT, ledger_id=account, amount="6", currency="USD"))
    assert (repeated.repeated, repeated.seq, repeated.available) == (True, 2, "5")
    assert (refused.repeated, refused.outcome, refused.seq) == (True, Outcome.BUDGET_EXHAUSTED, 3)


ADD = '{"op":"add_budget","id":"MARK","tenant_id":"t","ledger_id":"LEDGER","amount":AMOUNT,"currency":"CURRENCY"}'


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param("no json MARK", "malformed", id="not JSON"),
        pytest.param('{"op":"fly","id":"MARK"}', "unknown_command", id="unknown command"),
        pytest.param(ADD.replace("AMOUNT", "1.5"), "bad_amount", id="float"),
        pytest.param(ADD.replace("AMOUNT", '"-1"'), "bad_amount", id="negative"),
        pytest.param(ADD.replace("AMOUNT", '"1"').replace("CURRENCY", "XXX"), "unknown_currency", id="currency"),
        pytest.param('{"op":"read","id":"MARK","tenant_id":"t","ledger_id":"asset_asset_1"}', "wrong_key", id="another key"),
        pytest.param(ADD.replace("AMOUNT", '"1"').replace("CURRENCY", "USD"), "unknown_entity", id="unknown entity"),
    ],
)
async def test_what_cannot_be_put_on_a_ledger_becomes_a_dead_letter_and_the_partition_goes_on(
    stack: Config, producer: AIOKafkaProducer, ledger: DirectLedger, value: str, reason: str
) -> None:
    """A dead letter says reason, topic, partition and offset; the next command of the partition is decided."""
    account, mark = new_account(), uuid.uuid4().hex
    partition = partition_of(account, stack.partitions)
    body = value.replace("MARK", mark).replace("LEDGER", account).encode()
    sent = await producer.send_and_wait(COMMANDS, key=account.encode(), value=body, partition=partition)
    await produce(producer, CreateEntity(id="after", tenant_id=TENANT, ledger_id=account))
    letter = await dead_letter_of(stack, mark)
    assert letter["reason"] == reason
    assert (letter["topic"], letter["partition"], letter["offset"]) == (COMMANDS, partition, sent.offset)

    async def goes_on() -> bool:
        return await seq_of(ledger, account) == 1

    await until(goes_on, "the command after it")


async def test_a_ledger_id_with_the_wrong_prefix_becomes_a_dead_letter(stack: Config, producer: AIOKafkaProducer) -> None:
    """The namespace and the entity's prefix must belong together."""
    mark = uuid.uuid4().hex
    await produce(producer, CreateEntity(id=mark, tenant_id=TENANT, ledger_id=f"asset_acct_{mark}"))
    assert (await dead_letter_of(stack, mark))["reason"] == "bad_ledger_id"


async def test_a_command_for_another_tenants_entity_becomes_a_dead_letter(
    stack: Config, producer: AIOKafkaProducer, ledger: DirectLedger
) -> None:
    """A foreign entity answers as if it did not exist."""
    account, mark = new_account(), uuid.uuid4().hex
    await ledger.submit(CreateEntity(id="1", tenant_id=TENANT, ledger_id=account))
    await produce(producer, AddBudget(id=mark, tenant_id="tenant_other", ledger_id=account, amount="1", currency="USD"))
    assert (await dead_letter_of(stack, mark))["reason"] == "unknown_entity"
    assert await seq_of(ledger, account) == 1


async def test_a_command_on_the_wrong_partition_is_forwarded_to_the_right_one_once(
    stack: Config, producer: AIOKafkaProducer, ledger: DirectLedger
) -> None:
    """librdkafka's default partitioner is not murmur2; its commands still arrive."""
    account = new_account()
    wrong = (partition_of(account, stack.partitions) + 1) % stack.partitions
    await produce(producer, CreateEntity(id="1", tenant_id=TENANT, ledger_id=account), partition=wrong)

    async def arrived() -> bool:
        return await seq_of(ledger, account) == 1

    await until(arrived, "the forwarded command")


async def test_an_oversize_command_becomes_a_dead_letter(stack: Config, producer: AIOKafkaProducer) -> None:
    """A command larger than 256 KiB is refused before it is read."""
    mark = uuid.uuid4().hex
    value = b'{"op":"create_entity","id":"%b","data":{"a":"%b"}}' % (mark.encode(), b"x" * 300_000)
    await producer.send_and_wait(COMMANDS, key=new_account().encode(), value=value)
    assert (await dead_letter_of(stack, mark))["reason"] == "too_large"


async def test_a_record_of_megabytes_becomes_a_letter_that_fits_and_the_partition_goes_on(
    stack: Config, producer: AIOKafkaProducer, ledger: DirectLedger
) -> None:
    """A letter that does not fit a record would stop the partition for good."""
    account, mark = new_account(), uuid.uuid4().hex
    partition = partition_of(account, stack.partitions)
    await producer.send_and_wait(
        COMMANDS, key=account.encode(), value=mark.encode() + b"\x01" * 6 * 1024 * 1024, partition=partition
    )
    await produce(producer, CreateEntity(id="after", tenant_id=TENANT, ledger_id=account))
    letter = await dead_letter_of(stack, mark)
    assert (letter["reason"], letter["bytes"]) == ("too_large", 6 * 1024 * 1024 + len(mark))

    async def goes_on() -> bool:
        return await seq_of(ledger, account) == 1

    await until(goes_on, "the command after it")
