"""Reading files: formats, gzip, bad lines with their numbers, event times."""

import gzip
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from z0.imports.errors import BadValueError, SourceError
from z0.imports.lines import ROW_CHARS_MAX
from z0.imports.mapping import Source, Time
from z0.imports.sources import BadRow, Row, rows
from z0.imports.times import time_reader

CSV = b'a,b\r\n1,x\r\n"two\r\nlines",y\r\n3\r\n\r\n4,\xff\r\n5,z'


def read(path: Path, **source: object) -> list[Row | BadRow]:
    """All rows of a file."""
    return list(rows(path, Source.model_validate(source)))


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
def test_csv_lines_and_bad_rows(tmp_path: Path, zipped: bool) -> None:
    """Line numbers are an editor's, also behind a quoted line break; CR LF and a missing last line end are fine."""
    path = tmp_path / ("f.csv.gz" if zipped else "f.csv")
    path.write_bytes(gzip.compress(CSV) if zipped else CSV)
    found = read(path)
    assert found[0] == Row(2, {"a": "1", "b": "x"})
    assert found[1] == Row(3, {"a": "two\r\nlines", "b": "y"})
    assert [(row.line, row.reason) for row in found if isinstance(row, BadRow)] == [
        (5, "1 values where the header has 2"),
        (7, "not UTF-8"),
    ]
    assert found[-1] == Row(8, {"a": "5", "b": "z"})


def test_a_broken_quote_is_one_bad_row(tmp_path: Path) -> None:
    """The reader goes on behind what is no CSV."""
    path = tmp_path / "f.csv"
    path.write_text('a,b\n1,"x"y\n2,z\n')
    bad, good = read(path)
    assert isinstance(bad, BadRow)
    assert bad.line == 2
    assert good == Row(3, {"a": "2", "b": "z"})


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CR LF", "CR"])
@pytest.mark.parametrize("more", [1, 2, 3, 3_000_000], ids=str)
def test_a_line_that_is_too_long_is_one_bad_row_and_nothing_else_is_lost(tmp_path: Path, end: str, more: int) -> None:
    """Told by its own line number; the lines behind it keep theirs, wherever it ends."""
    long, preview = "x" * (ROW_CHARS_MAX - len(end) + more), "x" * 500
    reason = "longer than 1,000,000 characters"
    table, objects = tmp_path / "f.csv", tmp_path / "f.jsonl"
    table.write_bytes(end.join(["a,b", "1,x", long, "2,y", long]).encode())
    objects.write_bytes(end.join(['{"a": 1}', long, '{"a": 2}']).encode())
    bad = BadRow(3, reason, preview)
    assert read(table)[:3] == [Row(2, {"a": "1", "b": "x"}), bad, Row(4, {"a": "2", "b": "y"})]
    assert read(objects) == [Row(1, {"a": 1}), BadRow(2, reason, preview), Row(3, {"a": 2})]


def test_the_longest_line_is_read(tmp_path: Path) -> None:
    """The bound counts its end, too."""
    path = tmp_path / "f.jsonl"
    path.write_bytes(b'{"a": 1}'.ljust(ROW_CHARS_MAX - 2) + b"\r\n" + b'{"a": 2}')
    assert read(path) == [Row(1, {"a": 1}), Row(2, {"a": 2})]


def test_a_row_of_many_lines_is_bounded_as_one_of_one_line_is(tmp_path: Path) -> None:
    """Quotes may hold line ends; a row of them without end is not collected."""
    path = tmp_path / "f.csv"
    path.write_text("a,b\n" + '"x\n",' * 200_000 + "1\n2,z\n")
    bad, *_, last = read(path)
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.reason) == (2, "longer than 1,000,000 characters")
    assert last == Row(200_003, {"a": "2", "b": "z"})


