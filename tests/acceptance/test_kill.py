"""kill -9 in the middle of the demo: after the restart every final check holds."""

import asyncio
import signal
import uuid

import pytest

from tests.waiting import until
from z0 import stack as local
from z0.cli.demo import CommandLineOperator
from z0.client import connect
from z0.config import Config
from z0.demo.run import run
from z0.log.kafka import KafkaLog

pytestmark = [pytest.mark.stack, pytest.mark.faults, pytest.mark.timeout(240)]
ROWS = 3_000
IN_THE_MIDDLE = 1_500  # facts of about 8,000


async def facts_in_log(config: Config) -> int:
    """Records in the fact log now."""
    log = KafkaLog(config.kafka_servers)
    return sum([(await log.bounds(partition))[1] for partition in range(config.partitions)])


@pytest.mark.parametrize(
    "victims",
    [
        pytest.param(("worker",), id="worker"),
        pytest.param(("api",), id="api"),
        pytest.param(("sink-postgres", "sink-clickhouse", "sink-archive", "sink-configs"), id="sinks"),
    ],
)
async def test_the_final_checks_hold_when_a_process_is_killed_in_the_middle(stack: Config, victims: tuple[str, ...]) -> None:
    """Nothing is lost, doubled or drifted: counts agree in four places, money is conserved to the last unit."""
    async with connect(stack) as ledger:
        before = await facts_in_log(stack)
        operator = CommandLineOperator(ledger)
        playing = asyncio.create_task(run(stack, operator, run_id=uuid.uuid4().hex[:8], rows=ROWS, console=None))

        async def in_the_middle() -> bool:
            return playing.done() or await facts_in_log(stack) > before + IN_THE_MIDDLE

        await until(in_the_middle, "the demo under way", 60)
        assert not playing.done(), "it was over before anything could be killed"
        for victim in victims:
            local.kill(stack, victim, signal.SIGKILL)
        result = await playing
    assert result.ok, result.checks
