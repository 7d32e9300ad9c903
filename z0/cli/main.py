"""The `z0` command: puts the groups together and turns faults into one clear message and exit code 1."""

import logging
import sys
from importlib.metadata import version
from typing import Annotated

import typer
from rich.console import Console

from z0 import compiled
from z0.cli import api, bench, configs, demo, explain, imports, reconcile, reference, run, simulate, sinks, stack, tenants
from z0.cli.servers import told

SERVERS = {"worker", "api", "sink"}  # their logs are for those who look for a reason

app = typer.Typer(
    name="z0",
    help="An economic ledger on Kafka: budgets decided in milliseconds, every decision a fact.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"z0 {version('z0')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """What is said before a command; the help text is the app's."""


stack.register(app)
run.register(app)
bench.register(app)
sinks.register(app)
api.register(app)
tenants.register(app)
configs.register(app)
imports.register(app)
demo.register(app)
simulate.register(app)
reference.register(app)
reconcile.register(app)
explain.register(app)


def main() -> None:
    """Run the command line; a fault is its message and exit code 1, and only what is a bug of z0 comes as a traceback."""
    if modules := compiled.stale():
        Console(stderr=True).print(f"[bold red]error:[/] compiled before their last change: {', '.join(modules)}; run `make env`")
        sys.exit(1)
    if not set(sys.argv[1:2]) & SERVERS:  # elsewhere what it would say comes as our own error, with what to do
        logging.getLogger("aiokafka").propagate = False
    try:
        app()
    except Exception as error:
        text = told(error)
        if text is None:
            raise
        console = Console(stderr=True)
        console.print("[bold red]error:[/] ", end="")
        console.print(text, markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
