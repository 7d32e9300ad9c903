"""Receipts on the twins: every kind of fact and of refusal comes to its own bytes again, and what is wrong is said."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from tests.golden.story import story
from tests.unit.receipts_world import ConfiguredBench, every, forged, history, newest, offset_of, said
from tests.unit.test_log_world import LEDGER, NOW, TENANT, Bench, add, create, deduct, note, reserve
from z0.codec import encode_fact, hash_of
from z0.domain import decide, spending
from z0.domain.appending import SURELY_KEPT_MS
from z0.domain.commands import (
    AddBudget,
    Append,
    Authorize,
    Command,
    Confirm,
    GrantAccess,
    PutConfig,
    Release,
    Reserve,
    RevokeAccess,
    Settle,
    UpdateEntity,
)
from z0.domain.entity import Changes, Status
from z0.domain.facts import RULES_VERSION, ConfigType, Fact, Scope, Source, StoredFact
from z0.domain.outcome import Kind, Outcome, kind
from z0.errors import DecisionUnknown, FormatError, HistoryIncomplete
from z0.log.claims import Claim, Floor, encode_claim
from z0.log.entry import RETENTION_MS
from z0.log.memory import MemoryLog
from z0.log.ports import Record
from z0.log.recovery import CLOCK_SKEW_MAX_MS
from z0.names import CLAIM_KEY
from z0.receipts import Receipt, Wanted, explain, wanted_of
from z0.receipts.again import RULES
from z0.receipts.from_log import LogHistory
from z0.receipts.ports import Stored

DAY = 24 * 3_600_000
OTHER = "account_acct_2"
ASSET = "asset_asset_2"
PRICES = {"currency": "USD", "prices": {"call": "0.5"}, "min_amount": "0.1", "max_amount": "9"}


class Told:
    """A bench whose commands get ids of their own."""

    def __init__(self) -> None:
        self.bench = ConfiguredBench()
        self.count = 0

    def ask(self, of: type[Any], ledger: str = LEDGER, **fields: Any) -> Outcome:
        self.count += 1
        given: dict[str, Any] = {"id": f"n{self.count}", "tenant_id": TENANT, "ledger_id": ledger} | fields
        return self.bench.one(of(**given)).outcome

    def config(self, config: str, type: ConfigType, settings: Any, *, applies_to: str = "account", **more: Any) -> Outcome:  # noqa: A002
        scope = Scope.ENTITY if applies_to.startswith("a") and "_" in applies_to else Scope.TENANT
        settings = Raw(msgspec.json.encode(settings))
        return self.ask(
            PutConfig, f"config_cfg_{config}", type=type, scope=scope, applies_to=applies_to, settings=settings, **more
        )


def opened() -> Told:
    """Two accounts with money and an asset."""
    told = Told()
    told.bench.decide(create(), add("a1"), create(ledger=OTHER), add("a2", ledger=OTHER), create(ledger=ASSET))
    return told


async def sound(bench: Bench) -> list[Receipt]:
    """Every fact of a bench explains to its own bytes."""
    receipts = await every(bench)
    for receipt in receipts:
        assert receipt.proves, said(receipt)
    return receipts


async def test_every_fact_of_the_golden_story_comes_to_its_own_bytes_again() -> None:
    """And every command of it is rebuilt to the byte."""
    bench = Bench()
    story(bench)
    receipts = await sound(bench)
    assert len(receipts) == len(bench.facts)
    assert all(receipt.digest_matches is not False for receipt in receipts)
    by_kafka = next(receipt for receipt in receipts if receipt.command_id == "k1")
    assert b'"cause"' in bytes(by_kafka.fact)


async def test_what_was_held_counted_priced_and_topped_up_under_configs_is_reproduced() -> None:
    """Caps by count and amount, prices, top-ups, warnings; holds that end in every way."""
    told = opened()
    told.config("c1", ConfigType.CAP, {"timezone": "Europe/Berlin", "limits": [
        {"name": "daily", "counts": "spend", "window": "day", "max_count": 20},
        {"name": "money", "counts": "spend", "window": "total", "max_amount": "90", "currency": "USD"},
        {"name": "lines", "counts": "spend", "window": "in_flight", "max_count": 9},
    ]})  # fmt: skip
    told.config("b1", ConfigType.BUDGET, {"overdraft": {"USD": "5"}, "confirm_above_hold": "topped_up", "ttl_ms_default": 5_000})
    told.config("p1", ConfigType.PRICING, PRICES)
    warns = {"code": "SMALL", "fact_type": "*", "severity": "warning", "schema": {"required": ["trace_id"]}}
    told.config("i1", ConfigType.INVARIANT, warns)
    told.ask(Authorize, amount="2", currency="USD", reservation_id="h1", trace_id="t")
    told.ask(Authorize, usage={"call": "3"}, reservation_id="h2")
    told.ask(Authorize, reservation_id="h3")
    told.ask(Reserve, amount="1", currency="USD", reservation_id="h4", purpose="transfer")
    told.ask(Reserve, amount="1", currency="USD", reservation_id="h5", ttl_ms=3)
    told.ask(Authorize, reservation_id="h6", ttl_ms=3)
    told.ask(Reserve, amount="1", currency="USD", reservation_id="h7", ttl_ms=3)
    told.bench.now += 3
    told.ask(Confirm, reservation_id="h1", amount="3.50")
    told.ask(Confirm, reservation_id="h2")
    told.ask(Confirm, reservation_id="h3", amount="0")
    told.ask(Confirm, reservation_id="h4")
    told.config("p1", ConfigType.PRICING, PRICES | {"prices": {"call": "0.75"}})
    told.ask(Authorize, usage={"call": "2"}, reservation_id="h8")
    told.ask(Authorize, usage={"call": "2"}, reservation_id="h9", config_id="cfg_p1", config_version=1)
    told.ask(Release, reservation_id="h8")
    told.config("p2", ConfigType.PRICING, PRICES | {"prices": {"call": "0.8"}}, applies_to="acct_1")
    told.ask(Authorize, usage={"call": "2"}, reservation_id="h10", config_id="cfg_p1", config_version=1)
    told.bench.now += DAY
    told.ask(Append, type="note")
    receipts = await sound(told.bench)
    kinds = {(f.type, f.subtype) for f in told.bench.facts}
    assert {("budget", how) for how in ("reserved", "confirmed", "released", "expired", "transferred_out")} <= kinds
    assert all(receipt.digest_matches is not False for receipt in receipts)
    priced = [(c.id, c.version) for receipt in receipts if b'"h9"' in bytes(receipt.fact) for c in receipt.configs]
    assert ("cfg_p1", 1) in priced
    assert any(b'"warnings":["SMALL"]' in bytes(receipt.fact) for receipt in receipts)


def _named(told: Told, seq: int, hash: str, type: str = "charge") -> Outcome:  # noqa: A002
    """What naming a fact of the ledger's own comes to, with that proof of it."""
    named = f"{LEDGER}.{seq}"
    return told.ask(Append, type=type, amount="1", currency="USD", source_id=named, source=Source(named, LEDGER, seq, hash))


