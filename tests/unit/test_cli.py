"""The command line without servers: what a person sees when something is wrong."""

import os
import subprocess
import sys

import pytest


def z0(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run `z0` as a person would."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("Z0_")} | settings
    command = [sys.executable, "-m", "z0", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("arguments", [("tenant", "create", "acme"), ("migrate",), ("worker",), ("config", "list")], ids=" ".join)
def test_a_kafka_that_does_not_answer_is_one_clear_line(arguments: tuple[str, ...]) -> None:
    """No traceback; what to do next is said."""
    done = z0(*arguments, Z0_KAFKA="127.0.0.1:1")
    assert done.returncode == 1
    assert "Kafka does not answer" in done.stderr
    assert "`z0 up`" in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_settings_are_listed_all_at_once() -> None:
    """With the name of each, and a hint for a misspelt one."""
    done = z0("status", Z0_PARTITIONS="many", Z0_KAFAK="x")
    assert done.returncode == 1
    assert "Z0_PARTITIONS" in done.stderr
    assert "did you mean Z0_KAFKA?" in done.stderr


def test_help_is_there_for_every_command() -> None:
    """The first thing that a person types."""
    done = z0("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("up", "down", "status", "import", "demo", "bench", "tenant", "key", "verify"))
