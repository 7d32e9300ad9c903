"""
Shrinking: the shortest plan that still fails. Owns: which parts are left out, in which order, and for how long it tries.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec

from z0.sim.plan import Plan, Step
from z0.sim.run import judge

SECONDS_MAX: Final = 60.0
T = TypeVar("T")
Steps = tuple[Step, ...]
Fails = Callable[[Plan], bool]


def shrink(plan: Plan, rule: str, seconds_max: float = SECONDS_MAX) -> Plan:
    """Leave out faults, flows, steps and commands, one stretch after the other, while a violation of the same rule remains."""
    deadline = time.monotonic() + seconds_max

    def fails(candidate: Plan) -> bool:
        return time.monotonic() < deadline and any(v.rule == rule for v in judge(candidate)[0].violations)

    before = None
    while plan != before and time.monotonic() < deadline:
        before = plan
        plan = _shorter_flows(_fewer_faults(_fewer_flows(plan, fails), fails), fails)
    return plan


def _fewer_flows(plan: Plan, fails: Fails) -> Plan:
    flows = _fewer(plan.flows, lambda kept: fails(msgspec.structs.replace(plan, flows=kept)))
    return msgspec.structs.replace(plan, flows=flows)


def _fewer_faults(plan: Plan, fails: Fails) -> Plan:
    faults = _fewer(plan.faults, lambda kept: fails(msgspec.structs.replace(plan, faults=kept)))
    return msgspec.structs.replace(plan, faults=faults)


def _fewer(items: Sequence[T], fails: Callable[[tuple[T, ...]], bool]) -> tuple[T, ...]:
    """Items of which no stretch can be left out, tried from halves down to single ones."""
    kept = tuple(items)
    size = len(kept)
    while size:
        at = 0
        while at < len(kept):
            without = kept[:at] + kept[at + size :]
            if fails(without):
                kept = without
            else:
                at += size
        size //= 2
    return kept


def _shorter_flows(plan: Plan, fails: Fails) -> Plan:
    """The same for the steps of each flow, and for the commands of each step."""
    for at in range(len(plan.flows)):
        plan = _shorter_flow(plan, at, fails)
    return plan


def _shorter_flow(plan: Plan, at: int, fails: Fails) -> Plan:
    steps = _fewer(plan.flows[at].steps, lambda kept: bool(kept) and fails(_with_steps(plan, at, kept)))
    for place, step in enumerate(steps):
        before, after = steps[:place], steps[place + 1 :]

        def fails_with(kept: tuple[bytes, ...], step: Step = step, before: Steps = before, after: Steps = after) -> bool:
            return bool(kept) and fails(_with_steps(plan, at, (*before, _with_commands(step, kept), *after)))

        steps = (*before, _with_commands(step, _fewer(step.commands, fails_with)), *after)
    return _with_steps(plan, at, steps)


def _with_steps(plan: Plan, at: int, steps: Steps) -> Plan:
    changed = msgspec.structs.replace(plan.flows[at], steps=steps)
    return msgspec.structs.replace(plan, flows=(*plan.flows[:at], changed, *plan.flows[at + 1 :]))


def _with_commands(step: Step, commands: tuple[bytes, ...]) -> Step:
    return msgspec.structs.replace(step, commands=commands)
