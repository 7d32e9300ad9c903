"""`z0 import` on the real stack, through both doors: interrupted, with the worker and the API killed, from another machine."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from api.keys import KeyRecord, Mode, Scope
from tests.waiting import until
from z0 import stack as local
from z0.cli.tenants import create_key, create_tenant
from z0.client import DirectLedger, connect
from z0.config import Config
from z0.domain.commands import AddBudget, CreateEntity, Read
from z0.domain.outcome import Outcome
from z0.stack.programs import environment

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]
PATIENT_MS = 40_000
ROWS = 3_000
MAPPING = """
version: 1
constants: {{account: acct_x}}
fields: {{n: {{column: n, type: amount}}}}
time: {{column: at, zone: UTC, shift: ends_now}}
commands:
  - step: reserve
    body: {{op: reserve, tenant_id: {tenant}, ledger_id: "account_{{account}}", amount: "{{n}}", currency: USD}}
  - step: confirm
    needs: [reserve]
    body: {{op: confirm, tenant_id: {tenant}, ledger_id: "account_{{account}}", reservation_id: "{{reserve.id}}"}}
"""


@dataclass(frozen=True)
class World:
    """A tenant with a key, a file and its mapping."""

    config: Config
    ledger: DirectLedger
    key: str
    folder: Path

    async def account(self, name: str) -> dict[str, Any]:
        """An account with money for two thirds of the rows, as `--set` takes it."""
        to: Any = {"tenant_id": "tenant_imports", "ledger_id": f"account_acct_{name}"}
        for command in (CreateEntity(id="c", **to), AddBudget(id="d", amount=str(ROWS * 2 // 3), currency="USD", **to)):
            assert (await self.ledger.submit(command, timeout_ms=PATIENT_MS)).outcome is Outcome.ACCEPTED
        return dict(to)

    async def budget(self, to: dict[str, Any]) -> dict[str, Decimal]:
        """The account's dollars."""
        answer = await self.ledger.submit(Read(id="look", **to), timeout_ms=PATIENT_MS)
        return {name: Decimal(value) for name, value in json.loads(answer.state)["budgets"]["USD"].items()}

    def start(self, account: str, *options: str, home: Path | None = None) -> "subprocess.Popen[str]":
        """The command line, as a user gives it."""
        arguments = [
            str(self.folder / "f.csv"),
            "--mapping",
            str(self.folder / "m.yaml"),
            "--set",
            f"account=acct_{account}",
            "--json",
        ]
        settings = dict(environment(self.config)) | ({"Z0_HOME": str(home)} if home else {})
        command = [sys.executable, "-m", "z0", "import", *arguments, *options]
        return subprocess.Popen(command, env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True)


@pytest.fixture
async def world(stack: Config, tmp_path: Path) -> AsyncIterator[World]:
    """The world."""
    async with connect(stack) as ledger:
        await create_tenant(ledger, "imports")
        wanted = KeyRecord(hash="", mode=Mode.TEST, scopes=[Scope.READ, Scope.WRITE])
        key = (await create_key(ledger, "imports", wanted)).key
        lines = [f"2023-11-16 18:{n // 60 % 60:02}:{n % 60:02}.1234567,1" for n in range(ROWS)]
        (tmp_path / "f.csv").write_text("\n".join(["at,n", *lines]))
        (tmp_path / "m.yaml").write_text(MAPPING.format(tenant="tenant_imports"))
        yield World(stack, ledger, key, tmp_path)


async def ended(process: "subprocess.Popen[str]") -> tuple[int, dict[str, Any]]:
    """Exit code and summary."""
    out, _ = await asyncio.to_thread(process.communicate)
    return process.returncode, json.loads(out)


def door(name: str, world: World) -> list[str]:
    """The options of a door."""
    return ["--door", "kafka", "--window", "200"] if name == "kafka" else ["--api-key", world.key, "--batch", "100"]


def settled(budget: dict[str, Decimal]) -> None:
    """Each row once, as far as the money goes."""
    assert budget["spent"] == ROWS * 2 // 3
    assert budget["reserved"] == 0
    assert budget["available"] == 0


@pytest.mark.parametrize("name", ["http", "kafka"])
async def test_interrupted_and_run_again(world: World, name: str) -> None:
    """Ctrl-C in the middle; the same command again ends with every row once."""
    to = await world.account(f"stopped-{name}")
    process = world.start(f"stopped-{name}", *door(name, world))

    async def begun() -> bool:
        return (await world.budget(to))["spent"] > 100

    await until(begun, "the import begins")
    process.send_signal(signal.SIGINT)
    code, first = await ended(process)
    assert (code, first["interrupted"]) == (130, True)
    assert 0 < first["rows"] < ROWS
    code, second = await ended(world.start(f"stopped-{name}", *door(name, world)))
    assert code == 0
    assert second["repeated"] == first["decisions"]
    assert "id_reused" not in second["outcomes"]
    settled(await world.budget(to))


@pytest.mark.parametrize("name", ["http", "kafka"])
@pytest.mark.faults
async def test_worker_and_api_killed(world: World, name: str) -> None:
    """The import goes on when they are back, and nothing is lost or doubled."""
    to = await world.account(f"killed-{name}")
    process = world.start(f"killed-{name}", *door(name, world))

    async def begun() -> bool:
        return (await world.budget(to))["spent"] > 100

    await until(begun, "the import begins")
    local.kill(world.config, "worker")
    local.kill(world.config, "api")
    code, summary = await ended(process)
    assert (code, summary["unresolved"]) == (0, 0)
    settled(await world.budget(to))


async def test_again_from_another_machine(world: World) -> None:
    """Without the note of where it began, the log is looked through; with the same end of time the bodies are the same."""
    to = await world.account("elsewhere")
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat(timespec="seconds")
    options = ["--door", "kafka", "--ends-at", yesterday, "--rows", "300"]
    code, first = await ended(world.start("elsewhere", *options))
    assert (code, first["repeated"]) == (0, 0)
    code, second = await ended(world.start("elsewhere", *options, home=world.folder / "home"))
    assert (code, second["decisions"], second["repeated"]) == (0, 600, 600)
    assert (await world.budget(to))["spent"] == 300
