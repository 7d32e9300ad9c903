"""What a person is told after the demo."""

import io

import pytest
from rich.console import Console

from tests.unit.test_demo_checks import SUMS, WORLD
from z0.config import Config
from z0.demo.checks import Copies
from z0.demo.flow import Book, Flow
from z0.demo.report import Result, show
from z0.imports.tally import Tally


def told(*, stops: bool) -> list[str]:
    """The lines of what to look at next."""
    flow, console = Flow(Tally(), Tally(), Book(), 1.0), Console(file=io.StringIO(), width=200)
    keys = dict.fromkeys(WORLD.tenants, "key")
    result = Result(WORLD, keys, flow, Copies({"log": 5}, 1.0), {"ledger": {"USD": SUMS}}, [], [])
    show(result, Config(), console, stops=stops)
    assert isinstance(console.file, io.StringIO)
    return [line.strip() for line in console.file.getvalue().partition("Look at next")[2].strip().splitlines()]


@pytest.mark.parametrize("stops", [True, False])
def test_who_had_the_stack_stopped_is_told_to_start_it_before_looking(stops: bool) -> None:
    """Of the commands that were shown, nearly all answered that nothing listens there."""
    first, *others = told(stops=stops)
    assert first.startswith("the stack          z0 up") if stops else first.startswith("the API")
    assert any("z0 verify" in line for line in others)
