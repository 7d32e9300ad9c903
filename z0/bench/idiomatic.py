"""
The peer: a Faust worker as the Faust documentation teaches it. One Record in, one table write and one fact out per event.

It does less than z0 (no chain, no exactly-once, no idempotence, no expiry); it is what a team would write first.
Run as `python -m z0.bench.idiomatic SERVERS FOLDER PARTITIONS`.
"""

import asyncio
import sys
from decimal import Decimal
from typing import Any

COMMANDS = "bench.commands"
FACTS = "bench.facts"
APP = "bench-idiomatic"
TABLE = "bench-budgets"
CHANGELOG = f"{APP}-{TABLE}-changelog"


def create_app(servers: str, folder: str, partitions: int) -> Any:
    """The app: models, a table, an agent."""
    import faust

    class Spend(faust.Record, serializer="json"):
        id: str
        account: str
        amount: str

    class Fact(faust.Record, serializer="json"):
        id: str
        account: str
        amount: str
        available: str

    app = faust.App(
        APP, broker=f"kafka://{servers}", datadir=folder, store="rocksdb://", web_enabled=False, topic_partitions=partitions,
        topic_disable_leader=True, autodiscover=False, broker_session_timeout=10.0, broker_heartbeat_interval=2.0,
        worker_redirect_stdouts=False,
    )  # fmt: skip
    commands = app.topic(COMMANDS, key_type=str, value_type=Spend, partitions=partitions)
    facts = app.topic(FACTS, key_type=str, value_type=Fact, partitions=partitions)
    budgets = app.Table(TABLE, default=str, partitions=partitions)

    @app.agent(commands)
    async def spend(stream: Any) -> None:
        async for command in stream:
            available = Decimal(budgets[command.account] or "1000000000") - Decimal(command.amount)
            budgets[command.account] = str(available)
            fact = Fact(id=command.id, account=command.account, amount=command.amount, available=str(available))
            await facts.send(key=command.account, value=fact)

    return app


def main() -> None:
    """Run the worker until it is stopped."""
    import faust
    import uvloop

    servers, folder, partitions = sys.argv[1:]
    uvloop.install()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    faust.Worker(create_app(servers, folder, int(partitions)), loglevel="ERROR", loop=loop).execute_from_commandline()


if __name__ == "__main__":
    main()
