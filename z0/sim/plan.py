"""
Plans: everything that a seed decides before a run begins. Owns: their shape, and a plan as one word of text. A plan can be cut
down and played again.
"""

import binascii
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from enum import StrEnum

import msgspec
from msgspec import Struct

from z0.errors import FormatError
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


def to_text(plan: Plan) -> str:
    """A plan as one word that a shell takes as it is."""
    return urlsafe_b64encode(zlib.compress(msgspec.msgpack.encode(plan), 9)).decode()


def from_text(text: str) -> Plan:
    """
    The plan that `to_text` made a word of.

    Raises:
        FormatError: it is none of this version's.
    """
    try:
        return msgspec.msgpack.decode(zlib.decompress(urlsafe_b64decode(text)), type=Plan)
    except (binascii.Error, zlib.error, msgspec.MsgspecError, ValueError) as error:
        raise FormatError(f"this is no plan as a failing report of this version prints it: {error}") from None
