"""
One round: decide the commands that wait, in memory. Owns: what a round produces. Sends nothing, awaits nothing.

Everything that a round produces is held back until its facts are acked (`z0.log.engine` keeps the order).
"""

from collections.abc import Callable
from typing import Final, final

import msgspec
from mypy_extensions import mypyc_attr

from z0.codec import encode_fact, has_links
from z0.domain.answer import Answer
from z0.domain.appending import NAMED_TYPES, refused_by_named
from z0.domain.commands import Append, Authorize, Check, Command, CreateEntity, PutConfig, Read
from z0.domain.decide import creation_draft, decide, look
from z0.domain.draft import Case, Draft, Refusal, refusal_draft
from z0.domain.expiry import expiry_drafts
from z0.domain.facts import Cause, Reference
from z0.domain.fold import apply
from z0.domain.ids import parse_fact_id, parse_ledger_id
from z0.domain.outcome import Kind, Outcome, kind
from z0.domain.policy import NO_POLICY
from z0.domain.record import Asked, Place, change_by, fact_of
from z0.domain.state import LedgerState
from z0.domain.views import state_view
from z0.log.entry import Entry
from z0.log.inbox import Direct, Inbox, Kafka, KafkaRecord
from z0.log.index import CommandIndex, reference_key
from z0.log.ports import Message, Policies
from z0.log.round import Prepared, Round, dead_letter, prepare
from z0.log.working_set import WorkingSet
from z0.names import COMMANDS

ROUND_COMMANDS_MAX: Final = 2_000  # 20 to 40 ms, at 10 to 20 us each; only with a backlog and nobody at the direct door
AT_ONCE: Final = 250  # read and checked before the first is decided: what they take still fits the processor's own cache
ROUND_BYTES_MAX: Final = 1536 * 1024  # soft: a round ends above it; one command's facts may go beyond (topic limit 8 MiB)
EXPIRY_LEDGERS_MAX: Final = 500  # whose reservations expire in one round: about 10 ms; the next round takes the next
RECORD_OVERHEAD_BYTES: Final = 32
FORWARDED_HEADER: Final = "z0-forwarded"
_ACCEPTED: Final = Outcome.ACCEPTED
_new_entry: Final = Entry
_LEAVE_NOTHING: Final = frozenset({Read, Check})
_CREATING: Final = frozenset({CreateEntity, PutConfig})

_encode: Final = msgspec.json.Encoder().encode


@final
@mypyc_attr(acyclic=True, free_list_len=1)
class _Result:
    """What a command came to; `entry` where it is in the index."""

    def __init__(
        self,
        outcome: Outcome,
        entry: Entry | None = None,
        repeated: bool = False,
        command_id: str = "",
        ledger_id: str = "",
        state: bytes = b"",
        eligibility: bytes = b"",
        forward_to: int | None = None,
        detail: str | None = None,
    ) -> None:
        self.outcome: Final = outcome
        self.entry: Final = entry
        self.repeated: Final = repeated
        self.command_id: Final = command_id
        self.ledger_id: Final = ledger_id
        self.state: Final = state
        self.eligibility: Final = eligibility
        self.forward_to: Final = forward_to
        self.detail: Final = detail


def _refused(outcome: Outcome, command: Command | None, detail: str | None = None) -> _Result:
    """A refusal that leaves no fact."""
    if command is None:
        return _Result(outcome, detail=detail)
    return _Result(outcome, command_id=command.id, ledger_id=command.ledger_id, detail=detail)


