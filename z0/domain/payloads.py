"""
Payloads: what facts and snapshots carry in their `data`. Owns: their wire form. Read and written by msgspec, so never compiled.
"""

from typing import Any

from msgspec import Raw, Struct

from z0.domain.entity import Changes, Entity
from z0.domain.facts import ConfigType, Scope


class ConfigHead(Struct, frozen=True):
    """The newest version of a config on its own ledger; what it governs never changes."""

    type: ConfigType
    scope: Scope
    applies_to: str
    version: int
    effective_at: int


class GivenBack(Struct, frozen=True):
    """What expired reservations give back to one limit, where its window still is the one that begins at `start`."""

    start: int
    count: int
    amount: str


class ExpiredData(Struct, frozen=True, omit_defaults=True):
    """Payload of `budget/expired`: reservation id -> amount; limit -> what is given back."""

    reservations: dict[str, str]
    counted: dict[str, GivenBack] | None = None


class GrantData(Struct, frozen=True, omit_defaults=True):
    """Payload of `access_granted`, `access_modified` and `access_revoked` (which has no role)."""

    user_id: str
    role: str | None = None


class UpdatedData(Struct, frozen=True):
    """Payload of `lifecycle/updated`."""

    changes: Changes


class CreatedData(Struct, frozen=True):
    """Payload of `lifecycle/created`."""

    entity: Entity


class RefusedData(Struct, frozen=True, omit_defaults=True):
    """Payload of `decision/refused`: what was asked, which rule said no, the balance before and after (the same)."""

    code: str
    rule: str
    op: str
    request: Raw  # the command as it was decided, byte for byte
    before: Any
    after: Any
    detail: str | None = None
