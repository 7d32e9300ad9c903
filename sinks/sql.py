"""
SQL kept in files. Owns: finding named queries and numbered migrations. Does not own: running them.

`queries.sql` holds statements under lines `-- name: ...`. `migrations/0001_what.sql` are applied in the order of their
numbers; a file that has been released is never edited, a change is a new file.
"""

import re
from importlib.resources import files
from typing import NamedTuple

_MIGRATION = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")


class Migration(NamedTuple):
    """One numbered step of a schema."""

    number: int
    name: str
    sql: str


def queries(package: str, file: str = "queries.sql") -> dict[str, str]:
    """The statements of one of a package's files by name."""
    text = files(package).joinpath(file).read_text("utf-8")
    parts = re.split(r"^-- name: ", text, flags=re.MULTILINE)[1:]
    return {name.strip(): sql.strip().rstrip(";") for name, _, sql in (part.partition("\n") for part in parts)}


def migrations(package: str) -> list[Migration]:
    """The migrations of a package, lowest number first."""
    found = []
    for file in files(package).joinpath("migrations").iterdir():
        if match := _MIGRATION.fullmatch(file.name):
            found.append(Migration(int(match[1]), match[2], file.read_text("utf-8")))
    return sorted(found)


def statements(script: str) -> list[str]:
    """The statements of a script whose statements each end with `;` at the end of a line (for stores that take one at a time)."""
    bare = "\n".join(line for line in script.splitlines() if not line.lstrip().startswith("--"))
    return [part.strip() for part in re.split(r";[ \t]*$", bare, flags=re.MULTILINE) if part.strip()]
