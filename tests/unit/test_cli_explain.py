"""What `z0 explain` shows a person: short, and whatever is wrong stands there in words."""

import pytest

from tests.unit.receipts_world import ConfiguredBench, forged, history, newest, offset_of
from tests.unit.test_log_world import LEDGER, TENANT, Bench, add, create, deduct
from tests.unit.test_receipts import opened
from z0.cli.explain import _show
from z0.domain.commands import Authorize
from z0.domain.facts import ConfigType
from z0.receipts import Receipt, Wanted, explain


def shown(receipt: Receipt, capsys: pytest.CaptureFixture[str]) -> str:
    _show(receipt)
    return capsys.readouterr().out


async def test_a_refusal_is_shown_with_its_rule_its_config_and_what_was_left(capsys: pytest.CaptureFixture[str]) -> None:
    told = opened()
    cap = {"limits": [{"name": "daily", "counts": "spend", "window": "day", "max_amount": "50", "currency": "USD"}]}
    told.config("c1", ConfigType.CAP, cap, name="a quiet day")
    told.bench.one(Authorize(id="ask[1]", tenant_id=TENANT, ledger_id=LEDGER, amount="60", currency="USD"))
    text = shown(await newest(told.bench), capsys)
    assert "account_acct_1.3  cap_exhausted  rule cap.cfg_c1/daily" in text
    assert "authorize id=ask[1] amount=60 currency=USD" in text
    assert "cfg_c1 'a quiet day' version 1 (cap of tenant account)" in text
    assert "50 of 50" in text
    assert "bytes_equal=true digest_matches=true chain_holds=true facts=3 followed=none" in text


async def test_what_changed_is_shown_before_and_after(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench()
    bench.decide(create(), add("a1", "100"), deduct("d1", "30"))
    rows = [line.split() for line in shown(await newest(bench), capsys).splitlines()]
    assert ["spent", "0", "30"] in rows
    assert ["available", "100", "70"] in rows
    assert not any(row[:1] == ["deposited"] for row in rows)


async def test_a_forgery_is_shown_member_by_member(capsys: pytest.CaptureFixture[str]) -> None:
    bench = ConfiguredBench()
    bench.decide(create(), add("a1", "100"), deduct("d1", "30"))
    records = forged(bench.records, offset_of(bench, 3), b'"available":"70"', b'"available":"79"')
    text = shown(await explain(history(records), Wanted(LEDGER, 3)), capsys)
    assert "bytes_equal=false" in text
    assert "available: recorded 79, comes to 70" in text
    assert "the chain breaks at fact 3" in text


async def test_what_cannot_be_decided_again_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench()
    bench.decide(create(), add("a1", "100"))
    records = forged(bench.records, offset_of(bench, 2), b'"rules":1', b'"rules":7')
    text = shown(await explain(history(records), Wanted(LEDGER, 2)), capsys)
    assert "bytes_equal=none" in text
    assert "not decided again: it was decided by rules version 7" in text
