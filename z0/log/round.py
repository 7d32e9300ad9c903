"""
What goes into a round and what comes out of it. Owns: reading and checking a command before any look-up, the round's
products, dead letters. Decides nothing (`z0.log.deciding`).
"""

import base64
from typing import Final, final

import msgspec
from mypy_extensions import mypyc_attr

from z0.codec import decode_command, digest_of, encode_command
from z0.domain.answer import Answer
from z0.domain.appending import CAUSES
from z0.domain.check import check_form
from z0.domain.commands import COMMAND_BYTES_MAX, Append, Command
from z0.domain.facts import Reference
from z0.domain.ids import parse_fact_id, parse_ledger_id
from z0.domain.outcome import Outcome
from z0.log.entry import Entry
from z0.log.inbox import CommandBatch, Direct, Kafka, KafkaRecord
from z0.log.index import key_of, reference_key
from z0.log.ports import Message
from z0.names import COMMANDS, DEAD_LETTERS

LETTER_KEY_BYTES_MAX: Final = 1024  # the longest ledger id has 135; more is somebody's mistake, and need not be whole

_encode: Final = msgspec.json.Encoder().encode


class Round:
    """What one round produced, and to whom it is owed."""

    def __init__(self, base_offset: int) -> None:
        self.base_offset = base_offset
        self.records: list[tuple[bytes, bytes]] = []
        self.bytes = 0
        self.answers: list[tuple[Direct, Answer]] = []
        self.entries: dict[str, Entry] = {}
        self.references: dict[str, Reference] = {}
        self.outbox: list[Message] = []
        self.touched: dict[str, None] = {}
        self.acknowledge: list[CommandBatch] = []

    @property
    def next_offset(self) -> int:
        """Where the next fact would go."""
        return self.base_offset + len(self.records)


@final
@mypyc_attr(acyclic=True)
class Prepared:
    """A command read and checked; `key` is empty where it cannot be decided (`outcome` says why) or need not be."""

    def __init__(
        self,
        item: Direct | Kafka,
        kafka: KafkaRecord | None = None,
        command: Command | None = None,
        outcome: Outcome | None = None,
        units: int | None = None,
    ) -> None:
        self.item = item
        self.kafka = kafka
        self.command = command
        self.outcome = outcome
        self.units = units
        # Read once here: a field of a command costs more than one of this class.
        self.tenant_id = command.tenant_id if command is not None else ""
        self.ledger_id = command.ledger_id if command is not None else ""
        self.command_id = command.id if command is not None else ""
        self.canonical = b""
        self.digest = ""
        self.key = ""
        self.reference = ""


_AFTER_WRONG_KEY: Final = (None, Outcome.BAD_AMOUNT, Outcome.UNKNOWN_CURRENCY)  # by precedence


def prepare(item: Direct | Kafka, value: bytes, kafka: KafkaRecord | None) -> Prepared:
    """Everything that needs neither state nor index."""
    command = decode_command(value)
    if type(command) is Outcome:
        return Prepared(item, kafka, outcome=command)
    checked = check_form(command)
    ready = Prepared(item, kafka, command, checked.outcome, checked.units)
    if kafka is not None and kafka.key != ready.ledger_id.encode() and ready.outcome in _AFTER_WRONG_KEY:
        ready.outcome = Outcome.WRONG_KEY if parse_ledger_id(ready.ledger_id) is not None else Outcome.BAD_LEDGER_ID
    if ready.outcome is None:
        ready.canonical = encode_command(command)
        ready.digest = digest_of(ready.canonical)
        ready.key = key_of(ready.tenant_id, ready.ledger_id, ready.command_id)
        if type(command) is Append and command.type in CAUSES:
            ready.reference = _reference(command)
    return ready


def _reference(command: Append) -> str:
    """The key of the fact that a charge or cost names, or nothing where it names none."""
    named = parse_fact_id(command.source_id) if command.source_id is not None else None
    return reference_key(command.tenant_id, named[0], named[1]) if named is not None else ""


def dead_letter(partition: int, command: KafkaRecord, reason: Outcome) -> Message:
    """The dead letter of a Kafka command: reason, topic, partition, offset, and the bytes as they came."""
    letter = {
        "reason": reason,
        "topic": COMMANDS,
        "partition": partition,
        "offset": command.offset,
        "key": _text(command.key),
        "bytes": len(command.value or b""),
        **_value(command.value),
    }
    return Message(DEAD_LETTERS, b"%s-%d-%d" % (COMMANDS.encode(), partition, command.offset), _encode(letter), 0)


def _text(value: bytes | None) -> str | None:
    return value[:LETTER_KEY_BYTES_MAX].decode(errors="replace") if value is not None else None


def _value(value: bytes | None) -> dict[str, str | None]:
    """At most the first 256 KiB: the letter of a record that is too large must fit a record; topic and offset have the rest."""
    value = value[:COMMAND_BYTES_MAX] if value is not None else None
    try:
        return {"value": value.decode() if value is not None else None}
    except UnicodeDecodeError:
        return {"value_base64": base64.b64encode(value or b"").decode()}
