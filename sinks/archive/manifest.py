"""
Manifests: what is sealed, each bound to the one before. Owns: their form, their keys, the chain. Pure.

The key of a manifest is made of the range's FIRST offset alone, and a manifest is only ever put where there is none. So of
two attempts to seal from one offset, with whatever end, exactly one counts: what lies in the bucket without a manifest
does not exist.
"""

from hashlib import sha256
from typing import Final

import msgspec
from msgspec import Struct

from z0.errors import FormatError
from z0.log.validity import Position
from z0.names import FACTS

DIGITS: Final = 20  # as wide as any 64-bit offset, so that keys sort as offsets do
NO_MANIFEST: Final = "0" * 64
MANIFESTS: Final = f"manifests/{FACTS}/"
OBJECTS: Final = f"{FACTS}/"


class Manifest(Struct, frozen=True, kw_only=True):
    """One sealed range. Times are the broker's, Unix milliseconds. Nothing in it depends on when or where it was written."""

    format: int
    topic: str
    partition: int
    first_offset: int
    last_offset: int
    object: str
    sha256: str
    bytes: int
    records: int
    facts: int  # the valid ones
    time_min: int
    time_max: int
    position: Position  # of a reader after the range
    writer: str
    prev: str  # SHA-256 of the bytes of the partition's manifest before; 64 zeros for the first


_decoder = msgspec.json.Decoder(Manifest)


def encode(manifest: Manifest) -> bytes:
    """A manifest's bytes."""
    return msgspec.json.encode(manifest) + b"\n"


def decode(body: bytes) -> Manifest:
    """
    A manifest.

    Raises:
        FormatError: the bytes are none.
    """
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"not a manifest: {error}") from error


def digest(body: bytes) -> str:
    """SHA-256 in hex."""
    return sha256(body).hexdigest()


def manifest_key(partition: int, first: int) -> str:
    """`manifests/z0.facts/3/00000000000000010000.json`."""
    return f"{MANIFESTS}{partition}/{first:0{DIGITS}d}.json"


def manifest_prefix(partition: int) -> str:
    """What every manifest of a partition begins with."""
    return f"{MANIFESTS}{partition}/"


def object_key(partition: int, first: int, last: int) -> str:
    """`z0.facts/3/00000000000000010000-00000000000000019999.parquet`."""
    return f"{object_prefix(partition, first)}{last:0{DIGITS}d}.parquet"


def object_prefix(partition: int, first: int) -> str:
    """What every object of a partition from one first offset begins with."""
    return f"{OBJECTS}{partition}/{first:0{DIGITS}d}-"


def last_of(key: str) -> int:
    """The last offset in an object's key."""
    return int(key.removesuffix(".parquet").rpartition("-")[2])
