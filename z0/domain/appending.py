"""
Facts that callers append. Owns: which types they may write, which need a cause, and tenants' own invariants.

A charge names an existing outcome and is not earlier than it; a cost names an invocation (zero cost is still recorded). What
this partition has of the named fact was looked up before. Of its own ledgers' facts it has all that may be named, unless they are
older than the index: then that ledger's state says what it can. A proof of any other is checked for form, and by reconciliation.
"""

import re
from typing import Any, Final

import msgspec

from z0.domain.commands import Append, Command
from z0.domain.draft import Case, Draft, Refusal
from z0.domain.eligibility import Spend, counted, refused_by_caps
from z0.domain.facts import RESERVED_LIFECYCLE, RESERVED_STAGES, RESERVED_TYPES, FactType, Links, Reference, Source
from z0.domain.ids import parse_fact_id
from z0.domain.outcome import Outcome
from z0.domain.policy import Counts, Severity
from z0.domain.schema_weight import size_of
from z0.domain.spending import charge
from z0.domain.state import LedgerState

CAUSES: Final = {FactType.CHARGE: FactType.OUTCOME, FactType.COST: FactType.INVOCATION}
# Facts that others may name: the engine keeps a reference of each.
NAMED_TYPES: Final = frozenset(CAUSES.values())
# A fact of this partition that is younger than this, and of a type that may be named, was looked up: a day less than the index
# keeps references (`z0.log.entry.RETENTION_MS`), since the clocks of two workers may differ.
SURELY_KEPT_MS: Final = 34 * 24 * 3600 * 1000
# Of all invariants of one fact: its bytes times their weights, a second at most (15 ns were measured for the worst schemas). What
# would take longer is not asked, and nothing proves that it holds.
CHECK_WORK_MAX: Final = 2**26
_encode: Final = msgspec.json.Encoder().encode
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)


def append(state: LedgerState, command: Append, case: Case) -> Draft | Refusal:
    """A fact of the caller's own."""
    source = source_of(state, command, case)
    if isinstance(source, Refusal):
        return source
    draft = _draft(state, command, case)
    if source is None or isinstance(draft, Refusal):
        return draft
    return draft.with_extras({"source": source})


def refused_by_type(command: Append, case: Case) -> Refusal | None:
    """Types that only their own commands write, and types that need an amount."""
    if _is_reserved(command):
        return Refusal(Outcome.RESERVED_FACT_TYPE, f"fact_type.{command.type}")
    if (case.units is None) != (command.currency is None) or (command.type in CAUSES and case.units is None):
        return Refusal(Outcome.MISSING_AMOUNT, f"amount.{command.type}")
    return None


def _is_reserved(command: Append) -> bool:
    if command.type == FactType.LIFECYCLE:
        return command.subtype in RESERVED_LIFECYCLE
    return command.type in RESERVED_TYPES or (command.type == FactType.CHARGE and command.subtype in RESERVED_STAGES)


def _draft(state: LedgerState, command: Append, case: Case) -> Draft | Refusal:
    if command.type == FactType.CHARGE:
        return charge(state, command, case)
    starts = None
    if command.type == FactType.INVOCATION and case.policy.limits:
        spend = Spend(case.units or 0, command.currency, Counts.INVOCATIONS)
        refusal = refused_by_caps(state, case.policy, spend, case.now_ms)
        if refusal is not None:
            return refusal
        starts = counted(state, case.policy, spend, case.now_ms)
    return Draft(command.type, command.subtype, command.amount, command.currency, data=command.data, counted=starts)


def source_of(state: LedgerState, command: Append, case: Case) -> Source | Refusal | None:
    """The proof to write on the fact, or None where there is nothing to prove: no cause is needed, or the ledger has it."""
    wanted = CAUSES.get(command.type)
    if wanted is None:
        return msgspec.structs.replace(command.source, checked=False) if command.source is not None else None
    if command.source_id is None:
        return Refusal(Outcome.SOURCE_MISSING, f"source.{command.type}", detail=f"source_id names no {wanted}")
    if case.reference is not None:
        return _checked(command, case, case.reference, wanted)
    named = parse_fact_id(command.source_id)
    if named is None:
        return _invalid("form", "source_id is no fact id")
    ledger_id, seq = named
    proof = command.source
    is_own = ledger_id == command.ledger_id
    refusal = refused_by_named(state, command, seq, case.now_ms) if is_own else case.unproven
    if refusal is not None:
        return refusal
    if proof is None or (proof.id, proof.ledger_id, proof.seq) != (command.source_id, ledger_id, seq):
        return _invalid("proof", "another partition's fact, or one of long ago, needs its id, ledger, seq and hash in `source`")
    if _HASH.fullmatch(proof.hash) is None:
        return _invalid("proof", "`source.hash` is no SHA-256 in hex")
    return Source(proof.id, ledger_id, seq, proof.hash, checked=False)


