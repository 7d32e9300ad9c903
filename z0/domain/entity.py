"""Entities: type, lifecycle and metadata. Owns: the lifecycle's states and arrows. Does not own: how they are stored."""

from enum import StrEnum
from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType

from z0.domain.ids import EntityType


class Status(StrEnum):
    """Lifecycle status; decides which facts an entity still takes."""

    ACTIVE = "active"  # all
    RETIRING = "retiring"  # draining: reservations may be confirmed and released
    RETIRED = "retired"  # none, but for the lifecycle's own
    ANONYMIZED = "anonymized"  # none
    DELETED = "deleted"  # none


ARROWS: Final[dict[Status, frozenset[Status]]] = {
    Status.ACTIVE: frozenset({Status.RETIRING, Status.ANONYMIZED, Status.DELETED}),
    Status.RETIRING: frozenset({Status.RETIRED, Status.ANONYMIZED, Status.DELETED}),
    Status.RETIRED: frozenset({Status.ANONYMIZED, Status.DELETED}),
    Status.ANONYMIZED: frozenset(),
    Status.DELETED: frozenset(),
}


class Entity(Struct, frozen=True, kw_only=True):
    """An entity as its ledger knows it; times are Unix milliseconds."""

    id: str
    type: EntityType
    tenant_id: str
    subtype: str | None = None
    parent_id: str | None = None
    owner_id: str | None = None
    status: Status = Status.ACTIVE
    version: int = 1
    external_source: str | None = None
    external_id: str | None = None
    data: dict[str, Any] = {}
    created_at: int
    updated_at: int


class Changes(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What an update changes: absent fields stay, null clears; `data` is merged by RFC 7396."""

    subtype: str | UnsetType | None = UNSET
    parent_id: str | UnsetType | None = UNSET
    owner_id: str | UnsetType | None = UNSET
    status: Status | UnsetType = UNSET
    data: dict[str, Any] | UnsetType = UNSET


def merge_patch(target: Any, patch: Any) -> Any:
    """JSON Merge Patch, RFC 7396 section 2; the arguments stay as they are."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged
