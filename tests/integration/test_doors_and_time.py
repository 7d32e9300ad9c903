"""On the real stack: reservations that nobody asks for end by themselves, and both doors at once give one effect."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from tests.integration.test_closings import caller
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
# Of a refusal alone and of an item of a batch; the rest of both is the answer.
OF_ITS_ROUTE = {"index", "type", "title", "instance"}


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


async def facts_up_to(config: Config, ledger_id: str, command_id: str) -> list[StoredFact]:
    """A ledger's facts, once the log has that command's."""

    async def there() -> list[StoredFact] | None:
        facts = await facts_of(config, ledger_id)
        return facts if facts and facts[-1].command_id == command_id else None

    return await until(there, f"{command_id} is decided")


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
    facts = await facts_up_to(stack, ledger_id, "last")
    assert [fact.command_id for fact in facts] == ["create", "fund", "once", "last"]


def decisions(response: httpx.Response) -> list[dict[str, Any]]:
    """What a response says of decisions: an item of a batch as if it had been asked for alone."""
    answers = response.json().get("results", [response.json()])
    return [{"status": response.status_code} | {name: a[name] for name in a if name not in OF_ITS_ROUTE} for a in answers]


@pytest.mark.parametrize(
    ("amount", "status", "left"), [pytest.param("70", 200, "31", id="accepted"), pytest.param("700", 402, "101", id="refused")]
)
async def test_the_same_command_over_http_and_kafka_at_once_has_one_effect_and_equal_answers(
    stack: Config, producer: AIOKafkaProducer, amount: str, status: int, left: str
) -> None:
    """By every route that makes it, each request on a connection of its own; only `repeated` tells the first from the others."""
    async with caller(stack) as api:
        ledger_id = f"account_{api.account}"
        command = DeductBudget(id="once", tenant_id=api.tenant_id, ledger_id=ledger_id, amount=amount, currency="USD")
        body = {"amount": amount, "currency": "USD"}
        item = {"op": "deduct_budget", "id": "once", "entity_id": api.account, **body}
        produced = [producer.send_and_wait(COMMANDS, key=ledger_id.encode(), value=encode_command(command)) for _ in range(8)]
        asked = [
            ask
            for _ in range(8)
            for ask in (
                api.http.post(f"{api.path}/budget/deduct", json=body, headers={"Idempotency-Key": "once"}),
                api.http.post("/v1/commands", json=item),
                api.http.post("/v1/commands/batch", json={"commands": [item, item]}),
            )
        ]
        sending = asyncio.gather(*produced)
        responses = await asyncio.gather(*asked)
        await sending
        answers = [answer for response in responses for answer in decisions(response)]
        firsts = [answer.pop("repeated") for answer in answers].count(False)
        assert [answer for answer in answers if answer != answers[0]] == []
        assert (answers[0]["status"], answers[0]["seq"], firsts <= 1) == (status, 3, True)
        last = AddBudget(id="last", tenant_id=api.tenant_id, ledger_id=ledger_id, amount="1", currency="USD")
        await producer.send_and_wait(COMMANDS, key=ledger_id.encode(), value=encode_command(last))  # behind the others
    facts = await facts_up_to(stack, ledger_id, "last")
    assert [(fact.command_id, fact.outcome) for fact in facts[2:]] == [("once", answers[0]["outcome"]), ("last", "accepted")]
    assert facts[3].available == left