def refused_by_named(state: LedgerState | None, command: Append, seq: int, now_ms: int) -> Refusal | None:
    """
    What the ledger in `source_id`, of this partition, knows of a fact that was not found: that there is none, or of another type
    or hash. `state` is that ledger's, None where it has no facts. Another tenant's ledger is none.
    """
    if state is None or state.entity is None or state.entity.tenant_id != command.tenant_id:
        return _invalid("exists", "there is no such ledger")
    if seq > state.seq:
        return _invalid("exists", "the ledger is not that long")
    # No fact is older than the ledger, and the newest is as old as the state says; the first is the ledger's creation.
    recorded_at = state.recorded_at if seq == state.seq else state.entity.created_at
    if seq == 1 or recorded_at > now_ms - SURELY_KEPT_MS or command.source is None:
        return _invalid("exists", f"no {CAUSES[command.type]} of that id on that ledger")
    if seq == state.seq and command.source.hash != state.head_hash:
        return _invalid("hash", "the proof's hash is not the fact's")
    return None


def _checked(command: Append, case: Case, reference: Reference, wanted: str) -> Source | Refusal | None:
    if reference.type != wanted:
        return _invalid("type", f"{command.source_id} is of type {reference.type}, not {wanted}")
    proof = command.source
    if proof is not None and proof.hash != reference.hash:
        return _invalid("hash", "the proof's hash is not the fact's")
    if command.type == FactType.CHARGE and (command.timestamp or case.now_ms) < reference.timestamp:
        return Refusal(Outcome.SOURCE_LATER, "source.timestamp", detail=f"the outcome is of {reference.timestamp}")
    named = parse_fact_id(str(command.source_id))
    if named is None or named[0] == command.ledger_id:
        return None  # the ledger's own chain holds it
    return Source(str(command.source_id), named[0], named[1], reference.hash, checked=True)


def _invalid(part: str, detail: str) -> Refusal:
    return Refusal(Outcome.SOURCE_INVALID, f"source.{part}", detail=detail)


# Invariants of tenants ---------------------------------------------------------------------------


def checked_by_invariants(draft: Draft, command: Command, case: Case) -> Draft | Refusal:
    """The draft, with the codes of those invariants that only warn, or the refusal of the first that does not."""
    warnings = []
    instance: dict[str, Any] | None = None
    size = work = 0
    for check in case.policy.checks:
        if check.fact_type not in ("*", draft.type):
            continue
        if instance is None:
            instance = _instance(draft, command, case)
            size = size_of(_encode(instance))
        work += size * check.weight
        if work <= CHECK_WORK_MAX and instance and check.holds(instance):
            continue
        if check.severity is Severity.ERROR:
            message = check.message if work <= CHECK_WORK_MAX else "the fact is too large for all that its invariants ask"
            return Refusal(Outcome.INVARIANT_BROKEN, f"invariant.{check.code}", draft.currency, message)
        warnings.append(check.code)
    if not warnings:
        return draft
    return draft.with_extras({"warnings": tuple(warnings)})


def _instance(draft: Draft, command: Command, case: Case) -> dict[str, Any]:
    """
    The fact to be, as a JSON object: what the caller gave and what the decision adds, without the chain.

    Empty where its data cannot be read (JSON may hold a number that no decoder takes): nothing proves that it holds.
    """
    links = {name: getattr(command, name) for name in Links.__struct_fields__}
    own = {name: getattr(draft, name) for name in ("type", "subtype", "amount", "currency", "reservation_id", "expires_at")}
    given = {name: value for name, value in {**links, **own, **(draft.extras or {})}.items() if value is not None}
    given["timestamp"] = command.timestamp if command.timestamp is not None else case.now_ms
    try:
        data = msgspec.json.decode(draft.data) if bytes(draft.data) else {}
    except (msgspec.DecodeError, RecursionError):
        return {}
    return {**msgspec.to_builtins(given), "data": data}
