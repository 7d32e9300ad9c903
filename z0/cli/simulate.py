"""`z0 simulate`: seeded runs of the whole ledger under faults, judged by an auditor of its own."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from z0.sim.run import Verdict

Seeds = Annotated[int, typer.Option(help="How many seeds to run.", min=1)]
From = Annotated[int, typer.Option("--from", help="The first seed.", min=0)]
Processes = Annotated[int, typer.Option(help="Processes to share the seeds; 0: one for each core.", min=0)]
ShrinkSeconds = Annotated[float, typer.Option(help="How long to look for a shorter history of a failure.", min=0)]
PlanText = Annotated[str | None, typer.Option("--plan", help="Run this plan alone, as a failing report prints it, and tell it.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of lines.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(simulate)


def simulate(
    seeds: Seeds = 100,
    first: From = 0,
    processes: Processes = 0,
    shrink_seconds: ShrinkSeconds = 60.0,
    plan: PlanText = None,
    as_json: AsJson = False,
) -> None:
    """
    Run the same engine, log reader and sinks as a worker, in one process on twins in memory under a virtual clock: random
    commands, crashes between any two effects, lost acks, zombies, rebalances, late deliveries. An auditor of its own, which
    shares no code with the decisions, judges each run from its bytes. Needs no server.

    A failing seed prints the shortest history that still fails, and how to run exactly that again.

    Example: `z0 simulate --seeds 1000`
    """
    if plan is not None:
        _retell(plan)
        return
    import msgspec

    from z0.bench.figures import as_json as to_json
    from z0.bench.figures import lines
    from z0.sim.run import simulate as run

    with _progress(seeds) as progress:
        figures, failed = run(range(first, first + seeds), processes, on_verdict=lambda verdict: progress())
    found = msgspec.structs.asdict(figures)
    typer.echo(to_json(found) if as_json else "\n".join(lines(found)))
    if failed:
        _tell(failed, shrink_seconds)
        raise typer.Exit(1)


def _retell(text: str) -> None:
    """One plan, played and told as it is."""
    from z0.sim.plan import from_text
    from z0.sim.run import judge
    from z0.sim.story import tell

    plan = from_text(text)
    run, _ = judge(plan)
    typer.echo("\n".join(tell(plan, run)))
    if run.violations:
        raise typer.Exit(1)


@contextmanager
def _progress(seeds: int) -> Iterator[Callable[[], None]]:
    """A bar on the terminal, where there is one."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    with Progress("seeds", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("seeds", total=seeds)
        yield lambda: progress.advance(task)


def _tell(failed: Sequence["Verdict"], shrink_seconds: float) -> None:
    """Every seed that failed, in a line; the first one as its shortest history."""
    from z0.sim.planning import plan_of
    from z0.sim.shrink import shrink
    from z0.sim.story import story_of

    for verdict in failed:
        rule, text = verdict.violations[0]
        typer.echo(f"seed {verdict.seed}: {rule}: {text}", err=True)
    first = failed[0]
    shortest = shrink(plan_of(first.seed), first.violations[0].rule, shrink_seconds)
    typer.echo("\n".join(["", "the shortest history found:", *story_of(shortest)]), err=True)
