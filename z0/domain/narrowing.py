"""
How scopes narrow. Owns: what several configs of one type come to together, and whether one loosens a wider one.

The strictest counts: of numbers the stricter, of sets what all have, of permissions the forbidden. Every function takes the
configs in any order and gives the same. Nothing here looks at a clock; which versions are in force is decided before.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from z0.domain.commands import OPS, TTL_MS_DEFAULT
from z0.domain.config import (
    ANY,
    AccessSettings,
    BudgetSettings,
    Candidate,
    CapSettings,
    Config,
    InvariantSettings,
    PricingSettings,
    RoutingSettings,
    Settings,
)
from z0.domain.config_rules import price_of, units_of
from z0.domain.facts import Scope
from z0.domain.policy import Access, Price, Severity

_RANK: Final = {scope: rank for rank, scope in enumerate(Scope)}


class BudgetTerms(NamedTuple):
    """What all budget configs come to."""

    overdraft_units: Mapping[str, int]
    tops_up: bool
    ttl_ms_default: int | None
    ttl_ms_max: int | None


def in_order(configs: Iterable[Config]) -> list[Config]:
    """From the widest scope to the narrowest, so that the order in which they came is of no account."""
    return sorted(configs, key=lambda config: (_RANK[config.version.scope], config.version.id, config.version.version))


def narrow_budgets(all_settings: Sequence[BudgetSettings]) -> BudgetTerms:
    """The smallest overdraft and times; topped up only where every config that speaks of it says so."""
    ttl_max = min((s.ttl_ms_max for s in all_settings if s.ttl_ms_max is not None), default=None)
    ttl_default = min((s.ttl_ms_default for s in all_settings if s.ttl_ms_default is not None), default=None)
    if ttl_max is not None:
        ttl_default = min(ttl_max, TTL_MS_DEFAULT if ttl_default is None else ttl_default)
    words = {s.confirm_above_hold for s in all_settings} - {None}
    return BudgetTerms(_overdrafts(all_settings), words == {"topped_up"}, ttl_default, ttl_max)


def _overdrafts(all_settings: Sequence[BudgetSettings]) -> Mapping[str, int]:
    said = [s.overdraft for s in all_settings if s.overdraft is not None]
    if not said:
        return {}
    currencies = set(said[0]).intersection(*said[1:])
    return {currency: min(_units(overdraft[currency]) for overdraft in said) for currency in sorted(currencies)}


def narrow_access(all_settings: Sequence[AccessSettings]) -> Access | None:
    """Every scope's roles side by side: a command passes where all of them allow it."""
    if not all_settings:
        return None
    return Access(tuple({role: frozenset(ops) for role, ops in settings.roles.items()} for settings in all_settings))


def narrow_prices(configs: Iterable[Config]) -> Mapping[str, Price]:
    """By currency: the highest price of each meter, the highest least and the lowest greatest amount."""
    prices: dict[str, Price] = {}
    for config in in_order(configs):
        if isinstance(config.settings, PricingSettings):
            currency = config.settings.currency
            prices[currency] = _stricter(prices.get(currency), config, config.settings)
    return prices


def _stricter(wider: Price | None, config: Config, settings: PricingSettings) -> Price:
    by_meter: dict[str, Decimal] = dict(wider.by_meter) if wider is not None else {}
    for meter, text in settings.prices.items():
        by_meter[meter] = max(price_of(text), by_meter.get(meter, Decimal(0)))
    least = [units_of(settings.min_amount), wider.min_units if wider is not None else None]
    most = [units_of(settings.max_amount), wider.max_units if wider is not None else None]
    return Price(
        settings.currency,
        config.version.id,
        config.version.version,
        by_meter,
        max((units for units in least if units is not None), default=None),
        min((units for units in most if units is not None), default=None),
    )


def narrow_routing(all_settings: Sequence[RoutingSettings]) -> RoutingSettings | None:
    """The candidates that all name, in the order and with the strategy of the last, each once and with its lowest `max_price`."""
    if not all_settings:
        return None
    last, once = all_settings[-1], dict[tuple[str | None, str | None], Candidate]()
    for one in last.candidates:
        once.setdefault(_way(one), one)
    kept = tuple(candidate for one in once.values() if (candidate := _candidate(one, all_settings)) is not None)
    return RoutingSettings(kept, last.strategy)


def _way(one: Candidate) -> tuple[str | None, str | None]:
    return one.asset_id, one.tool_id


