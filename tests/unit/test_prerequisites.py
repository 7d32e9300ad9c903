"""A missing prerequisite is named in one clear line with what to install."""

import os
import shutil
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "prerequisites"


def run(tmp_path: Path, *present: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the check with only some programs on the path."""
    for name in ("bash", "env", "sed", "head", *present):
        found = shutil.which(name)
        assert found is not None
        (tmp_path / name).symlink_to(os.path.realpath(found) if name != "python3" else found)
    environment = {"PATH": str(tmp_path), **settings}
    return subprocess.run(["bash", str(SCRIPT)], env=environment, capture_output=True, text=True, check=False)


def test_each_missing_program_has_its_own_line(tmp_path: Path) -> None:
    """All at once, so that one installation is enough."""
    done = run(tmp_path)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert all(line.startswith("missing: ") and "apt-get install" in line for line in lines)
    assert [line.split()[1] for line in lines] == ["Python", "Python's", "Java", "Maven"]


def test_a_given_kafka_needs_neither_java_nor_maven(tmp_path: Path) -> None:
    """The local Kafka is what needs them."""
    assert [line.split()[1] for line in run(tmp_path, Z0_KAFKA="broker:9092").stderr.splitlines()] == ["Python", "Python's"]
