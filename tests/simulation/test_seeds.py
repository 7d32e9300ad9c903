"""Clean seeds, and what a failing one is reported as."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from tests.simulation import say
from tests.simulation.bugs import index_not_restored
from tests.waiting import until
from z0.cli.main import app
from z0.errors import FormatError
from z0.sim.plan import to_text
from z0.sim.planning import plan_of
from z0.sim.run import judge, simulate
from z0.sim.scenario import play
from z0.sim.shrink import shrink
from z0.sim.story import story_of

ROOT = Path(__file__).parents[2]
SEEDS = 50
AT_WORK_S = 0.2  # Python is there and imports, which takes longer than this
DIGEST = """
import hashlib, sys
from z0.sim.planning import plan_of
from z0.sim.scenario import play
evidence = play(plan_of(int(sys.argv[1])))
print(hashlib.sha256(repr((evidence.facts, evidence.told, evidence.letters, evidence.history)).encode()).hexdigest())
"""


def test_fifty_seeds_are_clean() -> None:
    """A first seed that nobody chose would be better, and could not be repeated."""
    figures, failed = simulate(range(SEEDS), processes=1)
    say(f"simulated_seeds={figures.seeds} cpu_per_seed_s={figures.cpu_per_seed_s} gates={figures.gates} void={figures.void}")
    assert failed == []
    assert figures.facts > SEEDS * 50
    assert figures.faults > SEEDS * 2
    assert figures.claims > SEEDS * 2


def test_a_seed_is_the_same_run_in_every_process() -> None:
    """Whatever the order of sets of strings, the moment of a garbage collection, or what ran before."""
    digests = set()
    for hash_seed in ("1", "2", "3"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", DIGEST, "20"], capture_output=True, text=True, check=True, cwd=ROOT, env=environment
        )
        digests.add(done.stdout)
    assert len(digests) == 1


def test_a_run_does_not_depend_on_the_runs_before_it() -> None:
    """The module `random` is given back as it was."""
    first = play(plan_of(7))
    play(plan_of(8))
    again = play(plan_of(7))
    assert (first.facts, first.told, first.history) == (again.facts, again.told, again.history)


def test_a_failing_seed_is_cut_down_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What remains still fails by the same rule, and is a fraction of the plan."""
    index_not_restored(monkeypatch)
    plan = next(plan for plan in map(plan_of, range(200)) if any(v.rule == "once" for v in judge(plan)[0].violations))
    shortest = shrink(plan, "once", seconds_max=250)  # what is found does not depend on a busy machine
    before, after = len(plan.flows) + len(plan.faults), len(shortest.flows) + len(shortest.faults)
    say(f"shrunk_from={before} shrunk_to={after}")
    assert any(v.rule == "once" for v in judge(shortest)[0].violations)
    assert after <= 8
    story = story_of(shortest)
    assert any(line.strip().startswith("once: ") for line in story)
    assert story[-2] == f"the seed's whole plan: z0 simulate --seeds 1 --from {plan.seed}"
    assert story[-1] == f"again, exactly this: z0 simulate --plan {to_text(shortest)}"


def test_the_command_prints_figures_or_json() -> None:
    """`name=value` lines, or one object."""
    done = CliRunner().invoke(app, ["simulate", "--seeds", "2", "--processes", "1"])
    assert done.exit_code == 0, done.output
    assert "seeds=2" in done.stdout.splitlines()
    assert "failed=0" in done.stdout.splitlines()
    done = CliRunner().invoke(app, ["simulate", "--seeds", "2", "--from", "5", "--processes", "1", "--json"])
    assert json.loads(done.stdout)["seeds"] == 2


@pytest.mark.plain
def test_the_command_fails_and_tells_the_history_of_a_seed_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1; the figures stay on the standard output."""
    from tests.simulation.bugs import reply_before_ack

    reply_before_ack(monkeypatch)
    done = CliRunner().invoke(app, ["simulate", "--seeds", "1", "--processes", "1", "--shrink-seconds", "5"])
    assert done.exit_code == 1
    assert "failed=1" in done.stdout.splitlines()
    lines = done.stderr.partition("the shortest history found:\n")[2].splitlines()
    assert lines[-2].endswith("z0 simulate --seeds 1 --from 0")
    retold = CliRunner().invoke(app, lines[-1].partition(": z0 ")[2].split())
    assert (retold.exit_code, retold.stdout.splitlines()) == (1, lines)
    monkeypatch.undo()
    assert CliRunner().invoke(app, lines[-1].partition(": z0 ")[2].split()).exit_code == 0


@pytest.mark.parametrize("text", ["", "cfg_1", "e30=", "eNq", "é", to_text(plan_of(0))[:-8]])
def test_what_is_no_plan_is_refused(text: str) -> None:
    """With where one comes from; no traceback."""
    done = CliRunner().invoke(app, ["simulate", "--plan", text])
    assert isinstance(done.exception, FormatError)
    assert "as a failing report" in str(done.exception)


async def test_an_interrupt_ends_a_simulation_without_a_word_of_its_processes() -> None:
    """A terminal's Ctrl-C goes to all of them, also while they begin."""
    command = [sys.executable, "-m", "z0", "simulate", "--seeds", "10000", "--processes", "2"]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=PIPE, stderr=PIPE, start_new_session=True, preexec_fn=heard_as_in_a_terminal
    )

    async def at_work() -> bool:
        return [seconds > AT_WORK_S for seconds in worked(process.pid)] == [True, True]

    await until(at_work, "both of its processes are at work")
    os.killpg(process.pid, signal.SIGINT)
    told, problems = await process.communicate()
    assert process.returncode == 130
    assert b"Traceback" not in problems
    assert told == b""


def heard_as_in_a_terminal() -> None:
    """A shell starts what runs in its background with interrupts ignored, and that is inherited: the simulation never ended."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def worked(pid: int) -> list[float]:
    """How long each of a simulation's processes has had a core, in seconds."""
    children = psutil.Process(pid).children()
    return [child.cpu_times().user for child in children if "spawn_main" in " ".join(child.cmdline())]
