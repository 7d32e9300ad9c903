"""
Bytes: facts and commands to and from the wire. Owns: the encoding and the hash of a stored fact.

The hash covers the stored bytes, never re-encoded ones: `value[:-75] + b"}"` is what was hashed, and the last member,
`,"hash":"<64 hex>"}`, carries the result. Golden files pin the format.
"""

import re
from collections.abc import Callable
from hashlib import sha256
from itertools import accumulate
from typing import Final

import msgspec

from z0.domain.commands import COMMAND_BYTES_MAX, OPS, Command
from z0.domain.facts import PlainFact, StoredFact
from z0.domain.outcome import Outcome
from z0.errors import FormatError

# How deep a reader goes depends on who calls it: Python counts both against one limit of 1,000. What is written must be read back
# by all of them, also inside of a fact or a snapshot.
NESTING_MAX: Final = 256
# Text that is not closed goes to the end, or the search would begin anew at each of its quotation marks.
_TEXT: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_DEEPER: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS: Final = bytes(set(range(256)) - set(_DEEPER))
HASH_MEMBER_BYTES: Final = len(b',"hash":""}') + 64
DIGEST_HEX: Final = 32

# `Final`, and methods already bound: compiled code looks up other names, and methods, by their text each time.
_encode: Final = msgspec.json.Encoder().encode
_decode_fact: Final = msgspec.json.Decoder(StoredFact).decode
_decode_command: Final[Callable[[bytes], Command]] = msgspec.json.Decoder(Command).decode
_sha256: Final = sha256


def encode_fact(fact: PlainFact) -> tuple[bytes, str]:
    """The stored bytes of a fact, and its hash in hex."""
    body = _encode(fact)
    digest = _sha256(body).hexdigest()
    return b"".join((body[:-1], b',"hash":"', digest.encode(), b'"}')), digest


def decode_fact(value: bytes) -> StoredFact:
    """
    A stored fact. Does not check the hash (`hash_of` does).

    Raises:
        FormatError: the bytes are no fact.
    """
    try:
        return _decode_fact(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"not a fact: {error}") from error


def hash_of(value: bytes) -> str:
    """The hash that the stored bytes of a fact should carry."""
    return sha256(value[:-HASH_MEMBER_BYTES] + b"}").hexdigest()


def encode_command(command: Command) -> bytes:
    """The canonical bytes of a command: what producers send, what digests cover and what refusals quote."""
    return _encode(command)


# How the canonical bytes of a command begin that has no links: links stand before the id.
_WITHOUT_LINKS: Final = {command: b'{"op":"%b","id":"' % op.encode() for op, command in OPS.items()}


def has_links(command: Command, canonical: bytes) -> bool:
    """Whether a command gives context that its fact carries on. One comparison instead of eighteen fields."""
    return command.reply_to is not None or not canonical.startswith(_WITHOUT_LINKS[type(command)])


def decode_command(value: bytes) -> Command | Outcome:
    """A command, or the outcome that its bytes deserve."""
    if len(value) > COMMAND_BYTES_MAX:
        return Outcome.TOO_LARGE
    if len(value) > 2 * NESTING_MAX and _is_too_deep(value):
        return Outcome.MALFORMED
    try:
        if not value.isascii():
            value.decode()  # msgspec does not look into `data`: bytes that are not UTF-8 would get into the log
        return _decode_command(value)
    except msgspec.ValidationError as error:
        return _outcome_of(str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Outcome.MALFORMED


def _is_too_deep(value: bytes) -> bool:
    """Whether more than `NESTING_MAX` brackets are open at once, somewhere outside of text."""
    if value.count(b"{") + value.count(b"[") <= NESTING_MAX:
        return False
    brackets = _TEXT.sub(b"", value).translate(None, _NO_BRACKETS)
    return max(accumulate(map(_DEEPER.__getitem__, brackets)), default=0) > NESTING_MAX


def _outcome_of(message: str) -> Outcome:
    if message.endswith("`$.amount`"):
        return Outcome.BAD_AMOUNT
    if message.endswith(("`$.op`", "field `op`")):
        return Outcome.UNKNOWN_COMMAND
    return Outcome.MALFORMED


def digest_of(canonical: bytes) -> str:
    """Digest of a command's canonical bytes: the first 128 bits of SHA-256, in hex."""
    return _sha256(canonical).hexdigest()[:DIGEST_HEX]
