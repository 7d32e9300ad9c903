"""
Seeds to verdicts. Owns: running one seed and judging it, and many of them in several processes.
"""

import os
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Final

from msgspec import Struct

from z0.sim.auditor import Violation, audit
from z0.sim.evidence import Evidence
from z0.sim.plan import Plan
from z0.sim.planning import plan_of
from z0.sim.scenario import play

SEEDS_AT_ONCE: Final = 2  # handed to a process together: few, for an interrupt waits until they are through


class Verdict(Struct, frozen=True):
    """What one seed came to."""

    seed: int
    violations: tuple[Violation, ...]
    facts: int = 0
    void: int = 0
    claims: int = 0
    answers: int = 0
    commands: int = 0
    rebalances: int = 0
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    struck: dict[str, int] = {}


class Run(Struct, frozen=True):
    """One run with everything that it left, for the report of a failure."""

    evidence: Evidence | None
    violations: tuple[Violation, ...]


def judge(plan: Plan) -> tuple[Run, Verdict]:
    """Play and audit a plan. What the code under test raises is a violation like any other."""
    started = time.process_time()
    try:
        evidence = play(plan)
        found = audit(evidence)
    except Exception:
        text = traceback.format_exc()
        broken = (Violation("fault", text),)
        return Run(None, broken), Verdict(plan.seed, broken, cpu_s=time.process_time() - started)
    violations = tuple(found.violations)
    verdict = Verdict(
        plan.seed,
        violations,
        facts=found.facts,
        void=found.void,
        claims=found.claims,
        answers=len(evidence.told),
        commands=sum(map(len, evidence.commands)) + len(evidence.asked),
        rebalances=evidence.rebalances,
        virtual_s=evidence.virtual_s,
        cpu_s=time.process_time() - started,
        struck={str(name): count for name, count in evidence.struck.items()},
    )
    return Run(evidence, violations), verdict


def verdict_of(seed: int) -> Verdict:
    """Run one seed."""
    return judge(plan_of(seed))[1]


def verdicts(seeds: Iterable[int], processes: int) -> Iterator[Verdict]:
    """Run seeds, in their order, in so many processes (1: in this one)."""
    if processes <= 1:
        yield from map(verdict_of, seeds)
        return
    # Not forked: a simulation must not find threads or loops of whoever started it.
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
    try:
        with _no_interrupts():
            found = pool.map(verdict_of, seeds, chunksize=SEEDS_AT_ONCE)
        yield from found
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """
    Processes that are started here keep this mask. A terminal's Ctrl-C goes to all of them at once, and it is for the first one
    only: a pool whose processes die answers with a thread's traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Figures(Struct, frozen=True):
    """Many seeds in one look."""

    seeds: int
    failed: int
    facts: int
    void: int
    claims: int
    commands: int
    answers: int
    rebalances: int
    faults: int
    gates: int  # different places between two effects where a process was killed or stopped
    virtual_s: float
    cpu_s: float
    cpu_per_seed_s: float
    seconds: float
    processes: int


def simulate(
    seeds: range, processes: int = 0, on_verdict: Callable[[Verdict], None] = lambda verdict: None
) -> tuple[Figures, list[Verdict]]:
    """Run seeds; the figures of all, and the verdicts of those that failed."""
    processes = processes or min(os.cpu_count() or 1, len(seeds))
    started = time.monotonic()
    totals: Counter[str] = Counter()
    struck: Counter[str] = Counter()
    failed = []
    for verdict in verdicts(seeds, processes):
        for name in _SUMMED:
            totals[name] += getattr(verdict, name)
        struck.update(verdict.struck)
        if verdict.violations:
            failed.append(verdict)
        on_verdict(verdict)
    figures = Figures(
        seeds=len(seeds),
        failed=len(failed),
        **{name: totals[name] for name in _SUMMED if name not in ("virtual_s", "cpu_s")},
        faults=sum(struck.values()),
        gates=sum("@" in name for name in struck),
        virtual_s=round(totals["virtual_s"]),
        cpu_s=round(totals["cpu_s"], 1),
        cpu_per_seed_s=round(totals["cpu_s"] / max(1, len(seeds)), 3),
        seconds=round(time.monotonic() - started, 1),
        processes=processes,
    )
    return figures, failed


_SUMMED: Final = ("facts", "void", "claims", "commands", "answers", "rebalances", "virtual_s", "cpu_s")
