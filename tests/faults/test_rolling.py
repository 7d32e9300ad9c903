"""A planned restart of each of two workers under load. The bench prints the figures for 100,000 entities; this is a small one."""

from typing import Any

import pytest

from tests.faults.cluster import Cluster
from z0.bench import rolling

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]
STALL_MAX_S = 5.0  # a member that is not known again costs a session, 10 s
COLD_STALL_MAX_S = 8.0  # 3 s on two busy cores: a process starts and loads meanwhile


async def roll(cluster: Cluster, capsys: pytest.CaptureFixture[str], *, stall_max_s: float = STALL_MAX_S, **load: Any) -> None:
    """Roll, print, check."""
    figures = await rolling.measure(cluster.config, **load)
    with capsys.disabled():
        print(f"\nstall_max_s={figures['stall_max_s']:.2f} entities={figures['entities']} lost={figures['lost']}")  # noqa: T201
    assert figures["lost"] == 0
    assert float(figures["stall_max_s"]) < stall_max_s


async def test_a_rolling_restart_of_two_workers_loses_nothing(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """The new process stands by until the old one has ended."""
    await roll(cluster, capsys, entities=2_000, rate=200)


@pytest.mark.faults
async def test_a_rolling_restart_with_many_entities(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the old process ends before the new one starts."""
    await roll(cluster, capsys, entities=20_000, rate=200, cold=True, stall_max_s=COLD_STALL_MAX_S)
