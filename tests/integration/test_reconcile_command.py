"""`z0 reconcile` on the real stack: what it prints, and its exit codes."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from typing import Any

import pytest

from tests.integration.test_worker import PATIENT_MS, facts_of
from z0.client import DirectLedger, connect
from z0.client.partitioner import partition_of
from z0.config import Config
from z0.domain.commands import AddBudget, Append, Command, CreateEntity
from z0.domain.facts import Source
from z0.domain.outcome import Outcome
from z0.stack.programs import environment

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]


def reconcile(config: Config, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "z0", "reconcile", *options]
    given = {**os.environ, **environment(config)}
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=90, check=False)


async def accepted(ledger: DirectLedger, command: Command) -> None:
    answer = await ledger.submit(command, timeout_ms=PATIENT_MS)
    assert answer.outcome is Outcome.ACCEPTED, answer


async def charge(config: Config, *hashes: str | None) -> list[str]:
    """Charges on an account that name an outcome on another partition, each with a hash of its proof; None: the true one."""
    tag = uuid.uuid4().hex[:8]
    asset, partitions = f"asset_asset_{tag}", config.partitions
    names = (f"account_acct_{tag}{n}" for n in range(99))
    account = next(name for name in names if partition_of(name, partitions) != partition_of(asset, partitions))
    of: dict[str, Any] = {"tenant_id": "tenant_reconcile"}
    money: dict[str, Any] = {"amount": "1", "currency": "USD"}
    async with connect(config) as ledger:
        await accepted(ledger, CreateEntity(id="c", ledger_id=asset, **of))
        await accepted(ledger, Append(id="o", type="outcome", ledger_id=asset, **of))
        await accepted(ledger, CreateEntity(id="c", ledger_id=account, **of))
        await accepted(ledger, AddBudget(id="d", amount="10", currency="USD", ledger_id=account, **of))
        named = (await facts_of(config, asset))[-1]
        for number, given in enumerate(hashes):
            source = Source(named.id, asset, named.seq, given or named.hash)
            command = Append(id=f"p{number}", type="charge", source_id=named.id, source=source, ledger_id=account, **money, **of)
            await accepted(ledger, command)
    return [fact.id for fact in await facts_of(config, account) if fact.type == "charge"]


async def test_honest_proofs_end_with_0_and_a_forged_one_is_printed_and_ends_with_1(stack: Config) -> None:
    """As `name=value`, and as JSON. Postgres is waited for: what was in the log a moment before is judged."""
    await charge(stack, None)
    done = await asyncio.to_thread(reconcile, stack)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(" findings=0 waiting=0 behind=0\n")
    [forged] = await charge(stack, "0" * 64)
    done = await asyncio.to_thread(reconcile, stack)
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"finding=hash fact_id={forged} source_id=asset_asset_")
    assert lines[-1].endswith(" findings=1 waiting=0 behind=0")
    done = await asyncio.to_thread(reconcile, stack, "--json")
    summary = json.loads(done.stdout)
    [finding] = summary["found"]
    assert (finding["finding"], finding["fact_id"], finding["expected"]) == ("hash", forged, "0" * 64)
    assert (summary["findings"], summary["waiting"], summary["behind"], done.returncode) == (1, 0, 0, 1)
