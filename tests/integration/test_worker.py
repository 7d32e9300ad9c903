"""The worker on the real stack: what it answered survives kill -9, and a worker that has lost everything rebuilds it."""

import json
import shutil
import signal
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from tests.waiting import until
from z0 import stack as local
from z0.client import DirectLedger, connect
from z0.client.partitioner import partition_of
from z0.codec import hash_of
from z0.config import Config
from z0.domain.answer import Answer
from z0.domain.commands import AddBudget, Command, Confirm, CreateEntity, Read, Reserve
from z0.domain.facts import ZERO_HASH, StoredFact
from z0.domain.outcome import Outcome
from z0.log.kafka import KafkaLog
from z0.log.reader import FactReader
from z0.log.validity import Position, Standing

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]
TENANT = "tenant_worker"
PATIENT_MS = 40_000  # a killed worker's partitions are taken over after the session time-out


@pytest.fixture
async def ledger(stack: Config) -> AsyncIterator[DirectLedger]:
    """The client."""
    async with connect(stack) as ledger:
        yield ledger


def story(account: str) -> list[Command]:
    """An account that gets money, holds some and spends part of it."""
    of: Any = {"tenant_id": TENANT, "ledger_id": account}
    return [
        CreateEntity(id="1", **of),
        AddBudget(id="2", amount="10", currency="USD", **of),
        Reserve(id="3", amount="4", currency="USD", reservation_id="r", **of),
        Confirm(id="4", reservation_id="r", amount="1.5", **of),
        Reserve(id="5", amount="100", currency="USD", **of),
    ]


async def state_of(ledger: DirectLedger, account: str) -> dict[str, object]:
    """The state of an account, waited for."""
    answer = await ledger.submit(Read(id="look", tenant_id=TENANT, ledger_id=account), timeout_ms=PATIENT_MS)
    assert answer.outcome is Outcome.ACCEPTED
    state: dict[str, object] = json.loads(answer.state)
    return state


async def facts_of(config: Config, account: str) -> list[StoredFact]:
    """The valid facts of a ledger, straight from the log."""
    log, partition = KafkaLog(config.kafka_servers), partition_of(account, config.partitions)
    _, end = await log.bounds(partition)
    reader = FactReader(partition, Position())
    found = []
    async for records in log.read(partition, 0, end):
        for read in reader.read(records):
            if read.standing is Standing.VALID and read.fact is not None and read.fact.ledger_id == account:
                assert hash_of(read.value) == read.fact.hash
                found.append(read.fact)
    return found


def assert_chained(facts: list[StoredFact]) -> None:
    """Gapless from 1, each pointing at the one before."""
    assert [fact.seq for fact in facts] == list(range(1, len(facts) + 1))
    assert [fact.prev_hash for fact in facts] == [ZERO_HASH, *(fact.hash for fact in facts[:-1])]


def first(answer: Answer) -> tuple[object, ...]:
    """What must be the same in the first answer and in every repeat."""
    return answer.outcome, answer.seq, answer.offset, answer.available, answer.reservation_id, answer.recorded_at


async def test_what_was_answered_survives_kill_9_and_a_repeat_gives_the_first_outcome(
    stack: Config, ledger: DirectLedger
) -> None:
    """Answers come after the acks, so a killed worker has promised nothing that the log does not hold."""
    account = f"account_acct_{uuid.uuid4().hex}"
    before = [await ledger.submit(command) for command in story(account)]
    state = await state_of(ledger, account)
    local.kill(stack, "worker", signal.SIGKILL)
    after = [await ledger.submit(command, timeout_ms=PATIENT_MS) for command in story(account)]
    assert [first(answer) for answer in after] == [first(answer) for answer in before]
    assert all(answer.repeated for answer in after)
    assert await state_of(ledger, account) == state
    assert_chained(await facts_of(stack, account))


async def test_commands_under_way_at_a_kill_9_have_one_effect(stack: Config, ledger: DirectLedger) -> None:
    """The client asks again under the same ids until its deadline."""
    account = f"account_acct_{uuid.uuid4().hex}"
    await ledger.submit_many(story(account)[:2], timeout_ms=PATIENT_MS)
    deposits = [AddBudget(id=f"d{n}", tenant_id=TENANT, ledger_id=account, amount="1", currency="USD") for n in range(2_000)]
    local.kill(stack, "worker", signal.SIGKILL)
    answers = await ledger.submit_many(deposits, timeout_ms=PATIENT_MS)
    assert {answer.outcome for answer in answers} == {Outcome.ACCEPTED}
    facts = await facts_of(stack, account)
    assert_chained(facts)
    assert len({fact.command_id for fact in facts}) == len(facts) == 2_002


async def test_a_worker_that_lost_its_disk_rebuilds_state_and_ids_from_the_log(stack: Config, ledger: DirectLedger) -> None:
    """Tables and index are disposable: the fact log is the database."""
    account = f"account_acct_{uuid.uuid4().hex}"
    before = [await ledger.submit(command, timeout_ms=PATIENT_MS) for command in story(account)]
    state = await state_of(ledger, account)
    local.kill(stack, "worker", signal.SIGKILL)
    shutil.rmtree(stack.home / "workers", ignore_errors=True)
    after = [await ledger.submit(command, timeout_ms=PATIENT_MS) for command in story(account)]
    assert [first(answer) for answer in after] == [first(answer) for answer in before]
    assert await state_of(ledger, account) == state


async def test_a_client_without_the_secret_is_sent_away(stack: Config) -> None:
    """The door is inside; beyond loopback it needs the shared secret."""
    wrong = stack.model_copy(update={"door_secret": SecretStr("wrong")})
    async with connect(wrong) as ledger:
        answer = await ledger.submit(Read(id="1", tenant_id=TENANT, ledger_id="account_acct_1"), timeout_ms=1_000)
    assert answer.outcome is Outcome.TIMEOUT


async def test_every_partition_has_an_owner_again_after_a_restart(stack: Config, ledger: DirectLedger) -> None:
    """`z0 restart worker` is a planned one: snapshots are written first."""
    local.restart(stack, "worker", lambda name, text: None)

    async def ready() -> bool:
        return ledger.is_ready()

    await until(ready, "all partitions owned")
