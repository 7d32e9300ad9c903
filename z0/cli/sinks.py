"""`z0 sink` and `z0 verify`: running a sink, and proving the archive."""

import asyncio
import json
import logging
import re
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table

from z0.cli.screen import screen
from z0.errors import Z0Error

if TYPE_CHECKING:
    from sinks.archive.verify import Proved


HASH = re.compile("[0-9a-f]{64}")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("sink")(sink)
    app.command("verify")(verify)


def sink(
    name: Annotated[str, typer.Argument(help="postgres, clickhouse, archive or configs")],
    to_end: Annotated[bool, typer.Option("--to-end", help="Stop at what is the log's end now, instead of following it.")] = False,
    seal: Annotated[
        bool, typer.Option("--seal", help="Like --to-end: the archive's tail is sealed. Only while no other archive sink runs.")
    ] = False,
) -> None:
    """
    Copy the fact log into one store, exactly once in effect, until SIGTERM; then flush and end with 0.

    Examples: `z0 sink postgres`, `z0 sink clickhouse --to-end`
    """
    import uvloop

    from sinks.build import run_sink
    from z0.config import from_env

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    runner = uvloop.run(run_sink(from_env(), name, to_end=to_end or seal))
    status = runner.status
    typer.echo(f"sink {status.sink}: {status.records} records read, {status.dead_letters} dead letters")


def verify(
    manifest: Annotated[
        list[str] | None, typer.Option("--manifest", help="A manifest hash noted earlier that the archive must hold; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """
    Prove the archive from the bucket alone: manifests, objects, every fact's hash and every ledger's chain.

    Exit code 0: all of it holds; 1: something does not, or the bucket cannot be read.

    Examples: `z0 verify`, `z0 verify --manifest 677cbcde...` with a whole hash that an earlier run showed
    """
    from sinks.archive.bucket import Bucket
    from sinks.archive.verify import verify as prove
    from z0.config import from_env

    for given in manifest or ():
        if not HASH.fullmatch(given):
            raise Z0Error(f"--manifest {given}: no hash; `z0 verify` shows them, whole, as 64 hexadecimal digits")
    head = Column("newest manifest (SHA-256)", overflow="fold")  # a hash is noted whole, or it is of no use
    table = Table("partition", "manifests", "records", "facts", "ledgers", "next offset", head)
    bucket = Bucket(from_env().s3_url)
    try:
        found = [_shown(proved) for proved in prove(bucket, manifest or ())]
    finally:
        bucket.close()
    facts = sum(one["facts"] for one in found)
    if as_json:
        typer.echo(json.dumps({"facts": facts, "partitions": found}))
        return
    for one in found:
        table.add_row(*map(str, one.values()))
    screen().print(table)
    typer.echo(f"{facts} facts proved" if found else "0 facts proved: nothing was archived yet")


def _shown(proved: "Proved") -> dict[str, Any]:
    numbers = {name: getattr(proved, name) for name in ("partition", "manifests", "records", "facts", "ledgers")}
    return {**numbers, "next_offset": proved.position.next_offset, "newest_manifest": proved.head}


def counts() -> dict[str, int]:
    """Valid facts in the log and in each store, for the demo's check."""
    from sinks.counts import counts as count
    from z0.config import from_env

    return asyncio.run(count(from_env()))