class Decider:
    """Decides for one partition under one epoch. A new epoch gets a new one, so that nothing undone is carried over."""

    def __init__(
        self,
        partition: int,
        *,
        epoch: int,
        working: WorkingSet,
        index: CommandIndex,
        policies: Policies,
        partition_of: Callable[[str], int],
        applied: int,
        batch_time_ms: int,
    ) -> None:
        self._partition = partition
        self._epoch = epoch
        self._working = working
        self._index = index
        self._policies = policies
        self._partition_of = partition_of
        self._pending: dict[str, Entry] = {}
        self._pending_references: dict[str, Reference] = {}
        self._first: dict[str, Entry] = {}
        self._references: dict[str, Reference] = {}
        self.carried: list[Direct | Kafka] = []
        self.applied = applied
        self.batch_time_ms = batch_time_ms

    def decide_round(self, inbox: Inbox, base_offset: int, now_ms: int) -> Round:
        """Take commands until the round is full. Time never goes back within a partition."""
        self.batch_time_ms = max(self.batch_time_ms, now_ms)
        round_ = Round(base_offset)
        self._expire_due(round_)
        items = self.carried + inbox.take(ROUND_COMMANDS_MAX - len(self.carried), ROUND_BYTES_MAX)
        decided = 0
        while decided < len(items) and round_.bytes <= ROUND_BYTES_MAX:
            decided += self._decide_some(items[decided : decided + AT_ONCE], round_)
        self.carried = items[decided:]
        return round_

    def _decide_some(self, items: "list[Direct | Kafka]", round_: Round) -> int:
        """Decide commands until the round is full; how many it were."""
        prepared = [self._prepare(item) for item in items]
        # One look-up for all: a single one costs 0.3 us, but gives the interpreter's lock away, and taking it back 4 us.
        self._first = self._index.get_many([p.key for p in prepared if p.key])
        references = [p.reference for p in prepared if p.reference]
        self._references = self._index.references(references) if references else {}
        for number, ready in enumerate(prepared, 1):
            self._decide_item(ready, round_)
            if round_.bytes > ROUND_BYTES_MAX:
                return number
        return len(items)

    def is_due(self, now_ms: int) -> bool:
        """Whether a reservation of some ledger, in memory or not, has come to its end."""
        return self._working.is_due(max(self.batch_time_ms, now_ms))

    def indexed_but(self, decided: Round | None) -> None:
        """The index has everything now but what this round left, which is not acked yet."""
        # Made anew: to take the entries out one by one costs more than to copy those of one round.
        self._pending = dict(decided.entries) if decided is not None else {}
        self._pending_references = dict(decided.references) if decided is not None else {}

    def _prepare(self, item: Direct | Kafka) -> Prepared:
        if type(item) is Direct:
            return prepare(item, item.group.commands[item.place], None)
        if item.command.offset <= self.applied:  # its effects are in the log already
            return Prepared(item)
        return prepare(item, item.command.value or b"", item.command)

    def _expire_due(self, round_: Round) -> None:
        """The timer's command: expire what is due on ledgers that nobody touches, also on those outside memory."""
        for ledger_id in self._working.take_due(self.batch_time_ms, EXPIRY_LEDGERS_MAX):
            state = self._working.get(ledger_id)
            if state is None or state.entity is None:
                continue
            self._expire(state, ledger_id, round_)
            self._working.schedule(ledger_id, state)
            if round_.bytes > ROUND_BYTES_MAX:  # after an hour without a worker all of it is due at once
                return

    def _expire(self, state: LedgerState, ledger_id: str, round_: Round) -> None:
        assert state.entity is not None, "it has reservations"
        for draft in expiry_drafts(state, self.batch_time_ms):
            self._append(state, ledger_id, state.entity.tenant_id, draft, None, round_)

    def _decide_item(self, ready: Prepared, round_: Round) -> None:
        item = ready.item
        if type(item) is Direct:
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
                detail=result.detail,
                state=result.state,
                eligibility=result.eligibility,
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
            entry.detail,
            b"",
            result.eligibility,
        )

    def _decide(self, ready: Prepared, round_: Round) -> _Result:
        command = ready.command
        if ready.outcome is not None or command is None:
            return _refused(ready.outcome or Outcome.MALFORMED, command)
        state = self._working.get(ready.ledger_id)
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

    def _known(self, command: Command, state: LedgerState | None, ready: Prepared, round_: Round) -> _Result:
        first = self._pending.get(ready.key) or self._first.get(ready.key)
        if first is not None and not first.is_forgotten(self.batch_time_ms):
            if first.digest != ready.digest:
                return _refused(Outcome.ID_REUSED, command)
            return _Result(first.outcome, first, repeated=True, command_id=ready.command_id, ledger_id=ready.ledger_id)
        refused = _refused_unrecorded(command, ready.tenant_id, state)
        if refused is not None:
            return _refused(refused, command)
        if state is None:
            state = self._working.get_or_new(ready.ledger_id)
        return self._fresh(command, state, ready, round_)

    def _fresh(self, command: Command, state: LedgerState, ready: Prepared, round_: Round) -> _Result:
        if state.expiries and state.expiries[0][0] <= self.batch_time_ms:
            self._expire(state, ready.ledger_id, round_)
        if type(command) in _LEAVE_NOTHING:
            return self._look(command, state, ready)
        case = self._case(command, ready)
        decision = decide(state, command, case)
        assert decision is not None, "reads are answered above"
        return self._record(state, command, case, decision, ready, round_)

    def _look(self, command: Command, state: LedgerState, ready: Prepared) -> _Result:
        """What leaves nothing: the state, or the eligibility."""
        if type(command) is Check:
            found = _encode(look(state, command, self._case(command, ready), None))
            return _Result(_ACCEPTED, command_id=ready.command_id, ledger_id=ready.ledger_id, eligibility=found)
        assert type(command) is Read, "the other that leaves nothing"
        view = _encode(state_view(state, command.reservations_after, command.charges_after))
        return _Result(_ACCEPTED, command_id=ready.command_id, ledger_id=ready.ledger_id, state=view)

    def _case(self, command: Command, ready: Prepared) -> Case:
        """Everything that the decision needs and that is not in the ledger."""
        now, refusal = self.batch_time_ms, None
        policy = self._policies.policy(ready.tenant_id, ready.ledger_id, now)
        if type(command) is PutConfig:
            refusal = self._policies.refuse(command, now)
        elif policy is not NO_POLICY and command.config_id is not None and command.config_version is not None:
            # A retry of a priced command may name the version that priced it first; ids of other configs are links only.
            pinned = self._policies.pinned(policy, command.config_id, command.config_version)
            if pinned is None:
                refusal = Refusal(Outcome.UNKNOWN_CONFIG_VERSION, f"config.{command.config_id}")
            policy = pinned or policy
        reference = None
        if ready.reference:
            reference = self._pending_references.get(ready.reference) or self._references.get(ready.reference)
        unproven = self._unproven(command) if reference is None and ready.reference and type(command) is Append else None
        return Case(ready.units, now, policy, reference, refusal, unproven)

    def _unproven(self, command: Append) -> Refusal | None:
        """What the ledger of a fact that was not found says against it: another one than the command's, of this partition."""
        named = parse_fact_id(command.source_id) if command.source_id is not None else None
        if named is None or named[0] == command.ledger_id or self._partition_of(named[0]) != self._partition:
            return None
        return refused_by_named(self._working.peek(named[0]), command, named[1], self.batch_time_ms)

    def _record(
        self,
        state: LedgerState,
        command: Command,
        case: Case,
        decision: Draft | Refusal,
        ready: Prepared,
        round_: Round,
    ) -> _Result:
        outcome, detail, refusal = _ACCEPTED, None, None
        if isinstance(decision, Refusal):
            refusal, outcome, detail = decision, decision.outcome, decision.detail
            if state.entity is None:  # a creation: there is no ledger yet to put the refusal on
                return _refused(outcome, command, detail)
            decision = refusal_draft(state, command, decision, ready.canonical)
        elif state.entity is None and type(command) is PutConfig:
            self._append(state, command.ledger_id, command.tenant_id, creation_draft(command, self.batch_time_ms), None, round_)
        kafka = ready.kafka
        cause = Cause(COMMANDS, self._partition, kafka.offset) if kafka is not None else None
        asked = Asked(command, ready.digest, outcome, cause, case.policy.versions, has_links(command, ready.canonical))
        self._append(state, ready.ledger_id, ready.tenant_id, decision, asked, round_)
        entry = self._entry(state, decision, asked, detail, round_)
        self._pending[ready.key] = round_.entries[ready.key] = entry
        found = b""
        if type(command) is Authorize and kafka is None:
            found = _encode(look(state, command, case, refusal))
        return _Result(outcome, entry, command_id=ready.command_id, ledger_id=ready.ledger_id, eligibility=found)

    def _append(
        self, state: LedgerState, ledger_id: str, tenant_id: str, draft: Draft, asked: Asked | None, round_: Round
    ) -> None:
        """Give a draft its place: the next seq of its ledger, the next offset of the log; and fold it."""
        place = Place(ledger_id, tenant_id, self._epoch, round_.next_offset, self.batch_time_ms)
        fact = fact_of(state, draft, place, asked)
        value, fact_hash = encode_fact(fact)
        round_.records.append((ledger_id.encode(), value))
        round_.bytes += len(value) + len(ledger_id) + RECORD_OVERHEAD_BYTES
        round_.touched[ledger_id] = self._working.dirty[ledger_id] = None  # from here on it must not leave memory
        apply(state, change_by(fact, draft, place), fact_hash)
        if draft.expires_at is not None:
            self._working.schedule(ledger_id, state)
        if draft.type in NAMED_TYPES:
            key = reference_key(tenant_id, ledger_id, state.seq)
            self._pending_references[key] = round_.references[key] = Reference(fact.type, fact.timestamp, fact_hash)

    def _entry(self, state: LedgerState, draft: Draft, asked: Asked, detail: str | None, round_: Round) -> Entry:
        """What `entry_of` reads back from the fact that was appended last; fields of a fact cost more than these."""
        return _new_entry(
            asked.digest,
            asked.outcome,
            round_.next_offset - 1,
            state.seq,
            self.batch_time_ms,
            draft.currency if draft.available is not None else None,
            draft.available,
            draft.reservation_id,
            draft.expires_at,
            detail,
        )


def _refused_unrecorded(command: Command, tenant_id: str, state: LedgerState | None) -> Outcome | None:
    """Refusals that leave no fact, because there is no ledger of this tenant to put it on."""
    entity = state.entity if state is not None else None
    if type(command) in _CREATING:
        if entity is None:
            return None
        if type(command) is CreateEntity:
            return Outcome.ENTITY_EXISTS if entity.tenant_id != tenant_id else None
    if entity is None or entity.tenant_id != tenant_id:
        return Outcome.UNKNOWN_ENTITY
    return None
