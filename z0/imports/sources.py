"""
Rows of a file. Owns: CSV, JSON Lines and Parquet, plain or gzipped, read as a stream; a bad line is a value, not an exception.

The line is the one that an editor shows (a CSV's header is line 1); a Parquet file has no lines, there it is the row, from 1.
"""

import csv
import gzip
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, TypeVar

import msgspec

from z0.imports.errors import SourceError
from z0.imports.lines import PREVIEW_CHARS, Lines, RowTooLong
from z0.imports.mapping import Source

GZIP_MAGIC: Final = b"\x1f\x8b"
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
T = TypeVar("T")


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
                    yield from _csv(Lines(text), source, path) if kind == "csv" else _jsonl(Lines(text))
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


def _printable(text: str) -> str:
    """What a report can show of a row."""
    return text[:PREVIEW_CHARS].strip().encode(errors="replace").decode()


def _csv(lines: Lines, source: Source, path: Path) -> Rows:
    reader = csv.reader(lines, delimiter=source.delimiter, strict=True)
    header = _header(reader, path)
    for line, cells in _numbered(reader, lines):
        if isinstance(cells, BadRow):
            yield cells
        elif cells:
            yield _csv_row(line, header, cells)


def _header(reader: Iterator[list[str]], path: Path) -> list[str]:
    try:
        header = next(reader, None)
    except (csv.Error, RowTooLong) as error:
        raise SourceError(f"{path}: the first line must name the columns: {error}") from None
    if not header or len(set(header)) != len(header):
        raise SourceError(f"{path}: the first line must name the columns, each once")
    return header


def _numbered(reader: Iterator[T], lines: Lines) -> Iterator[tuple[int, T | BadRow]]:
    """What a reader makes of the lines, each with the line that it begins on."""
    while True:
        line = lines.begin_row()
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, BadRow(line, f"no CSV: {error}", "")
        except RowTooLong as error:
            yield line, BadRow(line, str(error), _printable(error.preview))


def _csv_row(line: int, header: list[str], cells: list[str]) -> Row | BadRow:
    preview = ",".join(cells)
    if not _is_utf8(preview):
        return BadRow(line, "not UTF-8", _printable(preview))
    if len(cells) != len(header):
        return BadRow(line, f"{len(cells)} values where the header has {len(header)}", preview[:PREVIEW_CHARS])
    return Row(line, dict(zip(header, cells, strict=True)))


def _jsonl(lines: Lines) -> Rows:
    # Numbers with a point come as their own text: a binary float would not be exact.
    decoder = msgspec.json.Decoder(float_hook=str)
    for line, text in _numbered(lines, lines):
        if isinstance(text, BadRow):
            yield text
        elif text.strip():
            yield _jsonl_row(line, text, decoder)


def _jsonl_row(line: int, text: str, decoder: "msgspec.json.Decoder[Any]") -> Row | BadRow:
    preview = _printable(text)
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
