"""
One round: decide the commands that wait, in memory. Owns: what a round produces. Sends nothing, awaits nothing.

Everything that a round produces is held back until its facts are acked (`z0.log.engine` keeps the order).
"""

import base64
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec import Struct

from z0.codec import decode_command, digest_of, encode_command, encode_fact
from z0.domain.answer import Answer
from z0.domain.check import check_form
from z0.domain.commands import COMMAND_BYTES_MAX, Command, CreateEntity
from z0.domain.decide import Draft, Refusal, decide, expiry_drafts, refusal_draft
from z0.domain.facts import NO_DATA, RULES_VERSION, Cause, Fact, Links
from z0.domain.ids import parse_ledger_id
from z0.domain.outcome import Kind, Outcome, kind
from z0.domain.state import LedgerState, apply
from z0.domain.views import state_view
from z0.log.inbox import CommandBatch, Direct, Inbox, Kafka, KafkaRecord
from z0.log.index import CommandIndex, Entry, key_of
from z0.log.ports import Message
from z0.log.working_set import WorkingSet
from z0.names import COMMANDS, DEAD_LETTERS

ROUND_COMMANDS_MAX: Final = 2_000  # about 40 ms of deciding, only ever with a backlog and nobody waiting at the direct door
ROUND_BYTES_MAX: Final = 1536 * 1024  # soft: a round ends above it; one command's facts may go beyond (topic limit 8 MiB)
RECORD_OVERHEAD_BYTES: Final = 32
LETTER_KEY_BYTES_MAX: Final = 1024
FORWARDED_HEADER: Final = "z0-forwarded"

_encode = msgspec.json.Encoder().encode


class Round:
    """What one round produced, and to whom it is owed."""

    __slots__ = ("acknowledge", "answers", "base_offset", "bytes", "entries", "outbox", "records", "touched")

    def __init__(self, base_offset: int) -> None:
        self.base_offset = base_offset
        self.records: list[tuple[bytes, bytes]] = []
        self.bytes = 0
        self.answers: list[tuple[Direct, Answer]] = []
        self.entries: dict[str, Entry] = {}
        self.outbox: list[Message] = []
        self.touched: dict[str, None] = {}
        self.acknowledge: list[CommandBatch] = []

    @property
    def next_offset(self) -> int:
        """Where the next fact would go."""
        return self.base_offset + len(self.records)


class _Result(Struct, frozen=True, gc=False):
    """What a command came to; `entry` where it is in the index."""

    outcome: Outcome
    entry: Entry | None = None
    repeated: bool = False
    command_id: str = ""
    ledger_id: str = ""
    state: bytes = b""
    forward_to: int | None = None


def _refused(outcome: Outcome, command: Command | None) -> _Result:
    """A refusal that leaves no fact."""
    if command is None:
        return _Result(outcome)
    return _Result(outcome, command_id=command.id, ledger_id=command.ledger_id)


