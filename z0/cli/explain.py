"""`z0 explain`: its options, exit codes, and how a person is shown a receipt. Does not own: the receipt (`z0.receipts`)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from z0.cli.screen import screen
from z0.cli.servers import check
from z0.names import FACTS

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from z0.config import Config
    from z0.receipts import History, Receipt
    from z0.receipts.receipt import Side

SUMS = ("deposited", "credits", "transferred_in", "spent", "transferred_out", "reserved", "available")


class From(StrEnum):
    """Where the facts are read."""

    LOG = "log"
    POSTGRES = "postgres"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explain")(explain)


def explain(
    id_: Annotated[str, typer.Argument(metavar="ID", help="A fact's id (`account_acct_1.42`), or with --ledger a command's.")],
    ledger: Annotated[str | None, typer.Option(help="Ledger or entity of a command id, such as `acct_1`.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only if it is this tenant's: its name or id.")] = None,
    from_: Annotated[
        From, typer.Option("--from", help="`log`: the log itself, also while Postgres is behind; `postgres`: quicker.")
    ] = From.LOG,
    as_json: Annotated[bool, typer.Option("--json", help="The receipt as one JSON object.")] = False,
) -> None:
    """
    Why was it decided so? The decision, decided again from the facts before it, beside what was recorded.

    Exit code 0: the same bytes came out, every fact up to it is what its hash says and follows the one before; 1: not so, or
    it could not be decided again.

    Examples: `z0 explain account_acct_1.42`, `z0 explain order-7 --ledger acct_1 --json`,
    `z0 explain account_acct_1.42 --from postgres --tenant acme`
    """
    from z0.config import from_env
    from z0.receipts import wanted_of

    wanted, config = wanted_of(id_, ledger), from_env()

    async def run() -> "Receipt":
        from z0.receipts import explain as receipt_of

        async with _HISTORIES[from_](config, _tenant_id(tenant)) as history:
            return await receipt_of(history, wanted)

    receipt = asyncio.run(run())
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(receipt).decode())
    else:
        _show(receipt)
    raise typer.Exit(0 if receipt.proves else 1)


def _tenant_id(tenant: str | None) -> str | None:
    from api.keys import tenant_entity_id
    from z0.domain.ids import EntityType, entity_type

    if tenant is None or entity_type(tenant) is EntityType.TENANT:
        return tenant
    return tenant_entity_id(tenant)


# Where from --------------------------------------------------------------------------------------


@asynccontextmanager
async def _log(config: "Config", tenant_id: str | None) -> AsyncIterator["History"]:
    from z0.client.partitioner import partition_of
    from z0.log.kafka import KafkaLog
    from z0.receipts.from_log import LogHistory

    await check(config, FACTS)
    log = KafkaLog(config.kafka_servers)
    yield LogHistory(log, lambda ledger_id: partition_of(ledger_id, config.partitions), tenant_id)


@asynccontextmanager
async def _postgres(config: "Config", tenant_id: str | None) -> AsyncIterator["History"]:
    import psycopg

    from z0.errors import Unreachable, no_answer, refused
    from z0.receipts.from_postgres import PostgresHistory

    try:
        async with await psycopg.AsyncConnection.connect(config.postgres_url, autocommit=True) as connection:

            async def ask(query: str, given: Any) -> list[tuple[Any, ...]]:
                return await (await connection.execute(query.encode(), given)).fetchall()

            yield PostgresHistory(ask, tenant_id)
    except psycopg.OperationalError as error:
        raise Unreachable(f"{no_answer('Postgres', error)}; `--from log` does without") from error
    except psycopg.Error as error:
        raise Unreachable(f"{refused('Postgres', 'a question', error)}; `--from log` does without") from error


_HISTORIES = {From.LOG: _log, From.POSTGRES: _postgres}


# For a person ------------------------------------------------------------------------------------


def _show(receipt: "Receipt") -> None:

    console = screen()
    good = receipt.outcome in (None, "accepted")
    said = receipt.outcome or "by time: no command asked for it"
    console.print(f"[bold]{receipt.id}[/]  [{'green' if good else 'yellow'}]{said}[/]", end="")
    console.print(f"  rule {receipt.rule}" if receipt.rule is not None else "", markup=False)
    if receipt.detail is not None:
        console.print(f"  {receipt.detail}", markup=False)
    for name, text in _lines(receipt):
        console.print(f"  {name:<10} {text}", markup=False, soft_wrap=True)
    if receipt.before is not None and receipt.after is not None:
        console.print(_sides(receipt.before, receipt.after))
    _verdict(receipt, console)


def _lines(receipt: "Receipt") -> Iterator[tuple[str, str]]:
    import msgspec

    where = receipt.position
    yield "decided", f"{_time(receipt.recorded_at)} by rules {receipt.rules}, for {receipt.tenant_id}"
    yield "position", f"partition={where.partition} offset={where.offset} epoch={where.epoch}, read from {receipt.read_from}"
    if receipt.command is not None:
        given = msgspec.json.decode(receipt.command)
        words = (f"{name}={_word(value)}" for name, value in given.items() if name not in ("op", "tenant_id", "ledger_id"))
        yield "command", f"{given['op']} {' '.join(words)}"
    for config in receipt.configs:
        name = f" {config.name!r}" if config.name is not None else ""
        scope = f"{config.type} of {config.scope} {config.applies_to}"
        yield "config", f"{config.id}{name} version {config.version} ({scope}), since {_time(config.effective_at)}"


def _word(value: Any) -> str:
    import msgspec

    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _sides(before: "Side", after: "Side") -> "Table":
    from rich.table import Table

    table = Table("", "before", "after", box=None, padding=(0, 2))
    rows = [(name, str(getattr(before, name)), str(getattr(after, name))) for name in ("status", "version", "reservations_open")]
    if before.balance is not None and after.balance is not None:
        rows += [(name, str(getattr(before.balance, name)), str(getattr(after.balance, name))) for name in SUMS]
    left = {limit.rule: limit.left for limit in after.limits}
    rows += [(limit.rule, f"{limit.left} of {limit.max}", f"{left.get(limit.rule)} of {limit.max}") for limit in before.limits]
    for name, one, other in rows:
        if one != other or name == "available" or name.startswith("cap."):
            table.add_row(name, one, other, style="bold" if one != other else "dim")
    return table


def _verdict(receipt: "Receipt", console: "Console") -> None:
    chain = receipt.chain
    words = [f"bytes_equal={_yes(receipt.bytes_equal)}", f"digest_matches={_yes(receipt.digest_matches)}"]
    words += [f"chain_holds={_yes(chain.holds)}", f"facts={chain.facts}", f"followed={_yes(chain.followed)}"]
    console.print(f"  {' '.join(words)}", style="green" if receipt.proves else "bold red", markup=False)
    if chain.why is not None:
        console.print(f"  the chain breaks at fact {chain.broken_at}: {chain.why}", markup=False, soft_wrap=True)
    if receipt.why is not None:
        console.print(f"  not decided again: {receipt.why}", markup=False, soft_wrap=True)
    for d in receipt.differences:
        console.print(f"  {d.member}: recorded {_word(d.recorded)}, comes to {_word(d.recomputed)}", markup=False, soft_wrap=True)
    for config in receipt.configs:
        if not config.intact:
            console.print(f"  {config.fact_id}: its bytes are not those that its hash is over", markup=False)
    for said in receipt.taken_from_record:
        console.print(f"  taken from the record: {said}", markup=False, soft_wrap=True)


def _yes(value: bool | None) -> str:
    return "none" if value is None else str(value).lower()


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S") + f".{at_ms % 1000:03}Z"
