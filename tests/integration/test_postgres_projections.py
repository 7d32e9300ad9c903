"""What Postgres keeps beside the facts' bytes: what decisions looked at, charges by stage, versions of configs, transfers."""

from decimal import Decimal
from typing import Any

import msgspec
import psycopg
import pytest

from api.reads import ConfigsWindow, PostgresReads
from tests.facts import NOW_MS, FactLog, proof_of
from tests.integration.test_api_servers import _replicate, url
from tests.integration.test_reconcile import copy, store
from z0.client.memory import MemoryLedger
from z0.codec import decode_fact
from z0.domain.commands import AddBudget, Confirm, CreateEntity, Reserve
from z0.domain.config import version_of_fact
from z0.domain.entity import Entity
from z0.domain.ids import EntityType
from z0.domain.outcome import Outcome
from z0.domain.payloads import CreatedData

__all__ = ["store", "url"]  # fixtures
pytestmark = pytest.mark.stack
USD = {"amount": "5", "currency": "USD"}
CHARGE, PENDING, SETTLED = "charge/incurred", "charge/pending", "charge/settled"


def rows(store: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(store) as connection:
        return connection.execute(query.encode()).fetchall()


def version(number: int, effective_at: int, **more: str) -> msgspec.Raw:
    """The payload of `config/versioned`."""
    config = {
        "id": "cfg_1", "type": "cap", "scope": "tenant", "applies_to": "account", "tenant_id": "tenant_1", "version": number,
        "effective_at": effective_at, "name": "daily", "settings": {"limits": [number]},
    }  # fmt: skip
    return msgspec.Raw(msgspec.json.encode({"config": config | more}))


async def shown_by_the_api(store: str) -> None:
    """The statements of the API over the same versions: by moment, by number, in a list, and to their tenant only."""
    of = {"tenant_id": "tenant_1", "ledger_id": "config_cfg_1"}
    async with PostgresReads(store) as reads:
        held = {at: await reads.config(**of, at=at, version=None) for at in (99, 100, 199, 200, 899, 900)}
        assert [row and msgspec.json.decode(row.config)["version"] for row in held.values()] == [None, 1, 1, 3, 3, 4]
        second = await reads.config(**of, at=None, version=2)
        assert second is not None
        assert (second.superseded_at, second.fact_id) == (200, "config_cfg_1.3")
        assert await reads.config("tenant_2", "config_cfg_1", at=100, version=None) is None
        window = ConfigsWindow(at=250, limit=10)
        listed, for_all = sorted(await reads.configs("tenant_1", window))
        assert for_all.config_id == "cfg_all"
        assert (listed.config_id, listed.superseded_at) == ("cfg_1", 900)
        assert [row.config_id for row in await reads.configs("tenant_1", window._replace(after="config_cfg_1"))] == ["cfg_all"]
        for other in (window._replace(type="budget"), window._replace(at=1)):
            assert await reads.configs("tenant_1", other) == []
        names = ("*", "account", "acct_1")
        for at, numbers in ((99, {1, 3, 4}), (150, {1, 3, 4}), (200, {3, 4}), (900, {4})):
            facts = await reads.applying("tenant_1", names, at)
            found = [version_of_fact(decode_fact(value).data) for value in facts]
            assert {one.version for one in found if one.id == "cfg_1"} == numbers
            assert {one.id for one in found} == {"cfg_1", "cfg_all"}
        assert await reads.applying("tenant_1", ("*", "asset"), 200) == []
        assert len(await reads.applying("tenant_2", names, 200)) == 1
        # `cfg_all` is the platform's, for everybody.
        assert [row.config_id for row in await reads.configs("tenant_2", window)] == ["cfg_all"]


async def test_what_a_decision_looked_at_is_in_columns_of_its_own(store: str) -> None:
    log = FactLog()
    outcome = log.fact(0, "asset_1", "outcome")
    log.fact(
        1, "acct_1", CHARGE, **USD, configs=msgspec.Raw(b'{"cfg_1":3}'), counted={"cfg_1/daily": NOW_MS},
        usage={"tokens": "1200.5"}, warnings=("late",), **proof_of(outcome),
    )  # fmt: skip
    await copy(store, log)
    found = rows(
        store,
        "SELECT configs->>'cfg_1', counted->>'cfg_1/daily', usage->>'tokens', warnings->>0,"
        " proof_id, proof_ledger_id, proof_seq, proof_hash, proof_checked FROM facts WHERE type = 'charge'",
    )
    assert found == [("3", str(NOW_MS), "1200.5", "late", outcome.id, outcome.ledger_id, 1, outcome.hash, False)]


async def test_a_meter_that_jsonb_cannot_hold_costs_its_column_and_no_more(store: str) -> None:
    log = FactLog()
    log.fact(1, "acct_1", CHARGE, **USD, usage={"a\0b": "1"}, counted={"cfg_1/daily": 7})
    await copy(store, log)
    assert rows(store, "SELECT usage, counted->>'cfg_1/daily' FROM facts") == [(None, "7")]


async def test_a_charge_moves_through_its_stages_and_never_back(store: str) -> None:
    log = FactLog()
    charges = [log.fact(1, "acct_1", CHARGE, **USD) for _ in range(3)]
    log.fact(1, "acct_1", PENDING, **USD, source_id=charges[0].id)
    await copy(store, log)
    log.fact(1, "acct_1", SETTLED, **USD, source_id=charges[0].id)
    moved = log.fact(1, "acct_1", PENDING, **USD, source_id=charges[1].id)
    with psycopg.connect(store) as connection:  # a replay from the start
        connection.execute("DELETE FROM sink_positions")
    await copy(store, log)
    found = rows(store, "SELECT id, stage, stage_seq, amount, currency FROM charges ORDER BY seq")
    assert [row[:2] for row in found] == [(charges[0].id, "settled"), (charges[1].id, "pending"), (charges[2].id, "incurred")]
    assert [row[2] for row in found] == [5, moved.seq, 3]
    assert {row[3:] for row in found} == {(Decimal(5), "USD")}


async def test_versions_of_a_config_end_where_a_later_one_begins_also_one_that_never_held(store: str) -> None:
    """The third was written with an earlier time than the second: the second never holds."""
    log = FactLog()
    entity = Entity(id="cfg_1", type=EntityType.CONFIG, tenant_id="tenant_1", created_at=NOW_MS, updated_at=NOW_MS)
    log.fact(0, "cfg_1", "lifecycle/created", data=msgspec.Raw(msgspec.json.encode(CreatedData(entity))))
    for number, at in ((1, 100), (2, 300), (3, 200), (4, 900)):
        log.fact(0, "cfg_1", "config/versioned", data=version(number, at))
    for name, scope in (("cfg_all", "platform"), ("cfg_hidden", "tenant")):
        data = version(1, 100, id=name, scope=scope, tenant_id="tenant_platform")
        log.fact(1, name, "config/versioned", data=data, tenant_id="tenant_platform")
    await copy(store, log)
    found = rows(
        store, "SELECT version, effective_at, superseded_at FROM config_versions WHERE config_id = 'cfg_1' ORDER BY version"
    )
    assert found == [(1, 100, 200), (2, 300, 200), (3, 200, 900), (4, 900, None)]
    columns = "config_id, type, scope, applies_to, name, tenant_id"
    assert rows(store, f"SELECT DISTINCT {columns} FROM config_versions WHERE ledger_id = 'config_cfg_1'") == [
        ("cfg_1", "cap", "tenant", "account", "daily", "tenant_1")
    ]
    assert rows(store, "SELECT config->'settings' FROM config_versions WHERE version = 4 AND config_id = 'cfg_1'") == [
        ({"limits": [4]},)
    ]
    await shown_by_the_api(store)
    assert rows(store, "SELECT id, type, tenant_id FROM entities") == [("cfg_1", "config", "tenant_1")]


async def test_a_config_that_jsonb_cannot_hold_still_holds_for_its_entity(store: str) -> None:
    """Its stored bytes are among those that apply, also after the versions that jsonb can hold."""
    log = FactLog()
    log.fact(0, "cfg_1", "config/versioned", data=version(1, 100))
    log.fact(0, "cfg_1", "config/versioned", data=version(2, 200, name="a\0b"))
    await copy(store, log)
    assert rows(store, "SELECT data IS NULL FROM facts ORDER BY seq") == [(False,), (True,)]
    async with PostgresReads(store) as reads:
        facts = await reads.applying("tenant_1", ("account",), 500)
        assert {version_of_fact(decode_fact(value).data).version for value in facts} == {1, 2}
        assert await reads.applying("tenant_2", ("account",), 500) == []


async def test_a_transfer_leaves_one_balance_and_comes_to_the_other_and_is_spent_on_neither(store: str) -> None:
    """As the ledger decides it: a hold for a transfer, confirmed in part, and what came in."""
    async with MemoryLedger() as ledger:
        money: dict[str, Any] = {"currency": "USD"}
        a: dict[str, Any] = {"tenant_id": "tenant_1", "ledger_id": "account_acct_a"}
        b: dict[str, Any] = {**a, "ledger_id": "account_acct_b"}
        for command in (
            CreateEntity(id="c", **a),
            CreateEntity(id="c", **b),
            AddBudget(id="d", amount="10", **money, **a),
            Reserve(id="r", amount="4", purpose="transfer", **money, **a),
            Confirm(id="t", reservation_id="r", amount="3", **a),
            Reserve(id="open", amount="1", purpose="transfer", **money, **a),
            AddBudget(id="t", amount="3", kind="transfer", **money, **b),
        ):
            assert (await ledger.submit(command)).outcome is Outcome.ACCEPTED
        await _replicate(ledger, store)
    found = rows(
        store,
        "SELECT entity_id, deposited, transferred_in, transferred_out, spent, reserved, balances.available"
        " FROM balances JOIN (SELECT DISTINCT ledger_id, entity_id FROM facts) f USING (ledger_id) ORDER BY entity_id",
    )
    assert found == [("acct_a", 10, 0, 3, 0, 1, 6), ("acct_b", 0, 3, 0, 0, 0, 3)]
    assert rows(store, "SELECT reservation_id, purpose FROM facts WHERE subtype = 'reserved' ORDER BY seq") == [
        ("r", "transfer"), ("open", "transfer")
    ]  # fmt: skip
