"""
The money of one run, summed in three places that do not know of each other. Owns: those sums. Judges nothing (`checks`).

    ledger        the state of every account, asked over HTTP and added up here
    postgres      the balances that its sink keeps
    clickhouse    the facts themselves: what came in, what was settled, what is held; `available` is what the last fact of
                  each account said, so the equation is not true by construction
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

import psycopg

from sinks.clickhouse.client import Store
from z0.config import Config
from z0.demo.http import Api
from z0.demo.world import World

POSTGRES: Final = """
SELECT currency, sum(deposited), sum(credits), sum(spent), sum(reserved), sum(available)
  FROM balances WHERE tenant_id = ANY(%s) GROUP BY currency
"""
CLICKHOUSE: Final = """
SELECT currency, sum(paid_in), sum(given), sum(gone), sum(held_now), sum(left)
  FROM (SELECT ledger_id, currency,
               sumIf(ifNull(amount, 0), type = 'deposit') AS paid_in,
               sumIf(ifNull(amount, 0), type = 'credit_issued') AS given,
               sumIf(ifNull(amount, 0), type = 'charge' OR (type = 'budget' AND subtype IN ('confirmed', 'deducted'))) AS gone,
               sumIf(ifNull(amount, 0), type = 'budget' AND subtype = 'reserved')
                   - sumIf(ifNull(held, 0), type = 'budget' AND subtype = 'confirmed')
                   - sumIf(ifNull(amount, 0), type = 'budget' AND subtype IN ('released', 'expired')) AS held_now,
               argMaxIf(ifNull(available, 0), seq, available IS NOT NULL) AS left
          FROM facts
         WHERE has({tenants:Array(String)}, tenant_id) AND startsWith(ledger_id, 'account_') AND currency != ''
         GROUP BY ledger_id, currency)
 GROUP BY currency
"""
SPEND: Final = """
SELECT tenant_id, asset_id, currency, sum(amount), count()
  FROM facts
 WHERE has({tenants:Array(String)}, tenant_id) AND type = 'budget' AND subtype = 'confirmed'
 GROUP BY tenant_id, asset_id, currency
"""


class Sums(NamedTuple):
    """One currency in one place."""

    deposited: Decimal
    credits: Decimal
    spent: Decimal
    reserved: Decimal
    available: Decimal

    @property
    def conserved(self) -> bool:
        """Whether what came in is what is there or gone, to the last unit."""
        return self.deposited + self.credits == self.spent + self.reserved + self.available


class Spend(NamedTuple):
    """What a tenant settled for one model."""

    tenant_id: str
    asset_id: str
    currency: str
    amount: Decimal
    requests: int


ByCurrency = Mapping[str, Sums]


async def everywhere(config: Config, world: World, keys: Mapping[str, str], api: Api) -> Mapping[str, ByCurrency]:
    """The sums in each place."""
    tenants = [world.tenant_id(tenant) for tenant in world.tenants]
    return {
        "ledger": await _ledger(world, keys, api),
        "postgres": await asyncio.to_thread(_postgres, config, tenants),
        "clickhouse": await asyncio.to_thread(_clickhouse, config, tenants),
    }


async def spending(config: Config, world: World) -> list[Spend]:
    """Who spent what on which model."""
    tenants = [world.tenant_id(tenant) for tenant in world.tenants]
    rows = await asyncio.to_thread(_query, config, SPEND, tenants)
    return [Spend(str(row[0]), str(row[1]), str(row[2]), Decimal(row[3]), int(row[4])) for row in rows]


async def _ledger(world: World, keys: Mapping[str, str], api: Api) -> ByCurrency:
    totals: defaultdict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * len(Sums._fields))
    for account in world.accounts:
        state = await api.entity(keys[account.tenant], world.account_id(account))
        for currency, budget in state["budgets"].items():
            totals[currency] = [total + Decimal(budget[name]) for total, name in zip(totals[currency], Sums._fields, strict=True)]
    return {currency: Sums(*total) for currency, total in totals.items()}


def _postgres(config: Config, tenants: list[str]) -> ByCurrency:
    with psycopg.connect(config.postgres_url) as connection:
        return _sums(connection.execute(POSTGRES, [tenants]).fetchall())


def _clickhouse(config: Config, tenants: list[str]) -> ByCurrency:
    return _sums(_query(config, CLICKHOUSE, tenants))


def _query(config: Config, sql: str, tenants: list[str]) -> Sequence[Sequence[Any]]:
    store = Store(config.clickhouse_url)
    try:
        return store.query(sql, {"tenants": tenants})
    finally:
        store.close()


def _sums(rows: Iterable[Sequence[Any]]) -> ByCurrency:
    return {str(currency): Sums(*map(Decimal, amounts)) for currency, *amounts in rows}
