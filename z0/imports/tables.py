"""Look-up tables of a mapping: small CSV files beside it. Owns: reading them and their checks."""

import csv
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final, NamedTuple

from z0.imports.errors import BadValueError
from z0.imports.mapping import Table

ROWS_MAX: Final = 100_000  # a table is held in memory: at some hundred bytes a row, some tens of megabytes


class LookupTable(NamedTuple):
    """Rows by key; every row has the same columns."""

    name: str
    columns: tuple[str, ...]
    rows: Mapping[str, Mapping[str, str]]

    def cell(self, row: str, column: str) -> str:
        """
        One cell that is not empty.

        Raises:
            BadValueError: there is no such row, or its cell is empty.
        """
        found = self.rows.get(row)
        if found is None:
            raise BadValueError(f"table {self.name} has no row {row!r}")
        if not found[column]:
            raise BadValueError(f"table {self.name}, row {row!r}: {column} is empty")
        return found[column]


def read_table(name: str, spec: Table, folder: Path) -> LookupTable:
    """
    Read a table whole.

    Raises:
        ValueError: with what is wrong, for the list of problems.
    """
    path = folder / spec.file
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            columns = tuple(reader.fieldnames or ())
            if spec.key not in columns:
                raise ValueError(f"{spec.file} has no column {spec.key!r}; it has {', '.join(columns)}")
            return LookupTable(name, columns, _by_key(reader, spec))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{spec.file}: {error}") from None


def _by_key(reader: "csv.DictReader[str]", spec: Table) -> dict[str, Mapping[str, str]]:
    rows: dict[str, Mapping[str, str]] = {}
    for row in reader:
        if None in row or None in row.values():
            raise ValueError(f"{spec.file}, line {reader.line_num}: not as many values as the header has")
        if row[spec.key] in rows:
            raise ValueError(f"{spec.file}, line {reader.line_num}: {row[spec.key]!r} is there twice")
        rows[row[spec.key]] = row
        if len(rows) > ROWS_MAX:
            raise ValueError(f"{spec.file}: more than {ROWS_MAX} rows")
    return rows


def weights(table: LookupTable, column: str | None) -> dict[str, int]:
    """
    Key -> weight.

    Raises:
        ValueError: a weight is no whole number, or all are zero.
    """
    found = {key: row[column] if column else "1" for key, row in table.rows.items()}
    wrong = next((key for key, text in found.items() if not (text.isascii() and text.isdigit())), None)
    if wrong is not None:
        raise ValueError(f"table {table.name}, row {wrong!r}: weight {found[wrong]!r} is no whole number")
    if not any(int(text) for text in found.values()):
        raise ValueError(f"table {table.name}: no weight is above zero")
    return {key: int(text) for key, text in found.items()}


def decimal_of(text: str, what: str) -> Decimal:
    """
    An exact decimal that is not negative.

    Raises:
        BadValueError: it is none.
    """
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise BadValueError(f"{what} is no number: {text!r}") from None
    if not number.is_finite() or number < 0:
        raise BadValueError(f"{what} is no price: {text!r}")
    return number
