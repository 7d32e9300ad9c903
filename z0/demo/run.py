"""The demo from start to end. Owns: the order. Starting and stopping the stack is the command line's (`z0.cli.demo`)."""

from rich.console import Console

from z0.config import Config
from z0.demo.checks import caught_up, check_all
from z0.demo.flow import process
from z0.demo.http import Api
from z0.demo.money import everywhere, spending
from z0.demo.report import Result
from z0.demo.setup import Operator, make
from z0.demo.world import read_world


async def run(config: Config, operator: Operator, *, run_id: str, rows: int | None, console: Console | None) -> Result:
    """
    Play the demo on a stack that is up; the result says whether every check holds.

    Raises:
        Z0Error: it could not be played to the end.
    """
    world = read_world(run_id)
    async with Api(config.api_url) as api:
        await api.ready()
        _say(
            console,
            f"run {run_id}: {len(world.tenants)} tenants, {len(world.accounts)} accounts, {len(world.assets)} models each",
        )
        keys = await make(world, operator, api)
        _say(console, "importing the trace through both doors at once")
        flow = await process(config, world, keys, rows=rows, console=console)
        _say(console, f"{flow.decisions:,} decisions in {flow.seconds:.1f} s; waiting until every store has every fact")
        copies = await caught_up(config)
        money = await everywhere(config, world, keys, api)
        checks = check_all(world, flow, copies, money)
        return Result(world, keys, flow, copies, money, await spending(config, world), checks)


def _say(console: Console | None, text: str) -> None:
    if console is not None:
        console.print(text, highlight=False)
