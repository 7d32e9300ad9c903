"""
Computed fields. Owns: what each function of the mapping comes to on one row. Pure: a row and its number in, a value out.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from hashlib import blake2b
from itertools import accumulate
from typing import NamedTuple

from z0.domain.money import format_amount, price_times
from z0.imports.errors import BadValueError
from z0.imports.mapping import Column, FieldSpec, LookupIn, Pick, Price, PriceOf, TemplateText, Term
from z0.imports.tables import LookupTable, decimal_of, weights
from z0.imports.template import Value, parse
from z0.imports.values import read

# Wide enough that every product and sum is exact before the one rounding in `price_times`.
_WIDE = Context(prec=120, rounding=ROUND_HALF_EVEN)


class Scope(NamedTuple):
    """What a field may look at: the row as it was read, and the names that are known so far."""

    line: int
    row: Mapping[str, object]
    values: dict[str, Value]


Evaluate = Callable[[Scope], Value]


def evaluator(name: str, spec: FieldSpec, tables: Mapping[str, LookupTable]) -> Evaluate:
    """
    The function of a field; it raises `BadValueError` on a row that it cannot use.

    Raises:
        ValueError: weights or values of a pick are unusable.
    """
    match spec:
        case Column():
            return _column(spec)
        case TemplateText():
            template = parse(spec.template)
            return lambda scope: str(template.render(scope.values))
        case Pick():
            return _pick(name, spec, tables)
        case Price():
            return _price(spec.price, tables[spec.price.table])
        case _:
            return _lookup(spec.lookup, tables[spec.lookup.table])


def _column(spec: Column) -> Evaluate:
    def value_of(scope: Scope) -> Value:
        value = scope.row.get(spec.column)
        if value is None or value == "":
            if spec.default is None:
                raise BadValueError(f"column {spec.column}: is empty or missing")
            value = spec.default
        return read(value, spec.type, spec.column)

    return value_of


def _pick(name: str, spec: Pick, tables: Mapping[str, LookupTable]) -> Evaluate:
    chances = spec.pick.values or (weights(tables[spec.pick.table], spec.pick.weight) if spec.pick.table else {})
    names, steps = list(chances), list(accumulate(chances.values()))
    seed = (spec.pick.seed or name).encode()

    def value_of(scope: Scope) -> Value:
        # A hash of the number, not a generator's next value: a row's pick must not depend on the rows before it.
        drawn = int.from_bytes(blake2b(b"%b:%d" % (seed, scope.line), digest_size=8).digest())
        return names[bisect_right(steps, drawn % steps[-1])]

    return value_of


def _lookup(spec: LookupIn, table: LookupTable) -> Evaluate:
    def value_of(scope: Scope) -> Value:
        return read(table.cell(str(scope.values[spec.row]), spec.column), spec.type, f"{spec.table}.{spec.column}")

    return value_of


def _price(spec: PriceOf, table: LookupTable) -> Evaluate:
    def value_of(scope: Scope) -> Value:
        row = str(scope.values[spec.row])
        total = Decimal(0)
        for term in spec.terms:
            price = decimal_of(table.cell(row, term.price), term.price)
            total = _WIDE.add(total, _WIDE.multiply(price, _quantity(term, scope)))
        if spec.rate is not None:
            total = _WIDE.multiply(total, decimal_of(str(scope.values[spec.rate]), spec.rate))
        return format_amount(price_times(total, 1))

    return value_of


def _quantity(term: Term, scope: Scope) -> Decimal:
    value = scope.values[term.times] if isinstance(term.times, str) else term.times
    if not isinstance(value, int):
        raise BadValueError(f"{term.times} is no count: {value!r}")
    return Decimal(value)