def _forgets(told: Told, days: int) -> StoredFact:
    """Time passes, and the partition's index has nothing of before; the ledger's newest fact."""
    told.bench.now += days * DAY
    told.bench.index._references.clear()
    return told.bench.last


async def test_what_a_ledger_can_say_of_a_fact_of_its_own_that_was_forgotten_is_reproduced() -> None:
    """That it is too young for it, the first, or the newest with another hash; the rest is for `z0 reconcile`."""
    told = opened()
    told.ask(Append, type="outcome")
    outcome = told.bench.last
    assert _named(told, 2, "0" * 64) is Outcome.SOURCE_INVALID  # a deposit: what may be named would have been found
    told.ask(Append, type="note")
    _forgets(told, 33)
    assert _named(told, outcome.seq, outcome.hash, "cost") is Outcome.SOURCE_INVALID
    newest_fact = _forgets(told, 36)
    assert _named(told, newest_fact.seq, "0" * 64) is Outcome.SOURCE_INVALID
    newest_fact = _forgets(told, 33)
    assert _named(told, newest_fact.seq, newest_fact.hash) is Outcome.SOURCE_INVALID
    newest_fact = _forgets(told, 36)
    assert _named(told, newest_fact.seq, newest_fact.hash) is Outcome.ACCEPTED
    assert told.bench.last.source == Source(newest_fact.id, LEDGER, newest_fact.seq, newest_fact.hash, checked=False)
    assert _named(told, 1, "0" * 64) is Outcome.SOURCE_INVALID
    assert _named(told, told.bench.last.seq + 1, "0" * 64) is Outcome.SOURCE_INVALID
    assert _named(told, outcome.seq, "0" * 64) is Outcome.ACCEPTED
    assert told.bench.last.source == Source(outcome.id, LEDGER, outcome.seq, "0" * 64, checked=False)
    await sound(told.bench)


