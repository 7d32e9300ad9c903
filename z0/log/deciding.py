"""
One round: decide the commands that wait, in memory. Owns: what a round produces. Sends nothing, awaits nothing.

Everything that a round produces is held back until its facts are acked (`z0.log.engine` keeps the order).
"""

import base64
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from z0.codec import decode_command, digest_of, encode_command, encode_fact
from z0.domain.answer import Answer
from z0.domain.check import check_form
from z0.domain.commands import Command, CreateEntity
from z0.domain.decide import Draft, Refusal, decide, expiry_drafts, refusal_draft
from z0.domain.facts import RULES_VERSION, Cause, Fact
from z0.domain.ids import parse_ledger_id
from z0.domain.outcome import Kind, Outcome, kind
from z0.domain.state import LedgerState, apply
from z0.domain.views import state_view
from z0.log.inbox import CommandBatch, Direct, Inbox, Kafka, KafkaCommand
from z0.log.index import CommandIndex, Entry, key_of
from z0.log.ports import Message
from z0.log.working_set import WorkingSet
from z0.names import COMMANDS, DEAD_LETTERS

ROUND_COMMANDS_MAX: Final = 1_000  # about 15 ms of deciding: the longest that one partition keeps the others waiting
ROUND_BYTES_MAX: Final = 512 * 1024  # soft: a round ends above it; one command's facts may go beyond (topic limit 8 MiB)
RECORD_OVERHEAD_BYTES: Final = 32
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


class _Result(NamedTuple):
    """What a command came to; `entry` where it is in the index."""

    outcome: Outcome
    entry: Entry | None = None
    repeated: bool = False
    command_id: str = ""
    ledger_id: str = ""
    state: bytes = b""
    forward_to: int | None = None


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
        self.applied = applied
        self.batch_time_ms = batch_time_ms

    def decide_round(self, inbox: Inbox, base_offset: int, now_ms: int) -> Round:
        """Take commands until the round is full. Time never goes back within a partition."""
        self.batch_time_ms = max(self.batch_time_ms, now_ms)
        round_ = Round(base_offset)
        for item in inbox.take(ROUND_COMMANDS_MAX):
            if isinstance(item, Direct):
                self._direct(item, round_)
            else:
                self._kafka(item, round_)
            if round_.bytes > ROUND_BYTES_MAX:
                break
        return round_

    def settled(self, round_: Round) -> None:
        """The round's entries are in the index now."""
        for key in round_.entries:
            self._pending.pop(key, None)

    def _direct(self, item: Direct, round_: Round) -> None:
        result = self._decide(item.group.commands[item.index], None, round_)
        round_.answers.append((item, self._answer(result, round_)))

    def _kafka(self, item: Kafka, round_: Round) -> None:
        command = item.command
        if command.offset > self.applied:  # at or below it, its effects are in the log already
            self._kafka_command(command, round_)
            self.applied = command.offset
        if item.completes is not None:
            round_.acknowledge.append(item.completes)

    def _kafka_command(self, command: KafkaCommand, round_: Round) -> None:
        result = self._decide(command.value or b"", command, round_)
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

    def _decide(self, value: bytes, kafka: KafkaCommand | None, round_: Round) -> _Result:
        command = decode_command(value)
        if isinstance(command, Outcome):
            return _Result(command)
        outcome, units = check_form(command)
        if outcome is None and kafka is not None and kafka.key != command.ledger_id.encode():
            outcome = Outcome.WRONG_KEY
        if outcome is not None:
            return _Result(outcome, None, False, command.id, command.ledger_id)
        state = self._working.get(command.ledger_id)
        if state is None:
            misplaced = self._misplaced(command, kafka)
            if misplaced is not None:
                return misplaced
        return self._known(command, units, state, _Envelope(command, kafka), round_)

    def _misplaced(self, command: Command, kafka: KafkaCommand | None) -> _Result | None:
        """A ledger without state here may be a typing error, or live on another partition."""
        if parse_ledger_id(command.ledger_id) is None:
            return _Result(Outcome.BAD_LEDGER_ID, None, False, command.id, command.ledger_id)
        right = self._partition_of(command.ledger_id)
        if right == self._partition:
            return None
        forwarded = kafka is not None and any(name == FORWARDED_HEADER for name, _ in kafka.headers)
        forward_to = right if kafka is not None and not forwarded else None
        outcome = Outcome.WRONG_KEY if forwarded else Outcome.NOT_OWNER
        return _Result(outcome, None, False, command.id, command.ledger_id, forward_to=forward_to)

    def _known(self, command: Command, units: int | None, state: LedgerState | None, envelope: "_Envelope", round_: Round) -> _Result:
        first = self._pending.get(envelope.key) or self._index.get(envelope.key)
        if first is not None:
            if first.digest != envelope.digest:
                return _Result(Outcome.ID_REUSED, None, False, command.id, command.ledger_id)
            return _Result(first.outcome, first, True, command.id, command.ledger_id)
        refused = _refused_unrecorded(command, state)
        if refused is not None:
            return _Result(refused, None, False, command.id, command.ledger_id)
        if state is None:
            state = self._working.get_or_new(command.ledger_id)
        return self._fresh(command, units, state, envelope, round_)

    def _fresh(self, command: Command, units: int | None, state: LedgerState, envelope: "_Envelope", round_: Round) -> _Result:
        if state.expiries and state.expiries[0][0] <= self.batch_time_ms:
            for draft in expiry_drafts(state, self.batch_time_ms):
                self._append(state, command, draft, None, None, round_)
        decision = decide(state, command, units, self.batch_time_ms)
        if decision is None:
            view = _encode(state_view(state))
            return _Result(Outcome.ACCEPTED, None, False, command.id, command.ledger_id, view)
        outcome = Outcome.ACCEPTED
        if isinstance(decision, Refusal):
            outcome = decision.outcome
            decision = refusal_draft(state, command, decision, envelope.canonical)
        entry = self._append(state, command, decision, outcome, envelope, round_)
        self._pending[envelope.key] = round_.entries[envelope.key] = entry
        return _Result(outcome, entry, False, command.id, command.ledger_id)

    def _append(
        self,
        state: LedgerState,
        command: Command,
        draft: Draft,
        outcome: Outcome | None,
        envelope: "_Envelope | None",
        round_: Round,
    ) -> Entry:
        """Give a draft its place: the next seq of its ledger, the next offset of the log; and fold it."""
        seq, offset = state.seq + 1, round_.next_offset
        digest = envelope.digest if envelope is not None else None
        asked = envelope is not None
        ledger_id = command.ledger_id
        fact = Fact(
            id=f"{ledger_id}.{seq}",
            ledger_id=ledger_id,
            seq=seq,
            type=draft.type,
            subtype=draft.subtype,
            timestamp=command.timestamp if asked and command.timestamp is not None else self.batch_time_ms,
            recorded_at=self.batch_time_ms,
            tenant_id=command.tenant_id,
            entity_id=ledger_id.partition("_")[2],
            outcome=outcome.value if outcome is not None else None,
            command_id=command.id if asked else None,
            digest=digest,
            rules=RULES_VERSION,
            amount=draft.amount,
            currency=draft.currency,
            held=draft.held,
            available=draft.available,
            reservation_id=draft.reservation_id,
            expires_at=draft.expires_at,
            data=draft.data,
            epoch=self._epoch,
            offset=offset,
            prev_hash=state.head_hash,
            cause=envelope.cause(self._partition) if envelope is not None else None,
            **(_links(command) if asked else {}),
        )
        value, fact_hash = encode_fact(fact)
        round_.records.append((ledger_id.encode(), value))
        round_.bytes += len(value) + len(ledger_id) + RECORD_OVERHEAD_BYTES
        round_.touched[ledger_id] = None
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


