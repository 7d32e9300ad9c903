"""Receipts on the real stack: the same from the log and from Postgres, on the command line and over HTTP."""

import json
import uuid
from typing import Any

import httpx
import pytest

from api.keys import KeyRecord, Mode
from api.keys import Scope as KeyScope
from tests.integration.test_configs import PATIENT_MS, Story, cap, ledger, z0
from tests.waiting import until
from z0.cli.tenants import create_key, create_tenant
from z0.client import DirectLedger
from z0.config import Config
from z0.domain.commands import Confirm
from z0.domain.facts import ConfigType
from z0.domain.ids import fact_id
from z0.domain.outcome import Outcome

__all__ = ["ledger"]  # a fixture
pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


async def told(stack: Config, *arguments: str) -> tuple[int, dict[str, Any]]:
    """What `z0 explain --json` says, once the store has the decision."""

    async def said() -> tuple[int, dict[str, Any]] | None:
        done = await z0(stack, "explain", *arguments, "--json")
        return (done.returncode, json.loads(done.stdout)) if done.stdout else None

    return await until(said, f"explain {arguments}", 60)


async def test_a_decision_under_a_cap_comes_to_the_same_bytes_also_after_the_cap_was_raised(
    stack: Config, ledger: DirectLedger
) -> None:
    """From the log and from Postgres, the refusal and what was accepted before it, and only to its tenant."""
    story = Story(ledger)
    await create_tenant(ledger, story.tenant.removeprefix("tenant_"))
    await story.begin()
    held = await story.reserve()
    await ledger.submit(Confirm(id="done", reservation_id=held.reservation_id or "", **story.base), timeout_ms=PATIENT_MS)
    assert (await story.put(ConfigType.CAP, cap(1))).outcome is Outcome.ACCEPTED
    refused = await story.until_refused()
    assert refused.outcome is Outcome.CAP_EXHAUSTED
    assert (await story.put(ConfigType.CAP, cap(10_000))).outcome is Outcome.ACCEPTED

    async def passes() -> bool:
        return (await story.reserve("0.01")).outcome is Outcome.ACCEPTED

    await until(passes, "the second version is in force")
    wanted = fact_id(refused.ledger_id, refused.seq)
    for source in ("log", "postgres"):
        code, receipt = await told(stack, wanted, "--from", source, "--tenant", story.tenant)
        assert (code, receipt["bytes_equal"], receipt["digest_matches"], receipt["chain"]["holds"]) == (0, True, True, True)
        assert (receipt["read_from"], receipt["rule"]) == (source, f"cap.{story.config}/all")
        assert [(c["id"], c["version"], c["intact"]) for c in receipt["configs"]] == [(story.config, 1, True)]
        assert (receipt["position"]["partition"], receipt["position"]["offset"]) == (refused.partition, refused.offset)
    code, receipt = await told(stack, "done", "--ledger", story.base["ledger_id"])
    assert (code, receipt["bytes_equal"], receipt["digest_matches"]) == (0, True, True)
    for number in range(1, refused.seq):
        assert (await told(stack, fact_id(refused.ledger_id, number), "--from", "postgres"))[0] == 0
    await _over_http(stack, ledger, story, wanted)
    foreign = await z0(stack, "explain", wanted, "--tenant", f"t{uuid.uuid4().hex[:10]}")
    assert (foreign.returncode, "has no fact of" in foreign.stderr) == (1, True)
    shown = await z0(stack, "explain", wanted)
    assert shown.returncode == 0
    assert f"cap.{story.config}/all" in shown.stdout
    assert "bytes_equal=true digest_matches=true chain_holds=true" in shown.stdout


async def _over_http(stack: Config, ledger: DirectLedger, story: Story, wanted: str) -> None:
    name = story.tenant.removeprefix("tenant_")
    key = await create_key(ledger, name, KeyRecord(hash="", mode=Mode.TEST, scopes=[KeyScope.READ], name="reader"))
    async with httpx.AsyncClient(base_url=stack.api_url, headers={"X-API-Key": key.key}, timeout=30) as http:
        response = await http.get(f"/v1/decisions/{wanted}")
        assert response.status_code == 200, response.text
        receipt = response.json()
        assert (receipt["bytes_equal"], receipt["read_from"]) == (True, "postgres")
        by_command = await http.get("/v1/decisions/done", params={"ledger": story.base["ledger_id"]})
        assert by_command.json()["bytes_equal"] is True
        assert (await http.get(f"/v1/decisions/{story.base['ledger_id']}.99999")).status_code == 404