async def test_what_another_ledger_of_the_partition_said_of_a_fact_it_cannot_have_is_taken_from_the_record() -> None:
    """Its state of then is not here: the receipt says what it believes, and comes to the same bytes."""
    told = opened()
    named = f"{ASSET}.7"
    usd = {"amount": "1", "currency": "USD"}
    given: dict[str, Any] = {"type": "cost", "source_id": named, "source": Source(named, ASSET, 7, "0a" * 32)} | usd
    assert told.ask(Append, **given) is Outcome.SOURCE_INVALID
    [receipt] = [receipt for receipt in await sound(told.bench) if receipt.rule is not None]
    assert receipt.rule == "source.exists"
    assert receipt.taken_from_record == ["what is wrong with the fact in source_id: from its ledger"]


def test_a_fact_is_surely_kept_for_less_than_the_index_keeps_it() -> None:
    """By more than clocks may differ: or what was forgotten would be called another thing than it is."""
    assert SURELY_KEPT_MS <= RETENTION_MS - CLOCK_SKEW_MAX_MS


def _refusals(told: Told) -> Sequence[Outcome]:
    """One of every final refusal, in some order."""
    held = Reserve(id="r1", tenant_id=TENANT, ledger_id=LEDGER, amount="5", currency="USD")
    told.bench.decide(held, note("n"), Append(id="out", tenant_id=TENANT, ledger_id=LEDGER, type="outcome"))
    outcome = told.bench.last
    usd = {"amount": "1", "currency": "USD"}
    elsewhere: dict[str, Any] = {"source_id": f"{ASSET}.2", "type": "charge"} | usd
    told.ask(Append, ASSET, type="outcome", timestamp=NOW + 1_000)
    told.ask(Append, ASSET, type="invocation")
    roles = {"roles": {"owner": ["*"]}}
    return [
        told.ask(type(create())),
        told.ask(UpdateEntity, changes=Changes(owner_id="user_1"), expected_version=7),
        told.ask(UpdateEntity, changes=Changes(status=Status.RETIRED)),
        told.ask(AddBudget, timestamp=1, **usd),
        told.ask(Append, type="deposit", **usd),
        told.ask(Append, type="charge", source_id=outcome.id),
        told.ask(Append, type="charge", **usd),
        told.ask(Append, type="charge", source_id=f"{LEDGER}.1", **usd),
        told.ask(Append, type="charge", source_id=outcome.id, timestamp=NOW - 1, **usd),
        told.ask(Append, **elsewhere),
        told.ask(Append, **elsewhere | {"source_id": f"{ASSET}.3"}),
        told.ask(Append, **elsewhere, timestamp=NOW + 2_000, source=Source(f"{ASSET}.2", ASSET, 2, "0" * 64)),
        told.ask(Append, type="cost", source_id="asset_asset_9.7", **usd),
        told.ask(Append, type="charge", source_id=outcome.id, amount="4000", currency="USD"),
        told.ask(Append, **elsewhere | {"amount": "4000"}, timestamp=NOW + 2_000),
        told.ask(Append, **elsewhere | {"amount": "4000"}, source=Source(f"{ASSET}.2", ASSET, 2, told.bench.facts[-1].hash)),
        told.ask(Confirm, reservation_id="r1", amount="6"),
        told.ask(Release, reservation_id="gone"),
        told.ask(Reserve, reservation_id="r1", **usd),
        told.ask(AddBudget, amount="9" * 26, currency="USD"),
        told.ask(Authorize, amount="4000", currency="USD"),
        told.ask(Settle, charge_id=f"{LEDGER}.1", stage="settled"),
        told.ask(RevokeAccess, grantee_id="user_1"),
        told.ask(Authorize, usage={"call": "1"}),
        told.config("c1", ConfigType.CAP, {"limits": [{"name": "n", "counts": "spend", "window": "day", "max_count": 0}]}),
        told.ask(Authorize),
        told.ask(Authorize, usage={"call": "1"}),
        told.config("c1", ConfigType.CAP, {}),
        told.config("p1", ConfigType.PRICING, PRICES),
        told.ask(Authorize, amount="20", currency="USD"),
        told.ask(Authorize, usage={"call": "1"}, config_id="cfg_p1", config_version=4),
        told.config("c1", ConfigType.CAP, {"limits": [], "timezone": "Nowhere/Else"}),
        told.config("c1", ConfigType.CAP, {}, effective_at=NOW - 1),
        told.config("c1", ConfigType.CAP, {}, applies_to="asset"),
        told.config("c1", ConfigType.CAP, {}, expected_version=9),
        told.config("p2", ConfigType.PRICING, PRICES, applies_to="acct_1"),
        told.config("p2", ConfigType.PRICING, PRICES | {"max_amount": "900"}, applies_to="acct_1"),
        told.config("i1", ConfigType.INVARIANT, {"code": "NO", "fact_type": "note", "schema": {"required": ["trace_id"]}}),
        told.ask(Append, type="note"),
        told.config("i1", ConfigType.INVARIANT, {}),
        told.config("a1", ConfigType.ACCESS, roles),
        told.ask(Append, type="note", user_id="user_5"),
        told.ask(GrantAccess, grantee_id="user_1", role="stranger"),
        told.ask(Append, type="note", user_id="user_1"),
        told.ask(UpdateEntity, OTHER, changes=Changes(status=Status.RETIRING)),
        told.ask(AddBudget, OTHER, **usd),
    ]


