"""`z0 bench`: measurements on this machine. Every one prints `name=value` lines, or one JSON object with `--json`."""

from collections.abc import Coroutine, Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from z0.bench.peers.names import Peer

bench = typer.Typer(help="Measure this machine; each prints `name=value` lines.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of lines.")]


class Door(StrEnum):
    """Which way in."""

    DIRECT = "direct"
    KAFKA = "kafka"


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(bench, name="bench")


@bench.command()
def engine(
    commands: Annotated[int, typer.Option(min=1, help="Commands, encoded before.")] = 400_000,
    accounts: Annotated[int, typer.Option(min=1, help="Accounts they are spread over.")] = 1_000,
    partitions: Annotated[int, typer.Option(min=1, help="Engines that share the one event loop, as in a worker.")] = 8,
    profile: Annotated[bool, typer.Option("--profile", help="Where the time goes, behind the figures on stderr.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    The engine alone, on logs in memory and with its real index of ids; no Kafka, no sockets.

    Example: `z0 bench engine --profile`
    """
    from z0.bench import engine as it
    from z0.bench.sampling import Sampler

    sampler = Sampler() if profile else None
    _run(it.measure(it.Size(commands, accounts, partitions), sampler), as_json)
    if sampler is not None:
        typer.echo("\n".join(sampler.table()), err=True)


@bench.command()
def decide(
    commands: Annotated[int, typer.Option(min=1, help="Commands to preload.")] = 200_000,
    accounts: Annotated[int, typer.Option(min=1, help="Accounts they are spread over.")] = 1_000,
    peer_commands: Annotated[int, typer.Option(min=0, help="Events for the idiomatic Faust worker; 0: leave it out.")] = 30_000,
    as_json: AsJson = False,
) -> None:
    """
    Preloaded commands through one worker with everything on, against the idiomatic Faust worker in the same run.

    Starts a Kafka of its own, in a folder and on ports of its own: nothing of yours is touched.

    Example: `z0 bench decide --commands 300000 --json`
    """
    from z0.bench import decide as it
    from z0.bench.cluster import own_kafka

    with own_kafka() as config:
        _run(it.measure(config, accounts=accounts, commands=commands, peer_commands=peer_commands), as_json)


@bench.command()
def latency(
    door: Annotated[Door, typer.Option(help="Which way in.")] = Door.DIRECT,
    rate: Annotated[int, typer.Option(min=1, help="Commands a second, due at fixed times.")] = 5_000,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long, after warming up.")] = 20,
    warm_up: Annotated[
        float, typer.Option(min=0, help="Seconds before anything is counted: a new broker is three times slower.")
    ] = 12,
    accounts: Annotated[int, typer.Option(min=1, help="Accounts they are spread over.")] = 1_000,
    hot: Annotated[bool, typer.Option("--hot", help="Nothing but reservations, all against one single account.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    Open loop: time counts from when a command was due, to its answer (direct) or its fact at a reader (kafka).

    Starts a Kafka and a worker of its own: nothing of yours is touched.

    Example: `z0 bench latency --door direct --rate 5000 --seconds 20`
    """
    from z0.bench import latency as it
    from z0.bench.cluster import own_worker

    measure = it.direct if door is Door.DIRECT else it.kafka
    with own_worker() as config:
        _run(measure(config, it.Load(rate, seconds, warm_up, accounts, hot)), as_json)


@bench.command()
def http(
    rate: Annotated[int, typer.Option(min=1, help="Single decisions a second, due at fixed times.")] = 800,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long, after warming up.")] = 20,
    warm_up: Annotated[float, typer.Option(min=0, help="Seconds before anything is counted.")] = 12,
    accounts: Annotated[int, typer.Option(min=1, help="Accounts they are spread over.")] = 1_000,
    batch: Annotated[int, typer.Option(min=1, help="Commands in a batch.")] = 100,
    batch_clients: Annotated[int, typer.Option(min=1, help="Clients that send batches, one after the other each.")] = 4,
    batch_seconds: Annotated[float, typer.Option(min=0.1, help="How long they do.")] = 15,
    api_workers: Annotated[int, typer.Option(min=1, help="Processes of the API.")] = 1,
    as_json: AsJson = False,
) -> None:
    """
    Decisions over HTTP through API, worker and Kafka on this machine: single ones at a fixed rate, then batches.

    Starts a Kafka, a worker and an API of its own: nothing of yours is touched.

    Example: `z0 bench http --rate 800 --seconds 20`
    """
    from z0.bench import http as it

    load = it.Load(rate, seconds, warm_up, accounts, batch, batch_clients, batch_seconds)
    with it.own_api(api_workers) as (config, key):
        _run(it.measure(config, key, load), as_json)


@bench.command()
def recovery(
    entities: Annotated[int, typer.Option(min=1, help="Entities, each with money and every tenth with a hold.")] = 1_000_000,
    as_json: AsJson = False,
) -> None:
    """
    A worker with many entities is killed: how long until it serves again, from its own disk and from nothing; memory; disk.

    Starts a Kafka and workers of its own: nothing of yours is touched. A million entities take about 3 GiB of disk.

    Example: `z0 bench recovery --entities 100000`
    """
    from z0.bench import recovery as it
    from z0.bench.cluster import own_kafka

    with own_kafka() as config:
        _run(it.measure(config, entities), as_json)


@bench.command()
def peers(
    accounts: Annotated[int, typer.Option(min=1, help="Accounts the work is spread over.")] = 1_000,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long each loop is measured.")] = 10,
    warm_up: Annotated[float, typer.Option(min=0, help="Seconds before an open loop is counted.")] = 12,
    rate: Annotated[int, typer.Option(min=1, help="Commands a second of the open loops of ours and Postgres.")] = 10_000,
    topic_rate: Annotated[int, typer.Option(min=1, help="The same from topic to topic, of ours and Kafka Streams.")] = 5_000,
    catch_up: Annotated[int, typer.Option(min=1, help="Commands that are on the topic before the start.")] = 200_000,
    faust_commands: Annotated[int, typer.Option(min=1, help="The same for Faust.")] = 20_000,
    only: Annotated[list[Peer] | None, typer.Option(help="Only these; give it again for each.")] = None,
    as_json: AsJson = False,
) -> None:
    """
    The same work by what one would use instead: a Postgres function, Kafka Streams with exactly_once_v2, idiomatic Faust.

    Each gets fresh servers of its own. Kafka Streams needs a JDK and Maven; where they are missing, a line says so. `in_turns`
    measures ours and Postgres five times each, in turns, and compares the middle: trust these on a machine that is not quiet.

    Example: `z0 bench peers --only ours --only streams`
    """
    from z0.bench.peers import run as it
    from z0.bench.peers.sizes import Size

    size = Size(
        accounts=accounts,
        seconds=seconds,
        warm_up_s=warm_up,
        rate=rate,
        topic_rate=topic_rate,
        catch_up=catch_up,
        faust_commands=faust_commands,
    )
    _print(it.measure(size, only or list(Peer), lambda text: typer.echo(text, err=True)), as_json)


@bench.command()
def door(
    commands: Annotated[int, typer.Option(min=1, help="Commands in one frame.")] = 10,
    rounds: Annotated[int, typer.Option(min=1, help="Round trips.")] = 5_000,
    as_json: AsJson = False,
) -> None:
    """
    WebSocket frames against plain length-prefixed ones, for the direct door. Needs no server.

    Example: `z0 bench door --commands 1`
    """
    from z0.bench import door as it

    _run(it.measure(commands=commands, rounds=rounds), as_json)


@bench.command()
def rolling(
    entities: Annotated[int, typer.Option(min=1, help="Entities over which the load goes, in turn.")] = 100_000,
    rate: Annotated[int, typer.Option(min=1, help="Commands a second, due at fixed times.")] = 500,
    cold: Annotated[bool, typer.Option("--cold", help="End the old process before the new one starts.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    A planned restart of each of two workers under load: the longest wait of any command, and whether an answer was lost.

    Starts a Kafka and two workers of its own: nothing of yours is touched.

    Example: `z0 bench rolling --entities 10000`
    """
    from z0.bench import rolling as it
    from z0.bench.cluster import own_kafka
    from z0.log.topics import migrate_topics

    async def measure() -> Mapping[str, Any]:
        await migrate_topics(config)
        return await it.measure(config, entities=entities, rate=rate, cold=cold)

    with own_kafka() as config:
        _run(measure(), as_json)


@bench.command()
def machine(
    seconds: Annotated[float, typer.Option(help="How long.")] = 10,
    as_json: AsJson = False,
) -> None:
    """
    How steady this machine is while nothing else runs: latencies cannot be shorter than its slow moments.

    Look here first where a p99 is longer than you know it. Needs no server.

    Example: `z0 bench machine --seconds 20`
    """
    from z0.bench import machine as it

    _print(it.measure(seconds), as_json)


def _run(measuring: Coroutine[Any, Any, Mapping[str, Any]], as_json: bool) -> None:
    import uvloop

    _print(uvloop.run(measuring), as_json)


def _print(figures: Mapping[str, Any], as_json: bool) -> None:
    from z0.bench.figures import as_json as to_json
    from z0.bench.figures import lines

    typer.echo(to_json(figures) if as_json else "\n".join(lines(figures)))
