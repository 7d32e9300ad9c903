"""On the real stack: reservations that nobody asks for end by themselves, and both doors at once give one effect."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from tests.waiting import until
from z0.client import DirectLedger, connect
from z0.client.partitioner import partition_of
from z0.codec import decode_fact, encode_command
from z0.config import Config
from z0.domain.commands import AddBudget, CreateEntity, DeductBudget, Reserve
from z0.domain.facts import StoredFact
from z0.domain.outcome import Outcome
from z0.log.kafka import new_producer, new_reader
from z0.names import CLAIM_KEY, COMMANDS, FACTS

pytestmark = pytest.mark.stack
TENANT = "tenant_time"
LATE_MS_MAX = 2_000


@pytest.fixture
async def ledger(stack: Config) -> AsyncIterator[DirectLedger]:
    """The client."""
    async with connect(stack) as ledger:
        yield ledger


@pytest.fixture
async def producer(stack: Config) -> AsyncIterator[AIOKafkaProducer]:
    """Any producer; here aiokafka's."""
    producer = new_producer(stack.kafka_servers)
    await producer.start()
    yield producer
    await producer.stop()


async def account(ledger: DirectLedger) -> str:
    """A new account with 100 USD."""
    ledger_id = f"account_acct_{uuid.uuid4().hex}"
    await ledger.submit(CreateEntity(id="create", tenant_id=TENANT, ledger_id=ledger_id))
    funded = AddBudget(id="fund", tenant_id=TENANT, ledger_id=ledger_id, amount="100", currency="USD")
    assert (await ledger.submit(funded)).outcome is Outcome.ACCEPTED
    return ledger_id


async def facts_of(config: Config, ledger_id: str) -> list[StoredFact]:
    """A ledger's facts as the log has them now; nobody asks the ledger."""
    reader, at = new_reader(config.kafka_servers), TopicPartition(FACTS, partition_of(ledger_id, config.partitions))
    await reader.start()
    try:
        reader.assign([at])
        await reader.seek_to_beginning(at)
        end = (await reader.end_offsets([at]))[at]
        found: list[StoredFact] = []
        while await reader.position(at) < end:
            for record in (await reader.getmany(at, timeout_ms=500)).get(at, []):
                if record.key != CLAIM_KEY and record.key == ledger_id.encode():
                    found.append(decode_fact(record.value))
        return found
    finally:
        await reader.stop()


async def test_a_reservation_ends_within_two_seconds_of_its_time_though_nobody_asks(stack: Config, ledger: DirectLedger) -> None:
    """The worker's timer writes the fact; it says when by the batch's time, which is when it was decided."""
    ledger_id = await account(ledger)
    held = await ledger.submit(Reserve(id="r1", tenant_id=TENANT, ledger_id=ledger_id, amount="60", currency="USD", ttl_ms=1_000))
    assert held.expires_at is not None

    async def expired() -> StoredFact | None:
        return next((fact for fact in await facts_of(stack, ledger_id) if fact.subtype == "expired"), None)

    fact = await until(expired, "the reservation expires")
    assert 0 <= fact.recorded_at - held.expires_at < LATE_MS_MAX
    assert (fact.amount, fact.available, fact.command_id) == ("60", "100", None)


async def test_the_same_command_by_both_doors_at_once_has_one_effect(
    stack: Config, ledger: DirectLedger, producer: AIOKafkaProducer
) -> None:
    """Whoever comes first decides; all the others hear the same."""
    ledger_id = await account(ledger)
    command = DeductBudget(id="once", tenant_id=TENANT, ledger_id=ledger_id, amount="70", currency="USD")
    other = DeductBudget(id="once", tenant_id=TENANT, ledger_id=ledger_id, amount="71", currency="USD")
    sends = [producer.send_and_wait(COMMANDS, key=ledger_id.encode(), value=encode_command(command)) for _ in range(5)]
    asks = [ledger.submit(command) for _ in range(20)]
    sending = asyncio.gather(*sends)
    answers = await asyncio.gather(*asks)
    await sending
    assert {(answer.outcome, answer.seq, answer.available) for answer in answers} == {(Outcome.ACCEPTED, 3, "30")}
    assert (await ledger.submit(other)).outcome is Outcome.ID_REUSED
    last = AddBudget(id="last", tenant_id=TENANT, ledger_id=ledger_id, amount="1", currency="USD")
    await producer.send_and_wait(COMMANDS, key=ledger_id.encode(), value=encode_command(last))  # behind the five on the topic

    async def all_there() -> list[StoredFact] | None:
        facts = await facts_of(stack, ledger_id)
        return facts if facts and facts[-1].command_id == "last" else None

    facts = await until(all_there, "what was produced is decided")
    assert [fact.command_id for fact in facts] == ["create", "fund", "once", "last"]
