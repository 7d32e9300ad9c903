"""A disk that is full: a worker says so, loses nothing, and goes on when there is room again."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec import Raw

from tests.faults.callers import Callers
from tests.faults.cluster import Cluster, Worker
from tests.waiting import until
from z0.domain.commands import AddBudget, CreateEntity
from z0.domain.outcome import Outcome

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]
BLOCK = 4096


class SmallDisk:
    """A disk of its own for one folder, that can be filled and emptied."""

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / "ballast"

    def fill(self, *, but: int = 0) -> None:
        """To the last block, but for so many bytes."""
        with self._ballast.open("wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(BLOCK))
            except OSError:
                ballast.truncate(max(0, ballast.tell() - but))

    def empty(self) -> None:
        """There is room again."""
        self._ballast.unlink()


@pytest.fixture
def disk(cluster: Cluster) -> Iterator[SmallDisk]:
    """Of 64 MiB, under the workers' folder."""
    folder = cluster.config.home / "workers"
    folder.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a disk of a chosen size needs the right to mount one: {mounted.stderr.decode()}")
    yield SmallDisk(folder)
    cluster.close()
    subprocess.run(["umount", str(folder)], check=True)


async def said(worker: Worker, text: str, seconds: float = 60.0) -> None:
    """Wait until a worker has said something."""

    async def so() -> bool:
        return worker.says(text)

    await until(so, f"{text!r} in its log:\n{worker.tail()}", seconds)


@pytest.mark.faults
async def test_a_worker_whose_disk_is_full_under_load_ends_with_the_reason_and_its_successor_goes_on(
    cluster: Cluster, disk: SmallDisk
) -> None:
    """Ids that cannot be kept would be decided twice: it stops before anybody is told. Started on the full disk it ends again."""
    worker = cluster.start(1)
    async with Callers(cluster.config) as callers:
        done = asyncio.Event()
        await callers.open_accounts()
        asking = asyncio.create_task(callers.go_on(done))
        await callers.heard(100)
        disk.fill()
        assert await worker.ended() == 1
        assert worker.says("No space left on device")
        second = cluster.start(1)
        assert await second.ended() == 1
        disk.empty()
        cluster.start(1)
        await callers.heard(100)
        done.set()
        await asking
        await callers.settled()


async def test_a_disk_that_was_full_for_a_moment_stops_snapshots_for_that_moment_only(cluster: Cluster, disk: SmallDisk) -> None:
    """There is room for ids, not for snapshots; the same worker writes them again as soon as there is, and they are right."""
    worker = cluster.start(1)
    async with Callers(cluster.config) as callers:
        await cluster.serving(callers.ledger, worker)
        disk.fill(but=128 * 1024)
        large = Raw(msgspec.json.encode({"text": "x" * 100_000}))
        await callers.ask(*(callers.of(CreateEntity, account, data=large) for account in callers.accounts))
        await said(worker, "a snapshot failed")
        assert worker.says("No space left on device")
        disk.empty()
        await said(worker, "was opened anew after a write that failed")
        await callers.ask(*(callers.of(AddBudget, account, amount="100", currency="USD") for account in callers.accounts))
        assert {told.answer.outcome for told in callers.told} == {Outcome.ACCEPTED}
        assert worker.process.poll() is None
        worker.kill()
        cluster.start(1)
        await callers.ask(*(next(callers.work(account)) for account in callers.accounts for _ in range(5)))
        await callers.settled()
