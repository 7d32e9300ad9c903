"""
`z0 up`, `down`, `status`, `restart`, `logs`, `kafka-tool`. Owns: their words and what they show.

Does not own: doing it (`z0.stack`). Rooms are imported when a command runs, so that `z0 --help` is fast.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from z0.cli.screen import screen

if TYPE_CHECKING:
    from z0.stack import ProgramStatus, Report

Name = Annotated[str, typer.Argument(help="A program, as `z0 status` names it.", show_default=False)]
Lines = Annotated[int, typer.Option("-n", "--lines", min=1, help="How many lines from the end.")]
Tool = Annotated[str, typer.Argument(help="The tool's class.", show_default=False)]
PASS_ALL_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
COLOURS = {"ready": "green", "given": "green", "starting": "yellow", "stopped": "dim"}


def register(app: typer.Typer) -> None:
    """Add the stack's commands."""
    for command in (up, down, status, restart, logs):
        app.command()(command)
    # no --help of its own behind the tool's name: there it belongs to the tool
    app.command(name="kafka-tool", context_settings={**PASS_ALL_ON, "help_option_names": []})(kafka_tool)


def up(
    servers: Annotated[bool, typer.Option("--servers", help="Only Kafka, Postgres, ClickHouse and S3.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, max=16, help="Workers that share the partitions.", show_default="Z0_WORKERS")
    ] = None,
) -> None:
    """
    Start the local stack, and wait until every part answers.

    What already runs is left alone; what is missing is started. A server whose address is given
    (`Z0_KAFKA`, `Z0_POSTGRES`, `Z0_CLICKHOUSE`, `Z0_S3`) is used and not started.

    Examples: `z0 up`, `z0 up --servers`, `z0 up --workers 2`, `Z0_POSTGRES_PORT=25432 z0 up`
    """
    from z0 import config, stack

    settings = config.from_env()
    if workers is not None:
        settings = settings.model_copy(update={"workers": workers})
    with _progress() as report:
        stack.up(settings, servers_only=servers, report=report)


def down() -> None:
    """
    Stop everything that `z0 up` started. The data stays; delete the folder `Z0_HOME` (`.z0`) to start afresh.

    Example: `z0 down`
    """
    from z0 import config, stack

    with _progress() as report:
        stack.down(config.from_env(), report)


def status(as_json: Annotated[bool, typer.Option("--json", help="For programs: a JSON array.")] = False) -> None:
    """
    Show what runs, where, since when, and how much memory it takes.

    The exit code is 1 if something that should run does not, or if nothing was started.

    Examples: `z0 status`, `z0 status --json`
    """
    from z0 import config, stack

    programs = stack.status(config.from_env())
    if as_json:
        typer.echo(json.dumps([asdict(program) for program in programs], indent=2))
    else:
        _show(programs)
    if not all(program.fine for program in programs) or not any(program.wanted for program in programs):
        raise typer.Exit(1)


def restart(name: Name) -> None:
    """
    Stop one program, start it again, and wait until it answers.

    Example: `z0 restart worker`
    """
    from z0 import config, stack

    with _progress() as report:
        stack.restart(config.from_env(), name, report)


def logs(name: Name, lines: Lines = 50) -> None:
    """
    Show the end of a program's log. `migrate` and `supervisord` have one too.

    Examples: `z0 logs worker`, `z0 logs kafka -n 200`
    """
    from z0 import config, stack

    typer.echo("\n".join(stack.log(config.from_env(), name, lines)))


def kafka_tool(context: typer.Context, tool: Tool) -> None:
    """
    Run one of Kafka's console tools, by the name of its class, with the arguments that follow.

    A name that is none is answered with all that there are.

    Example: `z0 kafka-tool ConsoleConsumer --bootstrap-server 127.0.0.1:19092 --topic z0.facts --from-beginning`
    """
    import os

    if tool in ("--help", "-h"):
        typer.echo(context.get_help())
        return
    from z0 import config
    from z0.stack import kafka

    command = kafka.tool_command(config.from_env(), tool)
    os.execv(command[0], [*command, *context.args])  # noqa: S606 - it becomes the tool, no shell in between


@contextmanager
def _progress() -> Iterator["Report"]:
    """A line for each thing that is done; what is under way turns at the bottom."""
    console = Console(highlight=False)
    under_way: dict[str, str] = {}
    with console.status("") as turning:

        def report(name: str, what: str) -> None:
            if what.startswith(("starting", "stopping", "fetching", "formatting", "creating")):
                under_way[name] = what
            else:
                under_way.pop(name, None)
                console.print(f"[green]✓[/] [bold]{name:<16}[/] {escape(what)}", soft_wrap=True)
            turning.update(escape(", ".join(f"{name}: {what}" for name, what in under_way.items())))
            if not console.is_terminal and name in under_way:
                console.print(f"  {name:<16} {escape(what)}", soft_wrap=True)

        yield report


def _show(programs: Sequence["ProgramStatus"]) -> None:
    # addresses are to be copied: folded where the window is narrow, never cut off
    name, address = Column("program", no_wrap=True, min_width=15), Column("address", overflow="fold")
    table = Table(name, "state", address, "pid", "uptime", "memory", box=None, pad_edge=False)
    for program in programs:
        colour = COLOURS.get(program.state, "red") if program.fine else "red"
        state = f"[{colour}]{program.state}[/]"
        pid = str(program.pid or "")
        table.add_row(program.name, state, escape(program.address), pid, _time(program.uptime_s), _memory(program.memory_bytes))
    console = screen()
    console.print(table)
    if not any(program.wanted for program in programs):
        console.print("\nNothing was started; start it with `z0 up`.")


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"


def _memory(size: int | None) -> str:
    return f"{size / 1024**2:,.0f} MB" if size else ""