def _candidate(one: Candidate, all_settings: Sequence[RoutingSettings]) -> Candidate | None:
    prices = [] if one.max_price is None else [one.max_price]
    for settings in all_settings:
        same = [candidate for candidate in settings.candidates if _way(candidate) == _way(one)]
        if not same:
            return None
        prices += [candidate.max_price for candidate in same if candidate.max_price is not None]
    return Candidate(one.asset_id, one.tool_id, one.weight, min(prices, key=_units, default=None))


def loosens(wider: Settings, narrower: Settings) -> str | None:
    """
    How a narrower scope's settings would loosen a wider one's of the same type; None where they only tighten.

    Help for the writer: a decision takes the strictest of both, whatever stands there.
    """
    return _LOOSENS[type(narrower)](wider, narrower) if type(wider) is type(narrower) else None


def _budget(wider: BudgetSettings, narrower: BudgetSettings) -> str | None:
    if wider.overdraft is not None:
        for currency, amount in (narrower.overdraft or {}).items():
            if _units(amount) > _units(wider.overdraft.get(currency, "0")):
                return f"overdraft of {currency}"
    if wider.confirm_above_hold == "refused" and narrower.confirm_above_hold == "topped_up":
        return "confirm_above_hold"
    for name in ("ttl_ms_default", "ttl_ms_max"):
        if _above(getattr(narrower, name), getattr(wider, name)):
            return name
    return None


def _cap(wider: CapSettings, narrower: CapSettings) -> str | None:
    """The strictest limits of each kind are compared; limits of different kinds count side by side."""
    if wider.timezone != narrower.timezone:
        return None
    there, given = _strictest(wider), _strictest(narrower)
    return next((f"limit {given[kind][1]}" for kind in given.keys() & there.keys() if given[kind][0] > there[kind][0]), None)


def _strictest(settings: CapSettings) -> dict[tuple[Any, ...], tuple[int, str]]:
    """By kind of limit its least maximum, and that limit's name."""
    found: dict[tuple[Any, ...], tuple[int, str]] = {}
    for limit in settings.limits:
        most = limit.max_count if limit.max_count is not None else _units(limit.max_amount or "")
        kind = (limit.counts, limit.window, limit.currency)
        found[kind] = min(found.get(kind, (most, limit.name)), (most, limit.name))
    return found


def _pricing(wider: PricingSettings, narrower: PricingSettings) -> str | None:
    if wider.currency != narrower.currency:
        return None
    for meter, price in narrower.prices.items():
        if price_of(price) < price_of(wider.prices.get(meter, "0")):
            return f"price of {meter}"
    if _above(units_of(narrower.max_amount), units_of(wider.max_amount)):
        return "max_amount"
    if _above(units_of(wider.min_amount), units_of(narrower.min_amount)):
        return "min_amount"
    return None


def _access(wider: AccessSettings, narrower: AccessSettings) -> str | None:
    for role, ops in narrower.roles.items():
        more = _written_out(ops) - _written_out(wider.roles.get(role, ()))
        if more:
            return f"role {role}: {', '.join(sorted(more))}"
    return None


def _written_out(ops: Iterable[str]) -> set[str]:
    given = set(ops)
    return set(OPS) if ANY in given else given


def _routing(wider: RoutingSettings, narrower: RoutingSettings) -> str | None:
    own = narrow_routing([narrower])
    for one in own.candidates if own is not None else ():
        kept = _candidate(one, [wider])
        if kept is None:
            return f"candidate {one.asset_id or one.tool_id}"
        if one.max_price is not None and kept.max_price != one.max_price:
            return f"max_price of {one.asset_id or one.tool_id}"
    return None


def _invariant(wider: InvariantSettings, narrower: InvariantSettings) -> str | None:
    softer = wider.severity is Severity.ERROR and narrower.severity is Severity.WARNING
    return f"severity of {narrower.code}" if wider.code == narrower.code and softer else None


# Any: each rule takes its own class of settings; the key says which.
_LOOSENS: Final[dict[type[Settings], Callable[[Any, Any], str | None]]] = {
    BudgetSettings: _budget,
    CapSettings: _cap,
    PricingSettings: _pricing,
    AccessSettings: _access,
    RoutingSettings: _routing,
    InvariantSettings: _invariant,
}


def _above(narrower: int | None, wider: int | None) -> bool:
    return narrower is not None and wider is not None and narrower > wider


def _units(amount: str) -> int:
    units = units_of(amount)
    assert units is not None, "the form was checked when the settings were read"
    return units
