"""
The peer: a Faust worker as the Faust documentation teaches it. One Record in, one table write and one fact out per event.

It does less than z0 (no chain, no exactly-once, no expiry); it is what a team would write first. With `dedupe` it also keeps
the ids that it has seen in a second table, which costs a second table write, and answers a repeat as the first time.
Run as `python -m z0.bench.idiomatic SERVERS FOLDER PARTITIONS [dedupe]`.
"""

import asyncio
import sys
from decimal import Decimal
from typing import Any

COMMANDS = "bench.commands"
FACTS = "bench.facts"
APP = "bench-idiomatic"
TABLE = "bench-budgets"
SEEN = "bench-seen"
DEDUPE = "dedupe"
_COMPACT = {"cleanup.policy": "compact"}
TOPICS = {
    COMMANDS: {},
    FACTS: {"message.timestamp.type": "LogAppendTime"},
    f"{APP}-{TABLE}-changelog": _COMPACT,
    f"{APP}-{SEEN}-changelog": _COMPACT,
}


def create_app(servers: str, folder: str, partitions: int, dedupe: bool) -> Any:
    """The app: models, tables, an agent."""
    import faust

    class Spend(faust.Record, serializer="json"):
        id: str
        account: str
        amount: str

    class Fact(faust.Record, serializer="json"):
        id: str
        account: str
        amount: str
        outcome: str
        available: str

    app = faust.App(
        APP, broker=f"kafka://{servers}", datadir=folder, store="rocksdb://", web_enabled=False, topic_partitions=partitions,
        topic_disable_leader=True, autodiscover=False, broker_session_timeout=10.0, broker_heartbeat_interval=2.0,
        worker_redirect_stdouts=False,
    )  # fmt: skip
    commands = app.topic(COMMANDS, key_type=str, value_type=Spend, partitions=partitions)
    facts = app.topic(FACTS, key_type=str, value_type=Fact, partitions=partitions)
    budgets = app.Table(TABLE, default=str, partitions=partitions)
    seen = app.Table(SEEN, default=str, partitions=partitions) if dedupe else None

    @app.agent(commands)
    async def spend(stream: Any) -> None:
        async for command in stream:
            outcome = seen[command.id] if seen is not None else ""
            balance = Decimal(budgets[command.account] or "1000000000")
            if not outcome:
                outcome = "accepted" if Decimal(command.amount) <= balance else "budget_exhausted"
                balance -= Decimal(command.amount) if outcome == "accepted" else 0
                budgets[command.account] = str(balance)
                if seen is not None:
                    seen[command.id] = outcome
            fact = Fact(command.id, command.account, command.amount, outcome, str(balance))
            await facts.send(key=command.account, value=fact)

    return app


def main() -> None:
    """Run the worker until it is stopped."""
    import faust
    import uvloop

    servers, folder, partitions, *options = sys.argv[1:]
    uvloop.install()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    faust.Worker(
        create_app(servers, folder, int(partitions), DEDUPE in options), loglevel="ERROR", loop=loop
    ).execute_from_commandline()


if __name__ == "__main__":
    main()
