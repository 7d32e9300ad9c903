"""
From configs to a policy. Owns: putting together what several configs say.

Does not own: how the settings of one type narrow (`z0.domain.narrowing`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec import Raw

from z0.configs.schemas import check_of
from z0.configs.windows import bounds_of
from z0.domain.config import (
    AccessSettings,
    BudgetSettings,
    CapSettings,
    Config,
    InvariantSettings,
    LimitSettings,
    Settings,
)
from z0.domain.config_rules import units_of
from z0.domain.narrowing import in_order, narrow_access, narrow_budgets, narrow_prices
from z0.domain.policy import FOR_EVER_MS, NO_POLICY, Limit, Policy

S = TypeVar("S", bound=Settings)


def resolve(configs: Iterable[Config], until_ms: int = FOR_EVER_MS) -> Policy:
    """The strictest of all; the same in whatever order they come."""
    ordered = in_order(configs)
    if not ordered:
        return NO_POLICY if until_ms == FOR_EVER_MS else Policy(until_ms=until_ms)
    budget = narrow_budgets(_of(BudgetSettings, ordered))
    return Policy(
        overdraft_units=budget.overdraft_units,
        tops_up=budget.tops_up,
        ttl_ms_default=budget.ttl_ms_default,
        ttl_ms_max=budget.ttl_ms_max,
        limits=tuple(limit for config in ordered for limit in _limits(config)),
        access=narrow_access(_of(AccessSettings, ordered)),
        prices=narrow_prices(ordered),
        checks=tuple(check_of(settings) for settings in _of(InvariantSettings, ordered)),
        versions=versions_of(ordered),
        until_ms=until_ms,
    )


def versions_of(configs: Sequence[Config]) -> Raw:
    """Config id -> version, as it stands on a fact; ids in alphabetical order."""
    return Raw(msgspec.json.encode({config.version.id: config.version.version for config in configs}, order="sorted"))


def versions_in(raw: Raw) -> Mapping[str, int]:
    """What `versions_of` wrote; also what a fact's `configs` says."""
    return msgspec.json.decode(raw, type=dict[str, int]) if bytes(raw) else {}


def _of(kind: type[S], configs: Sequence[Config]) -> list[S]:
    return [config.settings for config in configs if isinstance(config.settings, kind)]


def _limits(config: Config) -> list[Limit]:
    if not isinstance(config.settings, CapSettings):
        return []
    return [_limit(config.version.id, config.settings.timezone, limit) for limit in config.settings.limits]


def _limit(config_id: str, timezone: str, limit: LimitSettings) -> Limit:
    return Limit(
        key=f"{config_id}/{limit.name}",
        counts=limit.counts,
        window=limit.window,
        bounds=bounds_of(limit.window, timezone),
        max_count=limit.max_count,
        max_units=units_of(limit.max_amount),
        currency=limit.currency,
    )
