"""Mapping files: every problem at once, and the exact value of every function."""

import csv
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from z0.imports.build import Builder, RowCommands
from z0.imports.errors import MappingError
from z0.imports.load import Loaded, load
from z0.imports.sources import BadRow, Row

LLM = Path(__file__).parents[2] / "examples" / "llm"
RESERVE = {"op": "reserve", "tenant_id": "tenant_t", "ledger_id": "account_acct_1", "amount": "{a}", "currency": "USD"}


def written(folder: Path, **changes: Any) -> Path:
    """A mapping of one command, changed."""
    mapping = {
        "version": 1,
        "fields": {"a": {"column": "A", "type": "amount"}},
        "commands": [{"step": "reserve", "body": RESERVE}],
    }
    path = folder / "mapping.yaml"
    path.write_text(yaml.safe_dump(mapping | changes, sort_keys=False))
    return path


def built(loaded: Loaded, line: int = 2, **row: object) -> RowCommands:
    """The commands of one row."""
    commands = Builder(loaded, file_sha8="0123abcd").build(Row(line, row))
    assert isinstance(commands, RowCommands), commands
    return commands


def reason(loaded: Loaded, **row: object) -> str:
    """Why a row is bad."""
    bad = Builder(loaded, file_sha8="0123abcd").build(Row(2, row))
    assert isinstance(bad, BadRow), bad
    return bad.reason


def test_the_shipped_mapping_loads() -> None:
    """It is what the demo runs."""
    assert [command.step for command in load(LLM / "mapping.yaml").spec.commands] == ["reserve", "invoke", "confirm"]


def test_all_problems_at_once(tmp_path: Path) -> None:
    """Whoever corrects a mapping sees everything in one go."""
    path = written(
        tmp_path,
        tables={"t": {"file": "missing.csv", "key": "k"}},
        time={"column": "T", "zone": "Mars/Olympus"},
        id="{file_sha8}-{line}",
        fields={"a": {"template": "{nobody}"}, "b": {"pick": {}}, "c": {"lookup": {"table": "u", "row": "z", "column": "x"}}},
        commands=[
            {"step": "one", "body": RESERVE | {"op": "resrve"}},
            {"step": "two", "needs": ["three"], "body": RESERVE | {"amuont": "1"}},
            {"step": "two", "body": {"op": "confirm", "id": "x"}},
        ],
    )
    with pytest.raises(MappingError) as caught:
        load(path)
    text = "\n".join(caught.value.problems)
    for part in (
        "tables.t: missing.csv",
        "Mars/Olympus",
        "id: needs {step}",
        "fields.a: 'nobody' is not known here",
        "fields.b: pick needs either values or table",
        "fields.c: there is no table 'u'",
        "commands.one: op 'resrve'",
        "commands.two: needs 'three'",
        "commands.two: reserve has no field 'amuont'",
        "commands.two: the step is there twice",
        "commands.two: confirm needs reservation_id",
        "the id is made by",
    ):
        assert part in text, part


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"constants": {"price": 0.1}}, "constants.price"),
        ({"fields": {"a": {"colunm": "A"}}}, "a field is one of"),
        ({"versoin": 1}, "versoin"),
        ({"commands": []}, "commands"),
    ],
    ids=["float constant", "unknown function", "unknown word", "no commands"],
)
def test_wrong_words(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    """A misspelt word is an error, and no float gets in."""
    with pytest.raises(MappingError, match=expected):
        load(written(tmp_path, **changes))


def test_constants_are_replaced_by_type(tmp_path: Path) -> None:
    """`--set` knows what is a number and what does not exist."""
    path = written(tmp_path, constants={"n": 1, "s": "x"})
    assert load(path, {"n": "7", "s": "y"}).spec.constants == {"n": 7, "s": "y"}
    with pytest.raises(MappingError, match="no whole number"):
        load(path, {"n": "seven"})
    with pytest.raises(MappingError, match="no such constant"):
        load(path, {"m": "1"})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "column A: is empty or missing"),
        ("-1", "column A: is no amount"),
        ("1e3", "column A: is no amount"),
        ("0.0000000000001", "column A: is no amount"),
        (0.1, "binary float"),
        ("0", "bad_amount"),
    ],
)
def test_bad_amounts_name_the_column(tmp_path: Path, value: object, expected: str) -> None:
    """A person can find what is wrong with a row."""
    assert expected in reason(load(written(tmp_path)), A=value)


