"""
A look at SQL before the engine sees it. Owns: where an INSERT's text ends and its data begins, and which format
a statement names. Does not own: validity; whatever is not recognised here goes to the engine as it came.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# Quoted text, comments and heredocs are single tokens, so that no keyword is found inside them.
_TOKEN = re.compile(
    rb"""(?P<skip>\s+|--[^\n]*|\#[ !][^\n]*|/\*.*?\*/)
      |(?P<quoted>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`\\]|\\.|``)*`|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
      |(?P<word>[A-Za-z_]\w*)
      |(?P<open>[(\[{])|(?P<close>[)\]}])
      |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_NAME = re.compile(rb"\s*([A-Za-z_]\w*)")
_YIELD: Final = frozenset({b"SELECT", b"WITH", b"FROM", b"SHOW", b"DESCRIBE", b"DESC", b"EXISTS", b"EXPLAIN", b"CHECK", b"KILL"})
_SESSION: Final = frozenset({b"USE", b"SET"})
_DATA_FOLLOWS_IN_SQL: Final = frozenset({b"VALUES", b"SELECT", b"WITH", b"WATCH"})


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL: whether it only reads, whether it yields rows, the format it names, and the data an INSERT brought along."""

    sql: bytes
    reads: bool
    yields: bool = False
    format: str | None = None
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Word:
    """One bare word outside brackets, upper case."""

    text: bytes
    start: int
    end: int


def parse(text: bytes) -> Statement:
    """Take a request's text apart."""
    words = _words(text)
    first = next(words, None)
    if first is None:
        return Statement(text, reads=True, yields=True)
    if first.text == b"INSERT":
        return _insert(text, words)
    named = _last_format(text, words)
    yields = first.text in _YIELD
    return Statement(text, reads=yields or first.text in _SESSION, yields=yields, format=named)


def touches_files(statement: Statement) -> bool:
    """INTO OUTFILE and FROM INFILE are for the command line client; a server has no business with a caller's paths."""
    return any(word.text in (b"OUTFILE", b"INFILE") for word in _until_data(statement.sql))


def _until_data(sql: bytes) -> Iterator[_Word]:
    for word in _words(sql):
        if word.text == b"VALUES":
            return
        yield word


def _words(text: bytes) -> Iterator[_Word]:
    depth = 0
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        depth += (kind == "open") - (kind == "close")
        if kind == "word" and depth <= 0:
            yield _Word(token.group().upper(), token.start(), token.end())


def _insert(text: bytes, words: Iterator[_Word]) -> Statement:
    """The head of an INSERT, up to FORMAT; rows in VALUES or from a SELECT are the engine's to read."""
    for word in words:
        if word.text in _DATA_FOLLOWS_IN_SQL:
            break
        name = _NAME.match(text, word.end) if word.text == b"FORMAT" else None
        if name is not None:
            return _with_data(text, word.start, name)
    return Statement(text, reads=False)


def _with_data(text: bytes, head_end: int, name: re.Match[bytes]) -> Statement:
    form = name.group(1).decode()
    if form.upper() == "VALUES":
        return Statement(text, reads=False)
    return Statement(text[:head_end], reads=False, format=form, data=text[_data_start(text, name.end()) :])


def _data_start(text: bytes, at: int) -> int:
    """The server's rule: blanks after the format's name, then at most one line end."""
    while at < len(text) and text[at : at + 1] in b" \t\f":
        at += 1
    for line_end in (b"\r", b"\n"):
        at += text[at : at + 1] == line_end
    return at


def _last_format(text: bytes, words: Iterator[_Word]) -> str | None:
    found = None
    for word in words:
        name = _NAME.match(text, word.end) if word.text == b"FORMAT" else None
        found = name.group(1).decode() if name is not None else found
    return found
