"""
One import, from the first row to the last outcome. Owns: the order of things, chunks, and stopping when asked to.

    scan the file -> keep the shift -> for each chunk of rows: build, hand to the door -> wait for open outcomes

The event loop gets a turn between small slices of building, so that the door's answers are not measured late.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from z0.imports.build import Builder, RowCommands, Where
from z0.imports.doors import Door
from z0.imports.errors import MappingError, SourceError
from z0.imports.kept import keep_first, key_of, shift_ms
from z0.imports.load import Loaded
from z0.imports.scan import Scan, scan
from z0.imports.sources import BadRow, rows
from z0.imports.tally import Tally

CHUNK_ROWS: Final = 200
SLICE_ROWS: Final = 20


@dataclass(frozen=True)
class Job:
    """What to import."""

    file: Path
    loaded: Loaded
    kept: Path  # folder for what must be the same in the next run
    rejected: Path  # written only where a row is bad
    where: Where = field(default_factory=dict)
    ends_at_ms: int | None = None  # given: event times end here, and nothing needs to be kept
    rows_max: int | None = None
    chunk_rows: int = CHUNK_ROWS


@dataclass(frozen=True)
class Prepared:
    """A job after the first look at its file."""

    job: Job
    scan: Scan
    key: str
    shift_ms: int

    def began(self, now: Mapping[int, int]) -> dict[int, int]:
        """Offsets of the fact log when the first run of this import began."""
        offsets = keep_first(self.job.kept, f"{self.key}.began", now)
        return {int(partition): int(offset) for partition, offset in offsets.items()}

    @property
    def id_prefix(self) -> str:
        """How every command id of this import begins; tells its facts from others in the log."""
        values = {**self.job.loaded.spec.constants, "file_sha8": self.scan.sha8}
        template, prefix = self.job.loaded.id_template, ""
        for part, name in zip(template.parts, template.names, strict=False):
            prefix += part
            if name not in values:
                break
            prefix += str(values[name])
        return prefix


def prepare(job: Job) -> Prepared:
    """
    Look through the file and settle the shift, from the first run's where there was one.

    Raises:
        MappingError: a field to choose rows by does not exist.
        SourceError: the file cannot be read.
    """
    names = {name for name, _ in job.loaded.fields} | set(job.loaded.spec.constants)
    known = f"there is no such field; there are {', '.join(sorted(names))}"
    unknown = [f"--where {name}: {known}" for name in job.where if name not in names]
    if unknown:
        raise MappingError(str(job.loaded.path), unknown)
    found = scan(job.file, job.loaded.spec)
    key = key_of(job.loaded, found)
    spec = job.loaded.spec.time
    if spec is None or spec.shift == "none" or found.last_event_ms is None:
        return Prepared(job, found, key, 0)
    if job.ends_at_ms is not None:
        return Prepared(job, found, key, shift_ms(found, job.ends_at_ms))
    now_ms = time.time_ns() // 1_000_000
    return Prepared(job, found, key, int(keep_first(job.kept, f"{key}.shift", shift_ms(found, now_ms))))


async def run(prepared: Prepared, door: Door, tally: Tally, stop: asyncio.Event | None = None) -> None:
    """
    Send every row. After `stop` is set, what was handed over is waited for and nothing more is sent.

    Raises:
        DoorError: the ledger cannot be reached, or refuses this client.
        SourceError: the file broke off, or bad rows cannot be written.
    """
    job = prepared.job
    tally.rows_total = min(prepared.scan.rows, job.rows_max or prepared.scan.rows)
    rejects = Rejects(job.rejected)
    try:
        async with door:
            for chunk in _chunks(prepared, tally, rejects):
                if chunk is not None:
                    await door.send(chunk, tally)
                    tally.last_line = chunk[-1].line
                await asyncio.sleep(0)
                if stop is not None and stop.is_set():
                    tally.interrupted = True
                    break
            tally.unresolved = await door.finish(tally)
    finally:
        rejects.close()
        tally.end()


def _chunks(prepared: Prepared, tally: Tally, rejects: "Rejects") -> Iterator[list[RowCommands] | None]:
    """Chunks of rows; None gives the event loop a turn."""
    job = prepared.job
    builder = Builder(job.loaded, file_sha8=prepared.scan.sha8, shift_ms=prepared.shift_ms, where=job.where)
    chunk: list[RowCommands] = []
    for row in rows(job.file, job.loaded.spec.source):
        if tally.rows == tally.rows_total:
            break
        tally.rows += 1
        match builder.build(row):
            case BadRow() as bad:
                tally.bad_row(bad)
                rejects.add(bad)
            case None:
                tally.rows_filtered += 1
            case commands:
                chunk.append(commands)
        if len(chunk) == job.chunk_rows:
            yield chunk
            chunk = []
        elif tally.rows % SLICE_ROWS == 0:
            yield None
    if chunk:
        yield chunk


class Rejects:
    """The file of bad rows: one JSON object a line, with line number and reason. Not there if there is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def add(self, bad: BadRow) -> None:
        # Written anew: a second run reports the same rows again.
        self._file = self._file or self._opened()
        self._file.write(json.dumps({"line": bad.line, "reason": bad.reason, "row": bad.preview}) + "\n")
        self._file.flush()  # a kill must not lose what the report points to

    def _opened(self) -> IO[str]:
        try:
            return self._path.open("w", encoding="utf-8")
        except OSError as error:
            raise SourceError(f"bad rows cannot be written to {self._path}: {error.strerror}") from error

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
