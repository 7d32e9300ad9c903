"""The laws of the sink of configs, on a real topic: every version once, the position behind the data, whoever dies when."""

import uuid
from collections.abc import AsyncIterator, Mapping

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from sinks.base import Probe, StoreUnavailable, no_probe
from sinks.configs.sink import STORE_POSITIONS_MS, ConfigsSink
from sinks.testing import LogMaker, slices
from tests.unit.config_world import OVERDRAFT, put
from tests.waiting import until
from z0.clock import ManualClock
from z0.config import Config
from z0.configs.reader import ConfigReader, read_book
from z0.domain.config import encode_version
from z0.errors import SinkStopped
from z0.log.validity import Position

pytestmark = [pytest.mark.stack, pytest.mark.filterwarnings("ignore::ResourceWarning")]
Topic = tuple[str, str]  # servers and name


class Killed(Exception):
    """The process died here."""


@pytest.fixture
async def topic(stack: Config) -> AsyncIterator[Topic]:
    """A topic of one's own."""
    name = f"configs-{uuid.uuid4().hex[:10]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka_servers)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1, topic_configs={"cleanup.policy": "compact"})])
    yield stack.kafka_servers, name
    await admin.delete_topics([name])
    await admin.close()


def log_of(configs: int = 3) -> LogMaker:
    """Versions between other facts, in both partitions."""
    log = LogMaker(2, seed=5)
    more(log, configs)
    log.zombie(0)
    return log


def more(log: LogMaker, configs: int) -> None:
    """The next version of so many configs."""
    for n in range(configs):
        log.facts(10)
        log.command(n % 2, put(OVERDRAFT, id=uuid.uuid4().hex, ledger_id=f"config_cfg_{n}"))
    log.facts(10)


async def copy(
    topic: Topic, log: LogMaker, *, probe: Probe = no_probe, clock: ManualClock | None = None
) -> Mapping[int, Position]:
    """One life of a sink: from the stored position to the log's end, flushing after each slice."""
    sink = ConfigsSink(*topic, clock=ManualClock(), probe=probe)
    try:
        for partition, reads, position in slices(log, await sink.start(), size=15):
            sink.add(partition, reads, position)
            await sink.flush()
        return await sink.flush(final=True)
    finally:
        await sink.close()


def written(log: LogMaker) -> dict[str, int]:
    """Versions by config, as the ledgers have them."""
    return {of.partition("_")[2]: s.config.version for of, s in log.states.items() if s.config is not None}


async def stored(topic: Topic) -> dict[str, int]:
    book = await read_book(*topic)
    assert all([v.version for v in book.versions(name)] == list(range(1, len(book.versions(name)) + 1)) for name in book.ids())
    return {name: len(book.versions(name)) for name in book.ids()}


async def test_every_valid_version_is_there_and_the_position_is_the_logs_end(topic: Topic) -> None:
    """An empty topic has no positions; a new life goes on where the last one stored."""
    log = log_of()
    positions = await copy(topic, log)
    assert await stored(topic) == written(log) == {"cfg_0": 1, "cfg_1": 1, "cfg_2": 1}
    assert {p: at.next_offset for p, at in positions.items()} == {p: len(r) for p, r in log.records.items()}
    assert await copy(topic, log) == positions
    more(log, 2)
    await copy(topic, log)
    assert await stored(topic) == written(log) == {"cfg_0": 2, "cfg_1": 2, "cfg_2": 1}


async def test_the_bytes_are_those_of_the_fact(topic: Topic) -> None:
    """Fields that a newer release adds get through an older sink."""
    log = log_of(1)
    await copy(topic, log)
    (version,) = (await read_book(*topic)).versions("cfg_0")
    fact = next(record.value for record in log.records[0] if b'"versioned"' in record.value)
    assert encode_version(version) in fact


@pytest.mark.parametrize("step", [1, 2])
async def test_a_death_after_any_step_loses_nothing_and_doubles_nothing(topic: Topic, step: int) -> None:
    """Killed after each numbered step, in the first flush that has a version and in a later one."""
    log = log_of()

    def dies_at(times: int) -> Probe:
        left = [times]

        def probe(reached: int) -> None:
            left[0] -= reached == step
            if not left[0]:
                raise Killed

        return probe

    for times in (1, 2):
        with pytest.raises(Killed):
            await copy(topic, log, probe=dies_at(times))
        more(log, 3)
    await copy(topic, log)
    assert await stored(topic) == written(log)


