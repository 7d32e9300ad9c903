"""The report of a failure. Owns: how a plan and what came of it are told, so that a person can follow it."""

from collections.abc import Iterator
from typing import Final

from z0.sim.plan import Plan, to_text
from z0.sim.run import Run, judge

VIOLATIONS_SHOWN: Final = 10
COMMAND_SHOWN: Final = 300


def story_of(plan: Plan) -> list[str]:
    """Play a plan once more and tell it."""
    return tell(plan, judge(plan)[0])


def tell(plan: Plan, run: Run) -> list[str]:
    """A run in lines: what was planned, what happened, what is wrong, how to run it again."""
    return [*_planned(plan), *_happened(run), *_wrong(run), *_again(plan)]


def _planned(plan: Plan) -> Iterator[str]:
    yield (
        f"seed {plan.seed}: {plan.partitions} partitions, {plan.workers} workers, {plan.live_entities_max} entities in memory, "
        f"snapshots every {plan.snapshot_interval_ms} ms, tables {'in memory' if plan.memory_tables else 'on disk'}"
    )
    for flow in plan.flows:
        for step in flow.steps:
            place = f" to partition {step.partition}" if step.partition >= 0 else ""
            yield f"  {flow.at_ms / 1000:8.3f} {flow.name} by the {step.door} door{place}, after {step.pause_ms} ms"
            yield from (f"             {command.decode(errors='replace')[:COMMAND_SHOWN]}" for command in step.commands)
    for fault in plan.faults:
        where = f"worker {fault.worker}, partition {fault.partition}, {fault.gate or 'at once'}, {fault.for_ms} ms"
        yield f"  {fault.at_ms / 1000:8.3f} fault {fault.told}: {where}"


def _happened(run: Run) -> Iterator[str]:
    if run.evidence is None:
        return
    yield "what happened:"
    yield from (f"  {at_s:8.3f} {who:10} {what}" for at_s, who, what in run.evidence.history)


def _wrong(run: Run) -> Iterator[str]:
    yield f"what is wrong ({len(run.violations)}):"
    yield from (f"  {violation.rule}: {violation.text}" for violation in run.violations[:VIOLATIONS_SHOWN])


def _again(plan: Plan) -> Iterator[str]:
    yield f"the seed's whole plan: z0 simulate --seeds 1 --from {plan.seed}"
    yield f"again, exactly this: z0 simulate --plan {to_text(plan)}"
