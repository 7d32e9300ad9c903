"""`z0 reference`: writes or checks the generated reference pages. Owns: its options. Does not own: the pages (`z0.reference`)."""

from pathlib import Path
from typing import Annotated

import typer

from z0.errors import Z0Error


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reference")(reference)


def reference(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit code 1 where a page is behind the code.")] = False,
    folder: Annotated[Path | None, typer.Option("--folder", help="Where the pages are; by default docs/reference.")] = None,
) -> None:
    """
    Write docs/reference from the code, or check that it is up to date.

    Examples: `z0 reference`, `z0 reference --check`
    """
    from z0.reference import FOLDER, pages, stale

    where = folder or FOLDER
    behind = stale(where)
    if check:
        for name in behind:
            typer.echo(f"{where / name} is not up to date; run `z0 reference`")
        raise typer.Exit(1 if behind else 0)
    try:
        where.mkdir(parents=True, exist_ok=True)
        for name in behind:
            (where / name).write_text(pages()[name])
            typer.echo(f"wrote {where / name}")
    except OSError as error:
        raise Z0Error(f"pages cannot be written to --folder {where}: {error.strerror}") from None