async def test_facts_that_are_no_configs_move_the_position_at_intervals_only(topic: Topic) -> None:
    """Each flush would fill a topic that every worker reads at its start."""
    log, clock = LogMaker(1, seed=3), ManualClock()
    log.facts(20)
    sink = ConfigsSink(*topic, clock=clock)
    for partition, reads, position in slices(log, await sink.start()):
        sink.add(partition, reads, position)
    assert await sink.flush() == {}
    assert sink.waiting == len(log.records[0])
    clock.advance(STORE_POSITIONS_MS)
    assert {p: at.next_offset for p, at in (await sink.flush()).items()} == {0: len(log.records[0])}
    assert sink.waiting == 0
    await sink.close()


async def test_two_writers_write_the_same(topic: Topic) -> None:
    """Neither needs to be fenced: a position that goes back makes the next start read more."""
    log = log_of()
    first, second = ConfigsSink(*topic), ConfigsSink(*topic)
    for sink in (first, second):
        for partition, reads, position in slices(log, await sink.start()):
            sink.add(partition, reads, position)
    await second.flush(final=True)
    more(log, 3)
    await copy(topic, log)
    await first.flush(final=True)
    await first.close()
    await second.close()
    await copy(topic, log)
    assert await stored(topic) == written(log)


async def test_another_log_with_the_same_configs_stops_the_sink(topic: Topic) -> None:
    """What stands under a key never changes."""
    await copy(topic, log_of())
    other = LogMaker(2, seed=6)
    other.facts(100)
    other.command(0, put({"overdraft": {"USD": "7"}}, ledger_id="config_cfg_0"))
    with pytest.raises(SinkStopped, match="another log"):
        await copy(topic, other)


async def test_a_broker_that_is_away_is_waited_for() -> None:
    """Every failure of the connection is the store's."""
    sink = ConfigsSink("127.0.0.1:1", "configs")
    with pytest.raises(StoreUnavailable):
        await sink.start()
    await sink.close()


async def test_a_reader_has_everything_at_its_start_and_follows(topic: Topic) -> None:
    """What is no config is passed over."""
    log = log_of()
    await copy(topic, log)
    reader = ConfigReader(topic[0], topic=topic[1])
    await reader.start()
    assert reader.behind == 0
    assert {name: len(reader.book.versions(name)) for name in reader.book.ids()} == written(log)
    producer = AIOKafkaProducer(bootstrap_servers=topic[0])
    await producer.start()
    await producer.send_and_wait(topic[1], b"no config", key=b"x")
    await producer.stop()
    more(log, 3)
    await copy(topic, log)

    async def follows() -> bool:
        return {name: len(reader.book.versions(name)) for name in reader.book.ids()} == written(log) and reader.behind == 0

    await until(follows, "the reader has the new versions")
    await reader.stop()
    assert reader.behind is None


async def test_a_reader_whose_topic_was_made_anew_reads_it_again(topic: Topic) -> None:
    """The copy may be dropped and filled again from the log while workers run."""
    log = log_of()
    for _ in range(3):
        await copy(topic, log)
        more(log, 3)
    reader = ConfigReader(topic[0], topic=topic[1])
    await reader.start()
    admin = AIOKafkaAdminClient(bootstrap_servers=topic[0])
    await admin.start()
    await admin.delete_topics([topic[1]])

    async def is_made() -> bool:
        response = await admin.create_topics([NewTopic(topic[1], 1, 1, topic_configs={"cleanup.policy": "compact"})])
        return response.topic_errors[0][1] in (0, 36)  # made, or there

    await until(is_made, "the topic is there again")
    await admin.close()
    more(log, 3)
    await until(lambda: _copied(topic, log), "the sink can write again")

    async def follows() -> bool:
        return {name: len(reader.book.versions(name)) for name in reader.book.ids()} == written(log)

    await until(follows, "the reader has what was written since", seconds=60)
    await reader.stop()


async def _copied(topic: Topic, log: LogMaker) -> bool:
    try:
        await copy(topic, log)
    except StoreUnavailable:
        return False
    return await stored(topic) == written(log)
