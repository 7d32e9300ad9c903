"""A Kafka with TLS and logins: everything that speaks to one gets in with what `Z0_KAFKA` says, and says so where it does not."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sinks.build import run_sink
from sinks.counts import log_ends
from tests.conftest import free_ports
from tests.integration.secure_kafka import PASSWORD, SCRAM, SecureKafka, secure_kafka
from tests.waiting import until
from z0.bench.cluster import ready, start_worker
from z0.client import DirectLedger, connect
from z0.codec import encode_command
from z0.config import Config
from z0.domain.commands import AddBudget, Command, CreateEntity, Read, Reserve
from z0.domain.outcome import Outcome
from z0.log.kafka import new_producer
from z0.log.producer import open_producer
from z0.log.topics import migrate_topics
from z0.names import COMMANDS
from z0.stack import health
from z0.stack.programs import PYTHON, environment

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(180),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # aiokafka leaves closing TLS to the loop
]
STARTS_S = 90.0  # on a busy machine
OF: Any = {"tenant_id": "tenant_secure", "ledger_id": "account_acct_secure"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def there(stack: Config, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecureKafka]:
    """The Kafka."""
    with secure_kafka(tmp_path_factory.mktemp("secure"), stack) as at:
        await until(partial(asyncio.to_thread, health.kafka, at.by_certificate(), 10.0), "Kafka lets in", STARTS_S)
        yield at


@pytest.fixture
def known(there: SecureKafka, stack: Config, tmp_path: Path) -> Config:
    """The settings of a stack with this Kafka, and a login."""
    return stack.model_copy(update={"home": tmp_path, "kafka": there.by_login(SCRAM), **free_ports()})


def migrate(config: Config) -> "subprocess.CompletedProcess[str]":
    """`z0 migrate` with these settings."""
    command = [*PYTHON, "z0", "migrate"]
    return subprocess.run(command, env={**os.environ, **environment(config)}, capture_output=True, text=True, check=False)


async def test_a_worker_a_client_a_producer_and_a_sink_get_in_with_a_login(known: Config) -> None:
    """Faust's group, the readers, every producer, the admin client: all that speak to Kafka."""
    await migrate_topics(known)
    with start_worker(known):
        await ready(known)
        async with connect(known) as ledger:
            assert (await ledger.submit(CreateEntity(id="1", **OF))).outcome is Outcome.ACCEPTED
            await produce(known, AddBudget(id="2", amount="10", currency="USD", **OF))
            await until(partial(has_money, ledger), "the command by Kafka decided")
            assert (await ledger.submit(Reserve(id="3", amount="11", currency="USD", **OF))).outcome is Outcome.BUDGET_EXHAUSTED
    assert sum((await log_ends(known)).values()) >= 3
    await run_sink(known, "configs", to_end=True)


async def produce(config: Config, command: Command) -> None:
    """As any producer does."""
    producer = new_producer(config.kafka_servers)
    await producer.start()
    try:
        await producer.send_and_wait(COMMANDS, encode_command(command), key=command.ledger_id.encode())
    finally:
        await producer.stop()


async def has_money(ledger: DirectLedger) -> bool:
    """Whether the account has its 10 USD."""
    return b"10" in (await ledger.submit(Read(id="look", **OF))).state


@pytest.mark.parametrize("way", ["PLAIN", SCRAM, "certificate"])
async def test_every_way_in_is_one(there: SecureKafka, way: str) -> None:
    """A password as it is, one that is proved and not sent, and a certificate."""
    url = there.by_certificate() if way == "certificate" else there.by_login(way)
    assert await asyncio.to_thread(health.kafka, url, 10.0)
    await (await open_producer(url)).stop()


@pytest.mark.parametrize(
    "wrong", [{"password": "hunter2"}, {"user": "nobody"}, {"ca": "stranger.pem"}], ids=["password", "user", "authority"]
)
def test_who_is_not_let_in_is_told_where_to_look_and_no_password_is_shown(
    there: SecureKafka, known: Config, wrong: dict[str, str]
) -> None:
    """On the terminal, by the command that a new user runs first."""
    url = there.by_login(SCRAM, **wrong)
    assert not health.kafka(url, 5.0)
    done = migrate(known.model_copy(update={"kafka": url}))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Z0_KAFKA" in done.stderr
    assert ("certificate" if "ca" in wrong else "Authentication failed") in done.stderr
    assert not {"hunter2", PASSWORD, there.by_login(SCRAM)} & set(done.stderr.split())