class Decider:
    """Decides for one partition under one epoch. A new epoch gets a new one, so that nothing undone is carried over."""

    def __init__(
        self,
        partition: int,
        *,
        epoch: int,
        working: WorkingSet,
        index: CommandIndex,
        partition_of: Callable[[str], int],
        applied: int,
        batch_time_ms: int,
    ) -> None:
        self._partition = partition
        self._epoch = epoch
        self._working = working
        self._index = index
        self._partition_of = partition_of
        self._pending: dict[str, Entry] = {}
        self._first: Mapping[str, Entry] = {}
        self.carried: list[Direct | Kafka] = []
        self.applied = applied
        self.batch_time_ms = batch_time_ms

    def decide_round(self, inbox: Inbox, base_offset: int, now_ms: int) -> Round:
        """Take commands until the round is full. Time never goes back within a partition."""
        self.batch_time_ms = max(self.batch_time_ms, now_ms)
        round_ = Round(base_offset)
        items = self.carried + list(inbox.take(ROUND_COMMANDS_MAX - len(self.carried), ROUND_BYTES_MAX))
        self.carried = []
        prepared = [self._prepare(item) for item in items]
        # One look-up for all: a single one costs 0.3 us, but gives the interpreter's lock away, and taking it back 4 us.
        self._first = self._index.get_many([p.key for p in prepared if p.key])
        for number, ready in enumerate(prepared, 1):
            self._decide_item(ready, round_)
            if round_.bytes > ROUND_BYTES_MAX:
                self.carried = items[number:]
                break
        return round_

    def settled(self, round_: Round) -> None:
        """The round's entries are in the index now."""
        for key in round_.entries:
            self._pending.pop(key, None)

    def _prepare(self, item: Direct | Kafka) -> "_Prepared":
        """Everything that needs neither state nor index."""
        if isinstance(item, Direct):
            return _prepare(item, item.group.commands[item.place], None)
        if item.command.offset <= self.applied:  # its effects are in the log already
            return _Prepared(item)
        return _prepare(item, item.command.value or b"", item.command)

    def _decide_item(self, ready: "_Prepared", round_: Round) -> None:
        item = ready.item
        if isinstance(item, Direct):
            round_.answers.append((item, self._answer(self._decide(ready, round_), round_)))
            return
        if item.command.offset > self.applied:
            self._kafka(item.command, self._decide(ready, round_), round_)
            self.applied = item.command.offset
        if item.completes is not None:
            round_.acknowledge.append(item.completes)

    def _kafka(self, command: KafkaRecord, result: "_Result", round_: Round) -> None:
        """What is not on the ledger now must be somewhere else: nothing is dropped silently."""
        if result.forward_to is not None:
            headers = ((FORWARDED_HEADER, b"%d" % self._partition),)
            round_.outbox.append(Message(COMMANDS, command.key or b"", command.value or b"", result.forward_to, headers))
        elif result.entry is None and kind(result.outcome) not in (Kind.ACCEPTED, Kind.TRANSIENT):
            round_.outbox.append(dead_letter(self._partition, command, result.outcome))

    def _answer(self, result: _Result, round_: Round) -> Answer:
        entry = result.entry
        if entry is None:
            return Answer(
                result.command_id,
                result.ledger_id,
                result.outcome,
                partition=self._partition,
                offset=round_.next_offset - 1,
                recorded_at=self.batch_time_ms,
                state=result.state,
            )
        return Answer(
            result.command_id,
            result.ledger_id,
            entry.outcome,
            result.repeated,
            self._partition,
            entry.offset,
            entry.seq,
            entry.recorded_at,
            entry.currency,
            entry.available,
            entry.reservation_id,
            entry.expires_at,
        )

    def _decide(self, ready: "_Prepared", round_: Round) -> _Result:
        command = ready.command
        if ready.outcome is not None or command is None:
            return _refused(ready.outcome or Outcome.MALFORMED, command)
        state = self._working.get(command.ledger_id)
        if state is None:
            misplaced = self._misplaced(command, ready.kafka)
            if misplaced is not None:
                return misplaced
        return self._known(command, state, ready, round_)

    def _misplaced(self, command: Command, kafka: KafkaRecord | None) -> _Result | None:
        """A ledger without state here may be a typing error, or live on another partition."""
        if parse_ledger_id(command.ledger_id) is None:
            return _refused(Outcome.BAD_LEDGER_ID, command)
        right = self._partition_of(command.ledger_id)
        if right == self._partition:
            return None
        forwarded = kafka is not None and any(name == FORWARDED_HEADER for name, _ in kafka.headers)
        forward_to = right if kafka is not None and not forwarded else None
        outcome = Outcome.WRONG_KEY if forwarded else Outcome.NOT_OWNER
        return _Result(outcome, command_id=command.id, ledger_id=command.ledger_id, forward_to=forward_to)

    def _known(self, command: Command, state: LedgerState | None, ready: "_Prepared", round_: Round) -> _Result:
        first = self._pending.get(ready.key) or self._first.get(ready.key)
        if first is not None:
            if first.digest != ready.digest:
                return _refused(Outcome.ID_REUSED, command)
            return _Result(first.outcome, entry=first, repeated=True, command_id=command.id, ledger_id=command.ledger_id)
        refused = _refused_unrecorded(command, state)
        if refused is not None:
            return _refused(refused, command)
        if state is None:
            state = self._working.get_or_new(command.ledger_id)
        return self._fresh(command, state, ready, round_)

    def _fresh(self, command: Command, state: LedgerState, ready: "_Prepared", round_: Round) -> _Result:
        if state.expiries and state.expiries[0][0] <= self.batch_time_ms:
            for draft in expiry_drafts(state, self.batch_time_ms):
                self._append(state, command, draft, None, None, round_)
        decision = decide(state, command, ready.units, self.batch_time_ms)
        if decision is None:
            view = _encode(state_view(state))
            return _Result(Outcome.ACCEPTED, command_id=command.id, ledger_id=command.ledger_id, state=view)
        outcome = Outcome.ACCEPTED
        if isinstance(decision, Refusal):
            outcome = decision.outcome
            if state.entity is None:  # a creation: there is no ledger yet to put the refusal on
                return _refused(outcome, command)
            decision = refusal_draft(state, command, decision, ready.canonical)
        entry = self._append(state, command, decision, outcome, ready, round_)
        self._pending[ready.key] = round_.entries[ready.key] = entry
        return _Result(outcome, entry=entry, command_id=command.id, ledger_id=command.ledger_id)

    def _append(
        self,
        state: LedgerState,
        command: Command,
        draft: Draft,
        outcome: Outcome | None,
        ready: "_Prepared | None",
        round_: Round,
    ) -> Entry:
        """Give a draft its place: the next seq of its ledger, the next offset of the log; and fold it."""
        seq, offset = state.seq + 1, round_.next_offset
        asked = ready is not None
        digest = ready.digest if ready is not None else None
        ledger_id = command.ledger_id
        kafka = ready.kafka if ready is not None else None
        fact = Fact(
            f"{ledger_id}.{seq}",
            ledger_id,
            seq,
            draft.type,
            _event_time(command, outcome) or self.batch_time_ms,
            self.batch_time_ms,
            command.tenant_id,
            ledger_id.partition("_")[2],
            self._epoch,
            offset,
            state.head_hash,
            RULES_VERSION,
            draft.subtype,
            outcome._value_ if outcome is not None else None,
            command.id if asked else None,
            digest,
            draft.amount,
            draft.currency,
            draft.held,
            draft.available,
            draft.reservation_id,
            draft.expires_at,
            draft.data,
            NO_DATA,
            None,
            Cause(COMMANDS, self._partition, kafka.offset) if kafka is not None else None,
            **(_links(command) if asked else {}),
        )
        value, fact_hash = encode_fact(fact)
        round_.records.append((ledger_id.encode(), value))
        round_.bytes += len(value) + len(ledger_id) + RECORD_OVERHEAD_BYTES
        round_.touched[ledger_id] = self._working.dirty[ledger_id] = None  # from here on it must not leave memory
        apply(state, fact, fact_hash)
        return Entry(
            digest or "",
            outcome or Outcome.ACCEPTED,
            offset,
            seq,
            self.batch_time_ms,
            draft.currency if draft.available is not None else None,
            draft.available,
            draft.reservation_id,
            draft.expires_at,
        )


