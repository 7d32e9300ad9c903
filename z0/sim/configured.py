"""
Configs, and what only makes sense under them. Owns: the second half of the workload: checks, authorizations by amount and by
usage, settlement, roles, transfers between ledgers. Does not own: what the configs say (`settings`).
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
from z0.sim.settings import ROLES, settings_of

CONFIGS: Final = (
    (ConfigType.CAP, Scope.TENANT),
    (ConfigType.BUDGET, Scope.TENANT),
    (ConfigType.PRICING, Scope.TENANT),
    (ConfigType.INVARIANT, Scope.TENANT),
    (ConfigType.ACCESS, Scope.TENANT),
    (ConfigType.ACCESS, Scope.ENTITY),
    (ConfigType.CAP, Scope.ENTITY),
    (ConfigType.BUDGET, Scope.ENTITY),
    (ConfigType.PRICING, Scope.ENTITY),
    (ConfigType.INVARIANT, Scope.ENTITY),
    (ConfigType.ROUTING, Scope.TENANT),
    (ConfigType.ROUTING, Scope.ENTITY),
)
ACCESS: Final = frozenset(n for n, (kind, _) in enumerate(CONFIGS) if kind is ConfigType.ACCESS)
PRICING: Final = frozenset(n for n, (kind, _) in enumerate(CONFIGS) if kind is ConfigType.PRICING)
USERS: Final = ("user_1", "user_2", "user_3")
FACT: Final = b"@fact"  # in a command: the id of the fact that the step before has left


def put_config(random: Random, base: dict[str, Any], number: int, at_ms: int) -> PutConfig:
    """A version of config `number`: what it governs goes by its number, so that later versions fit the first."""
    kind, scope = CONFIGS[number]
    later_ms = random.choice((None, None, 2_000, 5_000))
    return PutConfig(
        **{**base, "ledger_id": f"config_cfg_{number}"},
        type=kind,
        scope=scope,
        applies_to=f"acct_{number % 2}" if scope is Scope.ENTITY else "account",
        settings=Raw(msgspec.json.encode(settings_of(kind, random))),
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


def ask_first(random: Random, base: dict[str, Any], amount: str | None, usage: dict[str, str] | None) -> Command:
    """May it, or may it and hold: an amount, a place only, or what a usage costs, now and then at a price of before."""
    currency = random.choice(("USD", "EUR")) if amount is not None else None
    asked: dict[str, Any] = {**base, "amount": amount, "currency": currency}
    if usage is not None:
        asked |= {"usage": usage, "amount": None, "currency": random.choice((None, None, "USD"))}
        if random.random() < 0.4:
            asked |= {"config_id": f"cfg_{random.choice(sorted(PRICING))}", "config_version": random.choice((1, 1, 2, 3))}
    if random.random() < 0.3:
        return Check(**asked)
    return Authorize(**asked, ttl_ms=random.choice((None, 400, 2_500)))


def invocation(base: dict[str, Any]) -> Append:
    """Something was called."""
    return Append(**base, type="invocation")


def grant(random: Random, base: dict[str, Any], user: str) -> Command:
    """A role, of which some allow much."""
    return GrantAccess(**base, grantee_id=user, role=random.choice(ROLES))


def access(random: Random, base: dict[str, Any]) -> Command:
    """A role given, changed or taken."""
    user = random.choice(USERS)
    return grant(random, base, user) if random.random() < 0.7 else RevokeAccess(**base, grantee_id=user)
