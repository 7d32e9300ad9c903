"""`z0 bench engine` in small, and the sampling profiler. Never a timing."""

import time

from z0.bench import engine
from z0.bench.sampling import Sampler

SIZE = engine.Size(commands=600, accounts=50, partitions=2)


async def test_the_engine_alone_decides_every_command() -> None:
    """The figures are there; that every command left a fact is checked inside."""
    figures = await engine.measure(SIZE)
    assert figures["commands"] == 600
    assert float(figures["decisions_per_s"]) > 0


def spin(sampler: Sampler, samples: int) -> None:
    """Use CPU until enough samples were taken, or a minute is over."""
    deadline = time.monotonic() + 60
    while sampler.samples < samples and time.monotonic() < deadline:
        sum(range(1_000))


def test_the_profile_names_the_function_that_takes_the_time() -> None:
    """With its share, and in the table."""
    sampler = Sampler()
    with sampler:
        spin(sampler, 20)
    top = sampler.rows()[0]
    assert top.name == "tests/unit/test_bench_engine.py spin"
    assert top.self_percent > 50
    assert any("spin" in line for line in sampler.table())
