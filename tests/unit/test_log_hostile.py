"""
What bytes can say, and what becomes of it: an exception in a decision is read again and raised again, for ever. Everything here
was valid JSON.
"""

import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from tests.property.commands import policies
from tests.unit.domain_world import A, authorize, bench_with, cap, config, confirm, left, name
from tests.unit.test_log_world import LEDGER, TENANT, Bench, add, audit, create, deduct, note
from tests.unit.test_tables_save import Table
from z0.codec import NESTING_MAX, decode_command, decode_fact
from z0.domain import money
from z0.domain.commands import Append, PutConfig
from z0.domain.facts import ConfigType, Scope
from z0.domain.outcome import Outcome
from z0.log.claims import Floor, encode_floor
from z0.log.inbox import KafkaCommand
from z0.log.snapshot import decode_ledger, encode_ledger, take
from z0.log.working_set import WorkingSet

OUTCOME = f"{LEDGER}.3"
NO_DECODER_TAKES = [b'{"a":1e999}', b'{"a":' + b"9" * 5_000 + b"}"]


def opened() -> Bench:
    """An account with money and an outcome, under configs of every type."""
    bench = Bench(policies=policies())
    bench.decide(create(), add("a1", "100"), Append(id="o", tenant_id=TENANT, ledger_id=LEDGER, type="outcome"))
    return bench


def charge(data: bytes) -> Append:
    given: dict[str, Any] = {"amount": "1", "currency": "USD", "source_id": OUTCOME, "data": Raw(data)}
    return Append(id="c", tenant_id=TENANT, ledger_id=LEDGER, type="charge", **given)


def put_config(data: bytes) -> PutConfig:
    given: dict[str, Any] = {"type": ConfigType.CAP, "scope": Scope.TENANT, "settings": Raw(b"{}"), "data": Raw(data)}
    return PutConfig(id="p", tenant_id=TENANT, ledger_id="config_cfg_1", **given)


@pytest.mark.parametrize("data", NO_DECODER_TAKES)
def test_data_that_no_decoder_takes_fulfils_no_invariant(data: bytes) -> None:
    """Nothing proves that it does. This one only warns."""
    bench = opened()
    assert bench.one(charge(data)).outcome is Outcome.ACCEPTED
    assert bench.last.warnings == ("NO_SMALL_CHANGE",)


@pytest.mark.parametrize("data", NO_DECODER_TAKES)
def test_a_configs_data_that_no_decoder_takes_is_malformed(data: bytes) -> None:
    """The first version creates the config's entity, which has it as a value."""
    assert opened().one(put_config(data)).outcome is Outcome.MALFORMED


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


NESTED: dict[str, Callable[[bytes], bytes]] = {
    "append": lambda data: (
        b'{"op":"append","type":"note","id":"n","tenant_id":"%b","ledger_id":"%b","data":%b}'
        % (TENANT.encode(), LEDGER.encode(), data)
    ),
    "create": lambda data: (
        b'{"op":"create_entity","id":"n","tenant_id":"%b","ledger_id":"account_acct_9","data":%b}' % (TENANT.encode(), data)
    ),
    "update": lambda data: (
        b'{"op":"update_entity","id":"n","tenant_id":"%b","ledger_id":"%b","changes":{"data":%b}}'
        % (TENANT.encode(), LEDGER.encode(), data)
    ),
}


def _deeper(calls: int, then: Callable[[], object]) -> object:
    return _deeper(calls - 1, then) if calls else then()


@pytest.mark.parametrize("of", NESTED)
def test_what_is_nested_deeper_than_any_reader_goes_is_malformed(of: str) -> None:
    """How deep a reader goes depends on who calls it: what this stack still takes, another would never read again."""
    for depth in (NESTING_MAX + 1, 500, 900, 960, 975, 985, 989, 995, 2_000, 20_000):
        bench = opened()
        assert bench.one(NESTED[of](nested(depth))).outcome is Outcome.MALFORMED, depth


@pytest.mark.parametrize("of", NESTED)
def test_what_is_taken_is_read_back_however_deep_the_reader_stands(of: str) -> None:
    """By a replay, a sink, and from a snapshot."""
    bench = opened()
    assert bench.one(NESTED[of](nested(NESTING_MAX - 2))).outcome is Outcome.ACCEPTED
    room = sys.getrecursionlimit() - 600
    _deeper(room, lambda: [decode_fact(record.value) for record in bench.records[1:]])
    for ledger, state in bench.working._live.items():
        part = take(state, 1, 1).ledger
        assert part is not None, ledger
        _deeper(room, lambda part=part: decode_ledger(encode_ledger(part)))  # type: ignore[misc]


def test_brackets_inside_of_text_and_side_by_side_are_not_nested() -> None:
    """Only what is open at the same time counts."""
    flat: list[Any] = [{"text": '[[{{"\\' * 200}, *[[n] for n in range(300)]]
    assert not isinstance(decode_command(NESTED["append"](msgspec.json.encode({"a": flat}))), Outcome)


@pytest.mark.parametrize("name", ["!floor", "!epoch", "!claim:00000000000000000005", "!void:account_acct_1", "", "x" * 5_000])
async def test_names_of_the_tables_own_records_are_no_ledgers(name: str) -> None:
    """A table keeps its floor and its fence beside the snapshots."""
    from tables.snapshots import Tables, TableSnapshots

    tables = [Table(-1) for _ in range(4)]
    snapshots = TableSnapshots(Tables(*tables))
    await snapshots.claim(0, 5)
    await tables[0].save(0, 5, [(b"!floor", encode_floor(Floor()))])
    tables[1].kept.put_raw(0, b"!void:account_acct_1", b"")
    bench = opened()
    bench.working = bench.decider._working = WorkingSet(0, snapshots, live_entities_max=10)
    assert bench.one(note("n", name)).outcome is Outcome.BAD_LEDGER_ID
    raw = msgspec.json.encode(note("m", name))
    (letter,) = bench.kafka(KafkaCommand(0, name.encode(), raw))
    assert msgspec.json.decode(letter.value)["reason"] == "bad_ledger_id"


def test_a_long_text_for_an_amount_is_not_remembered() -> None:
    """Amounts that were read are remembered by the thousand; these would be a quarter of a gigabyte."""
    bench = opened()
    money._parsed.cache_clear()
    bench.decide(*(add(f"b{n}", f"{n}" + "0" * 1_000) for n in range(5)))
    assert money._parsed.cache_info().currsize == 0
    audit(bench.records)


def test_an_overdraft_does_not_carry_a_sum_beyond_what_a_store_can_hold() -> None:
    """Two reservations of the greatest amount, given back to a cap at once, were a sum that the fold could not read."""
    most = "9" * 26
    total = {"name": "t", "counts": "spend", "window": "total", "max_count": 99}
    terms = config(ConfigType.BUDGET, {"overdraft": {"USD": most}, "confirm_above_hold": "topped_up"})
    bench = bench_with(terms, cap(total))
    half = "5" + "0" * 25
    first = bench.one(authorize(half, ttl_ms=1_000))
    assert first.outcome is A
    for more in (authorize(half, ttl_ms=1_000), deduct(name(), half), confirm(first.reservation_id or "", "1" + "0" * 26)):
        assert bench.one(more).outcome in (Outcome.AMOUNT_OVERFLOW, Outcome.BAD_AMOUNT)
    assert bench.one(authorize("4" + "9" * 25, ttl_ms=1_000)).outcome is A
    bench.now += 1_000
    assert left(bench)["cap.cfg_cap/t"] == "99"
    assert bench.one(deduct(name(), most)).outcome is A
    audit(bench.records, overdraft_units=10**38)
