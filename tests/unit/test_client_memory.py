"""The in-memory ledger: what it does when its engine has a fault."""

import pytest

from z0.client.memory import MemoryLedger
from z0.domain.commands import CreateEntity
from z0.errors import LogBroken
from z0.log.engine import PartitionEngine


async def test_a_fault_of_the_engine_reaches_the_caller_instead_of_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for an engine that has ended would be waiting for ever."""
    ledger = MemoryLedger(1)

    async def broken(engine: PartitionEngine) -> None:
        engine._inbox.take(1, 10**6)
        raise LogBroken("planted")

    await ledger.__aenter__()
    monkeypatch.setattr("z0.log.engine.PartitionEngine._round", broken)
    with pytest.raises(LogBroken, match="planted"):
        await ledger.submit(CreateEntity(id="1", tenant_id="tenant_a", ledger_id="account_acct_1"))
