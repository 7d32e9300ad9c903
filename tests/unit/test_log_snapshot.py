"""Snapshots: a state comes back as it was, whatever its size, and each part says as of which offset it is."""

from msgspec import Raw

from tests.unit.test_log_world import LEDGER, NOW, Bench, add, comparable, create, deduct, reserve, values
from z0.domain.money import UNITS_MAX
from z0.domain.state import CHARGES_MAX, ENDED_MAX, HOLDS_MAX, Budget, Charge, Hold, LedgerState
from z0.log.memory import MemorySnapshots
from z0.log.producer import BATCH_BYTES_MAX
from z0.log.snapshot import (
    LedgerSnapshot,
    decode_budget,
    decode_ledger,
    encode_ledger,
    encode_part,
    restore,
    take,
)
from z0.log.working_set import WorkingSet


def over_the_wire(snapshot: LedgerSnapshot) -> LedgerSnapshot:
    """Encoded and decoded, as the tables keep it."""
    assert snapshot.ledger is not None
    assert snapshot.budget is not None
    return LedgerSnapshot(decode_ledger(encode_ledger(snapshot.ledger)), decode_budget(encode_part(snapshot.budget)))


def test_a_state_comes_back_as_it_was() -> None:
    """Metadata, head of the chain, sums, holds, and the order in which holds end."""
    bench = Bench()
    bench.decide(create(subtype="shop"), add("a1", "10"), add("a2", "7", currency="EUR"), reserve("r1", "3", workflow_id="wf_1"))
    state = bench.state()
    assert comparable(restore(over_the_wire(take(state, 4, 0)))) == comparable(state)


def test_amounts_beyond_64_bits_come_back_exactly() -> None:
    """A count of 1e-12 outgrows 64 bits at 18 million units of a currency."""
    huge = 10**38 - 1
    state = LedgerState()
    state.budgets, state.holds = {"USD": Budget(huge, huge, huge, huge, huge, huge)}, {"r": Hold("USD", huge, NOW, NOW)}
    state.expiries = [(NOW, "r")]
    assert comparable(restore(over_the_wire(take(state, 0, 0)))) == comparable(state)


def test_metadata_of_any_size_comes_back_exactly() -> None:
    """JSON has no largest integer; a snapshot that could not be written would hold the floor for ever."""
    bench = Bench()
    bench.one(create(data=Raw(b'{"a":123456789012345678901234567890,"b":-9223372036854775809,"c":0.1}')))
    assert comparable(restore(over_the_wire(take(bench.state(), 1, 0)))) == comparable(bench.state())


def test_a_snapshot_does_not_change_with_the_state_that_it_was_taken_of() -> None:
    """It is written later than it is taken."""
    bench = Bench()
    bench.decide(create(), add("a1", "10"), reserve("r1", "3"))
    taken = take(bench.state(), 3, 0)
    before = encode_part(taken.budget) if taken.budget else b""
    bench.decide(deduct("d1", "5"), reserve("r2", "1"))
    assert taken.budget is not None
    assert encode_part(taken.budget) == before


def test_a_part_that_is_missing_starts_from_nothing() -> None:
    """One table may have lost what the other has."""
    bench = Bench()
    bench.decide(create(), add("a1", "10"))
    whole = take(bench.state(), 2, 0)
    assert restore(LedgerSnapshot(whole.ledger, None)).budgets == {}
    assert restore(LedgerSnapshot(None, whole.budget)).entity is None
    assert restore(LedgerSnapshot(None, whole.budget)).budgets["USD"].deposited == 10 * 10**12


async def test_facts_are_folded_only_into_the_part_that_lacks_them() -> None:
    """The parts are written to two tables and may be of two moments."""
    bench = Bench()
    bench.decide(create(), add("a1", "10"))
    early = take(bench.state(), 2, 0)
    bench.decide(reserve("r1", "3"), deduct("d1", "2"))
    late = take(bench.state(), 4, 0)
    for mixed in (
        LedgerSnapshot(early.ledger, late.budget),
        LedgerSnapshot(late.ledger, early.budget),
        LedgerSnapshot(None, late.budget),
    ):
        snapshots = MemorySnapshots()
        await snapshots.save(0, 0, {LEDGER: mixed})
        working = WorkingSet(0, snapshots, live_entities_max=10)
        for fact in bench.facts:
            working.refold(fact)
        state = working.get(LEDGER)
        assert state is not None
        assert comparable(state) == comparable(bench.state())
        assert LEDGER in working.dirty


def test_the_largest_account_that_may_be_fits_one_record() -> None:
    """The longest ids, every hold counted under 32 limits in an hour of its own, every charge unsettled."""
    limits = [f"cfg_{'c' * 116}{n:02d}/{'l' * 32}" for n in range(32)]
    state = LedgerState()
    state.budgets = {"USD": Budget()}
    for n in range(HOLDS_MAX):
        name = f"{n:0200d}"
        hour = NOW + n * 3_600_000
        state.holds[name] = Hold("USD", UNITS_MAX, hour, hour, "w" * 200, dict.fromkeys(limits, hour))
    ledger = f"account_acct_{'a' * 115}"
    state.charges = {f"{ledger}.{10**12 + n}": Charge("USD", UNITS_MAX, NOW) for n in range(CHARGES_MAX)}
    state.ended = {f"e{n:0199d}": ("transferred_out", NOW) for n in range(ENDED_MAX)}
    part = take(state, 2**40, 2**40).budget
    assert part is not None
    assert len(encode_part(part)) < BATCH_BYTES_MAX - 64 * 1024
    restored = restore(LedgerSnapshot(None, decode_budget(encode_part(part))))
    assert {name: values(hold) for name, hold in restored.holds.items()} == {name: values(h) for name, h in state.holds.items()}
