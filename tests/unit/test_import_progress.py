"""What a person sees while an import waits."""

import io

from rich.console import Console

from tests.waiting import until
from z0.imports.progress import shown
from z0.imports.tally import Tally


async def test_a_server_that_is_not_there_is_said_at_once_and_once() -> None:
    """And not when it is given up, three minutes later."""
    said, tally = io.StringIO(), Tally()

    async def text() -> str:
        return said.getvalue()

    async with shown({"file.csv": tally}, Console(file=said, width=200)):
        tally.retried("the API does not answer")
        await until(text, "it is said")
        tally.retried("the API does not answer yet")
    assert said.getvalue() == ("file.csv: waiting, and trying again for as long as --retry-s says: the API does not answer\n")
