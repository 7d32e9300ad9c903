"""Expiry: a hold whose time has come is given back before the command is decided, by the batch's time."""

import msgspec
import pytest

from tests.unit.test_log_world import LEDGER, NOW, TENANT, Bench, add, audit, create, deduct, note, read, reserve
from z0.domain.commands import Confirm, Release
from z0.domain.expiry import EXPIRIES_PER_FACT_MAX, expiry_drafts
from z0.domain.outcome import Outcome
from z0.domain.state import HOLDS_MAX, Budget, Hold, LedgerState, due_holds, push_expiry
from z0.domain.views import StateView
from z0.log.deciding import RECORD_OVERHEAD_BYTES, ROUND_BYTES_MAX
from z0.log.producer import BATCH_BYTES_MAX
from z0.log.working_set import DUE_MIN


def held(*ttls: int) -> Bench:
    """100 USD, and one hold of 10 for each time to live."""
    bench = Bench()
    bench.decide(create(), add("a1", "100"), *(reserve(f"r{i}", "10", ttl_ms=ttl) for i, ttl in enumerate(ttls)))
    return bench


def test_a_due_hold_is_expired_before_the_command_that_comes_next() -> None:
    """The money is there again for it."""
    bench = held(1_000)
    bench.now += 1_000
    answer = bench.one(deduct("d1", "100"))
    assert (answer.outcome, answer.available) == (Outcome.ACCEPTED, "0")
    expired = bench.facts[-2]
    assert (expired.type, expired.subtype, expired.amount, expired.available) == ("budget", "expired", "10", "100")
    assert msgspec.json.decode(expired.data) == {"reservations": {"r0": "10"}}
    audit(bench.records)


def test_an_expiry_is_nobodys_command() -> None:
    """No command id, no outcome, no cause; its event time is the batch's."""
    bench = held(1_000)
    bench.now += 5_000
    bench.one(note("n1", timestamp=NOW))
    expired = bench.facts[-2]
    assert (expired.command_id, expired.digest, expired.outcome, expired.cause) == (None, None, None, None)
    assert (expired.timestamp, expired.recorded_at) == (NOW + 5_000, NOW + 5_000)


def test_a_hold_lives_until_its_millisecond() -> None:
    """Before it a confirmation is taken, at it not."""
    bench = held(1_000, 1_000)
    confirm = Confirm(id="c0", tenant_id=TENANT, ledger_id=LEDGER, reservation_id="r0")
    bench.now += 999
    assert bench.one(confirm).outcome is Outcome.ACCEPTED
    bench.now += 1
    late = msgspec.structs.replace(confirm, id="c1", reservation_id="r1")
    assert bench.one(late).outcome is Outcome.RESERVATION_NOT_OPEN
    assert bench.state().budgets["USD"].spent == 10 * 10**12


@pytest.mark.parametrize("command", [Release(id="l", tenant_id=TENANT, ledger_id=LEDGER, reservation_id="r0"), read(), note("n")])
def test_every_command_expires_what_is_due_also_one_that_reads_or_is_refused(command: Release) -> None:
    """An answer never shows money as held whose time is over."""
    bench = held(1_000)
    bench.now += 1_000
    bench.one(command)
    shown = msgspec.json.decode(bench.one(read("r")).state, type=StateView)
    assert (shown.budgets["USD"].available, shown.reservations) == ("100", {})
    assert [f.subtype for f in bench.facts].count("expired") == 1


def test_one_fact_lists_at_most_five_hundred_of_one_currency() -> None:
    """So that a fact stays small; a second currency has its own fact."""
    bench = Bench()
    bench.decide(create(), add("a1", "5000"), add("a2", "5000", currency="EUR"))
    bench.decide(*(reserve(f"u{i}", "1", ttl_ms=1_000) for i in range(1_100)))
    bench.decide(*(reserve(f"e{i}", "2", currency="EUR", ttl_ms=1_000) for i in range(3)))
    before = len(bench.facts)
    bench.now += 1_000
    bench.one(note("n1"))
    facts = bench.facts[before:-1]
    sizes = [(f.currency, len(msgspec.json.decode(f.data)["reservations"]), f.amount, f.available) for f in facts]
    assert sizes == [
        ("EUR", 3, "6", "5000"),
        ("USD", 500, "500", "4400"),
        ("USD", 500, "500", "4900"),
        ("USD", 100, "100", "5000"),
    ]
    audit(bench.records)


def test_the_earliest_expire_and_the_others_stay() -> None:
    """By their own times, in their order."""
    bench = held(3_000, 1_000, 2_000)
    bench.now += 2_000
    bench.one(note("n1"))
    assert list(bench.state().holds) == ["r0"]
    assert list(msgspec.json.decode(bench.facts[-2].data)["reservations"]) == ["r1", "r2"]


def test_a_reservation_made_again_under_its_name_lives_by_its_new_time() -> None:
    """The old entry in the index of expiries means nothing any more."""
    bench = held(1_000)
    bench.one(Release(id="l", tenant_id=TENANT, ledger_id=LEDGER, reservation_id="r0"))
    bench.one(reserve("again", "10", reservation_id="r0", ttl_ms=9_000))
    bench.now += 5_000
    bench.one(note("n1"))
    assert list(bench.state().holds) == ["r0"]
    bench.now += 4_000
    bench.one(note("n2"))
    assert not bench.state().holds
    audit(bench.records)


