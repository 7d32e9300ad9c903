"""
Facts: what happened, for ever. Owns: the fields of a fact, their order on the wire, and which types only a command may write.

The wire form is JSON, pinned by golden files; fields are only ever added. A stored fact ends with its own hash:

    {"id": ..., ..., "prev_hash": "<64 hex>","hash":"<64 hex>"}

where `hash` is SHA-256 over the stored bytes without the last member, that is over `value[:-75] + b"}"`,
and `prev_hash` is the hash of the ledger's fact before (64 zeros for the first).
"""

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Raw, Struct

RULES_VERSION: Final = 1
ZERO_HASH: Final = "0" * 64
# "Not given": msgspec leaves a field out where it holds this very object (Raw cannot be in a union with None).
NO_DATA: Final = Raw(b"")


class Cause(Struct, frozen=True, gc=False):
    """Where the command of a fact stood, if it came by Kafka."""

    topic: str
    partition: int
    offset: int


class Source(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """
    Proof of a fact that another fact names: as a reader of that fact has it.

    What the partition cannot look up is checked for form only, and by reconciliation later (`checked` false on the fact).
    """

    id: str
    ledger_id: str
    seq: int
    hash: str
    checked: bool | None = None  # on facts only: whether the writer had the named fact before it


class Reference(Struct, frozen=True, gc=False):
    """A fact of this partition that another fact names: enough to check the name. `timestamp` is its event time."""

    type: str
    timestamp: int
    hash: str


class ConfigType(StrEnum):
    """What a config governs."""

    BUDGET = "budget"
    CAP = "cap"
    PRICING = "pricing"
    ACCESS = "access"
    ROUTING = "routing"
    INVARIANT = "invariant"


class Scope(StrEnum):
    """Whose config it is, from the widest to the narrowest; a narrower one may only tighten."""

    PLATFORM = "platform"
    TENANT = "tenant"
    ENTITY = "entity"


class Links(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Context that a command may give and its fact carries, as it was given."""

    source_id: str | None = None  # causing fact: charge -> outcome, cost -> invocation
    asset_id: str | None = None
    campaign_id: str | None = None
    contact_id: str | None = None
    deal_id: str | None = None
    tool_id: str | None = None
    user_id: str | None = None
    parent_invocation_id: str | None = None
    from_entity: str | None = None
    to_entity: str | None = None
    config_id: str | None = None
    config_version: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    trace_id: str | None = None
    correlation_id: str | None = None
    external_source: str | None = None
    external_id: str | None = None
    workflow_id: str | None = None


class PlainFact(Struct, frozen=True, omit_defaults=True, gc=False):
    """
    A fact as it is encoded, before its hash is appended, without the fields that few have: what is not there need not be made,
    encoded and freed. Amounts are decimal strings, times Unix milliseconds.

    The writer gives the fields by position: a third of the time of keywords.
    """

    id: str  # ledger id + "." + seq
    ledger_id: str
    seq: int  # gapless from 1
    type: str
    timestamp: int  # event time, the caller's where given
    recorded_at: int  # the batch's time; never goes back within a ledger
    tenant_id: str
    entity_id: str
    epoch: int  # offset of the claim under which it was written
    offset: int  # the offset that the writer expected; only where they agree the fact is valid
    prev_hash: str
    rules: int  # version of the rules that decided
    subtype: str | None = None
    outcome: str | None = None  # null on facts that no command asked for, such as expiries
    command_id: str | None = None
    digest: str | None = None  # of the command's body, 32 hex digits
    amount: str | None = None
    currency: str | None = None
    held: str | None = None  # what the reservation that this fact closes had held
    available: str | None = None  # of `currency`, after this fact
    reservation_id: str | None = None
    expires_at: int | None = None
    data: Raw = NO_DATA  # payload, the very bytes that the caller sent
    configs: Raw = NO_DATA  # config id -> version, of every config that the decision looked at
    # limit -> start of the window that this fact counts in, or gives back to; -1: it does not count, and must not be forgotten
    counted: dict[str, int] | None = None
    cause: Cause | None = None


class Fact(PlainFact, frozen=True, omit_defaults=True, gc=False):
    """A fact with every field that one may have, before its hash is appended. Without a value a field leaves no byte."""

    reply_to: str | None = None
    sealed: Raw = NO_DATA  # personal fields, encrypted under the entity's key
    source_id: str | None = None
    asset_id: str | None = None
    campaign_id: str | None = None
    contact_id: str | None = None
    deal_id: str | None = None
    tool_id: str | None = None
    user_id: str | None = None
    parent_invocation_id: str | None = None
    from_entity: str | None = None
    to_entity: str | None = None
    config_id: str | None = None
    config_version: int | None = None
    trace_id: str | None = None
    correlation_id: str | None = None
    external_source: str | None = None
    external_id: str | None = None
    workflow_id: str | None = None
    purpose: str | None = None  # `transfer` of a reservation whose amount goes to another ledger
    usage: dict[str, str] | None = None  # meter -> quantity, from which the amount was priced
    source: Source | None = None
    warnings: tuple[str, ...] | None = None  # codes of invariants that it breaks and that only warn


class StoredFact(Fact, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A fact as it is read back: with its hash."""

    hash: str


class FactType:
    """The literal names of fact types (`type`, or `type/subtype`)."""

    DEPOSIT: Final = "deposit"
    CREDIT_ISSUED: Final = "credit_issued"
    CHARGE: Final = "charge"
    BUDGET: Final = "budget"
    LIFECYCLE: Final = "lifecycle"
    DECISION: Final = "decision"

    DEDUCTED: Final = "deducted"
    RESERVED: Final = "reserved"
    CONFIRMED: Final = "confirmed"
    RELEASED: Final = "released"
    EXPIRED: Final = "expired"
    CREATED: Final = "created"
    UPDATED: Final = "updated"
    REFUSED: Final = "refused"

    COST: Final = "cost"
    OUTCOME: Final = "outcome"
    INVOCATION: Final = "invocation"
    CONFIG: Final = "config"
    ACCESS_GRANTED: Final = "access_granted"
    ACCESS_MODIFIED: Final = "access_modified"
    ACCESS_REVOKED: Final = "access_revoked"

    VERSIONED: Final = "versioned"
    TRANSFERRED_IN: Final = "transferred_in"
    TRANSFERRED_OUT: Final = "transferred_out"
    INCURRED: Final = "incurred"
    PENDING: Final = "pending"
    SETTLED: Final = "settled"


# Written by their own commands only: an appended fact of these types could say what no decision said.
RESERVED_TYPES: Final = frozenset(
    {
        FactType.BUDGET,
        FactType.DECISION,
        FactType.DEPOSIT,
        FactType.CREDIT_ISSUED,
        FactType.CONFIG,
        FactType.ACCESS_GRANTED,
        FactType.ACCESS_MODIFIED,
        FactType.ACCESS_REVOKED,
    }
)
RESERVED_STAGES: Final = frozenset({FactType.PENDING, FactType.SETTLED})  # of a charge: written by `settle` only
RESERVED_LIFECYCLE: Final = frozenset({FactType.CREATED, FactType.UPDATED})
