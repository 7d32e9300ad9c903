"""
Request bodies. Owns: which fields a route takes and their types; pydantic checks them and OpenAPI shows them.
Does not own: what a command comes to, nor the form of `POST /v1/commands` (`api.items`).

Nothing is converted: a number is no string, so an amount that was sent as a JSON number is refused, and so is an unknown field.
A test holds the context fields against `z0.domain.facts.Links`.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from z0.domain.money import CURRENCIES, parse_amount


def _amount(value: str) -> str:
    if parse_amount(value) is None:
        raise ValueError("not a plain decimal string with at most 12 decimals and 26 digits before the point")
    return value


def _no_number(value: Any) -> Any:
    if isinstance(value, int | float):
        raise ValueError('an amount is a decimal string such as "12.50", never a JSON number')
    return value


def _currency(value: str) -> str:
    if value not in CURRENCIES:
        raise ValueError("not an active ISO 4217 code")
    return value


Amount = Annotated[
    str,
    AfterValidator(_amount),
    BeforeValidator(_no_number),
    Field(description="Decimal string, at most 12 decimals; never a JSON number.", examples=["12.50"]),
]
Currency = Annotated[str, AfterValidator(_currency), Field(description="ISO 4217 code.", examples=["USD"])]
TTL = "Milliseconds until it expires; one hour, or what a budget config says, where it is not given."
Milliseconds = Annotated[int, Field(description="Unix milliseconds.", examples=[1_800_000_000_000])]


class Body(BaseModel):
    """What all bodies share: no conversions, no unknown fields."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class LinksBody(Body):
    """Context that the fact carries as it was given."""

    source_id: str | None = Field(None, description="Fact that caused this one: a charge's outcome, a cost's invocation.")
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
    config_version: int | None = Field(None, ge=0, le=2**31 - 1)
    trace_id: str | None = None
    correlation_id: str | None = None
    external_source: str | None = None
    external_id: str | None = None
    workflow_id: str | None = None
    timestamp: Milliseconds | None = Field(None, description="When it happened, if not now.")
    data: dict[str, Any] = Field({}, description="Payload, kept byte for byte.")


class CommandBody(LinksBody):
    """A command on the entity of the path."""

    id: str | None = Field(
        None, description="The command's id, as an alternative to the header Idempotency-Key.", examples=["order-7/pay"]
    )


class CreateEntityBody(LinksBody):
    """A new entity; its type comes from the prefix of its id."""

    id: str = Field(
        description="Entity id with its type's prefix: acct_, asset_, cont_, deal_, camp_, ...", examples=["acct_123"]
    )
    subtype: str | None = None
    parent_id: str | None = None
    owner_id: str | None = None


class ChangesBody(Body):
    """Absent fields stay as they are, null clears."""

    subtype: str | None = None
    parent_id: str | None = None
    owner_id: str | None = None
    status: Literal["active", "retiring", "retired", "anonymized", "deleted"] = Field("active", description="Lifecycle status.")
    data: dict[str, Any] = Field({}, description="JSON Merge Patch (RFC 7396) of the entity's data.")


class UpdateEntityBody(CommandBody):
    """Changes of metadata or lifecycle status."""

    changes: ChangesBody
    expected_version: int | None = Field(
        None, description="Refused with `version_conflict` where the entity has another version."
    )


class SourceBody(Body):
    """Proof of a fact on another ledger, as a reader of that fact has it."""

    id: str = Field(description="The fact's id, the same as `source_id`.", examples=["asset_asset_9.7"])
    ledger_id: str = Field(examples=["asset_asset_9"])
    seq: int = Field(ge=1, le=2**63 - 1)
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")


class AppendBody(CommandBody):
    """A fact."""

    type: str = Field(description="Fact type; a `charge` is spent from the budget.", examples=["cost"])
    subtype: str | None = None
    amount: Amount | None = None
    currency: Currency | None = None
    source: SourceBody | None = Field(None, description="Proof of `source_id`, where that fact is on another ledger.")


class AddBudgetBody(CommandBody):
    """Money in."""

    amount: Amount
    currency: Currency
    kind: Literal["deposit", "credit", "transfer"] = Field("deposit", description="`transfer`: it came from another ledger.")


class DeductBudgetBody(CommandBody):
    """Money out, at once."""

    amount: Amount
    currency: Currency


class ReserveBody(CommandBody):
    """A hold on money; it ends by confirm, release or expiry."""

    amount: Amount
    currency: Currency
    reservation_id: str | None = Field(None, description="The command's id where it is not given.")
    ttl_ms: int | None = Field(None, description=TTL)
    purpose: Literal["spend", "transfer"] = Field(
        "spend", description="A confirmed `transfer` leaves for another ledger and is not spent."
    )


class CheckBody(CommandBody):
    """What is to be spent, as an amount or as a usage that a pricing config prices; neither: a place only."""

    amount: Amount | None = None
    currency: Currency | None = None
    usage: dict[str, str] | None = Field(
        None, description="Meter to quantity, a whole number as a string; instead of `amount`.", examples=[{"tokens": "1200"}]
    )


class AuthorizeBody(CheckBody):
    """What is to be spent, and how long it is held."""

    reservation_id: str | None = Field(None, description="The command's id where it is not given.")
    ttl_ms: int | None = Field(None, description=TTL)


class SettleBody(CommandBody):
    """Where the charge of the path goes."""

    stage: Literal["pending", "settled"]


class GrantAccessBody(CommandBody):
    """Who gets which role on the entity of the path."""

    grantee_id: str = Field(description="A user; a second grant changes the role.", examples=["user_ada"])
    role: str = Field(pattern=r"^[a-z][a-z0-9_.-]{0,63}$", examples=["operator"])


class PutConfigBody(CommandBody):
    """The next version of the config of the path."""

    type: Literal["budget", "cap", "pricing", "access", "routing", "invariant"]
    scope: Literal["platform", "tenant", "entity"]
    settings: dict[str, Any] = Field(description="By type, kept byte for byte.")
    applies_to: str = Field("*", description='An entity type or "*"; of scope `entity` an entity id.', examples=["account"])
    effective_at: Milliseconds | None = Field(None, ge=0, description="Now where it is not given; never in the past.")
    expected_version: int | None = Field(None, description="Refused with `version_conflict` where another one was there before.")
    name: str | None = Field(None, max_length=200)


class ConfirmBody(CommandBody):
    """Spend a reservation, or part of it; the rest is released."""

    amount: Amount | None = Field(None, description="What to spend; all of it where it is not given.")


class ReleaseBody(CommandBody):
    """Give a reservation back."""
