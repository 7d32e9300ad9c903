"""
Commands: what a caller may ask. Owns: their fields and checks that need no state.

On every wire a command is one JSON object with `op`; unknown fields are refused, so that a misspelt one is not lost.
The JSON Schema in `docs/reference/` is generated from these classes.
"""

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Raw

from z0.domain.entity import Changes
from z0.domain.facts import NO_DATA, ConfigType, Links, Scope, Source

COMMAND_BYTES_MAX: Final = 256 * 1024  # a round of large ones still ends in milliseconds; more belongs into a blob store
TTL_MS_MAX: Final = 366 * 24 * 3600 * 1000  # a year: money that is held for longer is spent
TIMESTAMP_MAX: Final = 253_402_300_799_999  # the year 9999: stores keep 64 bits, and a refusal fact keeps what was asked

# A fact's type is a name that stores index and people type, not free text. Python's `$` alone lets a line feed at the end
# through, and its `\Z` is no JSON Schema.
FactTypeName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_.-]{0,63}$(?!\n)")]
Role = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_.-]{0,63}$(?!\n)")]


class Base(Links, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="op", gc=False):
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
    """
    Append a fact; a `charge` is spent from the budget and refused where it does not fit.

    A `charge` names an outcome in `source_id`, a `cost` an invocation; where that is another ledger's fact, `source` proves it.
    """

    type: FactTypeName
    subtype: FactTypeName | None = None
    amount: str | None = None
    currency: str | None = None
    source: Source | None = None


class AddBudget(Base, frozen=True, kw_only=True, omit_defaults=True, tag="add_budget"):
    """Add money: a `deposit`, a `credit`, or a `transfer` from another ledger."""

    amount: str
    currency: str
    kind: Literal["deposit", "credit", "transfer"] = "deposit"


class DeductBudget(Base, frozen=True, kw_only=True, omit_defaults=True, tag="deduct_budget"):
    """Spend at once, without a reservation."""

    amount: str
    currency: str


class Reserve(Base, frozen=True, kw_only=True, omit_defaults=True, tag="reserve"):
    """Hold an amount; `reservation_id` is the command's id where it is not given."""

    amount: str
    currency: str
    reservation_id: str | None = None
    ttl_ms: int | None = None  # from the batch's time; absent: one hour, or what a budget config says
    purpose: Literal["spend", "transfer"] = "spend"  # a confirmed transfer leaves for another ledger and is not spent


class Check(Base, frozen=True, kw_only=True, omit_defaults=True, tag="check"):
    """Would `authorize` pass now, and what is left of each limit? Leaves nothing."""

    amount: str | None = None
    currency: str | None = None
    usage: dict[str, str] | None = None  # meter -> quantity, priced by the pricing config; instead of `amount`


class Authorize(Base, frozen=True, kw_only=True, omit_defaults=True, tag="authorize"):
    """
    Lifecycle, access, caps, budget and price in this order; where all pass, reserve.

    Without amount and usage it holds a place only (an asset's cap on what is in flight).
    """

    amount: str | None = None
    currency: str | None = None
    usage: dict[str, str] | None = None
    reservation_id: str | None = None
    ttl_ms: int | None = None


class Confirm(Base, frozen=True, kw_only=True, omit_defaults=True, tag="confirm"):
    """Spend a held amount, or part of it; the rest is released. More than held: as the budget config says."""

    reservation_id: str
    amount: str | None = None  # absent: all of it


class Release(Base, frozen=True, kw_only=True, omit_defaults=True, tag="release"):
    """Give a reservation back."""

    reservation_id: str


class Settle(Base, frozen=True, kw_only=True, omit_defaults=True, tag="settle"):
    """Move an incurred charge on: to `pending`, or to `settled`, which ends it. The money was spent when it was incurred."""

    charge_id: str  # id of the `charge/incurred` fact, on this ledger
    stage: Literal["pending", "settled"]


class GrantAccess(Base, frozen=True, kw_only=True, omit_defaults=True, tag="grant_access"):
    """Give a user a role on this entity; a second grant changes the role."""

    grantee_id: str  # a `user_...`
    role: Role


class RevokeAccess(Base, frozen=True, kw_only=True, omit_defaults=True, tag="revoke_access"):
    """Take a user's role on this entity away."""

    grantee_id: str


class PutConfig(Base, frozen=True, kw_only=True, omit_defaults=True, tag="put_config"):
    """Write the next version of a config on its own ledger (`config_cfg_...`); the first one creates it."""

    type: ConfigType
    scope: Scope
    settings: Raw  # a JSON object, by type: docs/reference/configs.md
    applies_to: str = "*"  # an entity type or "*" of platform and tenant scope, an entity id of entity scope
    effective_at: Annotated[int, Meta(ge=0, le=TIMESTAMP_MAX)] | None = None  # absent: now; never in the past
    expected_version: int | None = None  # of the version before; refused where another one is there
    name: str | None = None


class Read(Base, frozen=True, kw_only=True, omit_defaults=True, tag="read"):
    """
    Read the state; leaves no fact. Where it has more reservations or charges than an answer shows, the next ones are those after
    a pair of when one began, in Unix milliseconds, and its id.
    """

    reservations_after: tuple[int, str] | None = None
    charges_after: tuple[int, str] | None = None


Command = (
    CreateEntity
    | UpdateEntity
    | Append
    | AddBudget
    | DeductBudget
    | Reserve
    | Confirm
    | Release
    | Check
    | Authorize
    | Settle
    | GrantAccess
    | RevokeAccess
    | PutConfig
    | Read
)
TTL_MS_DEFAULT: Final = 3_600_000
OPS: Final[dict[str, type[Any]]] = {c.__struct_config__.tag: c for c in Command.__args__}
