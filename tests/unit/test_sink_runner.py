"""The loop that every sink shares, on twins in memory."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from sinks.policy import Backoff, BatchLimit, PoisonCount, PoisonLimit, Policy
from sinks.runner import Runner, check_positions
from sinks.status import Phase
from sinks.testing import LogMaker, MemoryDeadLetters, MemorySink, MemorySource
from z0.errors import LogBroken, SinkStopped
from z0.log.validity import Position

QUICK = Policy(batch=BatchLimit(rows_max=50, age_ms=20, poll_rows_max=20), backoff=Backoff(first_ms=1, most_ms=2))


class Rig:
    """A runner with all of its ends."""

    def __init__(self, log: LogMaker, policy: Policy = QUICK) -> None:
        self.sink, self.source, self.letters = MemorySink(), MemorySource(log.records), MemoryDeadLetters()
        self.runner = Runner(self.sink, self.source, self.letters, policy=policy)

    async def to_end(self) -> None:
        await self.runner.run(asyncio.Event(), to_end=True)


def log_of(facts: int = 120) -> LogMaker:
    log = LogMaker(2)
    log.facts(facts)
    return log


async def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition, five seconds at most."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - conditions of other objects, which know no events
            await asyncio.sleep(0.001)


async def test_the_whole_log_is_copied_in_batches_and_in_order() -> None:
    """Batches end at the bound on rows, which a poll may exceed only by its own size."""
    log = log_of()
    rig = Rig(log)
    await rig.to_end()
    assert len(rig.sink.ids) == len(set(rig.sink.ids)) == log.valid
    assert max(rig.sink.flushes) <= 50 + 2 * 20
    assert rig.runner.status.lag_total == 0
    assert rig.runner.status.phase is Phase.STOPPED


async def test_a_sink_goes_on_from_the_stored_position() -> None:
    """Nothing below it is read again."""
    log = log_of()
    rig = Rig(log)
    await rig.to_end()
    log.facts(30)
    again = Rig(log)
    again.sink.stored = dict(rig.sink.stored)
    await again.to_end()
    assert len(again.sink.ids) == 30


async def test_a_store_that_is_down_is_waited_for_and_nothing_is_lost() -> None:
    """Flushes and starts that fail are repeated."""
    log = log_of()
    rig = Rig(log)
    rig.sink.failures, rig.source.failures = 5, 2
    await rig.to_end()
    assert len(rig.sink.ids) == log.valid


async def test_a_stop_while_the_store_is_down_ends_at_once() -> None:
    """What was not flushed is in the log; waiting for the store would only keep the supervisor waiting."""
    rig = Rig(log_of())
    rig.sink.failures = 1_000_000
    stop = asyncio.Event()
    task = asyncio.create_task(rig.runner.run(stop))
    await until(lambda: rig.runner.status.phase is Phase.STORE_DOWN)
    stop.set()
    await asyncio.wait_for(task, 5)
    assert rig.sink.ids == []


async def test_a_stop_flushes_what_was_read() -> None:
    """SIGTERM sets the event; the batch under way is stored."""
    log = log_of(10)
    rig = Rig(log, Policy(batch=BatchLimit(rows_max=10_000, age_ms=60_000)))
    stop = asyncio.Event()
    task = asyncio.create_task(rig.runner.run(stop))
    await until(lambda: rig.runner.status.records >= log.valid)
    stop.set()
    await asyncio.wait_for(task, 5)
    assert len(rig.sink.ids) == log.valid


async def test_poison_goes_to_the_dead_letters_and_the_sink_goes_on() -> None:
    """The letter's key is the record's place; what follows it is as valid as before."""
    log = log_of()
    at = len(log.records[1])
    log.land(1, b"k", b"\xff not JSON")
    log.claim(1)
    log.facts(20)
    rig = Rig(log)
    await rig.to_end()
    assert len(rig.sink.ids) == log.valid
    [(key, value)] = rig.letters.letters
    assert key == b"z0.facts-1-%d" % at
    letter = msgspec.json.decode(value)
    assert {name: letter[name] for name in ("topic", "partition", "offset", "sink")} == {
        "topic": "z0.facts",
        "partition": 1,
        "offset": at,
        "sink": "memory",
    }
    assert letter["reason"].startswith("not a fact")


def test_facts_after_poison_of_the_same_epoch_are_void_only_where_their_offsets_say_so() -> None:
    """Poison changes no epoch; the offset that a fact carries decides."""
    log = LogMaker(1)
    log.facts(3)
    log.land(0, b"k", b"{}")
    log.facts(3)  # the maker counts the poison's offset, as no real writer would without a new claim
    source = Rig(log)
    asyncio.run(source.to_end())
    assert len(source.sink.ids) == 6


async def test_too_much_poison_stops_the_sink() -> None:
    """A whole topic must not be emptied into the dead letters."""
    log = log_of(5)
    for _ in range(101):
        log.land(0, b"k", b"nothing")
    with pytest.raises(SinkStopped, match="in a row"):
        await Rig(log).to_end()


def test_the_share_of_poison_is_judged_from_the_sample_on() -> None:
    """The first bad record is 100% of what was seen, and is let pass."""
    count = PoisonCount(PoisonLimit(ratio_max=0.01, consecutive_max=100, sample_min=1_000))
    count.count(0, [0], [0])
    count.count(0, list(range(1, 998)), list(range(1, 20, 2)))
    with pytest.raises(SinkStopped, match="more than 1%"):
        count.count(0, list(range(998, 1_001)), [998])


def test_pauses_grow_to_the_cap_and_never_beyond() -> None:
    """Half of each pause is jitter."""
    backoff = Backoff(first_ms=100, most_ms=1_000)
    for attempt, whole in ((0, 100), (1, 200), (3, 800), (4, 1_000), (500, 1_000)):
        assert whole // 2 <= backoff.pause_ms(attempt) <= whole


@pytest.mark.parametrize(
    ("stored", "bounds"),
    [
        ({0: Position(11, 0)}, {0: (0, 10)}),
        ({0: Position(4, 0)}, {0: (5, 10)}),
        ({}, {0: (5, 10)}),
        ({3: Position(1, 0)}, {0: (0, 10)}),
    ],
    ids=["beyond the end", "below the start", "nothing stored and the start is gone", "a partition that is not there"],
)
def test_positions_that_do_not_fit_the_log_stop_the_sink(stored: dict[int, Position], bounds: dict[int, tuple[int, int]]) -> None:
    """A topic that was created anew or truncated must never be mistaken for the old one."""
    with pytest.raises(LogBroken):
        check_positions(stored, bounds)
