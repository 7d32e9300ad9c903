"""
From a row to its commands. Owns: evaluation order, ids, event time, and the check of each command before it is sent.

Deterministic: the same file, mapping and constants give the same ids and the same bytes, in every run.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from z0.domain.check import check_form
from z0.domain.commands import COMMAND_BYTES_MAX, Command
from z0.domain.ids import parse_ledger_id
from z0.domain.outcome import MEANINGS, Outcome
from z0.imports.errors import BadValueError
from z0.imports.fields import Scope
from z0.imports.load import Loaded
from z0.imports.sources import BadRow, Row
from z0.imports.template import Value, parse
from z0.imports.times import time_reader

_encode = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)


class Step(NamedTuple):
    """One command of one row, ready to be sent."""

    line: int
    name: str
    needs: tuple[str, ...]
    level: int  # 0: needs nothing; else one more than the highest level that it needs
    command: Command
    value: bytes  # the documented JSON


class RowCommands(NamedTuple):
    """The commands of one row, in order."""

    line: int
    steps: tuple[Step, ...]


Built = RowCommands | BadRow | None
"""None: the row is not among those asked for."""

Where = Mapping[str, frozenset[str]]
"""Field -> the values that a row may have there."""

Fill = Callable[[Mapping[str, Value]], Any]


class Builder:
    """Makes commands of rows."""

    def __init__(self, loaded: Loaded, *, file_sha8: str, shift_ms: int = 0, where: Where | None = None) -> None:
        spec = loaded.spec
        self._loaded = loaded
        self._constants: dict[str, Value] = {**spec.constants, "file_sha8": file_sha8}
        self._time = (spec.time.column, time_reader(spec.time)) if spec.time else None
        self._shift_ms = shift_ms
        self._where = where or {}
        self._bodies = [_fill(command.body) for command in spec.commands]
        self._levels = _levels(loaded)

    def build(self, row: Row | BadRow) -> Built:
        """The commands of a row, or what is wrong with it."""
        if isinstance(row, BadRow):
            return row
        try:
            return self._build(row)
        except BadValueError as problem:
            return BadRow(row.line, str(problem), row.preview())

    def _build(self, row: Row) -> RowCommands | None:
        scope = Scope(row.line, row.values, {**self._constants, "line": row.line})
        if self._time is not None:
            column, read = self._time
            scope.values["event_time"] = read(_present(row, column)) + self._shift_ms
        for name, evaluate in self._loaded.fields:
            scope.values[name] = evaluate(scope)
        if any(str(scope.values[name]) not in wanted for name, wanted in self._where.items()):
            return None
        for spec in self._loaded.spec.commands:
            scope.values[f"{spec.step}.id"] = str(self._loaded.id_template.render({**scope.values, "step": spec.step}))
        return RowCommands(row.line, tuple(self._step(i, scope) for i in range(len(self._bodies))))

    def _step(self, index: int, scope: Scope) -> Step:
        spec = self._loaded.spec.commands[index]
        body = {**self._bodies[index](scope.values), "id": scope.values[f"{spec.step}.id"]}
        if self._time is not None:
            body.setdefault("timestamp", scope.values["event_time"])
        value, command = _command(spec.step, body)
        return Step(scope.line, spec.step, tuple(spec.needs), self._levels[spec.step], command, value)


def _present(row: Row, column: str) -> object:
    value = row.values.get(column)
    if value is None or value == "":
        raise BadValueError(f"column {column}: is empty or missing")
    return value


def _command(step: str, body: dict[str, Any]) -> tuple[bytes, Command]:
    """The bytes and the value of a command, checked as the ledger would, so that a bad row never leaves this machine."""
    value = _encode(body)
    try:
        command = _decoder.decode(value)
    except msgspec.ValidationError as error:
        raise BadValueError(f"{step}: {error}") from None
    outcome = check_form(command).outcome
    if outcome is None and parse_ledger_id(command.ledger_id) is None:
        outcome = Outcome.BAD_LEDGER_ID
    if outcome is None and len(value) > COMMAND_BYTES_MAX:
        outcome = Outcome.TOO_LARGE
    if outcome is not None:
        raise BadValueError(f"{step}: {outcome}: {MEANINGS[outcome]}")
    return value, command


def _levels(loaded: Loaded) -> dict[str, int]:
    levels: dict[str, int] = {}
    for command in loaded.spec.commands:
        levels[command.step] = 1 + max((levels[step] for step in command.needs), default=-1)
    return levels


def _fill(value: Any) -> Fill:
    """A function that fills in a body's templates, parsed once."""
    if isinstance(value, str):
        return parse(value).render
    if isinstance(value, dict):
        parts = {name: _fill(item) for name, item in value.items()}
        return lambda values: {name: part(values) for name, part in parts.items()}
    if isinstance(value, list):
        items = [_fill(item) for item in value]
        return lambda values: [item(values) for item in items]
    return lambda _values: value
