"""The direct door's wire: frames are cut where they end, whatever pieces the network makes of them."""

import msgspec
import pytest

from tests.unit.direct_world import replies_in
from z0.client.frames import (
    FRAME_BYTES_MAX,
    HELLO_BYTES_MAX,
    STRETCH_BYTES_MAX,
    Ask,
    FrameBuffer,
    Hello,
    Reply,
    decode_asks,
    decode_hello,
    decode_replies,
    encode,
    frame,
    reply_frames,
)
from z0.config import SECRET_BYTES_MAX
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


def test_the_bound_may_change_between_two_frames() -> None:
    """A stranger's first frame is small, and its next ones may come in the same piece."""
    buffer = FrameBuffer(bytes_max=3)
    found = []
    for body in buffer.feed(frame(b"abc") + frame(b"x" * 100)):
        found.append(body)
        buffer.bytes_max = FRAME_BYTES_MAX
    assert found == [b"abc", b"x" * 100]


def test_the_longest_secret_fits_in_a_hello() -> None:
    """Or its owner could start a worker that takes no client."""
    assert len(encode(Hello(2**32, "x" * SECRET_BYTES_MAX))) <= HELLO_BYTES_MAX


def test_hello_asks_and_replies_come_back_as_they_were() -> None:
    """Both ends share these shapes."""
    assert decode_hello(encode(Hello(1, "s"))) == Hello(1, "s")
    asks = [Ask(1, 0, [b"{}"]), Ask(2, 7, [b"\xff", b"{}"])]
    assert decode_asks(encode(asks)) == asks
    answer = Answer(
        "c", "account_acct_1", Outcome.ACCEPTED, True, 3, 2**40, 5, 1_800_000_000_000, "USD", "9" * 26, "r", 7, None, b"{}"
    )
    replies = [Reply(9, [answer]), Reply(7, [answer, answer])]
    assert decode_replies(encode(replies)) == replies
    assert decode_replies(encode("why")) == "why"


def test_a_group_of_nothing_is_no_group() -> None:
    """Nobody would ever complete it."""
    with pytest.raises(msgspec.DecodeError):
        decode_asks(encode([(1, 0, [])]))
    with pytest.raises(msgspec.DecodeError):
        decode_replies(encode([(1, [])]))


def bodies(replies: list[Reply]) -> list[bytes]:
    """What a client gets of these."""
    return list(FrameBuffer().feed(b"".join(reply_frames(replies))))


def test_replies_go_in_one_frame_where_they_fit() -> None:
    """However many groups."""
    replies = [Reply(n, [answer_of(n)] * 3) for n in range(100)]
    (body,) = bodies(replies)
    assert decode_replies(body) == replies


@pytest.mark.parametrize("field", ["state", "eligibility"])
def test_answers_too_large_for_a_frame_go_on_in_the_next_under_their_number(field: str) -> None:
    """A frame that the client refuses would be asked for, and sent, again and again."""
    large = msgspec.structs.replace(answer_of(1), **{field: b"x" * (STRETCH_BYTES_MAX // 2 - 1)})
    replies = [Reply(1, [answer_of(0)]), Reply(2, [large] * 5), Reply(3, [answer_of(0)])]
    sent = bodies(replies)
    assert [[(r.number, len(r.answers)) for r in replies_in(body)] for body in sent] == [
        [(1, 1), (2, 2)],
        [(2, 2)],
        [(2, 1), (3, 1)],
    ]
    assert all(len(body) < STRETCH_BYTES_MAX + 1_000 for body in sent)
    assert [a for body in sent for r in replies_in(body) for a in r.answers] == [a for r in replies for a in r.answers]


def answer_of(n: int) -> Answer:
    """Any answer."""
    return Answer(f"c{n}", "account_acct_1", Outcome.ACCEPTED, partition=0, offset=n, seq=n)
