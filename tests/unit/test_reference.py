"""The reference pages say what the code says."""

import inspect
import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import typer
from msgspec import Raw
from typer.testing import CliRunner

from api.errors import Code, status_of_code
from tests.unit.test_log_world import Bench, add, create, deduct, note, reserve
from z0.cli.reference import register
from z0.codec import encode_command
from z0.config import fields, variable
from z0.domain import config
from z0.domain.commands import Command
from z0.domain.config import SETTINGS
from z0.domain.config_rules import read_settings
from z0.domain.deltas import _DELTAS
from z0.domain.outcome import Outcome
from z0.reference import FOLDER, pages, stale
from z0.reference import limits as page_of_limits
from z0.reference.configs import EXAMPLES, _inner
from z0.reference.facts import CHANGES

ROOT = Path(__file__).parents[2]


def schema(name: str) -> dict[str, Any]:
    """A schema page as data."""
    found: dict[str, Any] = json.loads(pages()[name])
    return found


def test_every_page_is_up_to_date() -> None:
    """Run `z0 reference` after a change of outcomes, settings, topics, commands or facts."""
    assert stale(ROOT / FOLDER) == []


def test_every_outcome_and_every_setting_is_on_its_page_in_order() -> None:
    """The order of outcomes is their precedence."""
    places = [pages()["outcomes.md"].index(f"| `{outcome}` |") for outcome in Outcome]
    assert places == sorted(places)
    assert all(f"`{variable(name)}`" in pages()["settings.md"] for name in fields())


def test_every_code_that_only_the_http_api_has_is_on_the_page_of_outcomes() -> None:
    """A client that meets one looks there."""
    rows = [f"| `{code}` | {status_of_code(code)} |" for code in Code]
    assert [row for row in rows if row not in pages()["outcomes.md"]] == []


def test_every_fact_that_moves_money_is_on_the_page_of_facts() -> None:
    """With the sums that it changes."""
    assert set(_DELTAS) <= set(CHANGES)
    assert "| `spent` +, `reserved` - `held` |" in pages()["facts.md"]


def test_every_field_of_every_config_is_on_the_page_with_words_and_an_example_that_is_taken() -> None:
    """A type, a field or a bound that is added must be explained."""
    text = pages()["configs.md"]
    for kind, of in SETTINGS.items():
        assert f"## {kind}" in text
        section = text.partition(f"## {kind}\n")[2].partition("\n## ")[0]
        for struct in (of, *_inner(of)):
            for field in msgspec.structs.fields(struct):
                row = next(line for line in section.splitlines() if line.startswith(f"| `{field.name}` |"))
                assert row.removesuffix(" |").rpartition(" | ")[2], row
        assert isinstance(read_settings(kind, Raw(msgspec.json.encode(EXAMPLES[kind]))), of)
    bounds = [name for name in vars(config) if name.endswith("_MAX") and name.isupper() and name != "TTL_MS_MAX"]
    assert [name for name in bounds if f"configs.{name}" not in inspect.getsource(page_of_limits)] == []


COMMANDS: list[Command] = [create(subtype="shop"), add("a1", "100.5"), deduct("d1"), reserve("r1", ttl_ms=5), note("n1")]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_is_taken_fits_the_published_schema(command: Command) -> None:
    """So that a producer in another language may rely on it."""
    jsonschema.validate(json.loads(encode_command(command)), schema("command.schema.json"))


@pytest.mark.parametrize(
    "change",
    [{"amount": 5}, {"amount": "1e3"}, {"amount": "-1"}, {"amout": "5"}, {"op": "launch"}, {"timestamp": -1}, {"data": []}],
)
def test_a_command_that_is_refused_for_its_form_does_not_fit_the_schema(change: dict[str, Any]) -> None:
    """A misspelt field, a number for an amount, an exponent."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(encode_command(COMMANDS[1])) | change, schema("command.schema.json"))


def test_facts_and_claims_of_the_log_fit_the_published_schemas() -> None:
    """Every kind that a few commands leave, and members of a later version."""
    bench = Bench()
    bench.decide(*COMMANDS, deduct("too-much", "500"))
    jsonschema.validate(json.loads(bench.records[0].value), schema("claim.schema.json"))
    for record in bench.records[1:]:
        jsonschema.validate(json.loads(record.value) | {"later": 1}, schema("fact.schema.json"))


def test_the_command_writes_the_pages_and_the_check_tells_when_one_is_behind(tmp_path: Path) -> None:
    """Exit code 1 for the build."""
    app = typer.Typer()
    register(app)
    run = CliRunner()
    assert run.invoke(app, ["--check", "--folder", str(tmp_path)]).exit_code == 1
    assert run.invoke(app, ["--folder", str(tmp_path)]).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(pages())
    assert run.invoke(app, ["--check", "--folder", str(tmp_path)]).exit_code == 0
    (tmp_path / "outcomes.md").write_text("old")
    result = run.invoke(app, ["--check", "--folder", str(tmp_path)])
    assert (result.exit_code, "outcomes.md is not up to date" in result.output) == (1, True)
