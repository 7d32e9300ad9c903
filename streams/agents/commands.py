"""The agent of `z0.commands`: hands each fetched batch to its partition's engine and does not wait for it."""

import logging
from functools import partial
from typing import Any

from z0.names import COMMANDS, COMMANDS_AGENT

logger = logging.getLogger(__name__)


def register(app: Any, partitions: int) -> None:
    """Add the agent to the app. The batch is acked by its engine, after the facts are durable."""
    topic = app.topic(
        COMMANDS, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", partitions=partitions
    )

    @app.agent(topic, name=COMMANDS_AGENT, concurrency=1)  # type: ignore[untyped-decorator]  # app is Any here
    async def commands(stream: Any) -> None:
        async for event in stream.noack().events():
            for batch in event.message.batches:
                if not app.host.offer_kafka(batch, partial(app.consumer.acknowledge, batch)):
                    logger.info("partition %d: records before offset %d are read again", batch.partition, batch.records[0].offset)
                    await app.consumer.rewind(batch.partition)
