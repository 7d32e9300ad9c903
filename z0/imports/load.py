"""
Reading a mapping file. Owns: every check that needs no row, all problems reported at once.

A mapping that loads can only fail on rows, never on itself: names, tables, columns, ops and command fields are checked here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml
from pydantic import ValidationError

from z0.domain.commands import OPS
from z0.imports import mapping as words
from z0.imports.errors import MappingError
from z0.imports.fields import Evaluate, evaluator
from z0.imports.tables import LookupTable, read_table
from z0.imports.template import Template, parse
from z0.imports.times import zone_of

BUILT_IN = frozenset({"line", "file_sha8"})
NOT_FOR_FILES = frozenset({"read", "check"})  # they leave no fact, so there would be no outcome to hear of over Kafka
Loose = Mapping[str, str]
Tables = Mapping[str, LookupTable]


@dataclass(frozen=True)
class Loaded:
    """A mapping with its tables read and its fields ready to run."""

    path: Path
    spec: words.Mapping
    tables: Tables
    fields: tuple[tuple[str, Evaluate], ...]
    id_template: Template


def load(path: Path, settings: Loose | None = None) -> Loaded:
    """
    Read a mapping; `settings` replace its constants.

    Raises:
        MappingError: with every problem.
    """
    spec = _with_constants(path, _read(path), settings or {})
    tables, problems = _tables(spec, path.parent)
    problems += _check(spec, tables)
    fields: list[tuple[str, Evaluate]] = []
    if not problems:
        fields, problems = _fields(spec, tables)
    if problems:
        raise MappingError(str(path), problems)
    return Loaded(path, spec, tables, tuple(fields), parse(spec.id))


def _read(path: Path) -> words.Mapping:
    try:
        return words.Mapping.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise MappingError(str(path), [_say(problem) for problem in error.errors()]) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise MappingError(str(path), [" ".join(str(error).split())]) from None


def _say(problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"]) or "the file"
    return f"{place}: {problem['msg']}"


def _with_constants(path: Path, spec: words.Mapping, settings: Loose) -> words.Mapping:
    problems, constants = [], dict(spec.constants)
    for name, text in settings.items():
        if name not in constants:
            problems.append(f"--set {name}: there is no such constant; there are {', '.join(constants) or 'none'}")
        elif isinstance(constants[name], int) and not (text.isascii() and text.isdigit()):
            problems.append(f"--set {name}: {text!r} is no whole number")
        else:
            constants[name] = int(text) if isinstance(constants[name], int) else text
    if problems:
        raise MappingError(str(path), problems)
    return spec.model_copy(update={"constants": constants})


def _tables(spec: words.Mapping, folder: Path) -> tuple[dict[str, LookupTable], list[str]]:
    tables, problems = {}, []
    for name, table in spec.tables.items():
        try:
            tables[name] = read_table(name, table, folder)
        except ValueError as error:
            problems.append(f"tables.{name}: {error}")
    return tables, problems


def _fields(spec: words.Mapping, tables: Tables) -> tuple[list[tuple[str, Evaluate]], list[str]]:
    fields, problems = [], []
    for name, field in spec.fields.items():
        try:
            fields.append((name, evaluator(name, field, tables)))
        except ValueError as error:
            problems.append(f"fields.{name}: {error}")
    return fields, problems


def _check(spec: words.Mapping, tables: Tables) -> list[str]:
    known = set(BUILT_IN) | set(spec.constants)
    if spec.time is not None:
        known.add("event_time")
    problems = [*_check_time(spec)]
    for name, field in spec.fields.items():
        if name in known:
            problems.append(f"fields.{name}: the name is taken")
        problems += (f"fields.{name}: {text}" for text in _check_field(field, known, tables, spec))
        known.add(name)
    problems += _check_id(spec, known)
    problems += _check_commands(spec, known)
    return problems


def _check_time(spec: words.Mapping) -> Iterator[str]:
    try:
        zone_of(spec.time.zone if spec.time else None)
    except ValueError as error:
        yield f"time.zone: {error}"


def _check_field(field: words.FieldSpec, known: set[str], tables: Tables, spec: words.Mapping) -> Iterator[str]:
    match field:
        case words.TemplateText():
            yield from _check_text(field.template, known)
        case words.Pick(pick=pick):
            if (pick.values is None) == (pick.table is None) or pick.values == {}:
                yield "pick needs either values or table"
            elif pick.table is not None:
                yield from _check_columns(pick.table, [pick.weight] if pick.weight else [], tables, spec)
        case words.Lookup(lookup=lookup):
            yield from _unknown([lookup.row], known)
            yield from _check_columns(lookup.table, [lookup.column], tables, spec)
        case words.Price(price=price):
            times = [term.times for term in price.terms if isinstance(term.times, str)]
            yield from _unknown([price.row, *times, *([price.rate] if price.rate else [])], known)
            yield from _check_columns(price.table, [term.price for term in price.terms], tables, spec)
        case _:
            return


def _check_columns(table: str, columns: list[str], tables: Tables, spec: words.Mapping) -> Iterator[str]:
    if table not in spec.tables:
        yield f"there is no table {table!r}"
    elif table in tables:  # else its file could not be read, which was said before
        yield from (f"table {table} has no column {c!r}" for c in columns if c not in tables[table].columns)


def _check_text(text: str, known: set[str]) -> Iterator[str]:
    try:
        yield from _unknown(parse(text).names, known)
    except ValueError as error:
        yield str(error)


def _unknown(names: list[str] | tuple[str, ...], known: set[str]) -> Iterator[str]:
    yield from (f"{name!r} is not known here" for name in names if name not in known)


def _check_id(spec: words.Mapping, known: set[str]) -> Iterator[str]:
    yield from (f"id: {text}" for text in _check_text(spec.id, known | {"step"}))
    missing = [name for name in ("line", "step") if f"{{{name}}}" not in spec.id]
    if missing:
        yield f"id: needs {' and '.join('{' + name + '}' for name in missing)}, or two commands would share an id"


def _check_commands(spec: words.Mapping, known: set[str]) -> Iterator[str]:
    names = known | {f"{command.step}.id" for command in spec.commands}
    before: list[str] = []
    for command in spec.commands:
        place = f"commands.{command.step}"
        if command.step in before:
            yield f"{place}: the step is there twice"
        yield from (f"{place}: needs {step!r}, which is no step before it" for step in command.needs if step not in before)
        yield from (f"{place}: {text}" for text in _check_body(command.body, names))
        before.append(command.step)


def _check_body(body: dict[str, Any], names: set[str]) -> Iterator[str]:
    op = body.get("op")
    if not isinstance(op, str) or op not in OPS or op in NOT_FOR_FILES:
        yield f"op {op!r} is none of {', '.join(sorted(set(OPS) - NOT_FOR_FILES))}"
        return
    allowed = {field.encode_name: field for field in msgspec.structs.fields(OPS[op])}
    yield from (f"{op} has no field {name!r}" for name in body if name not in allowed and name != "op")
    if "id" in body:
        yield "the id is made by the mapping's id template"
    given = {*body, "id"}
    yield from (f"{op} needs {name}" for name, field in allowed.items() if field.required and name not in given)
    for text in _texts(body):
        yield from _check_text(text, names)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
