"""Nothing on the list of faults and gates is there for show: each strikes, and the run in which it does is clean."""

import pytest
from msgspec.structs import replace

from z0.sim.auditor import Violation
from z0.sim.disk import CHANGELOGS
from z0.sim.faults import GATES, IN_PROCESS, SINK_GATES, Fault, FaultKind
from z0.sim.planning import plan_of
from z0.sim.run import judge

SEEDS_MAX = 30
AT_MS = 600  # ledgers are open, and all the rest is still to come


def strikes(name: str, kind: FaultKind, gate: str, worker: int | None) -> tuple[Violation, ...]:
    """What the auditor says of the first run in which this fault strikes, alone; worker None: each of them."""
    for seed in range(SEEDS_MAX):
        plan = plan_of(seed)
        workers = range(plan.workers) if worker is None else (worker,)
        partitions = range(plan.partitions) if kind not in IN_PROCESS else (0,)
        places = [(w, p) for w in workers for p in partitions]
        faults = [Fault(AT_MS, kind, w, p, gate=gate, for_ms=900, changelog=CHANGELOGS[1]) for w, p in places]
        claimed_anew = Fault(AT_MS + 1, FaultKind.REBALANCE)
        _, verdict = judge(replace(plan, faults=(*faults, claimed_anew)))
        if name in verdict.struck:
            return verdict.violations
    raise AssertionError(f"{name} struck in none of {SEEDS_MAX} runs")


@pytest.mark.parametrize("gate", GATES)
def test_a_worker_that_dies_between_two_effects_loses_nothing(gate: str) -> None:
    """Right before or right after each one."""
    assert strikes(f"crash@{gate}", FaultKind.CRASH, gate, None) == ()


@pytest.mark.parametrize("gate", SINK_GATES)
def test_a_sink_that_dies_between_two_effects_loses_nothing(gate: str) -> None:
    """The same for what it reads, writes and shows."""
    assert strikes(f"crash@{gate}", FaultKind.CRASH, gate, -1) == ()


@pytest.mark.parametrize("kind", FaultKind)
def test_every_kind_of_fault_strikes_and_is_survived(kind: FaultKind) -> None:
    """Lost acks, zombies that wake up, rebalances, late and repeated deliveries, lost disks: all that the list names."""
    gate = "append.after" if kind in IN_PROCESS else ""
    assert strikes(f"{kind}@{gate}" if gate else kind, kind, gate, None) == ()


def test_what_clients_do_has_some_of_everything_that_the_ledger_promises() -> None:
    """Holds, caps, transfers, configs, expiries, duplicates: whoever takes one out of the mixture is told."""
    done = {flow.name.split()[0] for seed in range(10) for flow in plan_of(seed).flows}
    assert {"hold", "transfer", "config", "repeat", "twice", "burst", "misuse", "charge", "ask", "invocation", "access"} <= done
