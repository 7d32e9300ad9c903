"""
Decisions. Owns: what each command comes to on a given state, in the outcome's precedence, and the draft of its fact.

`decide(state, command, case)` reads the state and changes nothing; the fold of its draft is `z0.domain.fold.apply`.
The clock is an argument (the batch's time), and so are policy and look-ups, so a replay decides the same.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Raw

from z0.domain import appending, spending
from z0.domain.answer import Eligibility
from z0.domain.commands import (
    COMMAND_BYTES_MAX,
    AddBudget,
    Append,
    Authorize,
    Check,
    Command,
    Confirm,
    CreateEntity,
    DeductBudget,
    GrantAccess,
    PutConfig,
    Read,
    Release,
    Reserve,
    RevokeAccess,
    Settle,
    UpdateEntity,
)
from z0.domain.config import OFF_VERSIONS_MAX, VERSIONS_MAX, ConfigVersion, data_of
from z0.domain.config_rules import is_off
from z0.domain.draft import Case, Draft, Refusal
from z0.domain.eligibility import Spend, asked_for, eligibility, priced, refused_by_access
from z0.domain.entity import ARROWS, Entity, Status
from z0.domain.facts import NO_DATA, FactType
from z0.domain.ids import parse_ledger_id
from z0.domain.outcome import Outcome
from z0.domain.payloads import ConfigHead, CreatedData, GrantData, UpdatedData
from z0.domain.state import GRANTS_MAX, LedgerState, changed

EVENT_TIME_PAST_MAX_MS: Final = 366 * 24 * 3600 * 1000  # a year may be brought in later
EVENT_TIME_FUTURE_MAX_MS: Final = 24 * 3600 * 1000  # a caller's clock may be in another zone by mistake; more is no event yet
_DRAINING: Final = (Confirm, Release, Settle, RevokeAccess)  # what a retiring entity still takes
# Most commands are of none of these: one question instead of several (compiled, each name of a class costs a look-up).
_LEAVE_NOTHING: Final = frozenset({Read, Check})
_WITH_OWN_LIFECYCLE: Final = frozenset({CreateEntity, UpdateEntity, PutConfig})
_ACTIVE: Final = Status.ACTIVE
_encode: Final = msgspec.json.Encoder().encode


def decide(state: LedgerState, command: Command, case: Case) -> Draft | Refusal | None:
    """
    What a well-formed command of the right tenant comes to in a case.

    None: a read, or a check, which leave no fact. The state exists (has an entity), except for `create_entity` and
    `put_config`, and its due holds have been expired.
    """
    if type(command) in _LEAVE_NOTHING:
        return None
    refusal = refused_before(state, command, case)
    if refusal is not None:
        return refusal
    draft = _RULES[type(command)](state, command, case)
    if case.policy.checks and isinstance(draft, Draft):
        return appending.checked_by_invariants(draft, command, case)
    return draft


def refused_before(state: LedgerState, command: Command, case: Case) -> Refusal | None:
    """Lifecycle, event time, what the copy of the configs says, and access: what comes before any rule of the command's own."""
    if type(command) in _WITH_OWN_LIFECYCLE:
        refusal = _refused_by_own_lifecycle(state, command)
    else:
        refusal = _refused_by_lifecycle(state, command)
    refusal = refusal or _refused_by_time(command, case.now_ms)
    if refusal is None and type(command) is Append:
        refusal = appending.refused_by_type(command, case)
    if refusal is None and type(command) is PutConfig:
        refusal = _refused_target(state.config, command, case.now_ms)
    if refusal is None and case.refusal is not None:
        return case.refusal
    if refusal is None and case.policy.access is not None:
        return refused_by_access(state, command, case.policy)
    return refusal


