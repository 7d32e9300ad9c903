"""`z0 reconcile`: its options, output and exit codes. Does not own: the comparison (`sinks.postgres.reconcile`)."""

import asyncio
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from z0.cli.servers import check
from z0.names import FACTS

if TYPE_CHECKING:
    from sinks.postgres.reconcile import Finding, Piece


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reconcile")(reconcile)


def reconcile(
    wait_s: Annotated[float, typer.Option(min=0, help="Seconds to wait until Postgres has what the log has.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object at the end, with every finding.")] = False,
) -> None:
    """
    Compare every proof of a fact on another ledger, which its own partition could not check, with that fact in Postgres.

    All facts that are in the log at the call are compared, as soon as Postgres has them. Exit code 0: all fit; 1: there are
    findings, or Postgres was too far behind to tell: it did not have so many records in time (`behind`), or may still get so
    many named facts (`waiting`).

    Examples: `z0 reconcile`, `z0 reconcile --wait-s 120 --json`
    """
    from sinks.counts import log_ends
    from sinks.postgres.reconcile import Reconciliation, run
    from z0.config import from_env

    config = from_env()
    asyncio.run(check(config, FACTS))
    checked = waiting = count = 0
    found: list[dict[str, Any]] = []
    with Reconciliation(config.postgres_url).opened() as reconciliation:
        total, behind, pieces = run(reconciliation, lambda: asyncio.run(log_ends(config)), wait_s=wait_s)
        for piece in _shown(pieces, total):
            for finding in piece.findings:
                if as_json:
                    found.append(finding._asdict())
                else:
                    typer.echo(line_of(finding))  # at once: there may be many
            checked, count, waiting = checked + piece.checked, count + len(piece.findings), waiting + piece.waiting
    summary = {"checked": checked, "findings": count, "waiting": waiting, "behind": behind}
    if as_json:
        typer.echo(json.dumps(summary | {"found": found}))
    else:
        typer.echo(" ".join(f"{name}={value}" for name, value in summary.items()))
    raise typer.Exit(1 if count or waiting or behind else 0)


def line_of(finding: "Finding") -> str:
    """A finding on one line."""
    return " ".join(f"{name}={value if value is not None else ''}" for name, value in finding._asdict().items())


def _shown(pieces: Iterator["Piece"], total: int) -> Iterator["Piece"]:
    """A bar on a terminal's other stream; nothing where there is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("comparing", total=total)
        for piece in pieces:
            yield piece
            progress.advance(task, piece.checked)
