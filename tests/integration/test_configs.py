"""Configs on the real stack: written by a command, in force in a worker's decisions, there again after a kill."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from msgspec import Raw

from tests.integration.test_worker import facts_of
from tests.waiting import until
from z0 import stack as local
from z0.client import DirectLedger, connect
from z0.config import Config
from z0.configs.reader import read_book
from z0.domain.answer import Answer
from z0.domain.commands import AddBudget, CreateEntity, PutConfig, Read, Reserve
from z0.domain.facts import ConfigType, Scope
from z0.domain.outcome import Outcome
from z0.stack import layout, supervise
from z0.stack.programs import environment as environment_of

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]
PATIENT_MS = 40_000


@pytest.fixture
async def ledger(stack: Config) -> AsyncIterator[DirectLedger]:
    """The client."""
    async with connect(stack) as ledger:
        yield ledger


class Story:
    """One tenant with one account."""

    def __init__(self, ledger: DirectLedger) -> None:
        tag = uuid.uuid4().hex[:10]
        self.ledger = ledger
        self.tenant = f"tenant_{tag}"
        self.config = f"cfg_{tag}"
        self.base: dict[str, Any] = {"tenant_id": self.tenant, "ledger_id": f"account_acct_{tag}"}

    async def begin(self) -> None:
        await self.ledger.submit(CreateEntity(id="create", **self.base), timeout_ms=PATIENT_MS)
        await self.ledger.submit(AddBudget(id="add", amount="10", currency="USD", **self.base), timeout_ms=PATIENT_MS)

    async def put(self, kind: ConfigType, settings: Any, **fields: Any) -> Answer:
        command = PutConfig(
            id=uuid.uuid4().hex,
            tenant_id=self.tenant,
            ledger_id=f"config_{self.config}",
            type=kind,
            scope=Scope.TENANT,
            settings=Raw(msgspec.json.encode(settings)),
            **fields,
        )
        return await self.ledger.submit(command, timeout_ms=PATIENT_MS)

    async def reserve(self, amount: str = "1") -> Answer:
        command = Reserve(id=uuid.uuid4().hex, amount=amount, currency="USD", **self.base)
        return await self.ledger.submit(command, timeout_ms=PATIENT_MS)

    async def until_refused(self) -> Answer:
        """Reserve again and again until a config says no."""

        async def refused() -> Answer | None:
            answer = await self.reserve("0.01")
            return answer if answer.outcome is not Outcome.ACCEPTED else None

        return await until(refused, "the config is in force")


def cap(count: int) -> dict[str, Any]:
    return {"limits": [{"name": "all", "counts": "spend", "window": "total", "max_count": count}]}


async def test_a_config_is_in_force_once_its_copy_has_come_round_and_survives_a_kill(stack: Config, ledger: DirectLedger) -> None:
    """The worker that takes over reads it before it decides anything; the next version supersedes it."""
    story = Story(ledger)
    await story.begin()
    assert (await story.reserve()).outcome is Outcome.ACCEPTED
    assert (await story.put(ConfigType.CAP, cap(0))).outcome is Outcome.ACCEPTED
    refused = await story.until_refused()
    assert refused.outcome is Outcome.CAP_EXHAUSTED
    local.kill(stack, "worker", signal.SIGKILL)
    assert (await story.reserve("0.02")).outcome is Outcome.CAP_EXHAUSTED
    assert (await story.put(ConfigType.CAP, cap(10_000))).outcome is Outcome.ACCEPTED

    async def passes() -> bool:
        return (await story.reserve("0.01")).outcome is Outcome.ACCEPTED

    await until(passes, "the second version is in force")
    book = await read_book(stack.kafka_servers)
    assert [version.version for version in book.versions(story.config)] == [1, 2]


async def test_a_config_that_does_not_fit_is_refused_by_its_own_ledger(ledger: DirectLedger) -> None:
    """With words, and without a version."""
    story = Story(ledger)
    answer = await story.put(ConfigType.CAP, {"limits": [{"name": "x"}]})
    assert answer.outcome is Outcome.BAD_CONFIG
    assert "counts" in (answer.detail or "")
    first = await story.put(ConfigType.BUDGET, {"overdraft": {"USD": "5"}})
    assert (first.outcome, first.seq) == (Outcome.ACCEPTED, 2)
    answer = await story.put(ConfigType.CAP, cap(1))
    assert answer.outcome is Outcome.BAD_CONFIG


async def test_an_overdraft_by_config_is_written_on_the_decisions_that_used_it(stack: Config, ledger: DirectLedger) -> None:
    """Only where it is in force may the balance go below zero."""
    story = Story(ledger)
    await story.begin()
    assert (await story.reserve("12")).outcome is Outcome.BUDGET_EXHAUSTED
    await story.put(ConfigType.BUDGET, {"overdraft": {"USD": "5"}}, applies_to="account")

    async def passes() -> Answer | None:
        answer = await story.reserve("12")
        return answer if answer.outcome is Outcome.ACCEPTED else None

    answer = await until(passes, "the overdraft is in force")
    assert answer.available == "-2"
    read = await ledger.submit(Read(id="look", **story.base), timeout_ms=PATIENT_MS)
    assert json.loads(read.state)["budgets"]["USD"]["available"] == "-2"
    fact = next(fact for fact in await facts_of(stack, story.base["ledger_id"]) if fact.seq == answer.seq)
    assert msgspec.json.decode(fact.configs) == {story.config: 1}


async def test_a_person_writes_and_looks_at_configs_on_the_command_line(stack: Config) -> None:
    """Each version with the time in which it is in force; a refusal says what is wrong."""
    tag = uuid.uuid4().hex[:10]
    whose = ("--tenant", tag, "--type", "cap")
    config = f"cfg_{tag}"
    nobodys = await z0(stack, "config", "put", config, json.dumps(cap(5)), *whose)
    assert (nobodys.returncode, f"`z0 tenant create {tag}` makes it" in nobodys.stderr) == (1, True)
    assert (await z0(stack, "tenant", "create", tag)).returncode == 0
    first_time = ("--id", f"put-{tag}")
    done = await z0(stack, "config", "put", config, json.dumps(cap(5)), *whose, *first_time)
    assert done.stdout.startswith(f"{config}: version 1 written, in force from ")
    later = ("--at", "2037-01-01T00:00:00Z", "--name", "later")
    done = await z0(stack, "config", "put", config, json.dumps(cap(6)), *whose, *later, "--json")
    assert (json.loads(done.stdout)["version"], json.loads(done.stdout)["effective_at"]) == (2, 2_114_380_800_000)
    again = await z0(stack, "config", "put", config, json.dumps(cap(5)), *whose, *first_time, "--json")
    assert (json.loads(again.stdout)["version"], json.loads(again.stdout)["repeated"]) == (1, True)
    wrong = await z0(stack, "config", "put", config, '{"limits": 1}', *whose)
    assert wrong.returncode == 1
    assert "bad_config" in wrong.stderr
    assert "limits" in wrong.stderr

    async def both() -> list[Any] | None:
        found = await z0(stack, "config", "get", config, "--all", "--json")
        listed = json.loads(found.stdout) if found.returncode == 0 else []
        return listed if len(listed) == 2 else None

    first, second = await until(both, "both versions have come round")
    assert (first["version"], second["version"], second["name"]) == (1, 2, "later")
    assert first["until"] == second["since"]
    assert first["settings"] == cap(5)
    then = await z0(stack, "config", "get", config, "--at", "2037-01-02T00:00:00Z", "--json")
    assert json.loads(then.stdout)["version"] == 2
    listed = await z0(stack, "config", "list", "--tenant", tag, "--json")
    assert [one["version"] for one in json.loads(listed.stdout)] == [1]
    assert config in (await z0(stack, "config", "list")).stdout


def routes(*tools: str) -> dict[str, Any]:
    return {"candidates": [{"tool_id": f"tool_{name}"} for name in tools]}


def tools(body: dict[str, Any]) -> list[str]:
    return [candidate["tool_id"].removeprefix("tool_") for candidate in body["settings"]["routing"]["candidates"]]


async def test_a_router_asks_where_an_entitys_requests_may_go_over_http_and_on_the_command_line(stack: Config) -> None:
    """Narrowed over the scopes, as it was before and as it is scheduled; both ways say the same."""
    tag = uuid.uuid4().hex[:10]
    whose, entity = ("--tenant", tag), f"acct_{tag}"
    assert (await z0(stack, "tenant", "create", tag)).returncode == 0
    made = await z0(stack, "key", "create", *whose, "--json")
    async with httpx.AsyncClient(base_url=stack.api_url, headers={"X-API-Key": json.loads(made.stdout)["key"]}) as http:
        assert (await http.post("/v1/entities", json={"id": entity})).status_code == 200
        path, before = f"/v1/entities/{entity}/configs?type=routing", int(time.time() * 1000) - 60_000
        for config, said, more in (
            ("all", routes("a", "b", "c"), ("--applies-to", "account")),
            ("one", routes("c", "a"), ("--entity", entity)),
            ("one", routes("a"), ("--entity", entity, "--at", "2037-01-01T00:00:00Z")),
        ):
            done = await z0(stack, "config", "put", f"cfg_{config}_{tag}", json.dumps(said), *whose, "--type", "routing", *more)
            assert done.returncode == 0, done.stderr

        async def narrowed() -> dict[str, Any] | None:
            found: dict[str, Any] = (await http.get(path)).json()
            return found if len(found["configs"]) == 2 and found["until"] is not None else None

        found = await until(narrowed, "the configs are in Postgres")
        assert tools(found) == ["c", "a"]
        later = (await http.get(f"{path}&at={found['until']}")).json()
        assert (tools(later), [source["version"] for source in later["configs"]]) == (["a"], [1, 2])
        assert (await http.get(f"{path}&at={before}")).json()["settings"] == {"routing": None}
        at = ("--type", "routing", "--at", str(found["until"]), "--json")

        async def the_same() -> bool:
            done = await z0(stack, "config", "effective", entity, *whose, *at)
            return bool(json.loads(done.stdout) == later)

        await until(the_same, "the command line says the same")


async def test_the_command_line_shows_what_holds_for_an_entity_while_postgres_is_away(stack: Config) -> None:
    """Also what is written meanwhile: it reads the copy on Kafka, and neither a worker nor the sink of configs needs Postgres."""
    tag = uuid.uuid4().hex[:10]
    whose, said = ("--tenant", tag, "--type", "routing"), json.dumps(routes("b", "a"))
    supervisor = supervise.connect(layout.of(stack))
    assert supervisor is not None
    assert (await z0(stack, "tenant", "create", tag)).returncode == 0
    try:
        supervisor.stop("postgres")
        done = await z0(stack, "config", "put", f"cfg_{tag}", said, *whose, "--applies-to", "account")
        assert done.returncode == 0, done.stderr

        async def shown() -> list[str] | None:
            done = await z0(stack, "config", "effective", f"acct_{tag}", *whose, "--json")
            assert done.returncode == 0, done.stderr
            found = json.loads(done.stdout)
            return tools(found) if found["configs"] else None

        assert await until(shown, "the config has come round") == ["b", "a"]
        assert supervisor.info("postgres").state == "STOPPED"
    finally:
        local.restart(stack, "postgres", lambda name, text: None)


async def z0(config: Config, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command line as a person would use it."""
    command = [sys.executable, "-m", "z0", *arguments]
    environment = {**os.environ, **environment_of(config)}
    return await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, text=True, timeout=60)
