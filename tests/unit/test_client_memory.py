"""The in-memory ledger: what it does when its engine has a fault."""

import pytest

from z0.client.memory import MemoryLedger
from z0.domain.commands import CreateEntity
from z0.domain.policy import Policy
from z0.errors import LogBroken
from z0.log.memory import NoPolicies


class BrokenPolicies(NoPolicies):
    """Fails where the engine has taken a command and not decided it yet: nobody is left who would answer it."""

    def policy(self, tenant_id: str, ledger_id: str, at_ms: int) -> Policy:
        raise LogBroken("planted")


async def test_a_fault_of_the_engine_reaches_the_caller_instead_of_silence() -> None:
    """Waiting for an engine that has ended would be waiting for ever."""
    ledger = MemoryLedger(1)
    ledger.policies = BrokenPolicies()
    await ledger.__aenter__()
    with pytest.raises(LogBroken, match="planted"):
        await ledger.submit(CreateEntity(id="1", tenant_id="tenant_a", ledger_id="account_acct_1"))
