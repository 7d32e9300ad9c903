"""What limits have counted, where configs change while reservations are open: nothing is given back twice, or forgotten early."""

import msgspec
import pytest

from tests.unit.config_world import put
from tests.unit.domain_world import DAY, A, authorize, bench_with, cap, config, confirm, daily, left, name, release
from tests.unit.receipts_world import ConfiguredBench, every, said
from tests.unit.test_log_world import LEDGER, NOW, Bench, add, audit, comparable, create, deduct, reserve
from z0.domain.config import PLATFORM_TENANT, ConfigVersion
from z0.domain.facts import ConfigType, Scope
from z0.domain.outcome import Outcome
from z0.domain.state import COUNTERS_MAX
from z0.log.snapshot import CapsPart, decode_caps, encode_part, restore, take

TOPPED_UP = config(ConfigType.BUDGET, {"confirm_above_hold": "topped_up"})
LIMIT = "cap.cfg_cap/daily"


def there_and_back(maximum: int) -> Bench:
    """Two reservations of a day that was Tokyo's for a second; one more while it was, and one since."""
    versions = [
        cap(daily(max_count=maximum), timezone=zone, version=n + 1, effective_at=NOW + n * 1_000)
        for n, zone in enumerate(("UTC", "Asia/Tokyo", "UTC"))
    ]
    bench = bench_with(*versions)
    bench.decide(reserve("r1"), reserve("r2"))
    bench.now += 1_000
    bench.one(reserve("r3", ttl_ms=5_000))
    bench.now += 1_000
    bench.one(reserve("r4"))
    return bench


@pytest.mark.parametrize("how", [release, lambda held: confirm(held, "0.4")])
def test_a_window_that_was_set_and_taken_back_begins_anew_and_gets_nothing_back_from_before(how: object) -> None:
    """What its counter does not have in it would leave room for as much again."""
    assert callable(how)
    bench = there_and_back(maximum=2)
    assert left(bench)[LIMIT] == "1"
    for held in ("r1", "r2"):
        assert bench.one(how(held)).outcome is A
    assert left(bench)[LIMIT] == "1"
    bench.one(release("r4"))
    assert left(bench)[LIMIT] == "2"


def test_what_expires_gives_nothing_back_to_a_window_that_has_begun_anew() -> None:
    """In one fact with a reservation that the new counter has in it."""
    bench = there_and_back(maximum=3)
    bench.now += 3_600_000
    assert left(bench)[LIMIT] == "3"
    assert comparable(audit(bench.records).states[LEDGER]) == comparable(bench.state())


async def test_a_window_that_was_set_and_taken_back_is_reproduced() -> None:
    """By the receipts of a release and an expiry that give nothing back, and of all before them."""
    bench = ConfiguredBench()
    bench.decide(create(), add("a1", "100"))
    for n, zone in enumerate(("UTC", "Asia/Tokyo", "UTC")):
        bench.one(put({"timezone": zone, "limits": [daily(max_count=9)]}, "cap", id=f"p{n}", applies_to="account"))
        bench.decide(reserve(f"r{n}", ttl_ms=9_000), reserve(f"s{n}"))
        bench.now += 1_000
    bench.one(release("s0"))
    assert bench.last.counted is None
    bench.now += 8_000
    bench.tick()
    for receipt in await every(bench):
        assert receipt.proves, said(receipt)


def test_a_snapshot_knows_when_a_limit_began_to_count_and_an_older_one_does_not() -> None:
    """Written before there was this field, it gives back as it did then."""
    bench = there_and_back(maximum=2)
    taken = take(bench.state(), 9, 0)
    assert taken.caps is not None
    assert decode_caps(encode_part(taken.caps)) == taken.caps
    assert comparable(restore(taken)) == comparable(bench.state())
    older = decode_caps(msgspec.msgpack.encode(msgspec.structs.astuple(taken.caps)[:3]))
    assert older == CapsPart(taken.caps.as_of, taken.caps.epoch, taken.caps.counters)


def test_a_confirm_that_is_topped_up_leaves_the_windows_of_gone_limits_as_they_are() -> None:
    """Yesterday's window would begin anew in place of today's, for when the limit is in force again."""
    off = cap(version=2, effective_at=NOW + DAY + 1_000)
    on = cap(daily(max_count=2), version=3, effective_at=NOW + DAY + 2_000)
    bench = bench_with(TOPPED_UP, cap(daily(max_count=2)), off, on)
    held = bench.one(authorize("1", ttl_ms=2 * DAY)).reservation_id or ""
    bench.now += DAY
    bench.decide(authorize(), authorize())
    bench.now += 1_000
    assert bench.one(confirm(held, "2")).outcome is A
    bench.now += 1_000
    assert left(bench)[LIMIT] == "0"


def test_a_limit_that_was_gone_until_it_was_forgotten_gets_nothing_back_from_before() -> None:
    """Its counter made room for others'."""
    kept = {"name": "kept", "counts": "spend", "window": "total", "max_count": 5}
    back = NOW + 300_000
    gone = cap(kept), cap(version=2, effective_at=NOW + 1_000), cap(kept, version=3, effective_at=back)
    bench = bench_with(*gone, *renamed(1))
    held = bench.one(authorize(ttl_ms=DAY)).reservation_id or ""
    spend_under_each(bench)
    bench.now = back
    bench.one(authorize())
    bench.one(release(held))
    assert left(bench)["cap.cfg_cap/kept"] == "4"


def renamed(together: int) -> list[ConfigVersion]:
    """A config whose limits have other names each second, until more of them have counted than are kept."""
    return [
        cap(
            *(daily(name=f"n{n}-{i}", max_count=9) for i in range(together)),
            version=n + 1,
            id="cfg_own",
            effective_at=NOW + n * 1_000,
        )
        for n in range(2 * COUNTERS_MAX // together)
    ]


def spend_under_each(bench: Bench) -> None:
    for _ in range(2 * COUNTERS_MAX):
        bench.now += 1_000
        bench.one(deduct(name(), "0.000000000001"))


def test_a_tenant_cannot_make_the_platforms_limit_forget_by_renaming_its_own() -> None:
    """One that is reached counts nothing more, so it would be the first to go."""
    limit = {"name": "euros", "counts": "spend", "window": "total", "max_amount": "10", "currency": "EUR"}
    platforms = msgspec.structs.replace(cap(limit, id="cfg_p", scope=Scope.PLATFORM), tenant_id=PLATFORM_TENANT)
    bench = bench_with(platforms, *renamed(12), opening=(add("e1", "100", currency="EUR"),))
    assert bench.one(deduct("d1", "10", currency="EUR")).outcome is A
    spend_under_each(bench)
    assert bench.one(deduct("d2", "0.01", currency="EUR")).outcome is Outcome.CAP_EXHAUSTED
    assert len(bench.state().caps or {}) <= COUNTERS_MAX
    assert comparable(audit(bench.records).states[LEDGER]) == comparable(bench.state())


def test_a_transfer_is_topped_up_whatever_one_decision_may_cost() -> None:
    """As it was reserved: prices are of what is spent."""
    bench = bench_with(TOPPED_UP, config(ConfigType.PRICING, {"currency": "USD", "max_amount": "5"}))
    assert bench.one(reserve("t1", "10", purpose="transfer")).outcome is A
    assert bench.one(confirm("t1", "11")).outcome is A
