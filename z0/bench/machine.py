"""
`z0 bench machine`: how steady this machine is while nothing of ours runs on it. No other figure can be better than these.

One process on each core does the same small piece of work over and over and counts the pieces in slots of 5 ms. Where a slot has
fewer than seven tenths of the usual, the machine was slow: somebody else had its cores, its caches, or its memory's bandwidth.
A virtual machine shows nothing of that but the time that work takes: no stolen time, no gap in its clock.
"""

import multiprocessing
import os
import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from statistics import median
from typing import Final

from z0.bench.figures import Figure
from z0.errors import Z0Error

SLOT_S: Final = 0.005
SECONDS_MIN: Final = 100 * SLOT_S
SECONDS_MAX: Final = 3_600.0
SLOW: Final = 0.7
CAN_PIN: Final = hasattr(os, "sched_setaffinity")  # elsewhere the kernel spreads as many processes as there are cores
_PIECE: Final = range(300)


def measure(seconds: float) -> Mapping[str, Figure]:
    """
    Keep every core busy for so long; the figures of the one that was slowest.

    Raises:
        Z0Error: it is too short for a usual slot to be known, or longer than an hour.
    """
    if not SECONDS_MIN <= seconds <= SECONDS_MAX:  # nan, too
        raise Z0Error(f"{seconds:g} s: to know what is usual, measure for {SECONDS_MIN:g} s or longer, at most {SECONDS_MAX:g}")
    cores = sorted(os.sched_getaffinity(0)) if CAN_PIN else list(range(os.cpu_count() or 1))
    # Each a new interpreter: a fork would copy what this one has, and count that as the machine's slowness.
    with multiprocessing.get_context("spawn").Pool(len(cores)) as pool:
        counts = pool.starmap(count_pieces, [(core, seconds) for core in cores])
    return {"cores": len(cores), **max((steadiness(each) for each in counts), key=lambda figures: figures["slow_percent"])}


def count_pieces(core: int, seconds: float) -> list[int]:
    """How many pieces of work one core does in each slot."""
    if CAN_PIN:
        os.sched_setaffinity(0, {core})
    counts = [0] * int(seconds / SLOT_S)
    began_s = time.perf_counter()
    while (slot := int((time.perf_counter() - began_s) / SLOT_S)) < len(counts):
        sum(_PIECE)
        counts[slot] += 1
    return counts


def steadiness(counts: Sequence[int]) -> dict[str, float]:
    """
    What share of the slots was slow, how often a slow stretch began, and how long the longest was. The first and the last slot
    are no whole ones.
    """
    whole = counts[1:-1]
    usual = median(whole)
    stretches = [len(list(slots)) for is_slow, slots in groupby(whole, lambda count: count < SLOW * usual) if is_slow]
    return {
        "slow_percent": 100 * sum(stretches) / len(whole),
        "slow_stretches_per_s": len(stretches) / (len(whole) * SLOT_S),
        "longest_slow_ms": max(stretches, default=0) * SLOT_S * 1000,
    }
