"""
Commands: what a caller may ask. Owns: their fields and checks that need no state.

On every wire a command is one JSON object with `op`; unknown fields are refused, so that a misspelt one is not lost.
The JSON Schema in `docs/reference/` is generated from these classes.
"""

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Raw

from z0.domain.entity import Changes
from z0.domain.facts import NO_DATA, Links

COMMAND_BYTES_MAX: Final = 256 * 1024
TTL_MS_MAX: Final = 366 * 24 * 3600 * 1000
TIMESTAMP_MAX: Final = 253_402_300_799_999  # the year 9999: stores keep 64 bits, and a refusal fact keeps what was asked

# A fact's type is a name that stores index and people type, not free text.
FactTypeName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")]


class Base(Links, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="op"):
    """What every command has. `timestamp` is event time in Unix milliseconds; absent, it is the batch's time."""

    id: str  # chosen by the caller, unique within (tenant, ledger)
    tenant_id: str
    ledger_id: str
    timestamp: Annotated[int, Meta(ge=0, le=TIMESTAMP_MAX)] | None = None
    reply_to: str | None = None  # ledger that wants to hear the outcome
    data: Raw = NO_DATA  # a JSON object


class CreateEntity(Base, frozen=True, kw_only=True, omit_defaults=True, tag="create_entity"):
    """Create the entity of this ledger."""

    subtype: str | None = None
    parent_id: str | None = None
    owner_id: str | None = None


class UpdateEntity(Base, frozen=True, kw_only=True, omit_defaults=True, tag="update_entity"):
    """Change metadata or lifecycle status."""

    changes: Changes
    expected_version: int | None = None


class Append(Base, frozen=True, kw_only=True, omit_defaults=True, tag="append"):
    """Append a fact; a `charge` is spent from the budget and refused where it does not fit."""

    type: FactTypeName
    subtype: FactTypeName | None = None
    amount: str | None = None
    currency: str | None = None


class AddBudget(Base, frozen=True, kw_only=True, omit_defaults=True, tag="add_budget"):
    """Add money: a `deposit`, or a `credit`."""

    amount: str
    currency: str
    kind: Literal["deposit", "credit"] = "deposit"


class DeductBudget(Base, frozen=True, kw_only=True, omit_defaults=True, tag="deduct_budget"):
    """Spend at once, without a reservation."""

    amount: str
    currency: str


class Reserve(Base, frozen=True, kw_only=True, omit_defaults=True, tag="reserve"):
    """Hold an amount; `reservation_id` is the command's id where it is not given."""

    amount: str
    currency: str
    reservation_id: str | None = None
    ttl_ms: int | None = None  # from the batch's time; absent: one hour


class Confirm(Base, frozen=True, kw_only=True, omit_defaults=True, tag="confirm"):
    """Spend a held amount, or part of it; the rest of the reservation is released."""

    reservation_id: str
    amount: str | None = None  # absent: all of it


class Release(Base, frozen=True, kw_only=True, omit_defaults=True, tag="release"):
    """Give a reservation back."""

    reservation_id: str


class Read(Base, frozen=True, kw_only=True, omit_defaults=True, tag="read"):
    """Read the state; leaves no fact."""


Command = CreateEntity | UpdateEntity | Append | AddBudget | DeductBudget | Reserve | Confirm | Release | Read
TTL_MS_DEFAULT: Final = 3_600_000
OPS: Final[dict[str, type[Any]]] = {c.__struct_config__.tag: c for c in Command.__args__}
