"""
The mapping file as a typed value. Owns: its words. Does not own: checks across them (`load`), evaluation (`fields`, `build`).

The set of functions is closed (column, template, pick, lookup, price), so that a mapping stays data that can be read.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PositiveInt, StrictInt, StrictStr, Tag

from z0.imports.values import ColumnType

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Constant = StrictStr | StrictInt  # no floats, no booleans: what is written is what is sent


class Part(BaseModel):
    """A part of a mapping: frozen, and a misspelt word is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Part):
    """How to read the file; what is absent is told by its name."""

    format: Literal["csv", "jsonl", "parquet"] | None = None
    delimiter: str = Field(",", min_length=1, max_length=1)


class Time(Part):
    """Where a row's event time stands."""

    column: str
    format: str = "iso"  # iso, unix_s, unix_ms, or a pattern of strptime
    zone: str | None = None  # of times that name none
    shift: Literal["none", "ends_now"] = "none"


class Table(Part):
    """A CSV file beside the mapping, looked up by one of its columns."""

    file: str
    key: str


class Column(Part):
    """The value of a column of the row."""

    column: str
    type: ColumnType = "text"
    default: Constant | None = None  # for an empty or missing value; without it such a row is bad


class TemplateText(Part):
    """Text with names in braces."""

    template: str


class PickFrom(Part):
    """One of several values, by the hash of the row's number: the same in every run, about as often as its weight says."""

    values: dict[str, PositiveInt] | None = None
    table: str | None = None
    weight: str | None = None  # column of the table; absent: all alike
    seed: str | None = None  # absent: the field's name


class Pick(Part):
    """See `PickFrom`."""

    pick: PickFrom


class LookupIn(Part):
    """A column of the table row that a field names."""

    table: str
    row: Name
    column: str
    type: ColumnType = "text"


class Lookup(Part):
    """See `LookupIn`."""

    lookup: LookupIn


class Term(Part):
    """One summand of a price: a price column times a quantity (a field, a constant or a number)."""

    price: str
    times: Name | PositiveInt


class PriceOf(Part):
    """The sum of its terms, times a rate where given, rounded half-even at 1e-12 once, at the end."""

    table: str
    row: Name
    terms: list[Term] = Field(min_length=1)
    rate: Name | None = None


class Price(Part):
    """See `PriceOf`."""

    price: PriceOf


def _kind(value: Any) -> str | None:
    """Which function a field uses, so that a mistake is reported once and not once per function."""
    if isinstance(value, Part):
        return type(value).__name__
    words = {"column": "Column", "template": "TemplateText", "pick": "Pick", "lookup": "Lookup", "price": "Price"}
    found = [kind for word, kind in words.items() if isinstance(value, dict) and word in value]
    return found[0] if found else None


FieldSpec = Annotated[
    Annotated[Column, Tag("Column")]
    | Annotated[TemplateText, Tag("TemplateText")]
    | Annotated[Pick, Tag("Pick")]
    | Annotated[Lookup, Tag("Lookup")]
    | Annotated[Price, Tag("Price")],
    Discriminator(
        _kind,
        custom_error_type="no_such_function",
        custom_error_message="a field is one of column, template, pick, lookup, price",
    ),
]


class CommandSpec(Part):
    """One command of every row; strings in `body` are templates."""

    step: Annotated[str, Field(pattern=r"^[a-z][a-z0-9\-]*$")]
    needs: list[str] = []  # steps that must be accepted first, where the door can wait for them
    body: dict[str, Any]


class Mapping(Part):
    """A whole mapping file."""

    version: Literal[1]
    about: str = ""
    source: Source = Source()
    time: Time | None = None
    constants: dict[Name, Constant] = {}
    tables: dict[Name, Table] = {}
    fields: dict[Name, FieldSpec] = {}
    id: str = "{file_sha8}-{line}/{step}"
    commands: list[CommandSpec] = Field(min_length=1)
