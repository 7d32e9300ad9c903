"""
Rows of a file. Owns: CSV, JSON Lines and Parquet, plain or gzipped, read as a stream; a bad line is a value, not an exception.

The line is the one that an editor shows (a CSV's header is line 1); a Parquet file has no lines, there it is the row, from 1.
"""

import csv
import gzip
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import msgspec

from z0.imports.errors import SourceError
from z0.imports.mapping import Source

GZIP_MAGIC: Final = b"\x1f\x8b"
PARQUET_MAGIC: Final = b"PAR1"
LINE_CHARS_MAX: Final = 1_000_000
PREVIEW_CHARS: Final = 500
FORMATS: Final = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


class Row(NamedTuple):
    """One row as it was read."""

    line: int
    values: Mapping[str, object]

    def preview(self) -> str:
        """The row for the report of bad rows."""
        return str({name: str(value) for name, value in self.values.items()})[:PREVIEW_CHARS]


class BadRow(NamedTuple):
    """A row that cannot be used, and why."""

    line: int
    reason: str
    preview: str


Rows = Iterator[Row | BadRow]


def format_of(path: Path, source: Source) -> str:
    """
    The file's format: the mapping's word, or else by the name.

    Raises:
        SourceError: neither tells.
    """
    name = path.name.removesuffix(".gz")
    found = source.format or FORMATS.get(Path(name).suffix)
    if found is None:
        raise SourceError(f"{path}: the name does not tell the format; set source.format to csv, jsonl or parquet")
    return found


def rows(path: Path, source: Source) -> Rows:
    """
    All rows of a file, in order.

    Raises:
        SourceError: the file is not there, has no header, is no Parquet, or is broken gzip.
    """
    kind = format_of(path, source)
    try:
        with _open(path) as file:
            if kind == "parquet":
                yield from _parquet(file, path)
            else:
                with _text(file) as text:
                    yield from _csv(text, source, path) if kind == "csv" else _jsonl(text)
    except (OSError, EOFError) as error:
        raise SourceError(f"{path}: {error}") from None


def _open(path: Path) -> IO[bytes]:
    """The bytes behind gzip, told by what the file begins with: names lie."""
    with path.open("rb") as file:
        zipped = file.read(2) == GZIP_MAGIC
    return gzip.open(path, "rb") if zipped else path.open("rb")  # type: ignore[return-value]  # GzipFile is an IO[bytes] in all but name


def _text(file: IO[bytes]) -> io.TextIOWrapper:
    # surrogateescape: one line that is not UTF-8 is one bad row, not the end of the import
    return io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _is_utf8(text: str) -> bool:
    return not any("\udc80" <= char <= "\udcff" for char in text) if not text.isascii() else True


def _csv(file: io.TextIOWrapper, source: Source, path: Path) -> Rows:
    reader = csv.reader(file, delimiter=source.delimiter, strict=True)
    header = next(reader, None)
    if not header or len(set(header)) != len(header):
        raise SourceError(f"{path}: the first line must name the columns, each once")
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield BadRow(line, f"no CSV: {error}", "")
            continue
        if cells:
            yield _csv_row(line, header, cells)


def _csv_row(line: int, header: list[str], cells: list[str]) -> Row | BadRow:
    preview = ",".join(cells)
    if not _is_utf8(preview):
        return BadRow(line, "not UTF-8", preview[:PREVIEW_CHARS].encode(errors="replace").decode())
    if len(cells) != len(header):
        return BadRow(line, f"{len(cells)} values where the header has {len(header)}", preview[:PREVIEW_CHARS])
    return Row(line, dict(zip(header, cells, strict=True)))


def _jsonl(file: io.TextIOWrapper) -> Rows:
    # Numbers with a point come as their own text: a binary float would not be exact.
    decoder = msgspec.json.Decoder(float_hook=str)
    for line, text in enumerate(file, start=1):
        if text.strip():
            yield _jsonl_row(line, text, decoder)


def _jsonl_row(line: int, text: str, decoder: "msgspec.json.Decoder[Any]") -> Row | BadRow:
    preview = text[:PREVIEW_CHARS].strip().encode(errors="replace").decode()
    if not _is_utf8(text):
        return BadRow(line, "not UTF-8", preview)
    try:
        value = decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        return BadRow(line, f"no JSON: {error}", preview)
    return Row(line, value) if isinstance(value, dict) else BadRow(line, "no JSON object", preview)


def _parquet(file: IO[bytes], path: Path) -> Rows:
    import pyarrow as pa  # heavy, and only this format needs it
    import pyarrow.parquet as pq

    seekable = file if not isinstance(file, gzip.GzipFile) else io.BytesIO(file.read())
    try:
        line = 0
        for batch in pq.ParquetFile(seekable).iter_batches(batch_size=1_000):
            for values in batch.to_pylist():
                line += 1
                yield Row(line, values)
    except pa.ArrowException as error:
        raise SourceError(f"{path}: no Parquet: {error}") from None
