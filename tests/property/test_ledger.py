"""What always holds of a ledger, over random commands; hypothesis prints how to repeat a failure."""

from collections import defaultdict
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property.commands import LEDGERS, OVERDRAFT_UNITS, STEPS, opening, policies
from tests.unit.test_log_world import NOW, Bench, audit, comparable, values
from z0.codec import encode_command
from z0.domain.commands import Command
from z0.domain.deltas import add_delta, budget_delta
from z0.domain.outcome import Kind, kind
from z0.domain.state import Budget, LedgerState
from z0.log.memory import MemorySnapshots
from z0.log.snapshot import (
    LedgerSnapshot,
    decode_access,
    decode_budget,
    decode_caps,
    decode_ledger,
    encode_ledger,
    encode_part,
    take,
)
from z0.log.working_set import WorkingSet

Steps = list[tuple[Command, int]]
FAST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FEW = settings(FAST, max_examples=30)


def play(steps: Steps, *, live_entities_max: int = 1_000) -> Bench:
    """Decide them one by one."""
    bench = Bench(live_entities_max=live_entities_max, policies=policies())
    bench.decide(*opening())
    for command, pause in steps:
        bench.now += pause
        bench.one(command)
    return bench


def _part(number: int, state: LedgerState | None, as_of: int) -> Any:
    """One part of a state's snapshot, as it comes back from a table."""
    part = msgspec.structs.astuple(take(state, as_of, 0))[number] if state is not None else None
    return WIRES[number](part) if part is not None else None


WIRES: list[Callable[[Any], Any]] = [
    lambda part: decode_ledger(encode_ledger(part)),
    lambda part: decode_budget(encode_part(part)),
    lambda part: decode_caps(encode_part(part)),
    lambda part: decode_access(encode_part(part)),
]


@FAST
@given(steps=STEPS)
def test_a_reader_of_the_log_finds_it_sound_and_comes_to_the_live_state(steps: Steps) -> None:
    """
    Conservation, no negative balance, gapless seq, an intact chain, true hashes: checked fact by fact in `audit`;
    and what is folded from the stored bytes is what the writer has in memory.
    """
    bench = play(steps)
    found = audit(bench.records, overdraft_units=OVERDRAFT_UNITS)
    for ledger, state in found.states.items():
        assert comparable(state) == comparable(bench.state(ledger))


@FAST
@given(steps=STEPS)
def test_repeating_any_command_changes_nothing_and_gives_the_first_outcome(steps: Steps) -> None:
    """The second time all of them at once, in one round."""
    bench = Bench(policies=policies())
    bench.decide(*opening())
    first = []
    for command, pause in steps:
        bench.now += pause
        first.append(bench.one(command))
    recorded = [(c, a) for (c, _), a in zip(steps, first, strict=True) if a.seq]
    facts = len(bench.facts)
    again = bench.decide(*(command for command, _ in recorded))
    assert [(a.outcome, a.seq, a.offset, a.available) for a in again] == [
        (a.outcome, a.seq, a.offset, a.available) for _, a in recorded
    ]
    assert all(a.repeated for a in again)
    assert len(bench.facts) == facts


@FAST
@given(steps=STEPS)
def test_exactly_the_recorded_outcomes_leave_a_fact(steps: Steps) -> None:
    """One each, with the command's id; refusals of other kinds leave nothing."""
    bench = Bench(policies=policies())
    bench.decide(*opening())
    for command, pause in steps:
        bench.now += pause
        before = len(bench.facts)
        answer = bench.one(command)
        new = [f for f in bench.facts[before:] if f.command_id is not None]
        recorded = kind(answer.outcome) in (Kind.ACCEPTED, Kind.FINAL) and answer.seq and not answer.repeated
        assert [f.outcome for f in new] == ([answer.outcome] if recorded else [])


@FEW
@given(steps=STEPS, cuts=st.lists(st.integers(0, 200), min_size=4, max_size=4))
async def test_snapshots_of_four_moments_and_the_rest_of_the_log_give_the_live_state(steps: Steps, cuts: list[int]) -> None:
    """The parts of a snapshot may be of different offsets; a replay folds each fact into the part that lacks it."""
    bench = play(steps)
    end = len(bench.records)
    moments = [1 + cut % end for cut in cuts]
    snapshots = MemorySnapshots()
    states = [audit(bench.records[:moment], overdraft_units=OVERDRAFT_UNITS).states for moment in moments]
    for ledger in LEDGERS:
        parts = [_part(n, of.get(ledger), moment - 1) for n, (moment, of) in enumerate(zip(moments, states, strict=True))]
        if any(parts):
            await snapshots.save(0, 0, {ledger: LedgerSnapshot(*parts)})
    working = WorkingSet(0, snapshots, live_entities_max=10)
    for fact in bench.facts:
        if fact.offset >= min(moments):
            working.refold(fact)
    for ledger in LEDGERS:
        state = working.get(ledger)
        assert state is not None
        assert comparable(state) == comparable(bench.state(ledger))


@FEW
@given(steps=STEPS, seed=st.integers(0, 2**32))
async def test_letting_entities_go_and_loading_them_again_decides_the_same(steps: Steps, seed: int) -> None:
    """A working set of one entity, with snapshots now and then, writes the very log that a large one writes."""
    random = Random(seed)
    large = play(steps)
    small = Bench(live_entities_max=1, policies=policies())
    small.decide(*opening())
    for command, pause in steps:
        if random.random() < 0.3:
            await small.let_go()
            small.working.dirty.clear()
        small.now += pause
        small.one(command)
    assert [r.value for r in small.records] == [r.value for r in large.records]


@FEW
@given(steps=STEPS, size=st.integers(1, 20))
def test_the_size_of_rounds_changes_nothing_but_the_time(steps: Steps, size: int) -> None:
    """Commands decided together come to what they come to one by one."""
    commands = [command for command, _ in steps]
    one_by_one, together = play([(command, 0) for command in commands]), Bench(policies=policies())
    together.decide(*opening())
    for start in range(0, len(commands), size):
        together.decide(*commands[start : start + size])
    assert [r.value for r in together.records] == [r.value for r in one_by_one.records]


@FAST
@given(steps=STEPS)
def test_the_changes_that_a_store_adds_up_are_the_sums_that_the_ledger_has(steps: Steps) -> None:
    """`deltas` reads every change from the fact alone."""
    bench = play(steps)
    sums: dict[tuple[str, str], Budget] = defaultdict(Budget)
    for fact in bench.facts:
        delta = budget_delta(fact)
        if delta is not None:
            add_delta(sums[fact.ledger_id, str(fact.currency)], delta)
    for ledger in LEDGERS:
        for currency, budget in bench.state(ledger).budgets.items():
            assert values(sums[ledger, currency]) == values(budget)


@FAST
@given(steps=STEPS)
def test_commands_encode_canonically(steps: Steps) -> None:
    """Decoded and encoded again they are the same bytes: digests agree over all doors."""
    from z0.codec import decode_command

    for command, _ in steps:
        value = encode_command(command)
        decoded = decode_command(value)
        assert not isinstance(decoded, str)
        assert encode_command(decoded) == value


def test_time_starts_where_the_bench_says() -> None:
    """So that the timestamps in the strategies are within bounds."""
    assert NOW == 1_800_000_000_000