def look(state: LedgerState, command: Check | Authorize, case: Case, decided: Refusal | None) -> Eligibility:
    """
    The eligibility: of a `check`, evaluated now, tenants' invariants of the reservation included; of an `authorize`, as it was
    decided, on the state after it.
    """
    spend = priced(command, case.units, case.policy)
    refusal = decided
    if type(command) is Check:
        refusal = refused_before(state, command, case)
        if refusal is None:
            refusal = spending.refused_by_place(state, None, spend.currency) or asked_for(state, case, spend)
        if refusal is None and case.policy.checks and isinstance(spend, Spend):
            hold = appending.checked_by_invariants(spending.would_hold(state, command, spend, case), command, case)
            refusal = hold if isinstance(hold, Refusal) else None
    return eligibility(state, case.policy, spend if isinstance(spend, Spend) else None, refusal, case.now_ms)


def _refused_by_own_lifecycle(state: LedgerState, command: Command) -> Refusal | None:
    """Of commands that make or change the entity."""
    if type(command) is CreateEntity:
        return Refusal(Outcome.ENTITY_EXISTS, "entity.exists") if state.entity else None
    if type(command) is PutConfig:
        refusal = _refused_by_version(state.config, command)
        if refusal is not None or state.entity is None:
            return refusal
    assert state.entity is not None, "unknown entities are refused before"
    if type(command) is UpdateEntity:
        return _refused_update(state.entity, command)
    return _refused_by_lifecycle(state, command)


def _refused_by_lifecycle(state: LedgerState, command: Command) -> Refusal | None:
    assert state.entity is not None, "unknown entities are refused before"
    if state.entity.status is _ACTIVE:
        return None
    if state.entity.status is Status.RETIRING and type(command) in _DRAINING:
        return None
    return Refusal(Outcome.ENTITY_NOT_ACTIVE, f"lifecycle.{state.entity.status}")


def _refused_update(entity: Entity, command: UpdateEntity) -> Refusal | None:
    if command.expected_version is not None and command.expected_version != entity.version:
        return Refusal(Outcome.VERSION_CONFLICT, "entity.version")
    status = command.changes.status
    if status is msgspec.UNSET or status is entity.status:
        takes_changes = entity.status in (Status.ACTIVE, Status.RETIRING)
        return None if takes_changes else Refusal(Outcome.ENTITY_NOT_ACTIVE, f"lifecycle.{entity.status}")
    if status not in ARROWS[entity.status]:
        return Refusal(Outcome.BAD_TRANSITION, f"lifecycle.{entity.status}")
    return None


def _refused_by_time(command: Command, now_ms: int) -> Refusal | None:
    at = command.timestamp
    if at is None or is_event_time(at, now_ms):
        return None
    return Refusal(Outcome.TIMESTAMP_OUT_OF_BOUNDS, "timestamp.bounds")


def is_event_time(at_ms: int, now_ms: int) -> bool:
    """Whether a caller's event time is within its bounds around the batch's time."""
    return now_ms - EVENT_TIME_PAST_MAX_MS <= at_ms <= now_ms + EVENT_TIME_FUTURE_MAX_MS


def _create(state: LedgerState, command: CreateEntity, case: Case) -> Draft:
    return creation_draft(command, case.now_ms)


def creation_draft(command: CreateEntity | PutConfig, now_ms: int) -> Draft:
    """The fact that creates an entity; a config's first version creates its ledger in the same way."""
    ref = parse_ledger_id(command.ledger_id)
    assert ref is not None, "the ledger id was checked before"
    entity = Entity(
        id=ref.entity_id,
        type=ref.type,
        tenant_id=command.tenant_id,
        subtype=command.subtype if isinstance(command, CreateEntity) else command.type,
        parent_id=command.parent_id if isinstance(command, CreateEntity) else None,
        owner_id=command.owner_id if isinstance(command, CreateEntity) else None,
        external_source=command.external_source,
        external_id=command.external_id,
        data=msgspec.json.decode(command.data) if command.data is not NO_DATA else {},
        created_at=now_ms,
        updated_at=now_ms,
    )
    return Draft(FactType.LIFECYCLE, FactType.CREATED, data=Raw(_encode(CreatedData(entity))))


