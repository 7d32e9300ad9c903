"""Figures of a benchmark. Owns: percentiles, and printing: `name=value` lines for people, one JSON object for machines."""

import json
from collections.abc import Iterable, Mapping, Sequence

Figure = int | float | str
SHARES: Mapping[str, float] = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}


def lines(figures: Mapping[str, Figure]) -> list[str]:
    """One `name=value` line per figure; measured times and rates are not money, so floats are fine here."""
    return [f"{name}={_text(value)}" for name, value in figures.items()]


def as_json(figures: Mapping[str, Figure]) -> str:
    """All figures as one JSON object."""
    return json.dumps({name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()})


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` of the ordered values lie (nearest rank)."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def distribution(latencies_ms: Iterable[float]) -> dict[str, Figure]:
    """The usual percentiles of at least one latency."""
    ordered = sorted(latencies_ms)
    figures: dict[str, Figure] = {name: percentile(ordered, share) for name, share in SHARES.items()}
    return {**figures, "max_ms": ordered[-1]}


def named(prefix: str, figures: Mapping[str, Figure]) -> dict[str, Figure]:
    """The figures under names of one part of a run: `p99_ms` becomes `ours_p99_ms`."""
    return {f"{prefix}_{name}": value for name, value in figures.items()}


def _text(value: Figure) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
