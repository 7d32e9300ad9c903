"""
Plans: everything that a seed decides before a run begins. Owns: their shape. A plan can be cut down and played again.
"""

from enum import StrEnum

from msgspec import Struct

from z0.sim.faults import Fault


class Door(StrEnum):
    """Which way in."""

    DIRECT = "direct"
    KAFKA = "kafka"


class Step(Struct, frozen=True, omit_defaults=True):
    """Commands that a client sends together; by the direct door it asks until every answer is final."""

    commands: tuple[bytes, ...]
    door: Door = Door.DIRECT
    pause_ms: int = 0  # before it
    partition: int = -1  # of a Kafka record; -1: where it belongs
    key: bytes | None = None  # of a Kafka record; None: the ledger id
    only_if_accepted: bool = False  # the flow ends where the step before was refused
    behind: bool = False  # the client has not heard of the present owner yet: it asks the one before first


class Flow(Struct, frozen=True, omit_defaults=True):
    """What one client does, step by step."""

    at_ms: int
    name: str
    steps: tuple[Step, ...]


class Plan(Struct, frozen=True):
    """One run."""

    seed: int
    partitions: int
    workers: int
    memory_tables: bool
    snapshot_interval_ms: int
    live_entities_max: int
    calm_ms: int  # from here on everything goes well
    flows: tuple[Flow, ...]
    faults: tuple[Fault, ...]
