"""
Random configs, and what only makes sense under them. Owns: the second half of the workload: caps, overdrafts, prices left out,
checks, authorizations, settlement, transfers between ledgers.
"""

from random import Random
from typing import Any, Final

import msgspec
from msgspec import Raw

from z0.domain.commands import (
    AddBudget,
    Append,
    Authorize,
    Check,
    Command,
    Confirm,
    GrantAccess,
    PutConfig,
    Reserve,
    RevokeAccess,
    Settle,
)
from z0.domain.facts import ConfigType, Scope
from z0.sim.network import START_MS

ZONES: Final = ("UTC", "America/Los_Angeles", "Asia/Kolkata")
WINDOWS: Final = ("hour", "hour", "day", "total", "in_flight")
FACT: Final = b"@fact"  # in a command: the id of the fact that the step before has left


def cap_settings(random: Random) -> dict[str, Any]:
    """One to three limits, low enough to be met."""
    limits = []
    for n in range(random.randint(1, 3)):
        limit: dict[str, Any] = {"name": f"l{n}", "counts": random.choice(("spend", "spend", "spend", "invocations"))}
        limit["window"] = random.choice(WINDOWS)
        if limit["counts"] == "invocations" or random.random() < 0.5:
            limit["max_count"] = random.randint(0, 9)
        else:
            limit |= {"max_amount": str(random.randint(5, 70)), "currency": random.choice(("USD", "EUR"))}
        if limit["counts"] == "invocations" and limit["window"] == "in_flight":
            limit["window"] = "hour"
        limits.append(limit)
    return {"limits": limits, "timezone": random.choice(ZONES)}


def budget_settings(random: Random) -> dict[str, Any]:
    """Overdrafts, top-ups, times of reservations."""
    settings: dict[str, Any] = {}
    if random.random() < 0.6:
        settings["overdraft"] = {"USD": str(random.randint(0, 30))}
    if random.random() < 0.5:
        settings["confirm_above_hold"] = random.choice(("topped_up", "refused"))
    if random.random() < 0.4:
        settings["ttl_ms_max"] = random.choice((700, 4_000))
    return settings


def put_config(random: Random, base: dict[str, Any], number: int, at_ms: int, entity: str | None) -> PutConfig:
    """A version of config `number`: what it governs goes by its number, so that later versions fit the first."""
    is_cap = number % 2 == 0
    settings = cap_settings(random) if is_cap else budget_settings(random)
    if random.random() < 0.1:
        settings = {}
    later_ms = random.choice((None, None, 2_000, 5_000))
    return PutConfig(
        **{**base, "ledger_id": f"config_cfg_{number}"},
        type=ConfigType.CAP if is_cap else ConfigType.BUDGET,
        scope=Scope.ENTITY if entity is not None else Scope.TENANT,
        applies_to=entity if entity is not None else "account",
        settings=Raw(msgspec.json.encode(settings)),
        effective_at=START_MS + at_ms + later_ms if later_ms is not None else None,
    )


def transfer(bases: tuple[dict[str, Any], dict[str, Any], dict[str, Any]], amount: str, ttl_ms: int | None) -> list[Command]:
    """Hold it on one ledger, let it leave, let it arrive on another: each step only after the one before was accepted."""
    hold, out, into = bases
    return [
        Reserve(**hold, amount=amount, currency="USD", ttl_ms=ttl_ms, purpose="transfer"),
        Confirm(**out, reservation_id=hold["id"]),
        AddBudget(**into, amount=amount, currency="USD", kind="transfer", correlation_id=out["id"]),
    ]


def charge(bases: tuple[dict[str, Any], ...], amount: str) -> list[Command]:
    """An outcome, its charge, and the charge's way to be settled."""
    outcome, incurred, pending, settled = bases
    fact = FACT.decode()
    return [
        Append(**outcome, type="outcome"),
        Append(**incurred, type="charge", subtype="incurred", amount=amount, currency="USD", source_id=fact),
        Settle(**pending, charge_id=fact, stage="pending"),
        Settle(**settled, charge_id=fact, stage="settled"),
    ]


def ask_first(random: Random, base: dict[str, Any], amount: str | None) -> Command:
    """May it, or may it and hold."""
    currency = random.choice(("USD", "EUR")) if amount is not None else None
    if random.random() < 0.3:
        return Check(**base, amount=amount, currency=currency)
    return Authorize(**base, amount=amount, currency=currency, ttl_ms=random.choice((None, 400, 2_500)))


def invocation(base: dict[str, Any]) -> Append:
    """Something was called."""
    return Append(**base, type="invocation")


def access(random: Random, base: dict[str, Any]) -> Command:
    """A role given or taken."""
    user = f"user_{random.randint(1, 3)}"
    if random.random() < 0.6:
        return GrantAccess(**base, grantee_id=user, role=random.choice(("viewer", "spender")))
    return RevokeAccess(**base, grantee_id=user)
