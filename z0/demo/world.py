"""
Who is in the demo. Owns: tenants, accounts, assets and their money, read from `examples/llm`. Does not own: creating them.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from z0.errors import Z0Error

EXAMPLES: Final = Path(__file__).resolve().parents[2] / "examples" / "llm"
TRACE: Final = EXAMPLES / "requests.csv.gz"
MAPPING: Final = EXAMPLES / "mapping.yaml"


class Account(NamedTuple):
    """One account and the money that it begins with, as decimal strings."""

    name: str
    tenant: str
    currency: str
    deposit: str
    credit: str


@dataclass(frozen=True)
class World:
    """All entities of one run."""

    run: str
    accounts: tuple[Account, ...]
    assets: Mapping[str, str]  # asset -> model

    @property
    def tenants(self) -> tuple[str, ...]:
        """Their short names, as the mapping's field `tenant` has them."""
        return tuple(dict.fromkeys(account.tenant for account in self.accounts))

    def tenant_name(self, tenant: str) -> str:
        """What `z0 tenant create` is given."""
        return f"{tenant}-{self.run}"

    def tenant_id(self, tenant: str) -> str:
        return f"tenant_{self.tenant_name(tenant)}"

    def account_id(self, account: Account) -> str:
        return f"acct_{account.name}-{self.run}"

    def asset_id(self, tenant: str, asset: str) -> str:
        return f"asset_{tenant}-{asset}-{self.run}"

    def accounts_of(self, tenant: str) -> tuple[Account, ...]:
        return tuple(account for account in self.accounts if account.tenant == tenant)

    def creation(self, tenant: str) -> list[dict[str, Any]]:
        """Commands that make a tenant's entities and pay in; their ids follow from the names, so they can be repeated."""
        commands: list[dict[str, Any]] = []
        for asset, model in self.assets.items():
            entity = self.asset_id(tenant, asset)
            commands.append({"op": "create_entity", "entity_id": entity, "id": f"create-{entity}", "data": {"model": model}})
        for account in self.accounts_of(tenant):
            commands += self._account(account)
        return commands

    def _account(self, account: Account) -> list[dict[str, Any]]:
        entity = self.account_id(account)
        commands: list[dict[str, Any]] = [{"op": "create_entity", "entity_id": entity, "id": f"create-{entity}"}]
        for kind, amount in (("deposit", account.deposit), ("credit", account.credit)):
            if amount != "0":
                money = {"amount": amount, "currency": account.currency, "kind": kind}
                commands.append({"op": "add_budget", "entity_id": entity, "id": f"{kind}-{entity}", **money})
        return commands


def read_world(run: str) -> World:
    """
    The world of a run.

    Raises:
        Z0Error: the examples are not there.
    """
    if not TRACE.exists():
        raise Z0Error(f"the demo needs {EXAMPLES}, which is part of the repository")
    with (EXAMPLES / "accounts.csv").open(newline="") as file:
        fields = Account._fields[1:]
        accounts = tuple(Account(row["account"], *(row[name] for name in fields)) for row in csv.DictReader(file))
    with (EXAMPLES / "assets.csv").open(newline="") as file:
        assets = {row["asset"]: row["model"] for row in csv.DictReader(file)}
    return World(run, accounts, assets)
