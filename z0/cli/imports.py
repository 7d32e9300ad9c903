"""`z0 import`: a file through the front door. Owns: its options and exit codes. Does not own: the import (`z0.imports`)."""

import asyncio
import json
import signal
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from z0.cli.servers import check
from z0.errors import SettingsError
from z0.names import COMMANDS, DEAD_LETTERS, FACTS

if TYPE_CHECKING:
    from z0.config import Config
    from z0.imports.doors import Door
    from z0.imports.run import Job, Prepared
    from z0.imports.tally import Tally

INTERRUPTED = 130


class DoorName(StrEnum):
    """Which way in."""

    HTTP = "http"
    KAFKA = "kafka"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("import")(import_file)


def import_file(
    file: Annotated[Path, typer.Argument(help="CSV, JSON Lines or Parquet, gzipped or not.", exists=True, dir_okay=False)],
    mapping: Annotated[Path, typer.Option("--mapping", "-m", help="How rows become commands; see examples/README.md.")],
    door: Annotated[DoorName, typer.Option(help="Batches over HTTP, or records straight to Kafka.")] = DoorName.HTTP,
    url: Annotated[str | None, typer.Option(help="The API; by default the local one.")] = None,
    api_key: Annotated[str | None, typer.Option(help="For HTTP. `@FILE` reads it from a file.")] = None,
    where: Annotated[list[str] | None, typer.Option(help="`field=value`: only such rows; repeatable.")] = None,
    constants: Annotated[list[str] | None, typer.Option("--set", help="`name=value`: another constant; repeatable.")] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Only so many rows, from the first.")] = None,
    batch: Annotated[int, typer.Option(min=1, max=1_000, help="Commands in one HTTP request.")] = 500,
    window: Annotated[int, typer.Option(min=1, help="Commands over Kafka that may wait for their outcome.")] = 2_000,
    retry_s: Annotated[float, typer.Option(min=0, help="Seconds without any success before giving up.")] = 180.0,
    ends_at: Annotated[str | None, typer.Option(help="ISO time at which the shifted events end, instead of now.")] = None,
    rejected: Annotated[Path | None, typer.Option(help="Where bad rows go; by default FILE.rejected.jsonl.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object at the end, nothing else.")] = False,
) -> None:
    """
    Import a file: every row becomes commands, every command gets its outcome.

    Bad rows are reported with their line numbers and do not stop it. Ctrl-C stops it after what is under way; the same
    command again goes on, and nothing is doubled. Exit code 0: every row was read and every command has its outcome
    (refusals are outcomes); 1: it could not be finished, or every row is bad; 130: interrupted.

    Example: `z0 import requests.csv.gz --mapping mapping.yaml --door kafka`
    """
    from z0.config import from_env
    from z0.imports.errors import SourceError
    from z0.imports.load import load
    from z0.imports.run import Job, prepare
    from z0.imports.tally import Tally

    config = from_env()
    job = Job(
        file=file,
        loaded=load(mapping, dict(_pairs("--set", constants or ()))),
        kept=config.home / "imports",
        rejected=rejected or file.with_name(file.name + ".rejected.jsonl"),
        where=_where(where),
        ends_at_ms=_milliseconds(ends_at),
        rows_max=rows,
    )
    prepared, tally = prepare(job), Tally()
    if door is DoorName.HTTP:
        way = _http(config, url, api_key, batch=batch, retry_s=retry_s)
    else:
        asyncio.run(check(config, COMMANDS, FACTS, DEAD_LETTERS))
        way = _kafka(config, prepared, window=window, retry_s=retry_s)
    # Progress goes to stderr, so that a pipe gets the summary alone.
    asyncio.run(_run(prepared, way, tally, None if as_json else Console(stderr=True, highlight=False)))
    _show(job, prepared, tally, as_json)
    if tally.interrupted:
        raise typer.Exit(INTERRUPTED)
    if tally.useless:
        raise SourceError(f"not one row of {file} could be used; {job.rejected} says of each why, with its line")
    if not tally.complete:
        raise typer.Exit(1)


def _where(where: list[str] | None) -> dict[str, frozenset[str]]:
    wanted: dict[str, frozenset[str]] = {}
    for name, value in _pairs("--where", where or ()):
        wanted[name] = wanted.get(name, frozenset()) | {value}
    return wanted


def _pairs(option: str, texts: Iterable[str]) -> Iterable[tuple[str, str]]:
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingsError([f"{option} {text}: expected name=value"])
        yield name, value


def _milliseconds(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError([f"--ends-at {text}: no ISO 8601 time, such as 2026-01-31T12:00:00Z"]) from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()) * 1000


def _http(config: "Config", url: str | None, api_key: str | None, *, batch: int, retry_s: float) -> "Door":
    from z0.config import is_http
    from z0.imports.http_door import HttpDoor

    if not api_key:
        raise SettingsError(["--api-key: needed over HTTP; `z0 key create --tenant NAME` makes one"])
    if api_key.startswith("@"):
        try:
            api_key = Path(api_key[1:]).read_text().strip()
        except OSError as error:
            raise SettingsError([f"--api-key {api_key}: {error.strerror}"]) from None
    if url is not None and not is_http(url):
        raise SettingsError([f"--url {url}: no URL, such as http://127.0.0.1:18080"])
    return HttpDoor(url or config.api_url, api_key, batch=batch, retry_s=retry_s)


def _kafka(config: "Config", prepared: "Prepared", *, window: int, retry_s: float) -> "Door":
    from z0.imports.kafka_door import KafkaDoor

    return KafkaDoor(config.kafka_servers, began=prepared.began, window=window, quiet_s=retry_s, prefix=prepared.id_prefix)


async def _run(prepared: "Prepared", door: "Door", tally: "Tally", console: Console | None) -> None:
    from z0.imports.progress import shown
    from z0.imports.run import run

    stop = asyncio.Event()
    task = asyncio.current_task()
    assert task is not None, "runs in a task"

    def interrupt() -> None:
        if stop.is_set():
            task.cancel()  # the second Ctrl-C does not wait for what is under way
        elif console is not None:
            console.print("stopping after what is under way; Ctrl-C again stops at once")
        stop.set()

    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupt)
    try:
        async with shown({prepared.job.file.name: tally}, console):
            await run(prepared, door, tally, stop)
    except asyncio.CancelledError:
        tally.interrupted = True


def _show(job: "Job", prepared: "Prepared", tally: "Tally", as_json: bool) -> None:
    from z0.imports.report import lines

    if as_json:
        facts = {
            "file": str(job.file),
            "sha256": prepared.scan.sha256,
            "shift_ms": prepared.shift_ms,
            "rejected": str(job.rejected),
        }
        typer.echo(json.dumps(facts | tally.summary()))
    else:
        typer.echo("\n".join(lines(tally, job.rejected)))
