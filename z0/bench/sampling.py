"""
Where the time goes: a sampling profiler of the standard library's parts. Owns: taking samples, and the table of them.

A timer of the process's CPU time interrupts the interpreter every few milliseconds and notes the stack. Time inside a C function
counts for the line that called it. It costs a few percent; a tracing profiler would double the cost of small functions and so
point at the wrong ones.
"""

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import NamedTuple, Self

INTERVAL_S = 0.001  # asked for; kernels give 1 to 10 ms
ROWS = 25
EVERYWHERE_PERCENT = 99.0  # the frames below the work: in nearly every sample, so they say nothing


class Row(NamedTuple):
    """A function: its share of the samples, itself and with what it calls."""

    self_percent: float
    total_percent: float
    name: str


class Sampler:
    """Samples inside a `with`, in the main thread."""

    def __init__(self) -> None:
        self._inside: Counter[CodeType] = Counter()
        self._anywhere: Counter[CodeType] = Counter()
        self.samples = 0

    def __enter__(self) -> Self:
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, signal.SIG_IGN)

    def _sample(self, _: int, frame: FrameType | None) -> None:
        if frame is None:
            return
        self.samples += 1
        self._inside[frame.f_code] += 1
        self._anywhere.update(dict.fromkeys(_codes(frame), 1))

    def rows(self) -> list[Row]:
        """Every function that was seen, those with most of their own time first."""
        share = 100 / max(1, self.samples)
        found = [Row(self._inside[code] * share, count * share, name(code)) for code, count in self._anywhere.items()]
        return sorted(found, key=lambda row: (-row.self_percent, -row.total_percent, row.name))

    def table(self) -> list[str]:
        """The functions that take most, as lines: by their own time, then by their time with what they call."""
        rows = self.rows()
        by_total = sorted((row for row in rows if row.total_percent < EVERYWHERE_PERCENT), key=lambda row: -row.total_percent)
        return [
            f"{self.samples} samples of CPU time",
            "  self%  total%  by their own time",
            *(_line(row) for row in rows[:ROWS]),
            "  self%  total%  with what they call",
            *(_line(row) for row in by_total[:ROWS]),
        ]


def _codes(frame: FrameType | None) -> Iterator[CodeType]:
    while frame is not None:
        yield frame.f_code
        frame = frame.f_back


def name(code: CodeType) -> str:
    """File and function: `z0/log/deciding.py Decider._fresh`."""
    return f"{'/'.join(Path(code.co_filename).parts[-3:])} {code.co_qualname}"


def _line(row: Row) -> str:
    return f"{row.self_percent:7.1f} {row.total_percent:7.1f}  {row.name}"
