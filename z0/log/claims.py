"""
Claims and floors: how an epoch begins, and where a replay may start. Owns: their shape and bytes.
"""

from typing import Literal

import msgspec
from msgspec import Struct

from z0.errors import FormatError

_encode = msgspec.json.Encoder().encode


class Floor(Struct, frozen=True):
    """Where a replay may start: nothing before is needed. Offsets are the next to read; -1: from the beginning."""

    fact_offset: int = 0  # first offset of `z0.facts` to fold
    applied: int = -1  # last offset of `z0.commands` whose effects are below `fact_offset`
    batch_time: int = 0  # time of the last batch, Unix milliseconds
    epoch: int = -1  # claim that was in force at `fact_offset`


class Claim(Struct, frozen=True, kw_only=True):
    """The record that opens an epoch; its offset is the epoch's number."""

    type: Literal["claim"] = "claim"
    partition: int
    owner: str
    address: str
    claimed_at: int
    floor: Floor


_claim_decoder = msgspec.json.Decoder(Claim)
_floor_decoder = msgspec.json.Decoder(Floor)


def encode_claim(claim: Claim) -> bytes:
    """The stored bytes of a claim."""
    return _encode(claim)


def decode_claim(value: bytes) -> Claim:
    """
    A stored claim.

    Raises:
        FormatError: the bytes are no claim.
    """
    try:
        return _claim_decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"not a claim: {error}") from error


def encode_floor(floor: Floor) -> bytes:
    """A floor as it is kept beside the snapshots."""
    return _encode(floor)


def decode_floor(value: bytes) -> Floor:
    """The floor that `encode_floor` wrote."""
    return _floor_decoder.decode(value)
