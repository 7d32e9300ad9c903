"""What a run leaves for the auditor: bytes, answers, and the times of both. Owns: nothing but the shape."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from z0.log.ports import Record
from z0.sim.broker import CommandRecord, Letter
from z0.sim.clients import Told
from z0.sim.sink import Row


@dataclass
class Evidence:
    """One run, as everybody outside can see it."""

    facts: Sequence[Sequence[Record]]
    facts_at_s: Sequence[Sequence[float]]
    commands: Sequence[Sequence[CommandRecord]]
    commands_at_s: Sequence[Sequence[float]]
    letters: Sequence[Letter]
    told: Sequence[Told]
    asked: Sequence[bytes]  # commands by the direct door, answered or not
    rows: Sequence[Row]
    problems: list[str]  # that the run itself noticed: processes that stopped by themselves, no rest
    struck: Counter[str]
    history: list[tuple[float, str, str]]
    virtual_s: float
    ended_ms: int  # the brokers' clock at the end
    callbacks: int
    rebalances: int
