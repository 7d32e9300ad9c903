"""Every benchmark in small, on the servers that it starts itself: the figures are there and nothing is lost. Never a timing."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

pytestmark = [pytest.mark.stack, pytest.mark.timeout(290)]
FEW = ("--accounts", "20")


def bench(*arguments: str) -> dict[str, Any]:
    """Run a benchmark as a person would; its figures."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("Z0_")}
    command = [sys.executable, "-m", "z0", "bench", *arguments, "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def test_a_hot_account_by_the_direct_door_loses_and_refuses_nothing() -> None:
    """All reservations on one account."""
    figures = bench("latency", "--hot", "--rate", "200", "--seconds", "1", "--warm-up", "0")
    assert (figures["lost"], figures["refused"]) == (0, 0)
    assert figures["p50_ms"] <= figures["p99_ms"] <= figures["p999_ms"] <= figures["max_ms"]


def test_the_kafka_door_loses_nothing_and_the_catch_up_has_a_rate() -> None:
    """What was produced is seen by a reader, every one."""
    assert bench("latency", "--door", "kafka", "--rate", "200", "--seconds", "1", "--warm-up", "0", *FEW)["lost"] == 0
    assert bench("decide", "--commands", "400", "--peer-commands", "200", *FEW)["ratio"] > 0


def test_http_loses_and_refuses_nothing_one_by_one_and_in_batches() -> None:
    """With a tenant and a key of its own."""
    small = ("--rate", "30", "--seconds", "1", "--warm-up", "0", "--batch-seconds", "0.5", "--batch-clients", "1")
    figures = bench("http", *small, "--batch", "10", *FEW)
    assert (figures["single_lost"], figures["single_refused"], figures["batch_refused"]) == (0, 0, 0)
    assert figures["batch_decisions_per_s"] > 0


def test_a_killed_worker_serves_again_from_its_disk_and_from_nothing() -> None:
    """With the balances of the log, which is checked inside."""
    figures = bench("recovery", "--entities", "500")
    assert figures["commands"] == 1_050
    assert all(figures[name] > 0 for name in ("local_s", "cold_s", "rss_mib", "index_mib_per_million"))


LOOPS = (
    "--seconds",
    "1",
    "--warm-up",
    "0",
    "--rate",
    "200",
    "--topic-rate",
    "100",
    "--catch-up",
    "400",
    "--faust-commands",
    "200",
)


@pytest.mark.parametrize(
    ("peer", "names"),
    [
        ("ours", "per_s p99_ms catch_up_per_s topic_p99_ms"),
        ("ours_two_workers", "per_s p99_ms catch_up_per_s"),
        ("ours_fsync", "per_s p99_ms"),
        ("postgres", "single_per_s batch_per_s p99_ms"),
        ("streams", "per_s p99_ms"),
        ("faust", "per_s"),
        ("in_turns", "ours_p99_ms_to_postgres ours_fsync_p99_ms_to_postgres ours_batch_per_s_to_postgres postgres_batch_clients"),
    ],
)
def test_every_peer_has_figures_states_its_durability_and_loses_nothing(peer: str, names: str) -> None:
    """In small; a benchmark runs them one after the other in the same way."""
    figures = bench("peers", "--only", peer, *LOOPS, *FEW)
    assert all(figures[f"{peer}_{name}"] > 0 for name in names.split())
    assert figures[f"{peer}_durability"]
    assert [name for name, value in figures.items() if name.endswith("lost") and value] == []
