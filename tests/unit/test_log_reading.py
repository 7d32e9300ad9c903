"""The validity rule and the one reader: stories of two writers on one partition, told record by record."""

import re
from pathlib import Path

import pytest

from tests.unit.test_log_world import NOW
from z0.codec import encode_fact
from z0.domain.facts import ZERO_HASH, Fact
from z0.errors import FormatError, LogBroken
from z0.log.claims import Claim, Floor, encode_claim
from z0.log.ports import Record
from z0.log.reader import FactReader
from z0.log.validity import NO_EPOCH, Position, Standing
from z0.names import CLAIM_KEY

KEY = b"account_acct_1"
CLAIM = encode_claim(Claim(partition=0, owner="w", address="a:1", claimed_at=NOW, floor=Floor()))


def log(story: str, first: int = 0) -> list[Record]:
    """
    A log in words: `C` is a claim, `5` a fact of epoch 5 that expects the offset it has, `5@9` one that expects 9.
    """
    records = []
    for offset, word in enumerate(story.split(), first):
        if word == "C":
            records.append(Record(offset, CLAIM_KEY, CLAIM, NOW))
            continue
        epoch, _, expected = word.partition("@")
        fact = Fact("x.1", "x", 1, "note", NOW, NOW, "t", "x", int(epoch), int(expected or offset), ZERO_HASH, 1)
        records.append(Record(offset, KEY, encode_fact(fact)[0], NOW))
    return records


def standings(story: str, position: Position | None = None) -> str:
    """What a reader makes of it: c(laim), v(alid), - (void)."""
    position = position or Position()
    reader = FactReader(0, position)
    letters = {Standing.CLAIM: "c", Standing.VALID: "v", Standing.VOID: "-"}
    return "".join(letters[read.standing] for read in reader.read(log(story, position.next_offset)))


@pytest.mark.parametrize(
    ("story", "expected", "why"),
    [
        ("C 0 0 0", "cvvv", "one writer, nothing in its way"),
        ("0 0", "--", "facts before any claim"),
        ("C 0 C 2 2", "cvcvv", "a claim in the middle opens its epoch"),
        ("C 0 C 0 2", "cvc-v", "a zombie's batch after the new claim is void, and does not harm the owner"),
        ("C 0 0 C 0@3 0@4 3@4 3@5", "cvvc----", "a delayed batch took the owner's offset: the owner's batch is void as well"),
        ("C 0 0 C 0@3 3@4 3@6 C 7", "cvvc---cv", "until the owner claims anew"),
        ("C 0 0@3 0@3 0", "cv---", "the first mismatch voids the rest of its epoch, also what would fit again"),
        ("C 0@2 0@2", "c--", "a batch before was lost: what was decided on top of it is void"),
        ("C C 0 1", "cc-v", "two claimants: the newest claim counts"),
        ("C C 1 0 1", "ccv-v", "a zombie between two facts that fit"),
        ("C 7 0", "c-v", "an epoch that was never claimed"),
        ("C 0 C C 3", "cvccv", "an epoch without facts"),
        ("-1 -1", "--", "facts that name the epoch of a reader who has seen no claim"),
        ("C 0@3 -1 -1", "c---", "the same, behind a voided epoch"),
    ],
)
def test_a_record_counts_if_its_epoch_is_the_newest_claim_and_its_offset_is_its_own(story: str, expected: str, why: str) -> None:
    """Design, section 2. Every reader comes to the same, whatever two workers believed."""
    assert standings(story) == expected, why


@pytest.mark.parametrize("story", ["C 0 0 C 0@3 3@4 3@6 C 7", "C 0 0@3 0@3 0", "C C 1 0 1"])
def test_a_reader_that_goes_on_from_any_position_sees_the_same(story: str) -> None:
    """(next offset, epoch) is all that a reader keeps, also in the middle of a voided epoch."""
    whole = standings(story)
    for cut in range(len(whole) + 1):
        reader = FactReader(0, Position())
        list(reader.read(log(story)[:cut]))
        rest = [r.standing for r in FactReader(0, reader.position).read(log(story)[cut:])]
        assert [s.value[0] for s in rest] == [{"c": "c", "v": "v", "-": "v"}[w] for w in whole[cut:]]
        assert sum(s is Standing.VOID for s in rest) == whole[cut:].count("-")


def test_a_voided_epoch_is_remembered_as_no_epoch() -> None:
    """So that a reader who goes on there does not take the epoch for sound."""
    reader = FactReader(0, Position())
    list(reader.read(log("C 0 0@9")))
    assert reader.position == Position(3, NO_EPOCH)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_gap_stops_the_reader_loudly(missing: int) -> None:
    """Offsets of a topic without transactions and compaction are contiguous: a gap means that facts are gone."""
    records = log("C 0 0 0")
    del records[missing]
    with pytest.raises(LogBroken, match="records are missing"):
        list(FactReader(0, Position()).read(records))


def test_a_record_read_twice_stops_the_reader_too() -> None:
    """Going back silently would count facts twice."""
    records = log("C 0")
    with pytest.raises(LogBroken, match=r"expected offset 2 of .*, read 1"):
        list(FactReader(0, Position()).read([*records, records[-1]]))


def test_bytes_that_are_neither_fact_nor_claim_stop_the_reader_where_they_are() -> None:
    """Its position stays before them."""
    reader = FactReader(0, Position())
    with pytest.raises(FormatError):
        list(reader.read([*log("C 0"), Record(2, KEY, b"junk", NOW)]))
    assert reader.position.next_offset == 2


def test_the_example_of_the_reference_page_comes_to_the_same() -> None:
    """The page's Python is run here on every story above."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "validity.md").read_text()
    match = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert match is not None
    names: dict[str, object] = {}
    exec(match[1], names)
    for story in ("C 0 0 0", "C 0 C 0 2", "C 0 0 C 0@3 3@4 3@6 C 7", "C 0 0@3 0@3 0", "0 0", "C C 1 0 1"):
        records = log(story)
        example = names["valid_facts"]
        assert callable(example)
        counted = [offset for offset, _ in example((r.offset, r.key, r.value) for r in records)]
        expected = [r.offset for r, letter in zip(records, standings(story), strict=True) if letter == "v"]
        assert counted == expected
