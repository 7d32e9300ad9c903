"""What a person reads when an import has ended. Owns: the words of the summary. Does not own: the numbers (`tally`)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from z0.imports.tally import Tally

BAD_SHOWN: Final = 5
EXPLAINED: Final = {
    "budget_exhausted": "the account has less than the row needs",
    "reservation_not_open": "a confirm whose reserve was refused; over Kafka nobody waits to see",
}


def lines(tally: Tally, rejected: Path) -> Iterator[str]:
    """The summary, line by line."""
    p50, p99 = tally.latency_ms(50, 99)
    yield f"{tally.rows:,} of {tally.rows_total:,} rows in {tally.seconds:.1f} s, {tally.rows_filtered:,} of them not asked for"
    yield f"{tally.decisions:,} decisions ({tally.decisions / tally.seconds:,.0f}/s), {tally.repeated:,} of them repeated"
    for (step, outcome), count in sorted(tally.by_step.items()):
        why = f"   {EXPLAINED[outcome]}" if outcome in EXPLAINED else ""
        yield f"  {step:<16} {outcome:<24} {count:>9,}{why}"
    if tally.commands_skipped:
        yield f"  {tally.commands_skipped:,} commands were not sent, because a step that they need was refused"
    if p50 is not None:
        yield f"latency p50 {p50} ms, p99 {p99} ms"
    yield from _trouble(tally, rejected)


def _trouble(tally: Tally, rejected: Path) -> Iterator[str]:
    if tally.retries:
        yield f"{tally.retries} retries; the last because of {tally.last_retry}"
    for bad in tally.bad[:BAD_SHOWN]:
        yield f"bad row, line {bad.line}: {bad.reason}"
    if tally.bad_rows:
        yield f"{tally.bad_rows:,} bad rows; all of them are in {rejected}"
    if tally.unresolved:
        yield f"{tally.unresolved:,} commands were sent and no outcome was seen. Run the same command again: nothing is doubled"
    if tally.interrupted:
        yield f"interrupted after line {tally.last_line}. Run the same command again: what is done is answered as repeated"
