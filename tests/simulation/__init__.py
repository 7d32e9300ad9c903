"""Simulated runs: clean seeds, planted bugs that must be found, and races played on purpose."""

import sys


def say(text: str) -> None:
    """A figure of a test: shown with `-s`, and where the test fails."""
    sys.stdout.write(f"\n{text}\n")
