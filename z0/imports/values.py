"""
Values of one column. Owns: what a text, a count and an amount may look like. Floats are refused: they are not exact.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Final, Literal

from z0.domain.money import format_amount, parse_amount
from z0.imports.errors import BadValueError
from z0.imports.template import Value

ColumnType = Literal["text", "count", "amount"]
COUNT_DIGITS_MAX: Final = 18  # quantities stay far inside what a price is multiplied with exactly


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | float) or not isinstance(value, int | Decimal):
        raise BadValueError(f"is {type(value).__name__}, not text")
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _count(value: object) -> int:
    text = _text(value).strip()
    if text.startswith("-") and text[1:].isdigit():
        raise BadValueError(f"is negative: {text}")
    if not (text.isascii() and text.isdigit() and len(text) <= COUNT_DIGITS_MAX):
        raise BadValueError(f"is no whole number: {text!r}")
    return int(text)


def _amount(value: object) -> str:
    if isinstance(value, float):
        raise BadValueError(f"is a binary float ({value!r}), which is not exact; give a decimal string")
    text = _text(value).strip()
    units = parse_amount(text)
    if units is None:
        raise BadValueError(f"is no amount (plain decimal, not negative, at most 12 decimals): {text!r}")
    return format_amount(units)


READERS: Final[dict[ColumnType, Callable[[object], Value]]] = {"text": _text, "count": _count, "amount": _amount}


def read(value: object, kind: ColumnType, column: str) -> Value:
    """
    The value of a column.

    Raises:
        BadValueError: it does not have the form.
    """
    try:
        return READERS[kind](value)
    except BadValueError as problem:
        raise BadValueError(f"column {column}: {problem}") from None
