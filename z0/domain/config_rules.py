"""
What settings must fulfil beyond their shape. Owns: reading settings, and the words for what is wrong with them.

Does not own: what needs a library (is a time zone known, is a JSON Schema one: `z0.configs`) or other configs (loosening).
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw

from z0.domain import shape
from z0.domain.commands import OPS
from z0.domain.config import (
    ANY,
    CANDIDATES_MAX,
    METERS_MAX,
    PLATFORM_TENANT,
    ROLES_MAX,
    SCHEMA_DEPTH_MAX,
    SCHEMA_NODES_MAX,
    SETTINGS,
    SETTINGS_BYTES_MAX,
    AccessSettings,
    BudgetSettings,
    CapSettings,
    InvariantSettings,
    LimitSettings,
    PricingSettings,
    RoutingSettings,
    Settings,
)
from z0.domain.facts import ConfigType, Scope
from z0.domain.ids import EntityType, entity_type
from z0.domain.money import CURRENCIES, parse_amount
from z0.domain.policy import Counts, Window


class Problem(NamedTuple):
    """What is wrong, for a person, and where."""

    where: str  # "settings.limits", "applies_to"
    text: str


_DECODERS: Final = {kind: msgspec.json.Decoder(of) for kind, of in SETTINGS.items()}
_NO_REFERENCE: Final = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})


def is_off(raw: Raw) -> bool:
    """Whether settings are `{}`."""
    text = bytes(raw)
    return text[:1] == b"{" and not text[1:].removesuffix(b"}").strip()


def read_settings(kind: ConfigType, raw: Raw) -> Settings | Problem | None:
    """Settings as values; None where they are `{}`, which switches a config off."""
    text = bytes(raw)
    if is_off(raw) and len(text) <= SETTINGS_BYTES_MAX:
        return None
    settings = _decoded(kind, text)
    return settings if isinstance(settings, Problem) else next(_RULES[type(settings)](settings), settings)


def problems_of(kind: ConfigType, raw: Raw) -> list[Problem]:
    """
    Everything that is wrong with settings by themselves, for the one who is to correct them.

    A refusal names the first only: it is a fact, and the bytes of facts do not change.
    """
    first = read_settings(kind, raw)
    if not isinstance(first, Problem):
        return []
    settings = _decoded(kind, bytes(raw))
    if isinstance(settings, Problem):
        if len(bytes(raw)) > SETTINGS_BYTES_MAX:
            return [first]
        return [Problem(*found) for found in shape.problems_of(SETTINGS[kind], bytes(raw), "settings")] or [first]
    return list(_RULES[type(settings)](settings))


def _decoded(kind: ConfigType, text: bytes) -> Settings | Problem:
    if len(text) > SETTINGS_BYTES_MAX:
        return Problem("settings", f"more than {SETTINGS_BYTES_MAX} bytes")
    try:
        return _DECODERS[kind].decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Problem("settings", str(error))


def problem_of_target(scope: Scope, applies_to: str, tenant_id: str) -> Problem | None:
    """Whether a tenant may write a config of that scope for that target."""
    if scope is Scope.PLATFORM and tenant_id != PLATFORM_TENANT:
        return Problem("scope", f"platform scope is written by {PLATFORM_TENANT} only")
    if scope is Scope.ENTITY:
        kind = entity_type(applies_to)
        if kind is None:
            return Problem("applies_to", "a config of entity scope applies to an entity id, such as acct_123")
        return _no_config(kind)
    if applies_to == ANY:
        return None
    if applies_to not in set(EntityType):
        return Problem("applies_to", f"`*` or one of {', '.join(EntityType)}")
    return _no_config(EntityType(applies_to))


def _no_config(kind: EntityType) -> Problem | None:
    return Problem("applies_to", "configs do not apply to configs") if kind is EntityType.CONFIG else None


# Each rule gives everything that is wrong, the first first: that one a refusal names.


def _budget(settings: BudgetSettings) -> Iterator[Problem]:
    default, most = settings.ttl_ms_default, settings.ttl_ms_max
    if default is not None and most is not None and default > most:
        yield Problem("settings.ttl_ms_default", "is more than `ttl_ms_max`")
    for currency in settings.overdraft or ():
        yield from _currency("settings.overdraft", currency)


def _cap(settings: CapSettings) -> Iterator[Problem]:
    names = [limit.name for limit in settings.limits]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            yield Problem("settings.limits", f"two limits are named {name}")
    for limit in settings.limits:
        yield from _limit(limit)


def _limit(limit: LimitSettings) -> Iterator[Problem]:
    where = f"settings.limits.{limit.name}"
    if (limit.max_count is None) == (limit.max_amount is None):
        yield Problem(where, "give `max_count` or `max_amount`")
    if (limit.max_amount is None) != (limit.currency is None):
        yield Problem(where, "`max_amount` and `currency` belong together")
    if limit.counts is Counts.INVOCATIONS and limit.max_amount is not None:
        yield Problem(where, "invocations have no amount: give `max_count`")
    if limit.counts is Counts.INVOCATIONS and limit.window is Window.IN_FLIGHT:
        yield Problem(where, "in flight are reservations: count `spend`")
    yield from _currency(where, limit.currency)


def _pricing(settings: PricingSettings) -> Iterator[Problem]:
    if len(settings.prices) > METERS_MAX:
        yield Problem("settings.prices", f"more than {METERS_MAX} meters")
    least, most = units_of(settings.min_amount), units_of(settings.max_amount)
    if least is not None and most is not None and least > most:
        yield Problem("settings.min_amount", "is more than `max_amount`")
    yield from _currency("settings.currency", settings.currency)


def _access(settings: AccessSettings) -> Iterator[Problem]:
    if len(settings.roles) > ROLES_MAX:
        yield Problem("settings.roles", f"more than {ROLES_MAX} roles")
    known = {ANY, *OPS}
    for role, ops in settings.roles.items():
        for unknown in (op for op in ops if op not in known):
            yield Problem(f"settings.roles.{role}", f"there is no command {unknown!r}; there are {', '.join(OPS)}")


def _routing(settings: RoutingSettings) -> Iterator[Problem]:
    if len(settings.candidates) > CANDIDATES_MAX:
        yield Problem("settings.candidates", f"more than {CANDIDATES_MAX} candidates")
    for place, candidate in enumerate(settings.candidates):
        where = f"settings.candidates.{place}"
        if (candidate.asset_id is None) == (candidate.tool_id is None):
            yield Problem(where, "give `asset_id` or `tool_id`")
        if candidate.asset_id is not None and entity_type(candidate.asset_id) is not EntityType.ASSET:
            yield Problem(where, "`asset_id` is no id of an asset")
        if candidate.tool_id is not None and entity_type(candidate.tool_id) is not EntityType.TOOL:
            yield Problem(where, "`tool_id` is no id of a tool")


def _invariant(settings: InvariantSettings) -> Iterator[Problem]:
    problem = _problem_of_schema(settings)
    if problem is not None:
        yield problem


def _problem_of_schema(settings: InvariantSettings) -> Problem | None:
    try:
        schema = msgspec.json.decode(settings.schema)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Problem("settings.schema", str(error))
    if not isinstance(schema, dict):
        return Problem("settings.schema", "a JSON Schema is an object")
    return _bounded(schema)


def _bounded(schema: Any) -> Problem | None:
    """A check runs in the ledger's only writer: its cost must be visible in its size, and a reference hides it."""
    waiting, nodes = [(schema, 1)], 0
    while waiting:
        node, depth = waiting.pop()
        nodes += isinstance(node, dict)
        if depth > SCHEMA_DEPTH_MAX or nodes > SCHEMA_NODES_MAX:
            return Problem("settings.schema", f"more than {SCHEMA_NODES_MAX} objects, or nested deeper than {SCHEMA_DEPTH_MAX}")
        if isinstance(node, dict):
            if not _NO_REFERENCE.isdisjoint(node):
                return Problem("settings.schema", "references (`$ref`) are not taken: write out what they stand for")
            waiting += [(value, depth + 1) for value in node.values()]
        elif isinstance(node, list):
            waiting += [(value, depth + 1) for value in node]
    return None


# Any: each rule takes its own class of settings; the key says which.
_RULES: Final[dict[type[Settings], Callable[[Any], Iterator[Problem]]]] = {
    BudgetSettings: _budget,
    CapSettings: _cap,
    PricingSettings: _pricing,
    AccessSettings: _access,
    RoutingSettings: _routing,
    InvariantSettings: _invariant,
}


def _currency(where: str, currency: str | None) -> Iterator[Problem]:
    if currency not in (None, *CURRENCIES):
        yield Problem(where, f"{currency} is no active ISO 4217 code")


def units_of(amount: str | None) -> int | None:
    """Units of an amount whose form was checked when the settings were read."""
    return None if amount is None else parse_amount(amount)


def price_of(text: str) -> Decimal:
    """A price whose form was checked when the settings were read; exact."""
    return Decimal(text)
