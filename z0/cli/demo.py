"""`z0 demo`: the stack up, the demo, the stack down. Owns: that frame and the exit code. Does not own: the demo (`z0.demo`)."""

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from z0.cli.screen import screen
from z0.cli.servers import ledger_of

if TYPE_CHECKING:
    from z0.client import Ledger
    from z0.config import Config
    from z0.demo.report import Result
    from z0.stack import Report

INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    leave: Annotated[bool, typer.Option("--exit", help="Stop the stack at the end instead of waiting for Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
    rows: Annotated[int | None, typer.Option(min=1, help="Only so many rows of the trace.")] = None,
    run_id: Annotated[
        str | None, typer.Option("--run", help="Repeat this run: everything is answered as repeated. Else a new one.")
    ] = None,
) -> None:
    """
    A real hour of LLM requests through both doors, and proof that nothing was lost or doubled.

    Starts the stack, makes three tenants, imports the trace, prints what came of it and checks it. The stack stays until
    Ctrl-C. Exit code 1: a check failed.

    Examples: `z0 demo`, `z0 demo --exit`, `z0 demo --rows 2000 --json`
    """
    from z0 import stack
    from z0.config import from_env

    config, console = from_env(), screen(stderr=as_json)
    report = _reporter(console)
    result, interrupted = None, False
    try:
        stack.up(config, servers_only=False, report=report)
        result = asyncio.run(_play(config, run_id or time.strftime("%m%d-%H%M%S"), rows, console))
        _show(result, config, console, as_json=as_json, stops=leave)
        if not leave:
            console.print("\nThe stack stays up until Ctrl-C.")
            threading.Event().wait()
    except KeyboardInterrupt:
        interrupted = result is None
    finally:
        stack.down(config, report)
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    if result is None or not result.ok:
        raise typer.Exit(1)


class CommandLineOperator:
    """What `z0 tenant create` and `z0 key create` do, on one connection."""

    def __init__(self, ledger: "Ledger") -> None:
        self._ledger = ledger

    async def tenant(self, name: str) -> None:
        from z0.cli.tenants import create_tenant

        await create_tenant(self._ledger, name)

    async def key(self, tenant_name: str) -> str:
        from api.keys import KeyRecord, Mode, Scope
        from z0.cli.tenants import create_key

        wanted = KeyRecord(hash="", mode=Mode.TEST, scopes=[Scope.READ, Scope.WRITE], name="demo")
        return (await create_key(self._ledger, tenant_name, wanted)).key


async def _play(config: "Config", run_id: str, rows: int | None, console: Console) -> "Result":
    from z0.demo.run import run

    async with ledger_of(config) as ledger:
        return await run(config, CommandLineOperator(ledger), run_id=run_id, rows=rows, console=console)


def _show(result: "Result", config: "Config", console: Console, *, as_json: bool, stops: bool) -> None:
    from z0.demo.report import as_json as plain
    from z0.demo.report import show

    if as_json:
        typer.echo(json.dumps(plain(result), indent=2))
    else:
        show(result, config, console, stops=stops)


def _reporter(console: Console) -> "Report":
    def report(name: str, what: str) -> None:
        console.print(f"  {name:<16} {what}", markup=False, soft_wrap=True)

    return report
