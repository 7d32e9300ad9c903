"""The reader of `z0.commands` on real Kafka: positions, seeks while a fetch is under way, assignments."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from streams.reading import CommandReader
from tests.waiting import until
from z0.bench.topics import PRODUCE_BATCH, Pair, preload_at_once
from z0.codec import encode_command
from z0.config import Config
from z0.domain.commands import CreateEntity
from z0.log.inbox import KafkaRecord
from z0.log.kafka import new_producer
from z0.names import COMMANDS

pytestmark = pytest.mark.stack
PARTITION = 0
FETCH_S = 0.2


@pytest.fixture
async def reader(stack: Config) -> AsyncIterator[CommandReader]:
    """Connected, with nothing assigned."""
    reader = CommandReader(stack.kafka_servers)
    await reader.start()
    yield reader
    await reader.stop()


def creations(count: int) -> list[CreateEntity]:
    """Commands, each on a ledger of its own."""
    return [CreateEntity(id="1", tenant_id="t", ledger_id=f"account_acct_{uuid.uuid4().hex}") for _ in range(count)]


async def produce(config: Config, count: int) -> int:
    """Commands on the partition, which the stack's worker forwards; the offset of the first."""
    producer = new_producer(config.kafka_servers)
    await producer.start()
    try:
        sent = [
            await producer.send_and_wait(COMMANDS, key=c.ledger_id.encode(), value=encode_command(c), partition=PARTITION)
            for c in creations(count)
        ]
        return int(sent[0].offset)
    finally:
        await producer.stop()


async def next_records(reader: CommandReader) -> list[KafkaRecord]:
    """What the next fetch that finds something brings."""

    async def found() -> list[KafkaRecord] | None:
        return list((await reader.fetch([PARTITION], FETCH_S)).get(PARTITION, ())) or None

    return await until(found, "records")


async def test_it_reads_from_where_it_is_told_and_again_after_a_seek(stack: Config, reader: CommandReader) -> None:
    """A record has what a command needs."""
    first = await produce(stack, 3)
    reader.assign({PARTITION: first + 1})
    record = (await next_records(reader))[0]
    assert record.offset == first + 1
    assert record.key is not None
    assert record.value is not None
    assert record.key in record.value
    assert not record.headers
    reader.seek(PARTITION, first)
    assert (await next_records(reader))[0].offset == first


async def test_a_seek_while_a_fetch_waits_is_where_that_fetch_reads(stack: Config, reader: CommandReader) -> None:
    """Nothing that lay at the old position is handed over after it."""
    first = await produce(stack, 2)
    reader.assign({PARTITION: first})
    while reader.position(PARTITION) != first + 2:
        await next_records(reader)
    waiting = asyncio.create_task(next_records(reader))
    await asyncio.sleep(0)
    reader.seek(PARTITION, first)
    assert (await waiting)[0].offset == first


async def test_what_is_no_longer_assigned_is_not_read(stack: Config, reader: CommandReader) -> None:
    """Between two assignments a worker reads nothing, whatever was on its way."""
    first = await produce(stack, 2)
    reader.assign({PARTITION: first})
    waiting = asyncio.create_task(reader.fetch([PARTITION], FETCH_S))
    await asyncio.sleep(0)
    reader.assign({})
    assert await waiting == {}
    assert reader.partitions() == set()
    assert reader.position(PARTITION) is None


async def test_of_what_is_preloaded_at_once_nothing_is_read_before_all_of_it_is_there(
    stack: Config, reader: CommandReader
) -> None:
    """As workers must see the commands of a catch-up."""
    records = [(c.ledger_id, encode_command(c)) for c in creations(3)]

    def interrupted() -> Iterator[Pair]:
        yield from ((c.ledger_id, encode_command(c)) for c in creations(PRODUCE_BATCH))
        raise InterruptedError

    first = await produce(stack, 1)
    reader.assign({PARTITION: first + 1})
    with pytest.raises(InterruptedError):
        await preload_at_once(stack.kafka_servers, COMMANDS, 1, records=interrupted())
    assert await preload_at_once(stack.kafka_servers, COMMANDS, 1, records=records) == 3
    assert [record.value for record in await next_records(reader)] == [value for _, value in records]
