"""Figures of a benchmark. Owns: how they are printed, `name=value` lines for people and one JSON object for machines."""

import json
from collections.abc import Mapping, Sequence

Figure = int | float | str


def lines(figures: Mapping[str, Figure]) -> list[str]:
    """One `name=value` line per figure; measured times and rates are not money, so floats are fine here."""
    return [f"{name}={_text(value)}" for name, value in figures.items()]


def as_json(figures: Mapping[str, Figure]) -> str:
    """All figures as one JSON object."""
    return json.dumps({name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()})


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` of the ordered values lie (nearest rank)."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _text(value: Figure) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
