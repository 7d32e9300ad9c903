"""What always holds of receipts: whatever was decided comes to the same bytes again, and no other bytes pass."""

from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from tests.property.commands import COMMANDS, opening
from tests.unit.receipts_world import ConfiguredBench, every, history, said
from z0.codec import decode_fact
from z0.domain.commands import Command, PutConfig
from z0.domain.facts import ConfigType, Scope
from z0.errors import Z0Error
from z0.names import CLAIM_KEY
from z0.receipts import Receipt, Wanted, explain

FAST = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TTL_MS_MAX = 500
A = {"counts": "spend", "name": "a"}
B = {"counts": "invocations", "name": "b", "window": "day", "max_count": 2}
CALLS = {"currency": "USD", "prices": {"call": "0.3333333333333"}}
SETTINGS: dict[ConfigType, list[dict[str, Any]]] = {
    ConfigType.CAP: [
        {"timezone": "Asia/Kathmandu", "limits": [A | {"window": "hour", "max_count": 9}]},
        {"limits": [A | {"window": "total", "max_amount": "60", "currency": "USD"}]},
        {"limits": [A | {"window": "in_flight", "max_count": 2}, B]},
        {},
    ],
    ConfigType.BUDGET: [
        {"overdraft": {"USD": "5"}, "confirm_above_hold": "topped_up", "ttl_ms_default": 900},
        {"ttl_ms_max": TTL_MS_MAX},
    ],
    ConfigType.PRICING: [CALLS, {"currency": "USD", "max_amount": "20", "prices": {"call": "2"}}],
    ConfigType.ACCESS: [{"roles": {"buyer": ["reserve", "append"], "owner": ["*"]}}, {}],
    ConfigType.INVARIANT: [
        {"code": "SMALL", "fact_type": "*", "severity": severity, "schema": {"properties": {"amount": {"not": {"const": "1"}}}}}
        for severity in ("warning", "error")
    ],
}


PUTS = st.sampled_from(list(SETTINGS)).flatmap(
    lambda kind: st.tuples(
        st.integers(0, 10**9), st.just(kind), st.sampled_from(SETTINGS[kind]), st.sampled_from([None, None, 0, 600, -1])
    )
)
STEPS = st.lists(st.tuples(COMMANDS | PUTS, st.sampled_from([0, 0, 0, 1, 700])), min_size=1, max_size=60)


def play(steps: list[tuple[Any, int]]) -> ConfiguredBench:
    """Decide them one by one; what a config says holds from its effective time on."""
    bench = ConfiguredBench()
    bench.decide(*opening())
    for asked, pause in steps:
        bench.now += pause
        bench.one(asked if not isinstance(asked, tuple) else _command(bench, *asked))
    return bench


def _command(bench: ConfiguredBench, number: int, kind: ConfigType, settings: dict[str, Any], wait: int | None) -> Command:
    return PutConfig(
        id=f"put-{number}",
        tenant_id="tenant_1",
        ledger_id=f"config_cfg_{kind}{number % 2}",
        type=kind,
        scope=Scope.TENANT,
        applies_to=("account", "*", "asset")[number % 3] if number % 4 == 0 else "account",
        effective_at=bench.now + wait if wait is not None else None,
        settings=Raw(msgspec.json.encode(settings)),
    )


@FAST
@given(steps=STEPS)
async def test_every_fact_comes_to_its_own_bytes_again(steps: list[tuple[Any, int]]) -> None:
    """Under caps, budgets, prices, access and invariants that change in between; refusals and expiries included."""
    for receipt in await every(play(steps)):
        assert receipt.bytes_equal, said(receipt)
        assert receipt.proves, said(receipt)
        assert receipt.digest_matches is not False or _was_cut(receipt), said(receipt)


def _was_cut(receipt: Receipt) -> bool:
    """How long a hold was asked for is not on its fact where a config allows less."""
    fact = decode_fact(bytes(receipt.fact))
    return fact.expires_at is not None and fact.expires_at - fact.recorded_at == TTL_MS_MAX


@FAST
@given(steps=STEPS, place=st.integers(0, 10**6), bit=st.integers(0, 7), at=st.integers(0, 10**6))
async def test_a_bit_that_was_changed_anywhere_before_or_in_a_decision_is_seen(
    steps: list[tuple[Any, int]], place: int, bit: int, at: int
) -> None:
    """Unless the record is no fact any more, which its reader says by itself."""
    bench = play(steps)
    records = list(bench.records)
    places = [r.offset for r in records if r.key != CLAIM_KEY]
    offset = places[place % len(places)]
    value = bytearray(records[offset].value)
    value[at % len(value)] ^= 1 << bit
    ledger = records[offset].key.decode()
    records[offset] = records[offset]._replace(value=bytes(value))
    newest = max(fact.seq for fact in bench.facts if fact.ledger_id == ledger)
    try:
        receipt = await explain(history(records), Wanted(ledger, newest))
    except Z0Error:
        return
    assert not receipt.proves, said(receipt)
