"""Bytes: facts and their hash, claims, floors, and what badly formed commands come to."""

from hashlib import sha256

import msgspec
import pytest

from tests.unit.test_log_world import LEDGER, NOW, Bench, add, create, note, reserve
from z0.codec import decode_command, decode_fact, digest_of, encode_command, encode_fact, hash_of
from z0.domain.commands import COMMAND_BYTES_MAX, Command
from z0.domain.facts import ZERO_HASH, Fact
from z0.domain.outcome import Outcome
from z0.errors import FormatError
from z0.log.claims import Claim, Floor, decode_claim, decode_floor, encode_claim, encode_floor

FACT = Fact(
    "account_acct_1.1", LEDGER, 1, "note", NOW, NOW, "tenant_1", "acct_1", 0, 1, ZERO_HASH, 1, data=msgspec.Raw(b'{"a": 1}')
)


def test_a_stored_fact_ends_with_the_hash_of_the_bytes_before_it() -> None:
    """Anyone can check it with SHA-256 and a slice; no JSON library is needed."""
    value, digest = encode_fact(FACT)
    assert value.endswith(b',"hash":"' + digest.encode() + b'"}')
    assert sha256(value[:-75] + b"}").hexdigest() == digest == hash_of(value)
    assert decode_fact(value).hash == digest


def test_the_payload_is_kept_byte_for_byte() -> None:
    """Spaces and the order of members are the caller's; the hash is over them."""
    value, _ = encode_fact(FACT)
    assert b'"data":{"a": 1}' in value
    assert bytes(decode_fact(value).data) == b'{"a": 1}'


def test_any_changed_byte_shows_in_the_hash() -> None:
    """Amounts, ids, payloads: all of it is covered."""
    value, digest = encode_fact(FACT)
    for place in range(0, len(value) - 75, 7):
        changed = value[:place] + bytes([value[place] ^ 1]) + value[place + 1 :]
        assert hash_of(changed) != digest


def test_fields_that_are_not_given_are_not_written() -> None:
    """Facts are kept for ever; an absent member costs nothing."""
    members = msgspec.json.decode(encode_fact(FACT)[0])
    assert "amount" not in members
    assert "cause" not in members
    assert "sealed" not in members


@pytest.mark.parametrize("value", [b"", b"{}", b"null", b'{"type":"claim"}', b"\xff\xff", b'{"id":"\xff"}'])
def test_bytes_that_are_no_fact_or_claim_are_a_fault(value: bytes) -> None:
    """The log holds nothing else: a reader must not step over them."""
    with pytest.raises(FormatError, match="not a fact"):
        decode_fact(value)
    with pytest.raises(FormatError, match="not a claim"):
        decode_claim(value)


def test_a_fact_with_members_of_a_later_version_is_read() -> None:
    """Fields are only ever added, so an old reader must not mind new ones."""
    value, _ = encode_fact(FACT)
    assert decode_fact(b'{"later":[1],' + value[1:]).id == FACT.id


def test_a_claim_and_a_floor_come_back_as_they_were() -> None:
    """Both are JSON, for readers of their own."""
    floor = Floor(7, 5, NOW, 3)
    claim = Claim(partition=2, owner="worker-1", address="127.0.0.1:1", claimed_at=NOW, floor=floor)
    assert decode_claim(encode_claim(claim)) == claim
    assert decode_floor(encode_floor(floor)) == floor
    assert msgspec.json.decode(encode_claim(claim))["type"] == "claim"


@pytest.mark.parametrize("command", [create(subtype="shop"), add("a1", "5"), reserve("r1", ttl_ms=5), note("n1", text="é")])
def test_a_command_comes_back_as_it_was(command: Command) -> None:
    """Encoding is canonical: what is decoded encodes to the same bytes, so digests agree over all doors."""
    decoded = decode_command(encode_command(command))
    assert not isinstance(decoded, Outcome)
    assert encode_command(decoded) == encode_command(command)


