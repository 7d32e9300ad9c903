"""
Starting, stopping and watching the stack. Owns: the order, the waiting, the time limits.

Does not own: which programs there are (`programs`), how they are watched over (`supervise`), what is shown (`z0.cli.stack`).

`up` and `down` hold a lock on the home folder, so two of them never meet.
"""

import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from z0.config import Config
from z0.errors import StackError
from z0.stack import layout, orphans, ports, supervise, supervisor_config, waiting
from z0.stack.layout import Layout
from z0.stack.program import Program, Report
from z0.stack.programs import MIGRATE, environment, find, programs
from z0.stack.supervise import ACTIVE, RUNS, Supervisor

MIGRATE_WITHIN_S = 120.0  # it takes seconds; a busy machine may need a minute
# They have a log and are no programs of the stack.
NO_PROGRAMS = ("migrate", "supervisord")


def up(config: Config, *, servers_only: bool, report: Report, only: Sequence[str] = ()) -> None:
    """
    Start what does not run yet and wait until it answers; what already runs is left alone. `only` names some of them.

    Raises:
        StackError: a port is taken, something is not installed, or a program does not become ready.
    """
    place, everything = layout.of(config), programs(config)
    chosen = [program for program in everything if not (servers_only and program.own) and (not only or program.name in only)]
    configuration = supervisor_config.render(place, everything)
    place.make()
    with _locked(place):
        waiting.for_given([program for program in chosen if program.given], report)
        supervisor = _watcher(place, everything, configuration, report)
        missing = _missing(supervisor, chosen, report)
        ports.check_free(missing)
        for program in missing:
            program.prepare(report)
        _want(place, [program.name for program in chosen])
        supervisor = supervisor or supervise.start(place)
        _forget_old_settings(place, everything)
        _start_all(config, supervisor, chosen, missing, report)


def down(config: Config, report: Report) -> None:
    """Stop everything, backwards, also what a killed supervisor left behind. The data stays."""
    place = layout.of(config)
    if not place.run.is_dir():
        return
    with _locked(place):
        backwards = programs(config)[::-1]
        if supervisor := supervise.connect(place):
            _stop_all(supervisor, backwards, report)
            supervisor.shutdown()
        orphans.stop_all(place, backwards, report)
        place.wanted.unlink(missing_ok=True)


def restart(config: Config, name: str, report: Report) -> None:
    """Stop one program, start it, and wait until it answers."""
    program, place = find(config, name), layout.of(config)
    if program.given:
        raise StackError(f"{name} is given from outside ({program.address}): restart it where it runs")
    supervisor = _connected(place)
    with _locked(place):
        report(name, "stopping")
        supervisor.stop(name)
        program.prepare(report)
        _want(place, [name])
        _start(place, supervisor, [program], report)


def kill(config: Config, name: str, signal_number: signal.Signals = signal.SIGKILL) -> int:
    """Send a signal to a program's process, for fault tests; returns the process id that it went to."""
    find(config, name)
    pid = _connected(layout.of(config)).info(name).pid
    if pid is None:
        raise StackError(f"{name} does not run; start it with `z0 up`")
    os.kill(pid, signal_number)
    return pid


def log(config: Config, name: str, lines: int) -> list[str]:
    """The last lines of a program's log."""
    place = layout.of(config)
    if name not in NO_PROGRAMS:
        find(config, name)
    if not place.log(name).exists():
        raise StackError(f"{name} has no log yet at {place.log(name)}; it was never started in this home")
    return waiting.tail(place, name, lines)


def _watcher(place: Layout, everything: Sequence[Program], configuration: str, report: Report) -> Supervisor | None:
    """The supervisord that runs, knowing the present settings; left-overs of one that died are stopped."""
    _write(place, everything, configuration)
    backwards = everything[::-1]
    supervisor = supervise.connect(place)
    if supervisor is None:
        orphans.stop_all(place, backwards, report)
    else:
        supervisor.take_over([program.name for program in backwards])
    return supervisor


def _write(place: Layout, everything: Sequence[Program], configuration: str) -> None:
    for program in everything:
        if path := supervisor_config.settings_file(place, program):
            path.touch(mode=0o600)  # it may hold passwords
            path.write_text(supervisor_config.settings_text(program))
    place.supervisor_config.write_text(configuration)


def _forget_old_settings(place: Layout, everything: Sequence[Program]) -> None:
    in_use = {supervisor_config.settings_file(place, program) for program in everything}
    for path in place.run.glob("settings-*.env"):
        if path not in in_use:
            path.unlink()


def _missing(supervisor: Supervisor | None, chosen: Iterable[Program], report: Report) -> list[Program]:
    infos = supervisor.infos() if supervisor else {}
    missing = []
    for program in chosen:
        if program.given:
            continue
        if program.name in infos and infos[program.name].state in RUNS:
            report(program.name, f"already runs{_at(program)}")
        else:
            missing.append(program)
    return missing


def _start_all(
    config: Config, supervisor: Supervisor, chosen: Sequence[Program], missing: Sequence[Program], report: Report
) -> None:
    """Servers together, then the migration, then z0's own processes together. Those that already ran are waited for quietly."""
    place = layout.of(config)
    quiet = [program for program in chosen if program not in missing]
    _start(place, supervisor, [program for program in chosen if not program.own and not program.given], report, quiet)
    if any(program.own for program in missing):
        _migrate(config, report)
    _start(place, supervisor, [program for program in chosen if program.own], report, quiet)


def _start(place: Layout, supervisor: Supervisor, some: Sequence[Program], report: Report, quiet: Sequence[Program] = ()) -> None:
    for program in some:
        if program not in quiet:
            report(program.name, "starting")
            supervisor.start(program.name)
    waiting.for_ready(place, supervisor, some, report=report, quiet=quiet)


def _stop_all(supervisor: Supervisor, backwards: Iterable[Program], report: Report) -> None:
    infos = supervisor.infos()
    for program in backwards:
        if program.name in infos and infos[program.name].state in ACTIVE:
            report(program.name, "stopping")
            supervisor.stop(program.name)
            report(program.name, "stopped")


def _migrate(config: Config, report: Report) -> None:
    """Topics, tables and buckets, before anybody uses them; running it again changes nothing."""
    place = layout.of(config)
    report("migrate", "starting")
    began = time.monotonic()
    with place.log("migrate").open("w") as log:
        settings = {**os.environ, **environment(config)}
        try:
            done = subprocess.run(MIGRATE, env=settings, stdout=log, stderr=log, check=False, timeout=MIGRATE_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise StackError(
                f"`z0 migrate` took longer than {MIGRATE_WITHIN_S:.0f} s; {waiting.last_lines(place, 'migrate')}"
            ) from None
    if done.returncode != 0:
        raise StackError(f"`z0 migrate` failed; {waiting.last_lines(place, 'migrate')}")
    report("migrate", f"done in {time.monotonic() - began:.1f} s")


def _connected(place: Layout) -> Supervisor:
    supervisor = supervise.connect(place)
    if supervisor is None:
        raise StackError("the stack is not up; start it with `z0 up`")
    return supervisor


def _at(program: Program) -> str:
    return f" at {program.address}" if program.address else ""


def wanted(place: Layout) -> frozenset[str]:
    """The programs that somebody asked to run, and has not stopped since."""
    try:
        return frozenset(json.loads(place.wanted.read_text()))
    except FileNotFoundError:
        return frozenset()


def _want(place: Layout, names: Iterable[str]) -> None:
    place.wanted.write_text(json.dumps(sorted(wanted(place) | set(names))))


@contextmanager
def _locked(place: Layout) -> Iterator[None]:
    with place.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
