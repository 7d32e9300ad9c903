"""
The first look at a file. Owns: its digest, how many rows it has and when its last event was. Reads it once, keeps nothing.
"""

from hashlib import file_digest
from pathlib import Path
from typing import NamedTuple

from z0.imports.errors import BadValueError
from z0.imports.mapping import Mapping
from z0.imports.sources import BadRow, rows
from z0.imports.times import time_reader


class Scan(NamedTuple):
    """What is known of a file before its import."""

    sha256: str  # of the stored bytes
    rows: int  # bad ones too
    last_event_ms: int | None  # None: no time was read

    @property
    def sha8(self) -> str:
        return self.sha256[:8]


def scan(path: Path, spec: Mapping) -> Scan:
    """
    Look through a file.

    Raises:
        SourceError: it cannot be read.
    """
    count, last = 0, None
    read = time_reader(spec.time) if spec.time and spec.time.shift == "ends_now" else None
    for row in rows(path, spec.source):
        count += 1
        if read is None or spec.time is None or isinstance(row, BadRow):
            continue
        try:
            at = read(row.values.get(spec.time.column))
        except BadValueError:
            continue  # reported when its turn comes
        last = at if last is None else max(last, at)
    with path.open("rb") as file:
        return Scan(file_digest(file, "sha256").hexdigest(), count, last)
