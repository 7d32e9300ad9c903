"""
Limits of a sink, each with its reason. Owns: batch limits, pauses between retries, how much poison is too much. Pure values.
"""

import random
from dataclasses import dataclass, field
from typing import Final

from z0.config import Config
from z0.errors import SinkStopped

MEBIBYTE: Final = 1 << 20
PROMPT_AGE_MS: Final = 50


@dataclass(frozen=True, slots=True)
class BatchLimit:
    """
    When a batch is written: whichever bound is met first.

    Rows bound the time of one store transaction, bytes the memory (a fact may have 256 KiB), age how far a store lags
    behind a quiet log. `poll_rows_max` bounds how long decoding holds the event loop: 2,000 facts take about 15 ms.
    """

    rows_max: int = 20_000
    bytes_max: int = 32 * MEBIBYTE
    age_ms: int = 1_000
    poll_rows_max: int = 2_000


@dataclass(frozen=True, slots=True)
class Backoff:
    """
    Pauses between tries while a store is down, in milliseconds: doubling, capped, with full jitter above half.

    The cap keeps the sink at most some seconds behind a store that is back; the jitter keeps several sinks from
    knocking at the same moment.
    """

    first_ms: int = 100
    most_ms: int = 10_000

    def pause_ms(self, attempt: int) -> int:
        """The pause after try number `attempt`, counted from 0."""
        whole = min(self.most_ms, self.first_ms << min(attempt, 20))
        return whole // 2 + random.randrange(whole // 2 + 1)


@dataclass(frozen=True, slots=True)
class PoisonLimit:
    """
    How many records may go to the dead letters before the sink stops.

    A few broken records are somebody's mistake and must not hold up everything behind them. Many in a row, or a share
    of the whole, mean that our own reading is wrong (a bad release), and then the log must not be emptied into the
    dead letters. The share is judged from `sample_min` records on, or the first bad record would be 100%.
    """

    ratio_max: float = 0.01
    consecutive_max: int = 100
    sample_min: int = 1_000


@dataclass(slots=True)
class PoisonCount:
    """What was seen since the start, judged by the limit."""

    limit: PoisonLimit
    seen: int = 0
    poison: int = 0
    consecutive: dict[int, int] = field(default_factory=dict)  # by partition: others' good records say nothing about it

    def count(self, partition: int, offsets: list[int], poison: list[int]) -> None:
        """
        Count what was read of a partition, in order.

        Raises:
            SinkStopped: more than the limit allows.
        """
        self.seen += len(offsets)
        self.poison += len(poison)
        if poison:
            self._run_length(partition, offsets, set(poison))
        elif offsets:
            self.consecutive.pop(partition, None)
        if self.seen >= self.limit.sample_min and self.poison > self.limit.ratio_max * self.seen:
            raise SinkStopped(
                f"{self.poison} of {self.seen} records are neither fact nor claim; more than {self.limit.ratio_max:.0%}"
            )

    def _run_length(self, partition: int, offsets: list[int], poison: set[int]) -> None:
        run = self.consecutive.get(partition, 0)
        for offset in offsets:
            run = run + 1 if offset in poison else 0
            if run > self.limit.consecutive_max:
                raise SinkStopped(
                    f"{run} records in a row up to offset {offset} of partition {partition} are neither fact nor claim"
                )
        self.consecutive[partition] = run


@dataclass(frozen=True, slots=True)
class Policy:
    """All limits of one sink."""

    batch: BatchLimit = BatchLimit()
    backoff: Backoff = Backoff()
    poison: PoisonLimit = PoisonLimit()


def policy_of(config: Config) -> Policy:
    """The limits that the settings ask for."""
    return Policy(batch=BatchLimit(rows_max=config.sink_batch_rows_max, age_ms=config.sink_batch_age_ms))


def prompt_policy_of(config: Config) -> Policy:
    """The same for a sink that others wait for: a config is in force when its copy has come round."""
    return Policy(batch=BatchLimit(rows_max=config.sink_batch_rows_max, age_ms=min(PROMPT_AGE_MS, config.sink_batch_age_ms)))
