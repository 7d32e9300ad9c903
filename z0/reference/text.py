"""Markdown in few words. Owns: how tables and the note at the top look."""

from collections.abc import Iterable, Sequence

NOTE = "<!-- Generated from the code by `z0 reference`; change the code, not this page. -->"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; bars inside cells are escaped."""
    lines = [_row(head), "|" + "---|" * len(head), *map(_row, rows)]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def page(title: str, *parts: str) -> str:
    """A page: title, note, parts with a blank line between."""
    return "\n\n".join((f"# {title}", NOTE, *parts)) + "\n"
