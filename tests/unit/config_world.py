"""Configs in few words, for tests of everything that reads them."""

from typing import Any

import msgspec
from msgspec import Raw

from z0.configs.book import Book
from z0.domain.commands import PutConfig
from z0.domain.config import PLATFORM_TENANT, ConfigVersion
from z0.domain.facts import ConfigType, Scope

TENANT = "tenant_1"
NOW = 1_800_000_000_000

OVERDRAFT = {"overdraft": {"USD": "100"}}
CAP = {"timezone": "Europe/Berlin", "limits": [{"name": "daily", "counts": "spend", "window": "day", "max_count": 5}]}
PRICES = {"currency": "USD", "prices": {"input_token": "0.0000001500000001"}}
ROLES = {"roles": {"buyer": ["authorize", "reserve"], "owner": ["*"]}}
ROUTES = {"candidates": [{"asset_id": "asset_1", "max_price": "2"}, {"tool_id": "tool_1"}], "strategy": "cheapest"}
RULE = {"code": "PAYER_NAMED", "fact_type": "charge", "message": "say who pays", "schema": {"required": ["user_id"]}}
EXAMPLES: dict[ConfigType, dict[str, Any]] = {
    ConfigType.BUDGET: OVERDRAFT,
    ConfigType.CAP: CAP,
    ConfigType.PRICING: PRICES,
    ConfigType.ACCESS: ROLES,
    ConfigType.ROUTING: ROUTES,
    ConfigType.INVARIANT: RULE,
}


def raw(settings: Any) -> Raw:
    return Raw(msgspec.json.encode(settings))


def version(
    settings: Any, kind: str = "budget", *, scope: str = "tenant", applies_to: str = "*", tenant: str = TENANT, **fields: Any
) -> ConfigVersion:
    """A version; by default the first of cfg_1, in force since ever."""
    owner = PLATFORM_TENANT if scope == "platform" else tenant
    given: dict[str, Any] = {"id": "cfg_1", "version": 1, "effective_at": 0} | fields
    return ConfigVersion(
        type=ConfigType(kind), scope=Scope(scope), applies_to=applies_to, tenant_id=owner, settings=raw(settings), **given
    )


def book(*versions: ConfigVersion) -> Book:
    made = Book()
    for one in versions:
        made.add(one)
    return made


def put(settings: Any, kind: str = "budget", *, scope: str = "tenant", applies_to: str = "*", **fields: Any) -> PutConfig:
    """The command that writes such a config."""
    tenant = PLATFORM_TENANT if scope == "platform" else TENANT
    fields = {"id": "put-1", "ledger_id": "config_cfg_new", "tenant_id": tenant} | fields
    return PutConfig(type=ConfigType(kind), scope=Scope(scope), applies_to=applies_to, settings=raw(settings), **fields)
