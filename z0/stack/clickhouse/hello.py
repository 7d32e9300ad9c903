"""
The greeting of ClickHouse's Go client, which Grafana's plugin uses. Owns: that one reply. Does not own: any other.

The Go client reads its first reply in the block layout of its own protocol version, and every later one in the
layout of the version that the server names in that reply. The engine writes only the plain layout (version 0), and
has no setting for it. So the greeting alone is written here by hand, and says: version 0.
"""

import re
import struct
from typing import Final

from z0.stack.clickhouse.engine import About
from z0.stack.clickhouse.request import Asked

_GREETING: Final = re.compile(
    rb"\s*SELECT\s+displayName\(\),\s*version\(\),\s*revision\(\),\s*timezone\(\)\s*;?\s*", re.IGNORECASE
)
# From this version on, a byte before each column says whether its serialization is the plain one.
_WITH_SERIALIZATION_BYTE: Final = 54454
_BLOCK_INFO: Final = b"\x01\x00\x02" + struct.pack("<i", -1) + b"\x00"


def answers(asked: Asked) -> bool:
    """Is this the greeting, in a layout that the engine cannot write?"""
    return (
        asked.protocol >= _WITH_SERIALIZATION_BYTE
        and asked.query.default_format == "Native"
        and _GREETING.fullmatch(asked.query.statement.sql) is not None
    )


def reply(about: About) -> bytes:
    """One block of one row."""
    columns = (
        _column("displayName()", "String", _text(about.display_name)),
        _column("version()", "String", _text(about.version)),
        _column("revision()", "UInt32", struct.pack("<I", 0)),
        _column("timezone()", "String", _text(about.timezone)),
    )
    return _BLOCK_INFO + bytes((len(columns), 1)) + b"".join(columns)


def _column(name: str, kind: str, value: bytes) -> bytes:
    return _text(name) + _text(kind) + b"\x00" + value


def _text(text: str) -> bytes:
    """A string with its length before it; the length of a host name fits the two bytes of a varint."""
    data = text.encode()[: (1 << 14) - 1]
    short = bytes((len(data),))
    return (short if len(data) < 128 else bytes((len(data) & 0x7F | 0x80, len(data) >> 7))) + data
