"""
What holds for an entity at a moment, to be read. Owns: the shape in which the settings in force are shown, by type.

Does not own: which configs apply (`book`), nor how they narrow. Budgets, prices and access are read from the policy that decides
(`resolve`); routing, which no decision reads, is narrowed like them (`z0.domain.narrowing`); caps and invariants count side by
side, so all of them are shown.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import Raw, Struct

from z0.configs.book import Book, InForce
from z0.configs.resolve import limit_key, limits_of, resolve, settings_of
from z0.domain.commands import TTL_MS_DEFAULT
from z0.domain.config import Config, InvariantSettings, RoutingSettings, VersionShown, shown
from z0.domain.facts import ConfigType
from z0.domain.money import format_amount
from z0.domain.narrowing import in_order, narrow_routing
from z0.domain.policy import FOR_EVER_MS, Policy, Price


class Source(VersionShown, frozen=True, kw_only=True):
    """A version that was looked at; `is_off`: its settings are `{}`."""

    is_off: bool


class Effective(Struct, frozen=True, kw_only=True):
    """
    The settings in force, by type, and the versions that they come from, the widest scope first.

    `until`: from then on it may be otherwise; null: nothing is scheduled.
    """

    at: int
    until: int | None
    settings: dict[str, Any]
    configs: list[Source]


class Terms(Struct, frozen=True, kw_only=True):
    """Of budgets: what decisions go by, also where no config says so."""

    overdraft: dict[str, str]
    confirm_above_hold: str
    ttl_ms_default: int
    ttl_ms_max: int | None


class Limited(Struct, frozen=True, kw_only=True):
    """One limit; `rule` as decisions and `caps` name it."""

    rule: str
    counts: str
    window: str
    timezone: str
    max_count: int | None
    max_amount: str | None
    currency: str | None


class Priced(Struct, frozen=True, kw_only=True):
    """Prices of one currency; the config is the one that decisions name."""

    prices: dict[str, str]
    min_amount: str | None
    max_amount: str | None
    config_id: str
    config_version: int


class Way(Struct, frozen=True, kw_only=True):
    """One candidate, either an asset or a tool."""

    asset_id: str | None
    tool_id: str | None
    weight: int | None
    max_price: str | None


class Routes(Struct, frozen=True, kw_only=True):
    """Where a request may go, in the order of preference; no candidates: nowhere."""

    strategy: str
    candidates: list[Way]


class Rule(Struct, frozen=True, kw_only=True):
    """One invariant."""

    config_id: str
    config_version: int
    code: str
    fact_type: str
    severity: str
    message: str
    schema: Raw


def effective(book: Book, whom: tuple[str, str], at_ms: int, *, kind: ConfigType | None = None) -> Effective:
    """What holds for (tenant, ledger) at a moment; of one type, if it is given."""
    found: InForce = book.in_force(*whom, at_ms, kind=kind)
    configs = in_order(found.configs)
    policy = resolve(configs)
    return Effective(
        at=at_ms,
        until=found.end_ms if found.end_ms < FOR_EVER_MS else None,
        settings={one: show(policy, configs) for one, show in _SHOWN.items() if kind in (None, one)},
        configs=[Source(**shown(config.version), is_off=config.settings is None) for config in configs],
    )


def _budget(policy: Policy, _: Sequence[Config]) -> Terms:
    return Terms(
        overdraft={currency: format_amount(units) for currency, units in policy.overdraft_units.items()},
        confirm_above_hold="topped_up" if policy.tops_up else "refused",
        ttl_ms_default=TTL_MS_DEFAULT if policy.ttl_ms_default is None else policy.ttl_ms_default,
        ttl_ms_max=policy.ttl_ms_max,
    )


def _cap(_: Policy, configs: Sequence[Config]) -> list[Limited]:
    return [
        Limited(
            rule=f"cap.{limit_key(config_id, limit)}",
            counts=limit.counts,
            window=limit.window,
            timezone=timezone,
            max_count=limit.max_count,
            max_amount=limit.max_amount,
            currency=limit.currency,
        )
        for config_id, timezone, limit in limits_of(configs)
    ]


def _pricing(policy: Policy, _: Sequence[Config]) -> dict[str, Priced]:
    return {currency: _priced(policy.prices[currency]) for currency in sorted(policy.prices)}


def _priced(price: Price) -> Priced:
    return Priced(
        prices={meter: f"{price.by_meter[meter]:f}" for meter in sorted(price.by_meter)},
        min_amount=_amount(price.min_units),
        max_amount=_amount(price.max_units),
        config_id=price.config_id,
        config_version=price.config_version,
    )


def _amount(units: int | None) -> str | None:
    return None if units is None else format_amount(units)


def _access(policy: Policy, _: Sequence[Config]) -> list[dict[str, list[str]]] | None:
    """The roles of each config: a command passes where all of them allow it; null: everybody may."""
    if policy.access is None:
        return None
    return [{role: sorted(scope[role]) for role in sorted(scope)} for scope in policy.access.scopes]


def _routing(_: Policy, configs: Sequence[Config]) -> Routes | None:
    routing = narrow_routing(settings_of(RoutingSettings, configs))
    if routing is None:
        return None
    ways = [Way(asset_id=c.asset_id, tool_id=c.tool_id, weight=c.weight, max_price=c.max_price) for c in routing.candidates]
    return Routes(strategy=routing.strategy, candidates=ways)


def _invariant(_: Policy, configs: Sequence[Config]) -> list[Rule]:
    return [
        Rule(
            config_id=version.id,
            config_version=version.version,
            code=settings.code,
            fact_type=settings.fact_type,
            severity=settings.severity,
            message=settings.message,
            schema=settings.schema,
        )
        for version, settings in configs
        if isinstance(settings, InvariantSettings)
    ]


_SHOWN: Final[dict[ConfigType, Callable[[Policy, Sequence[Config]], Any]]] = {
    ConfigType.BUDGET: _budget,
    ConfigType.CAP: _cap,
    ConfigType.PRICING: _pricing,
    ConfigType.ACCESS: _access,
    ConfigType.ROUTING: _routing,
    ConfigType.INVARIANT: _invariant,
}
