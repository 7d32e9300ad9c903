"""What holds a receipt's facts together: the chain of its ledger, and the facts of the configs that it names."""

from typing import Any

from msgspec import Raw

from tests.unit.receipts_world import ConfiguredBench, forged, history
from tests.unit.test_log_world import LEDGER, TENANT, Bench, add, create, deduct
from z0.codec import decode_fact
from z0.domain.commands import Authorize, PutConfig
from z0.domain.facts import ConfigType, Scope
from z0.names import CLAIM_KEY
from z0.receipts import Wanted, explain
from z0.receipts.ports import Stored
from z0.receipts.replay import Replay


def stored(bench: Bench) -> list[Stored]:
    """The facts of a bench as a history gives them."""
    return [Stored(0, record.value, decode_fact(record.value)) for record in bench.records if record.key != CLAIM_KEY]


def written(*more: Any) -> Bench:
    """A ledger with some facts, each whole by itself."""
    bench = Bench()
    bench.decide(create(), add("a1"), *more)
    return bench


def test_a_fact_that_is_missing_breaks_the_chain_and_is_named() -> None:
    """Though every fact that is left is what its hash says."""
    first, _, third = stored(written(deduct("d1")))
    replay = Replay()
    replay.look(first)
    replay.look(third)
    assert (replay.chain.holds, replay.chain.broken_at) == (False, 3)
    assert replay.chain.why == "expected seq 2, found 3"


def test_a_fact_of_another_history_breaks_the_chain_though_its_own_bytes_are_whole() -> None:
    """Somebody who can write the store can also hash: what it cannot do is to be named by what came after."""
    replay = Replay()
    replay.look(stored(written())[0])
    other = Bench()
    other.decide(create(external_id="other", external_source="s"), add("a1"))
    replay.look(stored(other)[1])
    assert (replay.chain.holds, replay.chain.broken_at) == (False, 2)
    assert replay.chain.why == "it does not name the hash of the fact before it"


def governed() -> ConfiguredBench:
    """A ledger with a decision under a config that has a name."""
    bench = ConfiguredBench()
    bench.decide(create(), add("a1"))
    budget: dict[str, Any] = {"type": ConfigType.BUDGET, "scope": Scope.TENANT, "applies_to": "account", "name": "careful"}
    bench.one(PutConfig(id="p", tenant_id=TENANT, ledger_id="config_cfg_1", settings=Raw(b'{"ttl_ms_max":7}'), **budget))
    bench.one(Authorize(id="h", tenant_id=TENANT, ledger_id=LEDGER, amount="1", currency="USD"))
    return bench


async def test_a_config_whose_fact_was_changed_is_not_intact_and_the_receipt_proves_nothing() -> None:
    """Though the decision comes out the same: nobody knows what else was changed."""
    bench = governed()
    assert (await explain(history(bench.records), Wanted(LEDGER, 3))).proves
    offset = next(record.offset for record in bench.records if b'"careful"' in record.value)
    receipt = await explain(history(forged(bench.records, offset, b'"careful"', b'"reckless"')), Wanted(LEDGER, 3))
    assert receipt.bytes_equal
    assert [config.intact for config in receipt.configs] == [False]
    assert not receipt.proves


async def test_versions_of_configs_are_the_tenants_own_or_the_platforms() -> None:
    """Whatever a fact names: a forged one must not show another tenant's settings."""
    told = history(governed().records)
    assert [s.fact.config_version for s in await told.versions({"cfg_1": 1}, TENANT)] == [1]
    assert list(await told.versions({"cfg_1": 1}, "tenant_2")) == []
