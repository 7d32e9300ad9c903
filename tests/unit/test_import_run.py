"""A whole import against the real engine in memory: interrupted, run again, nothing doubled."""

import asyncio
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest

from z0.client.memory import MemoryLedger
from z0.domain.commands import AddBudget, CreateEntity, Read
from z0.domain.outcome import Outcome
from z0.imports.build import RowCommands
from z0.imports.doors import Decided, Listener
from z0.imports.errors import MappingError, SourceError
from z0.imports.load import load
from z0.imports.run import Job, prepare, run
from z0.imports.tally import Tally

MAPPING = """
version: 1
time: {column: at, format: unix_s, shift: ends_now}
fields:
  n: {column: n, type: count}
  tokens: {template: "{n}"}
commands:
  - {step: reserve, body: {op: reserve, tenant_id: tenant_t, ledger_id: account_acct_1, amount: "{tokens}", currency: USD}}
  - step: confirm
    needs: [reserve]
    body: {op: confirm, tenant_id: tenant_t, ledger_id: account_acct_1, reservation_id: "{reserve.id}"}
"""
ACCOUNT: Any = {"tenant_id": "tenant_t", "ledger_id": "account_acct_1"}


class MemoryDoor:
    """Straight into a ledger in memory; asks for a stop after some chunks."""

    def __init__(self, ledger: MemoryLedger, stop: asyncio.Event | None = None) -> None:
        self._ledger = ledger
        self._stop = stop

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._stop is not None:
            self._stop.set()

    async def send(self, rows: Sequence[RowCommands], listener: Listener) -> None:
        steps = [step for row in rows for step in row.steps]
        listener.sent(len(steps))
        for step, answer in zip(steps, await self._ledger.submit_many([step.command for step in steps]), strict=True):
            listener.decided(Decided(step, answer.outcome, answer.repeated, 1.0))
        if self._stop is not None:
            self._stop.set()

    async def finish(self, listener: Listener) -> int:
        return 0


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Forty rows, of which two are bad."""
    (tmp_path / "m.yaml").write_text(MAPPING)
    lines = [f"{1_700_000_000 + n},{'-1' if n == 9 else 'x' if n == 30 else 1}" for n in range(40)]
    file = tmp_path / "f.csv"
    file.write_text("\n".join(["at,n", *lines]))
    return Job(file, load(tmp_path / "m.yaml"), tmp_path / "kept", tmp_path / "rejected.jsonl", chunk_rows=10)


async def with_money(ledger: MemoryLedger) -> None:
    """An account with 30 dollars: not enough for all 38 rows."""
    await ledger.submit(CreateEntity(id="c", **ACCOUNT))
    await ledger.submit(AddBudget(id="d", amount="30", currency="USD", **ACCOUNT))


async def spent(ledger: MemoryLedger) -> str:
    """What the account has spent."""
    answer = await ledger.submit(Read(id="r", **ACCOUNT))
    return str(json.loads(answer.state)["budgets"]["USD"]["spent"])


async def test_interrupted_and_run_again(job: Job) -> None:
    """The second run begins later, so only the kept shift makes its bodies the same: all repeats, and no `id_reused`."""
    async with MemoryLedger() as ledger:
        await with_money(ledger)
        first, stop = Tally(), asyncio.Event()
        await run(prepare(job), MemoryDoor(ledger, stop), first, stop)
        assert (first.interrupted, first.decisions, first.repeated) == (True, 20, 0)
        await asyncio.sleep(0.01)
        second = Tally()
        await run(prepare(job), MemoryDoor(ledger), second)
        assert (second.interrupted, second.decisions, second.repeated) == (False, 76, 20)
        assert Outcome.ID_REUSED not in second.outcomes
        assert second.by_step["reserve", Outcome.BUDGET_EXHAUSTED] == 8
        assert await spent(ledger) == "30"


async def test_bad_rows_are_reported_with_lines(job: Job) -> None:
    """They are counted, written down, and stop nothing."""
    async with MemoryLedger() as ledger:
        await with_money(ledger)
        tally = Tally()
        await run(prepare(job), MemoryDoor(ledger), tally)
    assert (tally.rows, tally.bad_rows, tally.complete, tally.useless) == (40, 2, True, False)
    reported = [json.loads(line) for line in job.rejected.read_text().splitlines()]
    assert [(bad["line"], bad["reason"]) for bad in reported] == [
        (11, "column n: is negative: -1"),
        (32, "column n: is no whole number: 'x'"),
    ]


async def test_bad_rows_that_cannot_be_written_down_stop_it_with_words(job: Job, tmp_path: Path) -> None:
    """A report without them would be worth nothing."""
    async with MemoryLedger() as ledger:
        with pytest.raises(SourceError, match=r"bad rows cannot be written to .*/gone/f\.jsonl: No such file or directory"):
            await run(prepare(replace(job, rejected=tmp_path / "gone" / "f.jsonl")), MemoryDoor(ledger), Tally())


def test_the_trace_ends_now_and_stays_there(job: Job) -> None:
    """The first run's shift is kept, also for other rows of the same file; `ends_at_ms` needs no keeping."""
    first = prepare(job)
    last = first.scan.last_event_ms
    assert last is not None
    assert abs(last + first.shift_ms - time.time() * 1000) < 5_000
    time.sleep(0.01)
    assert prepare(replace(job, where={"n": frozenset({"1"})})).shift_ms == first.shift_ms
    assert prepare(replace(job, ends_at_ms=last + 5)).shift_ms == 5
    with pytest.raises(MappingError, match="there is no such field"):
        prepare(replace(job, where={"m": frozenset()}))


def test_two_runs_at_once_agree(job: Job) -> None:
    """Whoever links the file first decides."""
    with ThreadPoolExecutor(8) as pool:
        assert len({prepared.shift_ms for prepared in pool.map(lambda _: prepare(job), range(8))}) == 1


def test_another_file_has_other_ids(job: Job) -> None:
    """The prefix tells one import's commands from another's."""
    before = prepare(job).id_prefix
    job.file.write_text(job.file.read_text() + "\n1,1")
    assert before.endswith("-")
    assert before != prepare(job).id_prefix
