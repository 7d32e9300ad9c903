"""
The direct door's wire: length-prefixed MessagePack frames. Owns: their shape, for both ends.

    frame    4 bytes length, big endian; body
    hello    client's first frame: [version, secret]
    asks     client to owner: [[number, partition, command], ...]     command: the documented JSON
    replies  owner to client: [[number, answer], ...]                 in any order

Plain frames instead of WebSocket ones: measured by `z0 bench door`, see docs/architecture.md.
"""

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Struct

from z0.domain.answer import Answer
from z0.errors import FormatError

VERSION: Final = 1
LENGTH_BYTES: Final = 4
FRAME_BYTES_MAX: Final = 64 * 1024 * 1024
# Many large items go in several frames: one that the other end refuses would be sent again and again.
STRETCH_BYTES_MAX: Final = 4 * 1024 * 1024


class Hello(Struct, frozen=True, array_like=True):
    """Who knocks."""

    version: int
    secret: str


class Ask(Struct, frozen=True, array_like=True, gc=False):
    """One command; `number` is the client's, unique on its connection."""

    number: int
    partition: int
    command: bytes


class Reply(Struct, frozen=True, array_like=True, gc=False):
    """One answer."""

    number: int
    answer: Answer


encode = msgspec.msgpack.Encoder().encode
decode_hello = msgspec.msgpack.Decoder(Hello).decode
decode_asks = msgspec.msgpack.Decoder(list[Ask]).decode
decode_replies = msgspec.msgpack.Decoder(list[Reply]).decode


def frame(body: bytes) -> bytes:
    """A body with its length before it."""
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


class FrameBuffer:
    """Cuts a byte stream into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """
        The frames that are complete with these bytes.

        Raises:
            FormatError: a frame says it is larger than one may be.
        """
        self._buffer += data
        start = 0
        while len(self._buffer) - start >= LENGTH_BYTES:
            length = int.from_bytes(self._buffer[start : start + LENGTH_BYTES], "big")
            if length > FRAME_BYTES_MAX:
                raise FormatError(f"a frame of {length} bytes; the most is {FRAME_BYTES_MAX}")
            end = start + LENGTH_BYTES + length
            if len(self._buffer) < end:
                break
            yield bytes(self._buffer[start + LENGTH_BYTES : end])
            start = end
        del self._buffer[:start]