UNREACHED = {Outcome.TOO_MANY_HOLDS, Outcome.TOO_MANY_CHARGES, Outcome.TOO_MANY_GRANTS, Outcome.ENTITY_TOO_LARGE}


async def test_every_final_refusal_is_reproduced_with_the_rule_that_said_no() -> None:
    """The request is quoted byte for byte, so all of it is decided again."""
    told = opened()
    seen = {outcome for outcome in _refusals(told) if outcome is not Outcome.ACCEPTED}
    assert {outcome for outcome in Outcome if kind(outcome) is Kind.FINAL} - seen == UNREACHED
    for receipt in await sound(told.bench):
        assert receipt.digest_matches is not False, said(receipt)
        assert (receipt.outcome not in (None, "accepted")) == (receipt.rule is not None), said(receipt)


@pytest.mark.plain
async def test_refusals_at_a_bound_are_reproduced(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the bounds a little lower than they are."""
    for module, bound in ((spending, "HOLDS_MAX"), (spending, "CHARGES_MAX"), (decide, "GRANTS_MAX")):
        monkeypatch.setattr(module, bound, 1)
    monkeypatch.setattr(decide, "COMMAND_BYTES_MAX", 20)
    told = opened()
    usd: dict[str, Any] = {"amount": "1", "currency": "USD"}
    told.ask(Append, type="outcome")
    charge = {"type": "charge", "subtype": "incurred", "source_id": told.bench.last.id} | usd
    outcomes = [told.ask(Reserve, **usd), told.ask(Append, **charge), told.ask(GrantAccess, grantee_id="user_1", role="r")]
    assert set(outcomes) == {Outcome.ACCEPTED}
    refused = [told.ask(Reserve, **usd), told.ask(Append, **charge), told.ask(GrantAccess, grantee_id="user_2", role="r")]
    refused.append(told.ask(UpdateEntity, changes=Changes(data={"text": "x" * 30})))
    assert set(refused) == UNREACHED
    await sound(told.bench)


async def test_a_thousand_holds_that_expire_at_once_are_reproduced_fact_by_fact() -> None:
    """One fact holds at most 500 of one currency; the places and the euros among them have their own."""
    told = opened()
    told.bench.one(add("e", currency="EUR"))
    hold: dict[str, Any] = {"tenant_id": TENANT, "ledger_id": LEDGER, "ttl_ms": 5}
    commands: list[Command] = []
    for n in range(1_100):
        amount = {"amount": "0.01", "currency": ("USD", "EUR")[n % 10 == 0]} if n % 11 else {}
        commands.append(Authorize(id=f"h{n}", **(hold | amount)))
    told.bench.decide(*commands)
    told.bench.now += 5
    told.bench.one(note("n1"))
    expired = [fact for fact in told.bench.facts if fact.subtype == "expired"]
    assert len(expired) == 4
    lines = history(told.bench.records)
    for fact in expired:
        receipt = await explain(lines, Wanted(fact.ledger_id, fact.seq))
        assert receipt.proves, said(receipt)
        assert (receipt.rule, receipt.outcome, receipt.command) == ("expiry", None, None)


async def test_a_receipt_shows_what_was_asked_and_what_was_left_before_and_after() -> None:
    """Balance of the decision's currency, and every limit with a say in it."""
    told = opened()
    cap: Any = {"limits": [{"name": "daily", "counts": "spend", "window": "day", "max_amount": "50", "currency": "USD"}]}
    told.config("c1", ConfigType.CAP, cap)
    told.ask(Authorize, amount="20", currency="USD", reservation_id="r1")
    receipt = await newest(told.bench)
    assert receipt.before is not None
    assert receipt.after is not None
    assert receipt.before.balance is not None
    assert receipt.after.balance is not None
    assert (receipt.before.balance.available, receipt.after.balance.available) == ("100", "80")
    assert [limit.left for limit in (*receipt.before.limits, *receipt.after.limits)] == ["50", "30"]
    assert (receipt.before.reservations_open, receipt.after.reservations_open) == (0, 1)
    [config] = receipt.configs
    assert (config.id, config.version, config.fact_id, config.intact) == ("cfg_c1", 1, "config_cfg_c1.2", True)
    assert receipt.command is not None
    assert msgspec.json.decode(receipt.command)["op"] == "authorize"
    assert (receipt.position.partition, receipt.position.epoch) == (0, 0)
    told.ask(Authorize, amount="31", currency="USD")
    refused = await newest(told.bench)
    assert (refused.outcome, refused.rule) == ("cap_exhausted", "cap.cfg_c1/daily")
    assert refused.detail is not None
    assert "30 left of 50" in refused.detail


async def test_a_newer_version_of_a_config_changes_no_receipt() -> None:
    """What counted then is on the fact."""
    told = opened()
    settings: Any = {"limits": [{"name": "n", "counts": "spend", "window": "total", "max_count": 1}]}
    told.config("c1", ConfigType.CAP, settings)
    told.ask(Authorize)
    told.ask(Authorize)
    refused = told.bench.last
    assert refused.outcome == "cap_exhausted"
    settings["limits"][0]["max_count"] = 2
    told.config("c1", ConfigType.CAP, settings)
    told.ask(Authorize)
    assert told.bench.last.outcome == "accepted"
    receipt = await explain(history(told.bench.records), Wanted(LEDGER, refused.seq))
    assert receipt.proves, said(receipt)
    assert [(c.id, c.version) for c in receipt.configs] == [("cfg_c1", 1)]


async def test_void_records_are_no_history() -> None:
    """What a dead epoch wrote behind its successor's claim has no say in what is decided again."""
    bench = Bench()
    bench.decide(create(), add("a1"))
    void = bench.facts[-1]
    claim = Claim(partition=0, owner="w", address="h:1", claimed_at=NOW, floor=Floor())
    records = bench.records[:-1]
    records.append(Record(len(records), CLAIM_KEY, encode_claim(claim), NOW))
    late = msgspec.structs.replace(void, amount="999")
    value, _ = encode_fact(Fact(**{name: getattr(late, name) for name in Fact.__struct_fields__}))
    records.append(Record(len(records), LEDGER.encode(), value, NOW))
    told = history(records)
    assert (await explain(told, Wanted(LEDGER, 1))).proves
    with pytest.raises(DecisionUnknown):
        await explain(told, Wanted(LEDGER, 2))


# What is wrong is said ---------------------------------------------------------------------------


def _paid() -> Bench:
    bench = Bench()
    bench.decide(create(), add("a1", "100"), deduct("d1", "30"), deduct("d2", "500"), deduct("d3", "1"))
    return bench


async def test_a_forged_decision_is_told_from_what_the_rules_say_member_by_member() -> None:
    """Also where the forger computed the hash anew: the rules come to another balance, and the next fact does not follow."""
    bench = _paid()
    offset = offset_of(bench, 3)
    records = forged(bench.records, offset, b'"available":"70"', b'"available":"79"')
    receipt = await explain(history(records), Wanted(LEDGER, 3))
    assert (receipt.bytes_equal, receipt.chain.holds, receipt.chain.broken_at) == (False, False, 3)
    assert [(d.member, d.recorded, d.recomputed) for d in receipt.differences] == [("available", "79", "70")]
    value = records[offset].value
    anew = forged(records, offset, value[-66:], hash_of(value).encode() + b'"}')
    receipt = await explain(history(anew), Wanted(LEDGER, 3))
    assert (receipt.bytes_equal, receipt.chain.holds, receipt.chain.followed) == (False, True, False)


async def test_a_forged_amount_is_told_by_the_digest_and_the_chain() -> None:
    """The arithmetic fits, but nobody asked for it."""
    bench = _paid()
    offset = offset_of(bench, 3)
    records = forged(bench.records, offset, b'"30"', b'"40"')
    records = forged(records, offset, b'"available":"70"', b'"available":"60"')
    value = records[offset].value
    records = forged(records, offset, value[-66:], hash_of(value).encode() + b'"}')
    receipt = await explain(history(records), Wanted(LEDGER, 3))
    assert (receipt.bytes_equal, receipt.digest_matches, receipt.chain.followed) == (True, False, False)
    assert not receipt.proves


@pytest.mark.parametrize("seq", [2, 3])
async def test_bytes_that_are_no_text_are_damage_that_is_said(seq: int) -> None:
    """In a payload, which nobody looks into when a fact is read."""
    bench = Bench()
    bench.decide(create(), note("n1", text="hello"), note("n2", text="hello"))
    records = forged(bench.records, offset_of(bench, seq), b"hello", b"h\xffllo")
    told = history(records)
    if seq == 3:
        with pytest.raises(FormatError, match=r"damaged.*the chain breaks at fact 3"):
            await explain(told, Wanted(LEDGER, 3))
    else:
        assert (await explain(told, Wanted(LEDGER, 3))).chain.broken_at == 2


async def test_a_fact_before_it_that_was_changed_breaks_the_chain_and_is_named() -> None:
    """Even where the decision itself comes out the same."""
    bench = _paid()
    records = forged(bench.records, offset_of(bench, 2), b'"a1"', b'"a9"')
    receipt = await explain(history(records), Wanted(LEDGER, 3))
    assert receipt.bytes_equal
    assert (receipt.chain.holds, receipt.chain.broken_at) == (False, 2)
    assert not receipt.proves


async def test_a_history_that_cannot_be_is_said_and_nothing_is_guessed() -> None:
    """A confirm of a reservation that was never made."""
    bench = Bench()
    confirmed = Confirm(id="c1", tenant_id=TENANT, ledger_id=LEDGER, reservation_id="rr1")
    bench.decide(create(), add("a1"), reserve("r1", "5", reservation_id="rr1"), confirmed, deduct("d1"))
    records = forged(bench.records, offset_of(bench, 3), b'"rr1"', b'"rr2"')
    receipt = await explain(history(records), Wanted(LEDGER, 5))
    assert receipt.bytes_equal is None
    assert receipt.why is not None
    assert "fact 4" in receipt.why
    assert receipt.before is None
    assert not receipt.proves


async def test_rules_that_this_program_does_not_have_are_said_and_not_guessed() -> None:
    """A newer release may decide otherwise."""
    assert RULES_VERSION in RULES
    bench = _paid()
    records = forged(bench.records, offset_of(bench, 3), b'"rules":1', b'"rules":9')
    receipt = await explain(history(records), Wanted(LEDGER, 3))
    assert receipt.bytes_equal is None
    assert receipt.why is not None
    assert "rules version 9" in receipt.why
    assert "newer release" in receipt.why


async def test_a_config_that_the_store_does_not_have_yet_is_asked_for_and_not_left_out() -> None:
    """Each partition is copied at its own pace."""
    told = opened()
    told.config("b1", ConfigType.BUDGET, {"ttl_ms_max": 7})
    told.ask(Authorize)

    class Lagging(LogHistory):
        async def versions(self, wanted: Mapping[str, int], tenant_id: str) -> Sequence[Stored]:
            return []

    log = MemoryLog(1)
    log.records = [told.bench.records]
    lagging = Lagging(log, lambda _: 0)
    with pytest.raises(HistoryIncomplete, match="cfg_b1 version 1"):
        await explain(lagging, Wanted(LEDGER, told.bench.last.seq))


# Ids ---------------------------------------------------------------------------------------------


async def test_a_command_is_found_by_its_id_and_the_newest_where_an_id_was_free_again() -> None:
    """Ids are kept for 35 days."""
    bench = Bench()
    bench.decide(create(), add("a1", "100"), deduct("d1", "30"))
    told = history(bench.records)
    assert (await explain(told, Wanted(LEDGER, command_id="d1"))).id == f"{LEDGER}.3"
    bench.now += 36 * DAY
    bench.one(deduct("d1", "2"))
    assert (await explain(history(bench.records), Wanted(LEDGER, command_id="d1"))).id == f"{LEDGER}.4"


@pytest.mark.parametrize(("text", "ledger"), [("account_acct_1", None), (f"{LEDGER}.0", None), ("x", "acct"), ("x", "acct_1.2")])
def test_an_id_that_is_none_is_said_with_what_one_looks_like(text: str, ledger: str | None) -> None:
    with pytest.raises(DecisionUnknown, match="account_acct_1"):
        wanted_of(text, ledger)


def test_an_entity_may_be_named_where_its_ledger_is_meant() -> None:
    assert wanted_of("order-7", "acct_1") == wanted_of("order-7", LEDGER) == Wanted(LEDGER, command_id="order-7")
    assert wanted_of(f"{LEDGER}.42", None) == Wanted(LEDGER, seq=42)


async def test_what_is_not_there_and_what_is_another_tenants_is_unknown_alike() -> None:
    """A history of one tenant has nothing of others."""
    told = history(_paid().records)
    for wanted in (Wanted(LEDGER, 99), Wanted(OTHER, 1), Wanted(LEDGER, command_id="d9")):
        with pytest.raises(DecisionUnknown, match="leave none"):
            await explain(told, wanted)
    told._tenant_id = "tenant_2"
    with pytest.raises(DecisionUnknown):
        await explain(told, Wanted(LEDGER, 3))
