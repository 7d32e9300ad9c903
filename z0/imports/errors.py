"""What stops an import. Owns: the faults. A bad row is none: it is reported and the import goes on (`BadValueError`)."""

from z0.errors import Z0Error


class MappingError(Z0Error):
    """The mapping is wrong; every problem is listed."""

    def __init__(self, path: str, problems: list[str]) -> None:
        self.problems = problems
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"{path}: {len(problems)} problem(s) to correct:\n{lines}")


class SourceError(Z0Error):
    """The file cannot be read as what it should be."""


class DoorError(Z0Error):
    """The ledger cannot be reached, or will not have us. Run the same command again: nothing is doubled."""


class BadValueError(ValueError):
    """A row that cannot become commands; its text is the reason that the report shows."""