@pytest.mark.parametrize(
    ("value", "expected"), [("-5", "is negative: -5"), ("1.5", "is no whole number"), ("x", "is no whole number")]
)
def test_bad_counts(tmp_path: Path, value: str, expected: str) -> None:
    """Tokens are whole and not negative."""
    assert expected in reason(load(written(tmp_path, fields={"a": {"column": "A", "type": "count"}})), A=value)


def test_a_price_is_rounded_half_even_once(tmp_path: Path) -> None:
    """Two terms of half a unit are one unit: summed exactly, then rounded; a single half goes to the even neighbour."""
    (tmp_path / "p.csv").write_text("m,in,out\nhalf,0.0000000000005,0.0000000000005\nmore,0.0000000000015,0\n")
    price = {"table": "p", "row": "m", "terms": [{"price": "in", "times": "n"}, {"price": "out", "times": 1}]}
    fields = {"m": {"column": "M"}, "n": {"column": "N", "type": "count"}, "a": {"price": price}}
    loaded = load(written(tmp_path, tables={"p": {"file": "p.csv", "key": "m"}}, fields=fields))
    amounts = [built(loaded, M=m, N=n).steps[0].command.amount for m, n in (("half", "1"), ("half", "2"), ("more", "1"))]  # type: ignore[union-attr]
    assert amounts == ["0.000000000001", "0.000000000002", "0.000000000002"]
    assert reason(loaded, M="none", N="1") == "table p has no row 'none'"


def test_the_demo_prices_exactly() -> None:
    """Against plain Decimal arithmetic on the shipped price list, also for prices finer than 1e-12."""
    loaded = load(LLM / "mapping.yaml")
    with (LLM / "prices.csv").open(newline="") as file:
        prices = {row["model"]: row for row in csv.DictReader(file)}
    for line in range(2, 400):
        row = built(loaded, line, TIMESTAMP="2026-01-01 00:00:00", ContextTokens="397", GeneratedTokens="113")
        invocation = msgspec.json.decode(row.steps[1].value)
        price = prices[invocation["data"]["model"]]
        rate = Decimal("0.92") if invocation["currency"] == "EUR" else Decimal(1)
        exact = (Decimal(price["input_cost_per_token"]) * 397 + Decimal(price["output_cost_per_token"]) * 113) * rate
        assert Decimal(invocation["amount"]) == exact.quantize(Decimal("1e-12"), ROUND_HALF_EVEN)


def test_picks_depend_on_the_line_only(tmp_path: Path) -> None:
    """The same in every run and whatever the rows before were; weights hold on the whole."""
    fields = {"a": {"pick": {"values": {"1": 3, "2": 1}}}}
    loaded = load(written(tmp_path, fields=fields))
    first = [built(loaded, line).steps[0].command.amount for line in range(4000)]  # type: ignore[union-attr]
    again = [built(loaded, line).steps[0].command.amount for line in reversed(range(4000))]  # type: ignore[union-attr]
    assert first == again[::-1]
    assert 2900 < first.count("1") < 3100


def test_ids_levels_and_times(tmp_path: Path) -> None:
    """Ids follow from file and line; a step can name another's id; the row's time is every command's."""
    confirm = {"op": "confirm", "tenant_id": "tenant_t", "ledger_id": "account_acct_1", "reservation_id": "{reserve.id}"}
    commands = [{"step": "reserve", "body": RESERVE}, {"step": "confirm", "needs": ["reserve"], "body": confirm}]
    loaded = load(written(tmp_path, time={"column": "T", "zone": "UTC"}, commands=commands))
    reserve, settle = built(loaded, 7, A="1", T="2023-11-16 18:15:46.6805900").steps
    assert (reserve.command.id, settle.command.id) == ("0123abcd-7/reserve", "0123abcd-7/confirm")
    assert settle.command.reservation_id == reserve.command.id  # type: ignore[union-attr]
    assert (reserve.level, settle.level) == (0, 1)
    assert reserve.command.timestamp == settle.command.timestamp == 1_700_158_546_680
