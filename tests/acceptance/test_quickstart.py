"""The quickstart's commands, run as they stand, on a stack of their own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import free_ports

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)

pytestmark = [pytest.mark.stack, pytest.mark.timeout(280)]


def test_every_command_of_the_quickstart_works_in_its_order(tmp_path: Path) -> None:
    """One shell, `set -e`: a command that fails fails the test. What the page promises to see is there."""
    commands = "\n".join(BLOCK.findall((ROOT / "docs" / "quickstart.md").read_text()))
    environment = {
        **os.environ,
        **{f"Z0_{name.upper()}": str(port) for name, port in free_ports().items()},
        "Z0_HOME": str(tmp_path / "home"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    try:
        done = subprocess.run(
            ["bash", "-euxo", "pipefail", "-c", commands],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    finally:
        subprocess.run([sys.executable, "-m", "z0", "down"], env=environment, check=False, capture_output=True)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    for promised in ('"available":"8.25"', '"code":"budget_exhausted"'):
        assert promised in done.stdout
