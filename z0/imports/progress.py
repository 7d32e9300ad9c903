"""
What a person sees while an import runs. Owns: the bar on a terminal, a line now and then elsewhere. It only reads the tally.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from z0.imports.tally import Tally

REFRESH_S: Final = 0.2
PLAIN_EVERY_S: Final = 5.0


@asynccontextmanager
async def shown(tallies: Mapping[str, Tally], console: Console | None) -> AsyncIterator[None]:
    """Show imports by name until the block ends; without a console, nothing."""
    if console is None:
        yield
        return
    task = asyncio.create_task(_bars(tallies, console) if console.is_terminal else _lines(tallies, console))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _bars(tallies: Mapping[str, Tally], console: Console) -> None:
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} rows  {task.fields[rates]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        tasks = {name: progress.add_task(escape(name), total=0, rates="") for name in tallies}
        waits = Waits(tallies, console)
        while True:
            waits.say()
            for name, tally in tallies.items():
                progress.update(tasks[name], total=tally.rows_total, completed=tally.rows, rates=rates(tally))
            await asyncio.sleep(REFRESH_S)


async def _lines(tallies: Mapping[str, Tally], console: Console) -> None:
    waits, shown_at = Waits(tallies, console), time.monotonic()
    while True:
        await asyncio.sleep(REFRESH_S)
        waits.say()
        if time.monotonic() - shown_at < PLAIN_EVERY_S:
            continue
        shown_at = time.monotonic()
        for name, tally in tallies.items():
            console.print(f"{name}: {tally.rows:,}/{tally.rows_total:,} rows, {rates(tally)}", markup=False, soft_wrap=True)


class Waits:
    """Says once why an import waits: a server that is not there should be seen at once, and not when it is given up."""

    def __init__(self, tallies: Mapping[str, Tally], console: Console) -> None:
        self._tallies = tallies
        self._console = console
        self._waiting: set[str] = set()

    def say(self) -> None:
        """Whatever began to wait since the last time."""
        for name, tally in self._tallies.items():
            if tally.waits_for is None:
                self._waiting.discard(name)
            elif name not in self._waiting:
                self._waiting.add(name)
                text = f"{name}: waiting, and trying again for as long as --retry-s says: {tally.waits_for}"
                self._console.print(text, markup=False, soft_wrap=True)


def rates(tally: Tally) -> str:
    """The numbers beside the bar."""
    text = f"{tally.rows / tally.seconds:,.0f} rows/s  {tally.decisions / tally.seconds:,.0f} decisions/s"
    text += f"  {tally.refused:,} refused  {tally.bad_rows:,} bad rows"
    return text + (f"  {tally.retries:,} retries" if tally.retries else "")