def test_one_made_again_with_the_very_same_time_expires_once() -> None:
    """Two equal entries, one hold."""
    bench = held(1_000)
    bench.one(Release(id="l", tenant_id=TENANT, ledger_id=LEDGER, reservation_id="r0"))
    bench.one(reserve("again", "10", reservation_id="r0", ttl_ms=1_000))
    bench.now += 1_000
    bench.one(note("n1"))
    assert bench.facts[-2].amount == "10"
    audit(bench.records)


def test_the_index_of_expiries_does_not_grow_with_closed_holds() -> None:
    """It is built anew when closed holds outnumber the open ones."""
    state = LedgerState()
    for n in range(10_000):
        state.holds = {f"r{n}": Hold("USD", 1, NOW + n, NOW)}
        push_expiry(state, NOW + n, f"r{n}")
    assert len(state.expiries) < 100
    assert due_holds(state, NOW + 10_000) == ["r9999"]


def test_a_ledger_has_a_bounded_number_of_open_holds() -> None:
    """One more is refused and leaves its fact."""
    bench = Bench()
    bench.decide(create(), add("a1", "5"))
    state = bench.state()
    state.holds = {f"r{n}": Hold("USD", 0, NOW + 10_000, NOW) for n in range(HOLDS_MAX)}
    assert bench.one(reserve("one-more")).outcome is Outcome.TOO_MANY_HOLDS


def test_the_expiry_of_all_holds_fits_one_record_batch_whatever_their_names() -> None:
    """The worst names are 200 quotation marks, which JSON writes as two bytes each; facts of one command are never split."""
    state = LedgerState()
    amount = 10**38 // HOLDS_MAX
    for n in range(HOLDS_MAX):
        name = f"{n:05d}" + '"' * 195
        state.holds[name] = Hold("USD", amount, NOW, NOW)
        push_expiry(state, NOW, name)
    state.budgets["USD"] = Budget(deposited=amount * HOLDS_MAX, reserved=amount * HOLDS_MAX)
    drafts = expiry_drafts(state, NOW)
    assert len(drafts) == HOLDS_MAX // EXPIRIES_PER_FACT_MAX
    size = sum(len(bytes(draft.data)) + 1_500 + RECORD_OVERHEAD_BYTES for draft in drafts)
    assert max(len(bytes(draft.data)) for draft in drafts) < 256 * 1024
    assert ROUND_BYTES_MAX + size < BATCH_BYTES_MAX


async def test_the_timer_finds_every_reservation_of_a_ledger_outside_memory_one_after_the_other() -> None:
    """Loaded for the first one's end, the ledger is looked at again for the second's."""
    bench = held(1_000, 2_000, 3_000)
    await bench.let_go()
    for left in (["r1", "r2"], ["r2"], []):
        bench.now += 1_000
        bench.tick()
        assert list(bench.state().holds) == left
    audit(bench.records)


async def test_the_timer_still_finds_a_ledger_that_was_away_and_whose_first_reservation_was_released() -> None:
    """What is known of it is the end of the one that is gone; that is a reason to look, not to forget it."""
    bench = held(1_000, 2_000)
    bench.working._max = 1
    bench.one(Release(id="l", tenant_id=TENANT, ledger_id=LEDGER, reservation_id="r0"))
    await bench.snapshots.save(0, 0, bench.working.snapshot([LEDGER], len(bench.records) - 1, 0))
    bench.working.dirty.clear()
    bench.one(create("c2", "account_acct_2"))  # the set is full: the first ledger leaves it
    bench.one(read())
    for _ in range(2):
        bench.now += 1_000
        bench.tick()
    assert not bench.state().holds
    audit(bench.records)


def test_what_is_due_at_once_on_many_ledgers_is_cut_into_rounds_that_fit_a_record_batch() -> None:
    """After an hour without a worker all of it is due; a batch that the broker refuses would be tried for ever."""
    bench = Bench()
    ledgers = [f"account_acct_{n}" for n in range(12)]
    for ledger in ledgers:
        bench.decide(create("c", ledger), add("a", "1", ledger))
        state = bench.state(ledger)
        for n in range(HOLDS_MAX):
            name = f"{n:05d}" + "r" * 95
            state.holds[name] = Hold("USD", 0, NOW + 1_000, NOW)
            push_expiry(state, NOW + 1_000, name)
        bench.working.schedule(ledger, state)
    bench.now += 1_000
    sizes = []
    while bench.decider.is_due(bench.now):
        sizes.append(sum(len(value) for _, value in bench.tick().records))
    assert max(sizes) < BATCH_BYTES_MAX
    assert not any(bench.state(ledger).holds for ledger in ledgers)


def test_the_index_of_expiries_does_not_grow_with_ledgers_that_come_and_go() -> None:
    """Each time it came in anew, a ledger's reservation was one more entry until its end, an hour or a year later."""
    bench = Bench()
    working = bench.working
    for turn in range(3 * DUE_MIN):
        state = LedgerState()
        push_expiry(state, NOW + turn, "r")
        working.schedule(f"account_acct_{turn % 10}", state)
        working._scheduled.clear()  # all of them have left memory
    assert len(working._due) <= DUE_MIN + 1
    assert sorted(set(working.take_due(NOW + 3 * DUE_MIN, 3 * DUE_MIN))) == [f"account_acct_{n}" for n in range(10)]
