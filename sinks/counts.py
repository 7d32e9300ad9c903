"""
How many facts are where, and how far each store is behind. Owns: counting by every store's own means. Writes nothing.
"""

import asyncio
from collections.abc import Mapping

import psycopg

from sinks import sql
from sinks.archive import manifest
from sinks.archive.bucket import Bucket
from sinks.base import Sink
from sinks.build import SINKS, sink_of
from sinks.clickhouse.client import Store
from sinks.kafka import KafkaSource
from sinks.policy import BatchLimit
from sinks.reading import SteppingReader
from sinks.runner import POLL_MS
from sinks.status import lag_of
from z0.config import Config
from z0.log.validity import Position, Standing
from z0.names import SINK_ARCHIVE, SINK_CLICKHOUSE, SINK_POSTGRES

LOG = "log"


async def counts(config: Config) -> dict[str, int]:
    """
    Valid facts in the log, up to its end at the call, and in each store.

    Raises:
        StoreUnavailable, SourceUnavailable: somebody does not answer.
    """
    stores = (_postgres, _clickhouse, _archive)
    postgres, clickhouse, archive = await asyncio.gather(*(asyncio.to_thread(count, config) for count in stores))
    in_log = await _log(config)
    return {LOG: in_log, SINK_POSTGRES: postgres, SINK_CLICKHOUSE: clickhouse, SINK_ARCHIVE: archive}


async def lag(config: Config) -> dict[str, int]:
    """
    Records between each store's position and the log's end, over all partitions.

    Raises:
        StoreUnavailable, SourceUnavailable: somebody does not answer.
    """
    ends = await log_ends(config)
    return {name: sum(lag_of(ends, await _positions(sink_of(config, name))).values()) for name in SINKS}


async def log_ends(config: Config) -> dict[int, int]:
    """
    The next offset of every partition of the fact log.

    Raises:
        SourceUnavailable: Kafka does not answer.
    """
    source = KafkaSource(config.kafka_servers, "lag")
    try:
        return {partition: end for partition, (_, end) in (await source.start()).items()}
    finally:
        await source.close()


async def _positions(sink: Sink) -> Mapping[int, Position]:
    """Starting a sink reads its positions and writes nothing."""
    try:
        return await sink.start()
    finally:
        await sink.close()


async def _log(config: Config) -> int:
    source = KafkaSource(config.kafka_servers, "counts")
    try:
        bounds = await source.start()
        readers = {partition: SteppingReader(partition, Position(start)) for partition, (start, _) in bounds.items()}
        source.seek({partition: start for partition, (start, _) in bounds.items()})
        return await _count_to(source, readers, {partition: end for partition, (_, end) in bounds.items()})
    finally:
        await source.close()


async def _count_to(source: KafkaSource, readers: Mapping[int, SteppingReader], ends: Mapping[int, int]) -> int:
    found = 0
    while any(readers[partition].position.next_offset < end for partition, end in ends.items()):
        for partition, records in (await source.poll(BatchLimit().poll_rows_max, POLL_MS)).items():
            reads, _ = readers[partition].read(records)
            found += sum(read.standing is Standing.VALID and read.offset < ends[partition] for read in reads)
    return found


def _postgres(config: Config) -> int:
    with psycopg.connect(config.postgres_url) as connection:
        row = connection.execute(sql.queries("sinks.postgres")["count_facts"].encode()).fetchone()
    assert row is not None
    return int(row[0])


def _clickhouse(config: Config) -> int:
    store = Store(config.clickhouse_url)
    try:
        return int(store.query(sql.queries("sinks.clickhouse")["count_facts"])[0][0])
    finally:
        store.close()


def _archive(config: Config) -> int:
    """By the manifests; `z0 verify` proves that they say what the objects hold."""
    bucket = Bucket(config.s3_url)
    try:
        bodies = (bucket.get(key) for key in bucket.keys(manifest.MANIFESTS))
        return sum(manifest.decode(body).facts for body in bodies if body is not None)
    finally:
        bucket.close()
