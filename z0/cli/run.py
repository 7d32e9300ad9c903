"""`z0 worker` and `z0 migrate`: the processes that a supervisor starts."""

import asyncio

import typer


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("worker")(worker)
    app.command("migrate")(migrate)


def worker() -> None:
    """
    Run one worker: it owns some partitions, decides their commands, and serves the direct door.

    Example: `Z0_WORKER_ID=worker-2 Z0_DOOR_PORT=18082 z0 worker`
    """
    from streams.worker import run_worker
    from z0.config import from_env

    run_worker(from_env())


def migrate() -> None:
    """
    Create the topics, the tables of Postgres and ClickHouse, and the bucket; run again, it changes nothing.

    Example: `Z0_PARTITIONS=64 z0 migrate`
    """
    from sinks.migrate import migrate as migrate_stores
    from z0.config import from_env
    from z0.log.topics import migrate_topics

    config = from_env()
    for name in asyncio.run(migrate_topics(config)):
        typer.echo(f"created topic {name}")
    migrate_stores(config)
    typer.echo("topics and stores are up to date")
