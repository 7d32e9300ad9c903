"""The direct door's wire: frames are cut where they end, whatever pieces the network makes of them."""

import pytest

from z0.client.frames import (
    FRAME_BYTES_MAX,
    Ask,
    FrameBuffer,
    Hello,
    Reply,
    decode_asks,
    decode_hello,
    decode_replies,
    encode,
    frame,
)
from z0.domain.answer import Answer
from z0.domain.outcome import Outcome
from z0.errors import FormatError

BODIES = [b"", b"a", b"x" * 300, b"\x00\x00\x00\x05"]
STREAM = b"".join(frame(body) for body in BODIES)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 100, len(STREAM)])
def test_frames_come_out_whole_whatever_the_pieces(size: int) -> None:
    """Also where a length is cut in two."""
    buffer = FrameBuffer()
    found = [body for start in range(0, len(STREAM), size) for body in buffer.feed(STREAM[start : start + size])]
    assert found == BODIES


def test_a_frame_that_is_not_complete_waits() -> None:
    """Nothing is given out early."""
    buffer = FrameBuffer()
    assert list(buffer.feed(frame(b"abc")[:-1])) == []
    assert list(buffer.feed(b"c")) == [b"abc"]


def test_a_length_above_the_bound_is_a_fault() -> None:
    """Or four wrong bytes would make the server wait for gigabytes."""
    with pytest.raises(FormatError, match="the most is"):
        list(FrameBuffer().feed((FRAME_BYTES_MAX + 1).to_bytes(4, "big")))


def test_hello_asks_and_replies_come_back_as_they_were() -> None:
    """Both ends share these shapes."""
    assert decode_hello(encode(Hello(1, "s"))) == Hello(1, "s")
    asks = [Ask(1, 0, b"{}"), Ask(2, 7, b"\xff")]
    assert decode_asks(encode(asks)) == asks
    answer = Answer(
        "c", "account_acct_1", Outcome.ACCEPTED, True, 3, 2**40, 5, 1_800_000_000_000, "USD", "9" * 26, "r", 7, None, b"{}"
    )
    assert decode_replies(encode([Reply(9, answer)])) == [Reply(9, answer)]