def _update(state: LedgerState, command: UpdateEntity, case: Case) -> Draft | Refusal:
    assert state.entity is not None, "unknown entities are refused before"
    # Patches add up: without a bound an entity would outgrow the record batch of its snapshot, and hold the floor for ever. Other
    # changes pass: a creation may be larger here than it came (`1e15` is written out), and must still be ended.
    has_patch = command.changes.data is not msgspec.UNSET
    if has_patch and len(_encode(changed(state.entity, command.changes, case.now_ms).data)) > COMMAND_BYTES_MAX:
        return Refusal(Outcome.ENTITY_TOO_LARGE, "entity.data")
    return Draft(FactType.LIFECYCLE, FactType.UPDATED, data=Raw(_encode(UpdatedData(command.changes))))


def _grant(state: LedgerState, command: GrantAccess, case: Case) -> Draft | Refusal:
    grants = state.access or {}
    if command.grantee_id not in grants and len(grants) >= GRANTS_MAX:
        return Refusal(Outcome.TOO_MANY_GRANTS, "access.count")
    type_ = FactType.ACCESS_MODIFIED if command.grantee_id in grants else FactType.ACCESS_GRANTED
    return Draft(type_, data=Raw(_encode(GrantData(command.grantee_id, command.role))))


def _revoke(state: LedgerState, command: RevokeAccess, case: Case) -> Draft | Refusal:
    if command.grantee_id not in (state.access or {}):
        return Refusal(Outcome.GRANT_NOT_FOUND, "access.grant")
    return Draft(FactType.ACCESS_REVOKED, data=Raw(_encode(GrantData(command.grantee_id))))


def _put_config(state: LedgerState, command: PutConfig, case: Case) -> Draft:
    """Version n+1."""
    head = state.config
    effective_at = command.effective_at if command.effective_at is not None else case.now_ms
    version = head.version + 1 if head is not None else 1
    config_id = command.ledger_id.partition("_")[2]
    body = ConfigVersion(
        config_id,
        command.type,
        command.scope,
        command.applies_to,
        command.tenant_id,
        version,
        effective_at,
        command.settings,
        command.name,
    )
    extras = {"config_id": config_id, "config_version": version}
    return Draft(FactType.CONFIG, FactType.VERSIONED, data=data_of(body), extras=extras)


def _refused_by_version(head: ConfigHead | None, command: PutConfig) -> Refusal | None:
    present = head.version if head is not None else 0
    if command.expected_version is None or command.expected_version == present:
        return None
    return Refusal(Outcome.VERSION_CONFLICT, "config.version", detail=f"the version is {present}")


def _refused_target(head: ConfigHead | None, command: PutConfig, now_ms: int) -> Refusal | None:
    """What a config governs stays what it is, or a version's history would speak of two things."""
    if head is not None and (command.type, command.scope, command.applies_to) != (head.type, head.scope, head.applies_to):
        return Refusal(Outcome.BAD_CONFIG, "config.target", detail=f"it is {head.type} of {head.scope} {head.applies_to}")
    if command.effective_at is not None and command.effective_at < now_ms:
        return Refusal(Outcome.BAD_CONFIG, "config.effective_at", detail="a version takes effect now or later")
    most = VERSIONS_MAX + (OFF_VERSIONS_MAX if is_off(command.settings) else 0)
    if head is not None and head.version >= most:
        return Refusal(Outcome.BAD_CONFIG, "config.versions", detail=f"it has {head.version} versions; go on with another config")
    return None


# Any: each rule takes its own command class; the key says which.
_RULES: Final[dict[type[Command], Callable[[LedgerState, Any, Case], Draft | Refusal]]] = {
    CreateEntity: _create,
    UpdateEntity: _update,
    Append: appending.append,
    AddBudget: spending.add,
    DeductBudget: spending.deduct,
    Reserve: spending.reserve,
    Authorize: spending.authorize,
    Confirm: spending.confirm,
    Release: spending.release,
    Settle: spending.settle,
    GrantAccess: _grant,
    RevokeAccess: _revoke,
    PutConfig: _put_config,
}
