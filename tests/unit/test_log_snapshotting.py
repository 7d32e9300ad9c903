"""Passes of snapshots: their share of a worker's time, and the floor that follows each."""

import asyncio
from collections.abc import Mapping
from itertools import pairwise

from tests.unit.test_log_world import Bench, create, note
from z0.log.claims import Floor
from z0.log.memory import MemorySnapshots
from z0.log.snapshot import LedgerSnapshot
from z0.log.snapshotting import PASS_STEPS_MAX, SPREAD, STEP_ENTITIES_MAX, STEP_PAUSE_MS, Snapshotter

INTERVAL_MS = 8_000


def account(n: int) -> str:
    return f"account_acct_{n}"


class Watched(MemorySnapshots):
    """Snapshots that are saved when a test lets them, and the size of each save."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.floors: list[Floor] = []
        self.gates: list[asyncio.Event | Exception] = []  # of the saves, in their order; none left: at once

    async def save(self, partition: int, epoch: int, snapshots: Mapping[str, LedgerSnapshot]) -> None:
        self.sizes.append(len(snapshots))
        gate = self.gates.pop(0) if self.gates else None
        if isinstance(gate, asyncio.Event):
            await gate.wait()
        elif gate is not None:
            raise gate
        await super().save(partition, epoch, snapshots)

    async def save_floor(self, partition: int, epoch: int, floor: Floor) -> None:
        self.floors.append(floor)


def dirty(entities: int, partition: int = 0, live_entities_max: int = 100_000) -> tuple[Bench, Watched, Snapshotter]:
    """Entities that have no snapshot, and who is to write them."""
    bench, snapshots = Bench(live_entities_max=live_entities_max), Watched()
    bench.decide(*(create("c", account(n)) for n in range(entities)))
    passes = Snapshotter(partition, 0, snapshots=snapshots, working=bench.working, interval_ms=INTERVAL_MS)
    return bench, snapshots, passes


def floor_of(bench: Bench) -> Floor:
    return Floor(len(bench.records), -1, bench.now, 0)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_step_writes_so_many_and_the_next_one_comes_after_a_pause() -> None:
    """Commands wait while a step is written: its share of a worker's time is bounded."""
    bench, snapshots, passes = dirty(3 * STEP_ENTITIES_MAX)
    for step in range(3):
        passes.step(floor_of(bench), alive_ms=1_000 * step)
        await settle()
        assert snapshots.sizes == [STEP_ENTITIES_MAX] * (step + 1)
        assert passes.due_in_ms(1_000 * step) == (STEP_PAUSE_MS if step < 2 else INTERVAL_MS)


async def test_a_pass_over_very_many_entities_ends_within_its_steps() -> None:
    """Where entities are made by the ten thousand, steps of a fixed size would never reach the end of a pass."""
    bench, snapshots, passes = dirty(2 * PASS_STEPS_MAX * STEP_ENTITIES_MAX)
    for step in range(PASS_STEPS_MAX):
        passes.step(floor_of(bench), alive_ms=step)
    await settle()
    assert len(snapshots.floors) == 1
    assert len(set(snapshots.sizes)) == 1


async def test_the_floor_of_a_pass_is_that_of_its_beginning_whatever_changes_between_its_steps() -> None:
    """What was written by an early step and changed before the last one has its newest facts in the log alone."""
    bench, snapshots, passes = dirty(2 * STEP_ENTITIES_MAX)
    began = floor_of(bench)
    passes.step(began, alive_ms=0)
    await settle()
    bench.decide(note("n", account(0)))
    passes.step(floor_of(bench), alive_ms=STEP_PAUSE_MS)
    await settle()
    assert snapshots.floors == [began]
    assert list(bench.working.dirty) == [account(0)]


async def test_a_pass_that_failed_is_over_only_when_its_last_save_has_landed_or_failed() -> None:
    """One that lands late would lie on top of the next pass's."""
    bench, snapshots, passes = dirty(2 * STEP_ENTITIES_MAX)
    late = asyncio.Event()
    snapshots.gates = [TimeoutError("not acked"), late]
    for step in range(2):
        passes.step(floor_of(bench), alive_ms=step)
        await settle()
    assert len(bench.working.saving) == 2 * STEP_ENTITIES_MAX
    late.set()
    await settle()
    assert not bench.working.saving
    assert len(bench.working.dirty) == 2 * STEP_ENTITIES_MAX
    assert snapshots.floors == []


async def test_a_set_half_full_of_what_is_new_does_not_wait_for_the_interval() -> None:
    """When all of it is new, nothing can be let go, and those who ask wait."""
    _, _, passes = dirty(49, live_entities_max=100)
    assert passes.due_in_ms(0) == INTERVAL_MS
    bench, _, passes = dirty(50, live_entities_max=100)
    assert passes.due_in_ms(0) == 0
    passes.step(floor_of(bench), alive_ms=0)
    assert passes.due_in_ms(0) > 0


def test_partitions_that_are_taken_together_begin_their_passes_apart() -> None:
    """All at once, they would add up to what each of them may take."""
    first = [dirty(1, partition)[2].due_in_ms(0) for partition in range(SPREAD)]
    assert first[0] == INTERVAL_MS
    assert {later - sooner for sooner, later in pairwise(first)} == {INTERVAL_MS // SPREAD}