def test_the_digest_does_not_depend_on_spaces_or_the_order_of_members() -> None:
    """A retry by another client library is the same command."""
    plain = encode_command(add("a1", "5"))
    members = msgspec.json.decode(plain)
    other = decode_command(msgspec.json.format(msgspec.json.encode(dict(reversed(members.items()))), indent=2))
    assert not isinstance(other, Outcome)
    assert digest_of(encode_command(other)) == digest_of(plain)


HEAD = b'{"op":"add_budget","id":"a","tenant_id":"t","ledger_id":"account_acct_1","currency":"USD"'


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        (b"", Outcome.MALFORMED),
        (b"null", Outcome.MALFORMED),
        (b"[]", Outcome.MALFORMED),
        (b"{", Outcome.MALFORMED),
        (b"\xff", Outcome.MALFORMED),
        (b"{}", Outcome.UNKNOWN_COMMAND),
        (b'{"op":"launch"}', Outcome.UNKNOWN_COMMAND),
        (b'{"op":7}', Outcome.UNKNOWN_COMMAND),
        (HEAD + b"}", Outcome.MALFORMED),  # no amount
        (HEAD + b',"amount":5}', Outcome.BAD_AMOUNT),
        (HEAD + b',"amount":5.5}', Outcome.BAD_AMOUNT),
        (HEAD + b',"amount":null}', Outcome.BAD_AMOUNT),
        (HEAD + b',"amount":"5","amout":"5"}', Outcome.MALFORMED),
        (HEAD + b',"amount":"5","timestamp":"now"}', Outcome.MALFORMED),
        (HEAD + b',"amount":"5","timestamp":-1}', Outcome.MALFORMED),
        (HEAD + b',"amount":"5","timestamp":1e300}', Outcome.MALFORMED),
        (HEAD + b',"amount":"5","config_version":99999999999}', Outcome.MALFORMED),
        (HEAD + b',"amount":"5","kind":"gift"}', Outcome.MALFORMED),
        (HEAD + b',"amount":"5"}x', Outcome.MALFORMED),
        (HEAD + b',"amount":"5","user_id":"\\ud800"}', Outcome.MALFORMED),
        (HEAD + b',"amount":"5","data":{"a":"\xff"}}', Outcome.MALFORMED),
        (HEAD + b',"amount":"5","data":' + b'{"a":' * 50_000, Outcome.MALFORMED),
        (b" " * (COMMAND_BYTES_MAX + 1), Outcome.TOO_LARGE),
    ],
)
def test_bytes_that_are_no_command_get_the_outcome_that_they_deserve(value: bytes, outcome: Outcome) -> None:
    """A refusal is data: nothing that a producer sends raises."""
    assert decode_command(value) is outcome


@pytest.mark.parametrize("data", [b"5", b'"x"', b"[]", b"null", b'{"a":1e999}', b'{"a":"\xff"}', b'{"a":"\\ud800"}'])
def test_no_payload_can_stop_a_partition(data: bytes) -> None:
    """What a creation keeps is decoded when it is folded; a command that no fold could take is refused before it is a fact."""
    bench = Bench()
    bad = b'{"op":"create_entity","id":"c","tenant_id":"tenant_1","ledger_id":"account_acct_1","data":' + data + b"}"
    assert bench.one(bad).outcome is Outcome.MALFORMED
    assert bench.one(create()).outcome is Outcome.ACCEPTED


def test_numbers_and_depths_that_json_allows_are_kept() -> None:
    """Integers beyond 64 bits, deep nesting: in payloads and in metadata, over a merge and back."""
    bench = Bench()
    deep = b'{"a":' * 200 + b"123456789012345678901234567890" + b"}" * 200
    head = b'"tenant_id":"tenant_1","ledger_id":"account_acct_1"'
    assert bench.one(b'{"op":"create_entity","id":"c",' + head + b',"data":' + deep + b"}").outcome is Outcome.ACCEPTED
    update = b'{"op":"update_entity","id":"u",' + head + b',"changes":{"data":' + deep + b"}}"
    assert bench.one(update).outcome is Outcome.ACCEPTED
    read = b'{"op":"read","id":"r",' + head + b"}"
    assert deep in bench.one(read).state