_LINK_FIELDS: Final = (*Links.__struct_fields__, "reply_to")
_links_of = attrgetter(*_LINK_FIELDS)
_NO_LINKS: Final = (None,) * len(_LINK_FIELDS)


def _event_time(command: Command, outcome: Outcome | None) -> int | None:
    """The caller's event time, where the caller gave one that was not refused and the fact is the caller's own."""
    return command.timestamp if outcome is not None and outcome is not Outcome.TIMESTAMP_OUT_OF_BOUNDS else None


def _links(command: Command) -> dict[str, Any]:
    values = _links_of(command)
    if values == _NO_LINKS:  # most commands: one comparison instead of a dictionary
        return {}
    return {name: value for name, value in zip(_LINK_FIELDS, values, strict=True) if value is not None}


def _refused_unrecorded(command: Command, state: LedgerState | None) -> Outcome | None:
    """Refusals that leave no fact, because there is no ledger of this tenant to put it on."""
    entity = state.entity if state is not None else None
    if type(command) is CreateEntity:
        return Outcome.ENTITY_EXISTS if entity is not None and entity.tenant_id != command.tenant_id else None
    if entity is None or entity.tenant_id != command.tenant_id:
        return Outcome.UNKNOWN_ENTITY
    return None


class _Prepared:
    """A command read and checked; `key` is empty where it cannot be decided (`outcome` says why) or need not be."""

    __slots__ = ("canonical", "command", "digest", "item", "kafka", "key", "outcome", "units")

    def __init__(self, item: Direct | Kafka) -> None:
        self.item = item
        self.command: Command | None = None
        self.kafka: KafkaRecord | None = None
        self.outcome: Outcome | None = None
        self.units: int | None = None
        self.canonical = b""
        self.digest = self.key = ""


_AFTER_WRONG_KEY: Final = (None, Outcome.BAD_AMOUNT, Outcome.UNKNOWN_CURRENCY)  # by precedence


def _prepare(item: Direct | Kafka, value: bytes, kafka: KafkaRecord | None) -> _Prepared:
    ready = _Prepared(item)
    ready.kafka = kafka
    command = decode_command(value)
    if isinstance(command, Outcome):
        ready.outcome = command
        return ready
    ready.command = command
    ready.outcome, ready.units = check_form(command)
    if kafka is not None and kafka.key != command.ledger_id.encode() and ready.outcome in _AFTER_WRONG_KEY:
        ready.outcome = Outcome.WRONG_KEY if parse_ledger_id(command.ledger_id) is not None else Outcome.BAD_LEDGER_ID
    if ready.outcome is None:
        ready.canonical = encode_command(command)
        ready.digest = digest_of(ready.canonical)
        ready.key = key_of(command.tenant_id, command.ledger_id, command.id)
    return ready


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
    return Message(DEAD_LETTERS, b"%s-%d-%d" % (COMMANDS.encode(), partition, command.offset), _encode(letter))


def _text(value: bytes | None) -> str | None:
    return value[:LETTER_KEY_BYTES_MAX].decode(errors="replace") if value is not None else None


def _value(value: bytes | None) -> dict[str, str | None]:
    """At most the first 256 KiB: the letter of a record that is too large must fit a record; topic and offset have the rest."""
    value = value[:COMMAND_BYTES_MAX] if value is not None else None
    try:
        return {"value": value.decode() if value is not None else None}
    except UnicodeDecodeError:
        return {"value_base64": base64.b64encode(value or b"").decode()}
