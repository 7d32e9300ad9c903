"""What a worker refuses to start on."""

import pytest

from tests.faults.cluster import Cluster

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]


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
