"""
Counting. Owns: what an import comes to in numbers. A `Listener`: the doors tell it, the display and the summary read it.
"""

import time
from array import array
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from z0.domain.outcome import Outcome
from z0.imports.build import Step
from z0.imports.doors import Decided
from z0.imports.sources import BadRow

EXAMPLES_MAX: Final = 20  # shown with `--json`; all of them are in the file of bad rows


class Tally:
    """Counts of one run. `watch` hears every decision too, for those who want to know more."""

    def __init__(self, watch: Callable[[Decided], None] | None = None) -> None:
        self._watch = watch
        self.rows_total = 0
        self.rows = 0  # read
        self.rows_filtered = 0
        self.bad: list[BadRow] = []  # the first ones; all are in the file of rejected rows
        self.bad_rows = 0
        self.commands_sent = 0
        self.outcomes: Counter[str] = Counter()
        self.by_step: Counter[tuple[str, str]] = Counter()
        self.repeated = 0
        self.commands_skipped = 0
        self.retries = 0
        self.last_retry: str | None = None
        self.waits_for: str | None = None  # why nothing goes on now
        self.unresolved = 0
        self.last_line = 0
        self.interrupted = False
        self._latencies_ms = array("d")
        self._began = time.monotonic()
        self._ended: float | None = None

    # What the doors tell.
    def sent(self, count: int) -> None:
        self.commands_sent += count

    def decided(self, decided: Decided) -> None:
        self.waits_for = None
        self.outcomes[decided.outcome] += 1
        self.by_step[decided.step.name, decided.outcome] += 1
        self.repeated += decided.repeated
        if decided.latency_ms is not None:
            self._latencies_ms.append(decided.latency_ms)
        if self._watch is not None:
            self._watch(decided)

    def skipped(self, step: Step) -> None:
        self.commands_skipped += 1

    def retried(self, reason: str) -> None:
        self.retries += 1
        self.last_retry = self.waits_for = reason

    # What the run tells.
    def bad_row(self, bad: BadRow) -> None:
        self.bad_rows += 1
        if len(self.bad) < EXAMPLES_MAX:
            self.bad.append(bad)

    def end(self) -> None:
        """Stop the watch."""
        self._ended = time.monotonic()

    # What is read.
    @property
    def seconds(self) -> float:
        return max((self._ended or time.monotonic()) - self._began, 1e-9)

    @property
    def decisions(self) -> int:
        return self.outcomes.total()

    @property
    def accepted(self) -> int:
        return self.outcomes[Outcome.ACCEPTED.value]

    @property
    def refused(self) -> int:
        return self.decisions - self.accepted

    @property
    def complete(self) -> bool:
        """Whether every row was read and every command that was sent has its outcome."""
        return not self.interrupted and not self.unresolved

    @property
    def useless(self) -> bool:
        """Whether every row that was asked for is bad."""
        return 0 < self.bad_rows == self.rows - self.rows_filtered

    def latency_ms(self, *percents: float) -> list[float | None]:
        """Percentiles of the commands that were sent, each the smallest value that so many per cent do not exceed."""
        ordered = sorted(self._latencies_ms)
        last = len(ordered) - 1
        return [round(ordered[min(last, int(len(ordered) * percent / 100))], 3) if ordered else None for percent in percents]

    def summary(self) -> dict[str, Any]:
        """All of it as plain values, for `--json`."""
        p50, p99 = self.latency_ms(50, 99)
        return {
            "rows": self.rows,
            "rows_total": self.rows_total,
            "rows_filtered": self.rows_filtered,
            "bad_rows": self.bad_rows,
            "commands_sent": self.commands_sent,
            "commands_skipped": self.commands_skipped,
            "decisions": self.decisions,
            "accepted": self.accepted,
            "refused": self.refused,
            "repeated": self.repeated,
            "unresolved": self.unresolved,
            "outcomes": dict(sorted(self.outcomes.items())),
            "outcomes_by_step": {f"{step}: {outcome}": count for (step, outcome), count in sorted(self.by_step.items())},
            "retries": self.retries,
            "interrupted": self.interrupted,
            "last_line": self.last_line,
            "seconds": round(self.seconds, 3),
            "rows_per_s": round(self.rows / self.seconds, 1),
            "decisions_per_s": round(self.decisions / self.seconds, 1),
            "p50_ms": p50,
            "p99_ms": p99,
            "bad": [bad._asdict() for bad in self.bad],
        }