def test_a_file_without_line_ends_takes_no_more_memory_than_a_row(tmp_path: Path) -> None:
    """100 MB of nothing, a hundred KB on disk."""
    path = tmp_path / "f.jsonl.gz"
    path.write_bytes(gzip.compress(bytes(100_000_000), compresslevel=1))
    tracemalloc.start()
    try:
        found = read(path)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert [row.line for row in found] == [1]


@pytest.mark.parametrize("header", ['a,"b"c', "a," * ROW_CHARS_MAX])
def test_a_header_that_is_none_stops_the_import(tmp_path: Path, header: str) -> None:
    """A bad row can be left out; the columns' names cannot."""
    path = tmp_path / "f.csv"
    path.write_text(f"{header}\n1,2\n")
    with pytest.raises(SourceError, match="must name the columns"):
        read(path)


def test_json_lines_read_numbers_exactly(tmp_path: Path) -> None:
    """A number with a point arrives as its text: no binary float on the way."""
    path = tmp_path / "f.jsonl"
    path.write_text('{"a": 0.1000000000000000055, "n": 7}\n\n[1]\n{"a"\n{"a": "x"}\n')
    found = read(path)
    assert found[0] == Row(1, {"a": "0.1000000000000000055", "n": 7})
    assert [(row.line, row.reason.split(":")[0]) for row in found if isinstance(row, BadRow)] == [
        (3, "no JSON object"),
        (4, "no JSON"),
    ]
    assert found[-1] == Row(5, {"a": "x"})


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
def test_parquet_rows_count_from_one(tmp_path: Path, zipped: bool) -> None:
    """Parquet keeps its types."""
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"n": [1, 2], "at": [datetime(2026, 1, 1, tzinfo=UTC)] * 2}), path)
    if zipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    assert read(path)[1] == Row(2, {"n": 2, "at": datetime(2026, 1, 1, tzinfo=UTC)})


@pytest.mark.parametrize(
    ("name", "body"), [("f.csv", b""), ("f.csv", b"a,a\n"), ("f.parquet", b"no"), ("f.txt", b"a\n"), ("f.csv", b"\x1f\x8bno")]
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, body: bytes) -> None:
    """A file that is not what it should be stops the import before it begins."""
    path = tmp_path / name
    path.write_bytes(body)
    with pytest.raises(SourceError):
        read(path)


@pytest.mark.parametrize(
    ("spec", "value", "expected"),
    [
        ({"zone": "UTC"}, "2023-11-16 18:15:46.6809999", 1_700_158_546_680),
        ({}, "2023-11-16T18:15:46+01:00", 1_700_154_946_000),
        ({"zone": "Europe/Vienna"}, "2023-11-16 19:15:46", 1_700_158_546_000),
        ({"format": "unix_s"}, "1700158546.6809", 1_700_158_546_680),
        ({"format": "unix_ms"}, 1_700_158_546_680, 1_700_158_546_680),
        ({"format": "%d.%m.%Y %H:%M", "zone": "UTC"}, "16.11.2023 18:15", 1_700_158_500_000),
    ],
)
def test_event_times_are_read_exactly(spec: dict[str, str], value: object, expected: int) -> None:
    """Finer digits are cut; a zone in the text wins."""
    assert time_reader(Time(column="T", **spec))(value) == expected


@pytest.mark.parametrize("form", ["unix_s", "unix_ms"])
@pytest.mark.parametrize("value", ["9" * 20, "-1e15", "1e999999999", "1e9999999999999999999", "NaN", "Infinity", "x", "", None])
def test_a_number_that_is_no_time_is_refused_before_it_is_worked_out(form: str, value: str | None) -> None:
    """Beyond the year 9999 the ledger takes none, and a billion digits would never come to an end."""
    with pytest.raises(BadValueError):
        time_reader(Time(column="T", format=form))(value)


@pytest.mark.parametrize("value", ["2023-11-16 18:15:46", "yesterday", None, ""])
def test_times_that_are_none(value: object) -> None:
    """Without a zone a time is not guessed."""
    with pytest.raises(BadValueError):
        time_reader(Time(column="T"))(value)
