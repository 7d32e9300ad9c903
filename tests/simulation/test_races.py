"""
Races that a plan cannot ask for by name, played on purpose: the real consumer, host and engine over the twins, step by step.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from z0.codec import encode_command
from z0.domain.commands import AddBudget, Command, CreateEntity, DeductBudget
from z0.sim.auditor import audit
from z0.sim.faults import Fault, FaultKind
from z0.sim.loop import VirtualLoop
from z0.sim.machine import Cluster
from z0.sim.plan import Plan
from z0.sim.scenario import Scenario, alone
from z0.sim.worker import Worker
from z0.sim.workload import TENANT

LEDGER = "account_acct_1"
SEEDS = 60  # each has other delays: the window of a race is some milliseconds
CALM = Plan(
    seed=1,
    partitions=1,
    workers=2,
    memory_tables=False,
    snapshot_interval_ms=500,
    live_entities_max=100,
    calm_ms=0,
    flows=(),
    faults=(),
)


def deduct(number: int, ledger: str = LEDGER) -> DeductBudget:
    return DeductBudget(id=f"d{number}", tenant_id=TENANT, ledger_id=ledger, amount="1", currency="USD")


def opening(ledger: str = LEDGER) -> list[Command]:
    create = CreateEntity(id="create", tenant_id=TENANT, ledger_id=ledger)
    return [create, AddBudget(id="add", tenant_id=TENANT, ledger_id=ledger, amount="1000", currency="USD")]


class Stage:
    """A running cluster, and hands for its levers."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.cluster: Cluster = scenario.cluster

    def produce(self, *commands: Command) -> None:
        """Commands on the topic, now."""
        for command in commands:
            self.cluster.broker.land_command(0, command.ledger_id.encode(), encode_command(command))

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for a condition, two virtual minutes at most."""
        async with asyncio.timeout(120):
            while not holds():  # noqa: ASYNC110 - conditions of other objects, which know no events
                await asyncio.sleep(0.005)

    async def serving(self) -> Worker:
        """The worker that has the partition."""
        await self.until(lambda: 0 in self.cluster.broker.owners)
        return next(w for w in self.scenario.workers if w.name == self.cluster.broker.owners[0][1])

    def decided(self) -> set[str]:
        """Ids of the commands whose facts are on the log."""
        values = [record.value for record in self.cluster.broker.facts[0]]
        return {value.partition(b'"command_id":"')[2].partition(b'"')[0].decode() for value in values if b'"command_id"' in value}


def staged(play: Callable[[Stage], Awaitable[None]], plan: Plan = CALM) -> Stage:
    """Play a story on a cluster, let it come to rest, and have the auditor look."""
    loop = VirtualLoop()
    scenario = Scenario(plan, loop)
    stage = Stage(scenario)

    async def run() -> None:
        story = asyncio.ensure_future(play(stage))
        scenario.start()
        await story
        await scenario.finish()

    with alone(plan.seed, scenario.cluster):
        try:
            loop.run_until_complete(run())
            assert audit(scenario.evidence()).violations == []
        finally:
            loop.finish()
    return stage


def test_a_fetch_that_begins_while_a_rewind_is_under_way_is_thrown_away() -> None:
    """
    Its records come from before the seek. Taken for those behind it, they would move the applied offset over a gap, and the
    commands in it would be lost without a letter. An epoch dies with batches queued, and more come in while it goes back.
    """

    async def play(stage: Stage) -> None:
        await stage.serving()
        stage.produce(*opening())
        await stage.until(lambda: len(stage.decided()) == 2)
        for first in range(0, 120, 40):
            stage.cluster.armed.arm(Fault(0, FaultKind.OUTBOX_LOST))
            stage.produce(*(deduct(n, "account_acct_nobody" if n % 40 == 3 else LEDGER) for n in range(first, first + 40)))
            await asyncio.sleep(0.1)
        await stage.until(lambda: len(stage.decided()) == 2 + 117)

    for seed in range(SEEDS):
        staged(play, msgspec.structs.replace(CALM, seed=seed))


def test_rewinds_of_the_engine_and_of_the_agent_at_once_lose_nothing() -> None:
    """An epoch dies with batches queued: the agent goes back for a batch that was refused, the engine for what it dropped."""

    async def play(stage: Stage) -> None:
        await stage.serving()
        stage.produce(*opening())
        await stage.until(lambda: len(stage.decided()) == 2)
        for first in range(0, 80, 20):
            stage.cluster.armed.arm(Fault(0, FaultKind.LOSE_BATCH, partition=0))
            stage.produce(*(deduct(n) for n in range(first, first + 20)))
            await asyncio.sleep(0.05)
        await stage.until(lambda: len(stage.decided()) == 82)

    staged(play)


def test_an_engine_of_a_past_assignment_is_gone_before_the_next_one_reads() -> None:
    """Rebalances in quick succession, with a slow recovery between: no engine runs on an assignment that was taken back."""

    async def play(stage: Stage) -> None:
        await stage.serving()
        stage.produce(*opening(), *(deduct(n) for n in range(50)))
        for _ in range(6):
            stage.cluster.group.rebalance()
            await asyncio.sleep(2.1)
            running = [w.name for w in stage.scenario.workers if w.host.partitions() - mine(stage, w)]
            assert running == []
        await stage.until(lambda: len(stage.decided()) == 52)

    def mine(stage: Stage, worker: Worker) -> set[int]:
        return {tp.partition for tp in worker.consumer.assignment()}

    staged(play)


def test_a_zombie_sends_no_dead_letter_for_a_ledger_that_its_successor_has() -> None:
    """
    It holds a command that it fetched and wakes up when its partition is another's. What it knows of ledgers is old: a
    letter `unknown_entity` would say that a command was refused which the successor has accepted.
    """
    late = "account_acct_late"

    async def play(stage: Stage) -> None:
        zombie = await stage.serving()
        assert zombie.process is not None
        zombie.process.suspend()
        await stage.until(lambda: stage.cluster.broker.owners[0][1] != zombie.name)
        await stage.scenario.clients.ask([encode_command(command) for command in opening(late)])
        stage.produce(*(deduct(n, late) for n in range(5)))
        zombie.process.resume()
        await stage.until(lambda: len(stage.decided()) == 7)

    stage = staged(play)
    assert stage.cluster.broker.letters == []


def test_a_zombie_that_has_the_command_in_its_hands_sends_no_dead_letter_either() -> None:
    """The same, with the record delivered before it stopped: only the lease stands between it and the letter."""
    late = "account_acct_late"

    async def play(stage: Stage) -> None:
        zombie = await stage.serving()
        assert zombie.process is not None
        stage.produce(*opening())
        await stage.until(lambda: len(stage.decided()) == 2)
        stage.cluster.armed.arm(Fault(0, FaultKind.SUSPEND, worker=zombie.number, gate="decide", for_ms=40_000))
        stage.produce(*(deduct(n, late) for n in range(5)))
        await stage.until(lambda: stage.cluster.broker.owners[0][1] != zombie.name)
        await asyncio.sleep(60)

    stage = staged(play)
    letters = [letter.key for letter in stage.cluster.broker.letters]
    assert len(set(letters)) == 5
