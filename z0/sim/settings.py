"""
Random settings of configs, by what they govern. Owns: numbers low enough to be met, and roles, prices and schemas that matter.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

from z0.domain.facts import ConfigType

Settings = dict[str, Any]
ZONES: Final = ("UTC", "America/Los_Angeles", "Asia/Kolkata")
WINDOWS: Final = ("hour", "hour", "day", "total", "in_flight")
METERS: Final = ("token", "second", "image")
# Under a price of these, a product has more than 12 decimals, and some lie in the middle between two amounts.
PRICES: Final = ("0.0000000000005", "0.000000000000125", "0.00037", "0.015", "0.25")
ROLES: Final = ("viewer", "spender", "spender", "owner", "owner")
TOOLS: Final = ("tool_1", "tool_2", "tool_3")
GOVERNED: Final = ("append", "authorize", "check", "confirm", "deduct_budget", "release", "reserve", "settle")
SCHEMAS: Final[Mapping[str, Settings]] = {
    "NEEDS_A_USER": {"required": ["user_id"]},
    "NO_EUROS": {"properties": {"currency": {"enum": ["USD"]}}},
    "SHORT_TEXT": {"properties": {"data": {"properties": {"text": {"maxLength": 20}}}}},
}
FACT_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "NEEDS_A_USER": ("budget", "charge", "note", "invocation"),
    "NO_EUROS": ("budget", "deposit", "*"),
    "SHORT_TEXT": ("note", "*"),
}


def settings_of(kind: ConfigType, random: Random) -> Settings:
    """Settings of a config; now and then none, which switches it off."""
    settings = _MAKERS[kind](random)
    return settings if random.random() >= 0.1 else {}


def _cap(random: Random) -> Settings:
    """One to three limits, low enough to be met."""
    limits = []
    for n in range(random.randint(1, 3)):
        limit: Settings = {"name": f"l{n}", "counts": random.choice(("spend", "spend", "spend", "invocations"))}
        limit["window"] = random.choice(WINDOWS)
        if limit["counts"] == "invocations" or random.random() < 0.5:
            limit["max_count"] = random.randint(0, 9)
        else:
            limit |= {"max_amount": str(random.randint(5, 70)), "currency": random.choice(("USD", "EUR"))}
        if limit["counts"] == "invocations" and limit["window"] == "in_flight":
            limit["window"] = "hour"
        limits.append(limit)
    return {"limits": limits, "timezone": random.choice(ZONES)}


def _budget(random: Random) -> Settings:
    """Overdrafts, top-ups, times of reservations."""
    settings: Settings = {}
    if random.random() < 0.6:
        settings["overdraft"] = {"USD": str(random.randint(0, 30))}
    if random.random() < 0.5:
        settings["confirm_above_hold"] = random.choice(("topped_up", "refused"))
    if random.random() < 0.4:
        settings["ttl_ms_max"] = random.choice((700, 4_000))
    return settings


def _pricing(random: Random) -> Settings:
    """Prices of some meters, most of them in dollars; bounds that some amounts pass."""
    settings: Settings = {"currency": random.choice(("USD", "USD", "USD", "EUR"))}
    settings["prices"] = {meter: random.choice(PRICES) for meter in METERS if random.random() < 0.9}
    if random.random() < 0.3:
        settings["min_amount"] = random.choice(("0.5", "2"))
    if random.random() < 0.5:
        settings["max_amount"] = str(random.randint(10, 35))
    return settings


def _access(random: Random) -> Settings:
    """Who owns may do all, who spends some of it, who looks may only look; a role may be left out."""
    roles = {"owner": ["*"], "spender": sorted(random.sample(GOVERNED, random.randint(5, 8))), "viewer": ["check"]}
    return {"roles": {role: ops for role, ops in roles.items() if random.random() < 0.95}}


def _invariant(random: Random) -> Settings:
    """A rule that refuses, or only warns."""
    code = random.choice(tuple(SCHEMAS))
    severity = random.choice(("error", "warning"))
    return {"code": code, "fact_type": random.choice(FACT_TYPES[code]), "schema": SCHEMAS[code], "severity": severity}


def _routing(random: Random) -> Settings:
    """Some ways, in any order; no decision takes one, but every fact names the version."""
    return {"candidates": [{"tool_id": tool} for tool in random.sample(TOOLS, random.randint(1, 3))]}


_MAKERS: Final[Mapping[ConfigType, Callable[[Random], Settings]]] = {
    ConfigType.CAP: _cap,
    ConfigType.BUDGET: _budget,
    ConfigType.PRICING: _pricing,
    ConfigType.ACCESS: _access,
    ConfigType.INVARIANT: _invariant,
    ConfigType.ROUTING: _routing,
}


def usage(random: Random) -> dict[str, str]:
    """How much of some meters; odd quantities, so that products come to the middle between two amounts."""
    meters = random.sample(METERS, random.randint(1, 2))
    return {meter: str(random.choice((0, 1, 3, 7, 12, 101, 20_001))) for meter in meters}
