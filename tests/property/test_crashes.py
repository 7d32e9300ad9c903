"""Random crashes and faults of the real engine on its twins: nothing is lost, nothing is doubled."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property.commands import MONEY, opening
from tests.unit.test_log_engine_world import Fault, World
from tests.unit.test_log_world import Bench, audit, comparable
from z0.codec import encode_command
from z0.domain.answer import Answer
from z0.domain.commands import Command
from z0.domain.outcome import Kind, kind
from z0.errors import LogBroken
from z0.log.engine import Limits

FAULTS = st.sampled_from([f for f in Fault if f is not Fault.NO_ANSWER])
EVENTS = st.one_of(
    st.tuples(st.just("direct"), st.lists(MONEY, min_size=1, max_size=8)),
    st.tuples(st.just("kafka"), st.lists(MONEY, min_size=1, max_size=8)),
    st.tuples(st.just("fault"), FAULTS),
    st.tuples(st.just("crash"), st.booleans()),
    st.tuples(st.just("stop"), st.none()),
    st.tuples(st.just("snapshot"), st.booleans()),
    st.tuples(st.just("release"), st.none()),
    st.tuples(st.just("pause"), st.sampled_from([1, 600, -40])),
)
Event = tuple[str, object]
Firsts = dict[tuple[str, str, str, bytes], Answer]


async def live_through(events: list[Event], live_entities_max: int) -> None:
    """Play a story; retries as a client does; at the end the log is sound and every id has one effect."""
    first: Firsts = {}
    limits = Limits(snapshot_interval_ms=1_000, live_entities_max=live_entities_max)
    async with World(limits=limits) as world:
        await world.ask(*opening())
        for name, what in events:
            await act(world, name, what, first)
        world.log.faults.clear()
        world.snapshots.failures = 0
        await world.until_committed()
        found = await world.check()
        await world.crash()
        world.forget_index = True
        await world.again()
        again = await world.check()
        assert {k: comparable(s) for k, s in again.states.items()} == {k: comparable(s) for k, s in found.states.items()}
        sent = [command for batch in (what for name, what in events if name == "kafka") for command in as_commands(batch)]
        answers = await world.ask(*sent) if sent else []
        assert all(a.repeated or a.seq == 0 for a in answers), "a Kafka command was lost"


def as_commands(what: object) -> list[Command]:
    assert isinstance(what, list)
    return what


async def act(world: World, name: str, what: object, first: Firsts) -> None:
    """One event of a story."""
    if name == "direct":
        await ask(world, as_commands(what), first)
    elif name == "kafka":
        world.produce(*as_commands(what))
        if len(world.commands) % 3 == 0:
            await world.until_committed()
    elif name in ("crash", "stop"):
        await (world.crash() if name == "crash" else world.stop())
        world.forget_index = bool(what)
        await world.again()
    elif name == "snapshot":
        world.snapshots.failures = int(bool(what))
        world.clock.advance(1_000)
        world.broker_clock.advance(1_000)
    elif isinstance(what, Fault):
        world.log.faults.append(what)
    elif isinstance(what, int):
        world.clock.advance(what)
    else:
        world.log.release()


async def ask(world: World, commands: list[Command], first: Firsts) -> None:
    """As a client: until it is decided. What was decided once is what is answered ever after."""
    for command, answer in zip(commands, await world.ask(*commands), strict=True):
        if kind(answer.outcome) is not Kind.UNRECORDED:
            key = (command.tenant_id, command.ledger_id, command.id, encode_command(command))
            known = first.setdefault(key, answer)
            assert (known.outcome, known.seq, known.available) == (answer.outcome, answer.seq, answer.available)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events=st.lists(EVENTS, max_size=14), live_entities_max=st.sampled_from([1, 2, 100]))
def test_nothing_is_lost_or_doubled_wherever_it_crashes(events: list[Event], live_entities_max: int) -> None:
    """Stopped in order or not, with lost acks, zombies and failing snapshots, the log and the live state agree."""
    asyncio.run(live_through(events, live_entities_max))


def test_the_audit_would_notice_a_lost_record() -> None:
    """A check that cannot fail proves nothing."""
    bench = Bench()
    bench.decide(*opening())
    with pytest.raises(LogBroken):
        audit(bench.records[:2] + bench.records[3:])
    with pytest.raises(AssertionError):
        audit([*bench.records[:-1], bench.records[-1]._replace(value=bench.records[-1].value.replace(b"USD", b"EUR"))])
