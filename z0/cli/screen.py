"""Where tables are shown. Owns: how wide. Does not own: what is in them."""

from rich.console import Console

WIDE = 170


def screen(*, stderr: bool = False) -> Console:
    """A terminal as wide as it is; a pipe as wide as needed, so that `grep` finds whole lines."""
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=WIDE)
