"""
Putting a sink together from the settings. Owns: which sink a name is. Each store's library is imported only for its sink.
"""

import asyncio
import signal
from collections.abc import Callable
from typing import Final

from sinks.base import Sink
from sinks.kafka import KafkaDeadLetters, KafkaSource
from sinks.policy import policy_of, prompt_policy_of
from sinks.reading import SelectiveReader, SteppingReader
from sinks.runner import Runner
from z0.config import Config
from z0.errors import Z0Error
from z0.log.validity import Position
from z0.names import SINK_ARCHIVE, SINK_CLICKHOUSE, SINK_CONFIGS, SINK_POSTGRES


def _postgres(config: Config) -> Sink:
    from sinks.postgres.sink import PostgresSink

    return PostgresSink(config.postgres_url)


def _clickhouse(config: Config) -> Sink:
    from sinks.clickhouse.sink import ClickHouseSink

    return ClickHouseSink(config.clickhouse_url)


def _archive(config: Config) -> Sink:
    from sinks.archive.sink import ArchiveSink

    return ArchiveSink(config.s3_url, config.archive_range_facts)


def _configs(config: Config) -> Sink:
    from sinks.configs.sink import ConfigsSink

    return ConfigsSink(config.kafka_servers)


SINKS: Final[dict[str, Callable[[Config], Sink]]] = {
    SINK_POSTGRES: _postgres,
    SINK_CLICKHOUSE: _clickhouse,
    SINK_ARCHIVE: _archive,
    SINK_CONFIGS: _configs,
}


def sink_of(config: Config, name: str) -> Sink:
    """
    The sink of a name.

    Raises:
        Z0Error: there is none.
    """
    if name not in SINKS:
        raise Z0Error(f"there is no sink {name!r}; there are {', '.join(SINKS)}")
    return SINKS[name](config)


def runner_of(config: Config, name: str) -> Runner:
    """The sink with Kafka on its other end."""
    servers = config.kafka_servers
    ends = sink_of(config, name), KafkaSource(servers, name), KafkaDeadLetters(servers)
    if name == SINK_CONFIGS:
        return Runner(*ends, policy=prompt_policy_of(config), reader=_reader_of_configs)
    return Runner(*ends, policy=policy_of(config))


def _reader_of_configs(partition: int, position: Position) -> SteppingReader:
    from sinks.configs.sink import KEY_PREFIX

    return SelectiveReader(partition, position, KEY_PREFIX)


async def run_sink(config: Config, name: str, *, to_end: bool = False) -> Runner:
    """
    Run a sink until SIGTERM or SIGINT, or to the log's end; what was read is flushed before it returns.

    Raises:
        LogBroken, SinkStopped: it must not go on by itself.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = runner_of(config, name)
    await runner.run(stop, to_end=to_end)
    return runner
