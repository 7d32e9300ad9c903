"""The Python that `make env` takes is the fastest of the machine, whatever else the machine did while it was timed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "python"
# Answers like the script's own program, some times slower at first. No real Python, which is looked for too, takes so little.
STUB = """#!/bin/sh
cat >/dev/null
echo {name} >>{calls}
[ "$(grep -cx {name} {calls})" -le {slow_calls} ] && echo "900 {name}" || echo "{us} {name}"
"""


class Machine:
    """A path with Pythons whose times are given."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._calls = folder / "calls"
        for name in ("bash", "env", "cat", "grep"):
            (folder / name).symlink_to(os.path.realpath(shutil.which(name) or name))

    def has(self, name: str, us: int, slow_calls: int = 0) -> None:
        """A Python that takes `us`, and far longer in its first calls."""
        self._write(name, STUB.format(name=name, calls=self._calls, us=us, slow_calls=slow_calls))

    def has_unfit(self, name: str) -> None:
        """A Python of a version that z0 does not run on."""
        self._write(name, "#!/bin/sh\nexit 1\n")

    def _write(self, name: str, text: str) -> None:
        (self._folder / name).write_text(text)
        (self._folder / name).chmod(0o755)

    def chosen(self) -> str:
        """What the script prints, without the folder."""
        done = subprocess.run(["bash", str(SCRIPT)], env={"PATH": str(self._folder)}, capture_output=True, text=True, check=True)
        return done.stdout.removeprefix(f"{self._folder}/").removesuffix("\n")

    def calls(self) -> list[str]:
        """Who was timed, in this order."""
        return self._calls.read_text().split()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Nothing there yet but what the script needs."""
    return Machine(tmp_path)


@pytest.mark.parametrize("slow_calls", [0, 1, 3])
@pytest.mark.parametrize(("fast", "slow"), [("python3", "python3.12"), ("python3.12", "python3")])
def test_a_slow_moment_of_the_fastest_does_not_decide(machine: Machine, fast: str, slow: str, slow_calls: int) -> None:
    """Whether it is the usual one or another."""
    machine.has(fast, us=190, slow_calls=slow_calls)
    machine.has(slow, us=300)
    assert machine.chosen() == fast


def test_the_candidates_take_turns(machine: Machine) -> None:
    """So that a slow second is a slow second of all of them."""
    machine.has("python3", us=200)
    machine.has("python3.11", us=200)
    machine.chosen()
    calls = machine.calls()
    assert len(calls) >= 6
    assert calls == ["python3", "python3.11"] * (len(calls) // 2)


def test_another_must_be_clearly_faster_than_the_usual_one(machine: Machine) -> None:
    """A twentieth is within the noise."""
    machine.has("python3", us=200)
    machine.has("python3.13", us=192)
    assert machine.chosen() == "python3"


def test_a_python_of_another_version_is_never_taken(machine: Machine) -> None:
    """However fast it is."""
    machine.has_unfit("python3")
    machine.has("python3.11", us=200)
    assert machine.chosen() == "python3.11"
