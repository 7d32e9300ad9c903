"""How the demo's result is shown. Owns: tables, the `name=value` lines and the JSON. Does not own: any number in them."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from z0 import kafka_url
from z0.config import Config
from z0.demo.checks import Check, Copies
from z0.demo.flow import Flow
from z0.demo.money import ByCurrency, Spend
from z0.demo.world import World
from z0.imports.report import EXPLAINED

START_AGAIN: Final = "the stack          z0 up, before any of these: it stops now, and keeps its data"


@dataclass(frozen=True)
class Result:
    """All that the demo found."""

    world: World
    keys: Mapping[str, str]
    flow: Flow
    copies: Copies
    money: Mapping[str, ByCurrency]
    spend: list[Spend]
    checks: list[Check]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


def figures(result: Result) -> dict[str, Any]:
    """The measured numbers, by their stable names."""
    flow = result.flow
    http, kafka = flow.http.latency_ms(50, 99), flow.kafka.latency_ms(50, 99)
    return {
        "processing_s": round(flow.seconds, 3),
        "decisions": flow.decisions,
        "decisions_per_s": round(flow.decisions / flow.seconds, 1),
        "http_p50_ms": http[0],
        "http_p99_ms": http[1],
        "kafka_p50_ms": kafka[0],
        "kafka_p99_ms": kafka[1],
        "stores_s": round(result.copies.seconds, 3),
    }


def as_json(result: Result) -> dict[str, Any]:
    """Everything as plain values."""
    flow = result.flow
    return {
        "run": result.world.run,
        "ok": result.ok,
        **figures(result),
        "http": flow.http.summary(),
        "kafka": flow.kafka.summary(),
        "facts": dict(result.copies.counts),
        "money": {
            place: {currency: {name: str(value) for name, value in sums._asdict().items()} for currency, sums in by.items()}
            for place, by in result.money.items()
        },
        "spend": [{**spend._asdict(), "amount": str(spend.amount)} for spend in result.spend],
        "checks": [check._asdict() for check in result.checks],
    }


def show(result: Result, config: Config, console: Console, *, stops: bool = False) -> None:
    """The whole report for a person; with `stops` the stack goes down behind it."""
    for table in (_outcomes(result.flow), _money(result), _spend(result), _checks(result)):
        console.print(table)
        console.print()
    for name, value in figures(result).items():
        console.print(f"{name}={value}", highlight=False)
    console.print()
    console.print("[bold]Look at next[/]")
    for line in (*([START_AGAIN] if stops else []), *_next(result, config)):
        console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)


def _outcomes(flow: Flow) -> Table:
    table = Table("step", "outcome", title="Decisions", title_justify="left")
    for name in ("HTTP", "Kafka"):
        table.add_column(name, justify="right")
    table.add_column("why")
    both: Counter[tuple[str, str]] = flow.http.by_step + flow.kafka.by_step
    for key in sorted(both):
        table.add_row(*key, f"{flow.http.by_step[key]:,}", f"{flow.kafka.by_step[key]:,}", EXPLAINED.get(key[1], ""))
    table.add_row("", "not sent: no reservation", f"{flow.http.commands_skipped:,}", f"{flow.kafka.commands_skipped:,}")
    table.add_row("", "repeated", f"{flow.http.repeated:,}", f"{flow.kafka.repeated:,}")
    return table


def _money(result: Result) -> Table:
    table = Table(
        "currency", "counted in", title="Money: deposited + credits = spent + reserved + available", title_justify="left"
    )
    for name in ("deposited", "credits", "spent", "reserved", "available"):
        table.add_column(name, justify="right")
    for currency in sorted({currency for sums in result.money.values() for currency in sums}):
        for place, by in result.money.items():
            if currency in by:
                table.add_row(currency, place, *(f"{value:f}" for value in by[currency]))
    return table


def _spend(result: Result) -> Table:
    table = Table("model", title="Spend per tenant and model (requests)", title_justify="left")
    cells: defaultdict[str, dict[str, str]] = defaultdict(dict)
    totals: defaultdict[str, Decimal] = defaultdict(Decimal)
    models = {
        result.world.asset_id(t, asset): model for t in result.world.tenants for asset, model in result.world.assets.items()
    }
    for spend in result.spend:
        cells[models[spend.asset_id]][spend.tenant_id] = f"{spend.amount:.6f} {spend.currency} ({spend.requests:,})"
        totals[spend.tenant_id] += spend.amount
    for tenant in result.world.tenants:
        table.add_column(result.world.tenant_name(tenant), justify="right")
    ids = [result.world.tenant_id(tenant) for tenant in result.world.tenants]
    for model in sorted(cells):
        table.add_row(model, *(cells[model].get(tenant, "") for tenant in ids))
    table.add_row("all", *(f"{totals[tenant]:.6f}" for tenant in ids), style="bold")
    return table


def _checks(result: Result) -> Table:
    table = Table("", "check", "by these numbers", title="Checks", title_justify="left")
    for check in result.checks:
        table.add_row("[green]✓[/]" if check.ok else "[bold red]✗[/]", check.name, escape(check.detail))
    return table


def _next(result: Result, config: Config) -> Iterator[str]:
    world, tenant = result.world, result.world.tenants[0]
    account = world.account_id(world.accounts_of(tenant)[-1])
    yield f"the API            {config.api_url}/docs"
    yield f"an account         curl -H 'X-API-Key: {result.keys[tenant]}' {config.api_url}/v1/entities/{account}"
    yield f"its last facts     curl -H 'X-API-Key: {result.keys[tenant]}' '{config.api_url}/v1/entities/{account}/facts?limit=5'"
    yield f"Postgres           psql {config.postgres_url}"
    yield f"ClickHouse         {config.clickhouse_url}"
    yield (
        "the log            z0 kafka-tool ConsoleConsumer --bootstrap-server "
        + f"{kafka_url.parse(config.kafka_servers).servers} --topic z0.facts"
    )
    yield "the archive        z0 verify"
    yield "what runs          z0 status"
    yield f"this run again     z0 demo --run {world.run}"
