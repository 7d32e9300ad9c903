"""What a worker refuses to start on."""

import socket

import pytest

from streams.app import home_of
from tests.faults.callers import Callers
from tests.faults.cluster import Cluster
from z0.domain.commands import AddBudget

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]
KILLS = 8


async def test_a_worker_does_not_start_on_topics_with_another_number_of_partitions(cluster: Cluster) -> None:
    """It would look for ledgers where they are not."""
    asking_for_more = cluster.config.model_copy(update={"partitions": cluster.config.partitions + 1})
    other = Cluster(asking_for_more)
    try:
        worker = other.start(1)
        assert await worker.ended() > 0
        assert worker.says("has 2 partitions, Z0_PARTITIONS asks for 3")
    finally:
        other.close()


@pytest.mark.faults
async def test_a_worker_that_is_killed_again_and_again_knows_every_id_that_it_ever_took(cluster: Cluster) -> None:
    """Each start opens the indexes of both partitions once more, and from the fourth on compacts them."""
    async with Callers(cluster.config) as callers:
        worker = cluster.start(1)
        await callers.open_accounts()
        for _ in range(KILLS):
            await callers.ask(*(callers.of(AddBudget, account, amount="1", currency="USD") for account in callers.accounts))
            worker.kill()
            worker = cluster.start(1)
            asked = [told.command for told in callers.told if not told.answer.repeated]
            await callers.ask(*asked)
            assert all(told.answer.repeated for told in callers.told[-len(asked) :])
        await callers.settled()


async def test_a_worker_whose_door_is_another_programs_port_says_which_setting_and_ends(cluster: Cluster) -> None:
    """Not with the exit code of a worker that was told to stop: a supervisor must see it."""
    with socket.create_server((cluster.config.door_host, cluster.config.door_port)):
        worker = cluster.start(1)
        assert await worker.ended() == 1
    assert worker.says(f"port {cluster.config.door_port} (Z0_DOOR_PORT) is taken by")


async def test_a_worker_whose_start_fails_does_not_end_as_if_it_had_been_told_to(cluster: Cluster) -> None:
    """Here a file is where its folder should be."""
    folder = home_of(cluster.config) / "faust"
    folder.parent.mkdir(parents=True)
    folder.touch()
    worker = cluster.start(1)
    assert await worker.ended() == 1
    assert worker.says("closed, since something stopped this worker")
