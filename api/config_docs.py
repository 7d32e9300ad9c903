"""
The shapes of answers about configs, for OpenAPI. Owns: how they are shown.
Does not own: the answers (`api.configs`, `z0.configs.effective`).
"""

from typing import Any

from pydantic import BaseModel, Field

from api.docs import AsOfDoc, Doc, VersionDoc


class ConfigBodyDoc(BaseModel):
    """One version of a config as its fact has it."""

    id: str
    type: str
    scope: str
    applies_to: str
    tenant_id: str
    version: int
    effective_at: int
    settings: dict[str, Any]
    name: str | None = None


class ConfigOutDoc(Doc):
    """One version and until when it holds; null: no later one is known."""

    config: ConfigBodyDoc
    superseded_at: int | None
    fact_id: str
    recorded_at: int


class ConfigDoc(ConfigOutDoc):
    """The version of a config at a moment."""

    complete: bool
    as_of: AsOfDoc


class ConfigsDoc(Doc):
    """The configs in force at a moment, in the order of their ids."""

    configs: list[ConfigOutDoc]
    at: int
    next_after: str | None


class SourceDoc(VersionDoc):
    """A version that was looked at; `is_off`: its settings are `{}`."""

    is_off: bool


class TermsDoc(Doc):
    """What budget configs come to; without one, what decisions go by then."""

    overdraft: dict[str, str]
    confirm_above_hold: str
    ttl_ms_default: int
    ttl_ms_max: int | None


class LimitInForceDoc(Doc):
    """One limit of a cap; what is left of it is shown by `caps`."""

    rule: str
    counts: str
    window: str
    timezone: str
    max_count: int | None
    max_amount: str | None
    currency: str | None


class PricedDoc(Doc):
    """Prices of one currency; the config is the one that decisions name."""

    prices: dict[str, str]
    min_amount: str | None
    max_amount: str | None
    config_id: str
    config_version: int


class WayDoc(Doc):
    """One candidate, either an asset or a tool."""

    asset_id: str | None
    tool_id: str | None
    weight: int | None
    max_price: str | None


class RoutesDoc(Doc):
    """Where a request may go, in the order of preference; no candidates: nowhere."""

    strategy: str
    candidates: list[WayDoc]


class RuleDoc(Doc):
    """One invariant."""

    config_id: str
    config_version: int
    code: str
    fact_type: str
    severity: str
    message: str
    schema_: dict[str, Any] = Field(alias="schema")


class SettingsDoc(Doc):
    """
    By type, as a decision of that moment would use them; a type that was not asked for is left out.

    `access`: each config's roles, of which all must allow a command; null: everybody may. `routing` null: no config says so.
    """

    budget: TermsDoc | None = None
    cap: list[LimitInForceDoc] | None = None
    pricing: dict[str, PricedDoc] | None = None
    access: list[dict[str, list[str]]] | None = None
    routing: RoutesDoc | None = None
    invariant: list[RuleDoc] | None = None


class EffectiveDoc(Doc):
    """What holds for an entity at a moment, and the versions it comes from; `until` null: no other version is scheduled."""

    at: int
    until: int | None
    settings: SettingsDoc
    configs: list[SourceDoc]
