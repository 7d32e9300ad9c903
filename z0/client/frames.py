"""
The direct door's wire: length-prefixed MessagePack frames. Owns: their shape, for both ends.

    frame    4 bytes length, big endian; body
    hello    client's first frame: [version, secret]
    asks     client to owner: [[number, partition, [command, ...]], ...]    groups; command: the documented JSON
    replies  owner to client: [[number, [answer, ...]], ...]                groups in any order, answers in the group's
    refusal  owner to client, before it hangs up: why, and what to do about it, as a string

What goes to one partition in one turn is one group, answered when all of it is. Where it is too large for a frame, commands go as
several groups, answers in several replies of one number, one after the other.

Plain frames instead of WebSocket ones: measured by `z0 bench door`, see docs/architecture.md.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from z0.cut import cut
from z0.domain.answer import Answer
from z0.errors import FormatError

VERSION: Final = 2
LENGTH_BYTES: Final = 4
HELLO_BYTES_MAX: Final = 1024  # all that is kept of who has not said hello: the longest secret and some bytes around it
FRAME_BYTES_MAX: Final = 64 * 1024 * 1024  # sixteen times what a client puts into one; a longer one is no frame of ours
# Many large items go in several frames: one that the other end refuses would be sent again and again.
STRETCH_BYTES_MAX: Final = 4 * 1024 * 1024


class Hello(Struct, frozen=True, array_like=True):
    """Who knocks."""

    version: int
    secret: str


class Ask(Struct, frozen=True, array_like=True, gc=False):
    """A group of commands; `number` is the client's, unique on its connection."""

    number: int
    partition: int
    commands: Annotated[list[bytes], Meta(min_length=1)]


class Reply(Struct, frozen=True, array_like=True, gc=False):
    """The next answers of a group, in its order; nearly always all of them."""

    number: int
    answers: Annotated[list[Answer], Meta(min_length=1)]


encode = msgspec.msgpack.Encoder().encode
decode_hello = msgspec.msgpack.Decoder(Hello).decode
decode_asks = msgspec.msgpack.Decoder(list[Ask]).decode
# A refusal is a string.
decode_replies: Callable[[bytes], list[Reply] | str] = msgspec.msgpack.Decoder(list[Reply] | str).decode


def frame(body: bytes) -> bytes:
    """A body with its length before it."""
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def reply_frames(replies: Sequence[Reply]) -> Iterator[bytes]:
    """Answers as frames: one where they fit; what is too large for one goes on in the next, under the same number."""
    body = encode(replies)
    if len(body) <= STRETCH_BYTES_MAX:
        yield frame(body)
        return
    parts = [Reply(reply.number, list(part)) for reply in replies for part in cut(reply.answers, _bytes_of, STRETCH_BYTES_MAX)]
    for stretch in cut(parts, lambda part: sum(map(_bytes_of, part.answers)), STRETCH_BYTES_MAX):
        yield frame(encode(stretch))


def _bytes_of(answer: Answer) -> int:
    """About: of what can be large."""
    return len(answer.state) + len(answer.eligibility)


class FrameBuffer:
    """Cuts a byte stream into frames of at most `bytes_max` bytes, which may be changed between two of them."""

    def __init__(self, bytes_max: int = FRAME_BYTES_MAX) -> None:
        self.bytes_max = bytes_max
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
            if length > self.bytes_max:
                raise FormatError(f"a frame of {length} bytes; the most is {self.bytes_max}")
            end = start + LENGTH_BYTES + length
            if len(self._buffer) < end:
                break
            yield bytes(self._buffer[start + LENGTH_BYTES : end])
            start = end
        del self._buffer[:start]
