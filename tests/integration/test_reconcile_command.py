"""`z0 reconcile` on the real stack: what it prints, and its exit codes."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from typing import Any

import pytest

from tests.integration.test_worker import facts_of
from z0.client import connect
from z0.client.partitioner import partition_of
from z0.config import Config
from z0.domain.commands import AddBudget, Append, CreateEntity
from z0.domain.facts import Source
from z0.domain.outcome import Outcome
from z0.stack.programs import environment

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]


def reconcile(config: Config, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "z0", "reconcile", *options]
    return subprocess.run(
        command, env={**os.environ, **environment(config)}, capture_output=True, text=True, timeout=90, check=False
    )


async def charge(config: Config, *hashes: str | None) -> list[str]:
    """Charges on an account that name an outcome on another partition, each with a hash of its proof; None: the true one."""
    tag = uuid.uuid4().hex[:8]
    asset, partitions = f"asset_asset_{tag}", config.partitions
    names = (f"account_acct_{tag}{n}" for n in range(99))
    account = next(name for name in names if partition_of(name, partitions) != partition_of(asset, partitions))
    of: dict[str, Any] = {"tenant_id": "tenant_reconcile"}
    async with connect(config) as ledger:
        await ledger.submit(CreateEntity(id="c", ledger_id=asset, **of), timeout_ms=40_000)
        await ledger.submit(Append(id="o", type="outcome", ledger_id=asset, **of))
        await ledger.submit(CreateEntity(id="c", ledger_id=account, **of))
        await ledger.submit(AddBudget(id="d", amount="10", currency="USD", ledger_id=account, **of))
        named = (await facts_of(config, asset))[-1]
        for number, given in enumerate(hashes):
            source = Source(named.id, asset, named.seq, given or named.hash)
            money = {"amount": "1", "currency": "USD"}
            command = Append(id=f"p{number}", type="charge", source_id=named.id, source=source, ledger_id=account, **money, **of)
            assert (await ledger.submit(command)).outcome is Outcome.ACCEPTED
    return [fact.id for fact in await facts_of(config, account) if fact.type == "charge"]


async def test_honest_proofs_end_with_0_and_a_forged_one_is_printed_and_ends_with_1(stack: Config) -> None:
    """As `name=value`, and as JSON. Postgres is waited for: nothing here is reported as missing."""
    await charge(stack, None)
    done = await asyncio.to_thread(reconcile, stack)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(" findings=0 waiting=0\n")
    [forged] = await charge(stack, "0" * 64)
    done = await asyncio.to_thread(reconcile, stack)
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"finding=hash fact_id={forged} source_id=asset_asset_")
    assert lines[-1].endswith(" findings=1 waiting=0")
    done = await asyncio.to_thread(reconcile, stack, "--json")
    finding, summary = map(json.loads, done.stdout.splitlines())
    assert (finding["finding"], finding["fact_id"], finding["expected"]) == ("hash", forged, "0" * 64)
    assert (summary["findings"], summary["waiting"], done.returncode) == (1, 0, 1)
