"""
Deciding again. Owns: from a recorded fact and the state before it to the bytes that today's rules write.

What a decision knew beside state, command and time is on the fact or taken from it, and then said: which versions of configs
were in force in the worker's copy, whether its partition had the fact that a charge names, and what only its copy of all
configs could judge.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from z0.codec import decode_command, digest_of, encode_command, encode_fact
from z0.configs.rules import NOTHING_HELD, refusal_of
from z0.domain.appending import CAUSES
from z0.domain.check import check_form
from z0.domain.commands import Append, Command, PutConfig
from z0.domain.decide import creation_draft, decide
from z0.domain.draft import Case, Draft, Refusal, refusal_draft
from z0.domain.expiry import expiry_drafts
from z0.domain.facts import Fact, FactType, Reference, StoredFact
from z0.domain.ids import parse_fact_id
from z0.domain.outcome import Outcome
from z0.domain.payloads import RefusedData
from z0.domain.policy import Policy
from z0.domain.record import Asked, Place, fact_of
from z0.domain.state import LedgerState
from z0.receipts.ports import Stored
from z0.receipts.rebuild import candidates, creation

RULES: Final = frozenset({1})  # versions of the rules that this program can decide by
_JUDGED_BY_LEDGER: Final = frozenset(
    {"config.target", "config.effective_at", "config.versions"}
)  # of `bad_config`; its other rules ask the copy
_refused = msgspec.json.Decoder(RefusedData).decode


class Again(NamedTuple):
    """A decision, decided again."""

    value: bytes  # the fact as it would be stored
    outcome: str | None  # None: no command asked for it
    command: Command | None = None
    digest_matches: bool | None = None  # whether the command is the one that was given, to the byte; None: there was none
    taken: tuple[str, ...] = ()  # what could not be judged again and was taken from the record


class Known(NamedTuple):
    """What a decision knows beside its ledger."""

    policy: Policy
    references: Mapping[int, Reference]  # by seq: facts of the same ledger that others may name
    elsewhere: Reference | None = None  # the fact of another ledger that the command names, where it was looked up


def decide_again(state: LedgerState, stored: Stored, known: Known) -> Again | None:
    """
    The likeliest decision that the record allows: equal bytes and digest before equal bytes before anything else.

    None: it is of no kind that these rules write. The state is read; of its index of expiries, what is due is taken off.
    """
    fact = stored.fact
    if fact.command_id is None:
        draft = _of_no_command(state, fact)
        return Again(encode_fact(fact_of(state, draft, _place(fact), None))[0], None) if draft is not None else None
    best: Again | None = None
    for attempt in _attempts(state, fact, known):
        if best is None or _rank(attempt, stored) > _rank(best, stored):
            best = attempt
        if _rank(best, stored) == (True, True):
            break
    return best


def _rank(attempt: Again, stored: Stored) -> tuple[bool, bool]:
    return attempt.value == stored.value, bool(attempt.digest_matches)


def _of_no_command(state: LedgerState, fact: StoredFact) -> Draft | None:
    if (fact.type, fact.subtype) == (FactType.BUDGET, FactType.EXPIRED):
        # The holds of earlier facts of the same moment are closed by then, so this one's come first of their currency.
        return next((d for d in expiry_drafts(state, fact.recorded_at) if d.currency == fact.currency), None)
    if (fact.type, fact.subtype) == (FactType.LIFECYCLE, FactType.CREATED):
        return creation_draft(creation(fact), fact.recorded_at)
    return None


def _place(fact: Fact) -> Place:
    return Place(fact.ledger_id, fact.tenant_id, fact.epoch, fact.offset, fact.recorded_at)


def _attempts(state: LedgerState, fact: StoredFact, known: Known) -> Iterator[Again]:
    if fact.type == FactType.DECISION:
        command = decode_command(bytes(_refused(fact.data).request))
        commands = iter(()) if isinstance(command, Outcome) else iter((command,))
    else:
        commands = candidates(fact, state, known.references)
    for command in commands:
        checked = check_form(command)
        if checked.outcome is not None:
            continue  # a forged fact: nobody could have asked for it
        for reference, unproven, taken in _references(command, fact, known):
            case = Case(checked.units, fact.recorded_at, known.policy, reference, unproven=unproven)
            yield _attempt(state, fact, command, case, taken)


def _attempt(state: LedgerState, fact: StoredFact, command: Command, case: Case, taken: tuple[str, ...]) -> Again:
    canonical = encode_command(command)
    digest = digest_of(canonical)
    refusal, more = _judged_by_copy(command, fact, case)
    decision = decide(state, command, Case(case.units, case.now_ms, case.policy, case.reference, refusal, case.unproven))
    assert decision is not None, "reads and checks leave no fact"
    outcome = Outcome.ACCEPTED
    if isinstance(decision, Refusal):
        outcome = decision.outcome
        decision = refusal_draft(state, command, decision, canonical)
    # The digest is an input, as the command is: a refusal quotes it; where it is rebuilt, its spelling is the record's to know.
    known = digest if fact.type == FactType.DECISION else str(fact.digest)
    asked = Asked(command, known, outcome, fact.cause, case.policy.versions)
    value, _ = encode_fact(fact_of(state, decision, _place(fact), asked))
    return Again(value, outcome, command, digest == fact.digest, taken + more)


# What the record is believed ---------------------------------------------------------------------


def _judged_by_copy(command: Command, fact: StoredFact, case: Case) -> tuple[Refusal | None, tuple[str, ...]]:
    """What is judged from the worker's copy of all configs."""
    if type(command) is PutConfig:
        return _judged_config(command, fact, case)
    if fact.outcome == Outcome.UNKNOWN_CONFIG_VERSION:
        said = "that the owner had no such version of the config: from its copy"
        return Refusal(Outcome.UNKNOWN_CONFIG_VERSION, f"config.{command.config_id}"), (said,)
    return None, ()