_LINK_FIELDS: Final = (
    "source_id", "asset_id", "campaign_id", "contact_id", "deal_id", "tool_id", "user_id", "parent_invocation_id", "from_entity",
    "to_entity", "config_id", "config_version", "trace_id", "correlation_id", "external_source", "external_id", "workflow_id", "reply_to",
)  # fmt: skip


def _links(command: Command) -> dict[str, str]:
    return {name: value for name in _LINK_FIELDS if (value := getattr(command, name)) is not None}


def _refused_unrecorded(command: Command, state: LedgerState | None) -> Outcome | None:
    """Refusals that leave no fact, because there is no ledger of this tenant to put it on."""
    entity = state.entity if state is not None else None
    if type(command) is CreateEntity:
        return Outcome.ENTITY_EXISTS if entity is not None and entity.tenant_id != command.tenant_id else None
    if entity is None or entity.tenant_id != command.tenant_id:
        return Outcome.UNKNOWN_ENTITY
    return None


class _Envelope:
    """A command's identity: canonical bytes, digest, index key, cause."""

    __slots__ = ("canonical", "digest", "kafka", "key")

    def __init__(self, command: Command, kafka: KafkaCommand | None) -> None:
        self.canonical = encode_command(command)
        self.digest = digest_of(self.canonical)
        self.key = key_of(command.tenant_id, command.ledger_id, command.id)
        self.kafka = kafka

    def cause(self, partition: int) -> Cause | None:
        """Where the command stood, if it came by Kafka."""
        return Cause(COMMANDS, partition, self.kafka.offset) if self.kafka is not None else None


def dead_letter(partition: int, command: KafkaCommand, reason: Outcome) -> Message:
    """The dead letter of a Kafka command: reason, topic, partition, offset, and the bytes as they came."""
    letter = {
        "reason": reason,
        "topic": COMMANDS,
        "partition": partition,
        "offset": command.offset,
        "key": _text(command.key),
        **_value(command.value),
    }
    return Message(DEAD_LETTERS, b"%s-%d-%d" % (COMMANDS.encode(), partition, command.offset), _encode(letter))


def _text(value: bytes | None) -> str | None:
    return value.decode(errors="replace") if value is not None else None


def _value(value: bytes | None) -> dict[str, str | None]:
    try:
        return {"value": value.decode() if value is not None else None}
    except UnicodeDecodeError:
        return {"value_base64": base64.b64encode(value or b"").decode()}

