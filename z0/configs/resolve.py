"""
From configs to a policy. Owns: putting together what several configs say.

Does not own: how the settings of one type narrow (`z0.domain.narrowing`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    budget = narrow_budgets(settings_of(BudgetSettings, ordered))
    return Policy(
        overdraft_units=budget.overdraft_units,
        tops_up=budget.tops_up,
        ttl_ms_default=budget.ttl_ms_default,
        ttl_ms_max=budget.ttl_ms_max,
        limits=tuple(_limit(config_id, zone, limit) for config_id, zone, limit in limits_of(ordered)),
        access=narrow_access(settings_of(AccessSettings, ordered)),
        prices=narrow_prices(ordered),
        checks=tuple(check_of(settings) for settings in settings_of(InvariantSettings, ordered)),
        versions=versions_of(ordered),
        until_ms=until_ms,
    )


def versions_of(configs: Sequence[Config]) -> Raw:
    """Config id -> version, as it stands on a fact; ids in alphabetical order."""
    return Raw(msgspec.json.encode({config.version.id: config.version.version for config in configs}, order="sorted"))


def versions_in(raw: Raw) -> Mapping[str, int]:
    """What `versions_of` wrote; also what a fact's `configs` says."""
    return msgspec.json.decode(raw, type=dict[str, int]) if bytes(raw) else {}


def settings_of(kind: type[S], configs: Sequence[Config]) -> list[S]:
    """The settings of one type, without those that are switched off."""
    return [config.settings for config in configs if isinstance(config.settings, kind)]


def limits_of(configs: Iterable[Config]) -> Iterator[tuple[str, str, LimitSettings]]:
    """All limits: they count side by side. Each with its config's id and time zone."""
    for version, settings in configs:
        if isinstance(settings, CapSettings):
            yield from ((version.id, settings.timezone, limit) for limit in settings.limits)


def limit_key(config_id: str, limit: LimitSettings) -> str:
    """Under which a limit is counted."""
    return f"{config_id}/{limit.name}"


def _limit(config_id: str, timezone: str, limit: LimitSettings) -> Limit:
    return Limit(
        key=limit_key(config_id, limit),
        counts=limit.counts,
        window=limit.window,
        bounds=bounds_of(limit.window, timezone),
        max_count=limit.max_count,
        max_units=units_of(limit.max_amount),
        currency=limit.currency,
    )