def _judged_config(command: PutConfig, fact: StoredFact, case: Case) -> tuple[Refusal | None, tuple[str, ...]]:
    alone = refusal_of(command, case.now_ms, others=[], held=NOTHING_HELD)
    if alone is not None:
        return alone, ()
    if fact.outcome in (Outcome.BAD_CONFIG, Outcome.CONFIG_LOOSENS):
        data = _refused(fact.data)
        if data.rule not in _JUDGED_BY_LEDGER:
            refusal = Refusal(Outcome(data.code), data.rule, fact.currency, data.detail)
            return refusal, ("that it does not go with the other configs: from the owner's copy of them",)
    return None, ("that it goes with the other configs: from the owner's copy of them",)


class _Looked(NamedTuple):
    """What the partition may have known of the fact in `source_id`."""

    reference: Reference | None = None
    unproven: Refusal | None = None
    taken: tuple[str, ...] = ()


def _references(command: Command, fact: StoredFact, known: Known) -> list[_Looked]:
    """
    What the partition may have known of the fact that a charge or cost names, the likeliest first.

    The ledger's own facts are at hand. Of another ledger's it depends on the partition: a fact says with `source.checked`.
    """
    wanted = CAUSES.get(command.type) if isinstance(command, Append) else None
    named = parse_fact_id(command.source_id) if command.source_id is not None else None
    if wanted is None or named is None or not isinstance(command, Append):
        return [_Looked()]
    if named[0] == command.ledger_id:
        own = known.references.get(named[1])
        if own is None:
            return [_Looked()]
        return [_Looked(own), _Looked(taken=("that the partition had forgotten the fact in source_id",))]
    if fact.source is not None and not fact.source.checked:
        return [_Looked()]
    proof = fact.source or command.source
    believed = Reference(wanted, 0, proof.hash if proof is not None else "")
    # A later rule's refusal says only that the fact in `source_id` passed: here, or by its proof.
    found = [_Looked(known.elsewhere)] if known.elsewhere is not None else []
    said = "that the fact in source_id is of the right type and time: from its partition"
    return [*found, _Looked(), _Looked(believed, taken=(said,)), *_refused_elsewhere(fact)]


def _refused_elsewhere(fact: StoredFact) -> Iterator[_Looked]:
    """What the ledger of the named fact said against it, where it is on the same partition: its state of then is not here."""
    if fact.outcome == Outcome.SOURCE_INVALID:
        data = _refused(fact.data)
        refusal = Refusal(Outcome.SOURCE_INVALID, data.rule, fact.currency, data.detail)
        yield _Looked(unproven=refusal, taken=("what is wrong with the fact in source_id: from its ledger",))
