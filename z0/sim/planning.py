"""From a seed to a plan. Owns: how much of everything, and when. The same seed gives the same plan on every machine."""

from random import Random
from typing import Final

from msgspec.structs import replace

from z0.sim.disk import CHANGELOGS
from z0.sim.faults import GATES, SINK_GATES, Fault, FaultKind
from z0.sim.plan import Plan
from z0.sim.workload import Workload

_KINDS: Final[tuple[tuple[FaultKind, int], ...]] = (
    (FaultKind.CRASH, 22),
    (FaultKind.LOSE_DISK, 3),
    (FaultKind.LOSE_INDEX, 4),
    (FaultKind.LOSE_TABLES, 5),
    (FaultKind.LOSE_CHANGELOG, 4),
    (FaultKind.SUSPEND, 14),
    (FaultKind.STOP, 5),
    (FaultKind.REBALANCE, 7),
    (FaultKind.UNHEARD, 6),
    (FaultKind.CLOCK, 6),
    (FaultKind.REDELIVER, 5),
    (FaultKind.LOSE_BATCH, 7),
    (FaultKind.LOSE_ACK, 7),
    (FaultKind.NO_ANSWER, 3),
    (FaultKind.UNKNOWN_OFFSET, 3),
    (FaultKind.DELAY_BATCH, 9),
    (FaultKind.SNAPSHOT_LOST, 4),
    (FaultKind.SNAPSHOT_ACK_LOST, 3),
    (FaultKind.SNAPSHOT_LATE, 8),
    (FaultKind.SNAPSHOT_ORPHANED, 7),
    (FaultKind.COMPACT, 6),
    (FaultKind.OUTBOX_LOST, 3),
    (FaultKind.OUTBOX_ACK_LOST, 3),
    (FaultKind.STORE_DOWN, 3),
)
_SLEEP_SHARE: Final = 0.05  # of the runs with several workers begin with one
_OPENED_MS: Final = 500  # before, ledgers are opened; from then on anything may come
_REPLACED_MS: Final = 11_500  # after a session and a rebalance others have the partitions of who sleeps
_SLEEP_MS: Final = 15_000
_AFTER_A_LOSS: Final = ("fence.after", "replay", "announce.before", "announce.after", "snapshot.before", "snapshot.after")
_DURATIONS_MS: Final = (50, 700, 3_000, 9_000, 14_000, 30_000)


def plan_of(seed: int) -> Plan:
    """The plan of a seed."""
    random = Random(f"{seed}/plan")
    until_ms = random.choice((4_000, 8_000, 15_000, 30_000))
    partitions, workers = random.randint(1, 3), random.randint(1, 3)
    workload = Workload(Random(f"{seed}/workload"), partitions, until_ms)
    faults: list[Fault] = []
    for _ in range(random.randint(2, 14)):
        faults += _with_sequel(random, _fault(random, until_ms, workers, partitions), workers)
    plan = Plan(
        seed=seed,
        partitions=partitions,
        workers=workers,
        memory_tables=random.random() < 0.4,
        snapshot_interval_ms=random.choice((150, 500, 2_000)),
        live_entities_max=random.choice((1, 2, 100)),
        calm_ms=until_ms + 2_000,
        flows=workload.flows(random.randint(25, 90)),
        faults=tuple(sorted(faults, key=lambda fault: fault.at_ms)),
    )
    sleeps = Random(f"{seed}/sleep")
    return _after_a_sleep(sleeps, workload, plan) if workers > 1 and sleeps.random() < _SLEEP_SHARE else plan


def _after_a_sleep(random: Random, workload: Workload, plan: Plan) -> Plan:
    """
    A worker stands still until others have its partitions, and is asked for a state before it hears of them. Nobody asks it for
    anything else meanwhile: with one append it would find out by itself. All the rest of the plan comes later.
    """
    sleep = Fault(random.randrange(1_500, 3_000), FaultKind.SUSPEND, random.randrange(plan.workers), for_ms=_SLEEP_MS)
    later_ms = sleep.at_ms + sleep.for_ms
    flows = (replace(flow, at_ms=flow.at_ms + later_ms) if flow.at_ms >= _OPENED_MS else flow for flow in plan.flows)
    faults = (replace(fault, at_ms=fault.at_ms + later_ms) for fault in plan.faults)
    return replace(
        plan,
        calm_ms=plan.calm_ms + later_ms,
        flows=(*flows, *workload.asked_behind(sleep.at_ms + _REPLACED_MS)),
        faults=(sleep, *faults),
    )


def _fault(random: Random, until_ms: int, workers: int, partitions: int) -> Fault:
    kinds, weights = zip(*_KINDS, strict=True)
    [kind] = random.choices(kinds, weights)
    worker, gate = random.randrange(workers), ""
    if kind in (FaultKind.CRASH, FaultKind.SUSPEND) and random.random() < 0.15:
        worker, gate = -1, random.choice(SINK_GATES)
    elif random.random() < 0.8:
        gate = random.choice(GATES)
    for_ms = random.choice(_DURATIONS_MS)
    if kind is FaultKind.CLOCK:
        for_ms = random.choice((-3_600_000, -4_000, -900, -50, 50, 900, 4_000, 7_000, 3_600_000))
    changelog = random.choice(CHANGELOGS) if kind is FaultKind.LOSE_CHANGELOG else ""
    return Fault(random.randrange(500, until_ms), kind, worker, random.randrange(partitions), gate, for_ms, changelog)


def _around_a_loss(random: Random, loss: Fault) -> list[Fault]:
    """Its owner ends again before it has replaced what was lost, or has batches on their way that land after the loss."""
    if random.random() < 0.5:
        return [loss, Fault(loss.at_ms + 1, FaultKind.CRASH, loss.worker, gate=random.choice(_AFTER_A_LOSS), for_ms=200)]
    late = Fault(loss.at_ms - 400, FaultKind.SNAPSHOT_LATE, partition=loss.partition, for_ms=800)
    return [*[late] * len(CHANGELOGS), replace(loss, gate="", for_ms=1_500)]


def _with_sequel(random: Random, fault: Fault, workers: int) -> list[Fault]:
    """Some faults show only when another follows: what landed late in a changelog matters to who reads it afterwards."""
    if fault.kind is FaultKind.LOSE_CHANGELOG:
        return _around_a_loss(random, fault)
    if fault.kind not in (FaultKind.SNAPSHOT_ORPHANED, FaultKind.SNAPSHOT_LATE) or random.random() < 0.3:
        return [fault]
    at_ms = fault.at_ms + fault.for_ms + random.randrange(200, 3_000)
    compact = [Fault(at_ms - 100, FaultKind.COMPACT)] if random.random() < 0.5 else []
    return [fault, *compact, *(Fault(at_ms, FaultKind.LOSE_TABLES, n, for_ms=200) for n in range(workers))]
