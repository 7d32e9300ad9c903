"""
Ours and Postgres in turns: all servers up, nobody works but whose turn it is. Owns: the turns, and what is told of them.

A machine that is slow for a tenth of a second decides the p99 of ten seconds, and it is not slow for everybody alike: of one tree
in one hour p99 came to 35 to 90 ms, Postgres's to 20 to 97. So each is measured several times, one after the other, every second
time in the other order, and the middle of its turns is compared.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from statistics import median_high
from typing import TypeVar

import uvloop

from z0.bench import latency
from z0.bench.cluster import own_kafka, own_servers
from z0.bench.figures import Figure, named
from z0.bench.load import work
from z0.bench.peers import ours, postgres
from z0.bench.peers.sizes import Size
from z0.client import connect
from z0.config import Config

T = TypeVar("T")

OURS, OURS_FSYNC, POSTGRES = "ours", "ours_fsync", "postgres"
TURNS = 5
# Each gets as many clients as suit it best: Postgres's wait for each other's rows from about eight on, a ledger's partitions idle
# between the batches of too few.
CLIENTS = (4, 8, 16)
DURABILITY = f"{OURS}: {ours.PAGE_CACHE_BY_TWO}; {OURS_FSYNC}: {ours.FSYNC_BY_ONE}; {POSTGRES}: {postgres.DURABILITY}"


@dataclass(frozen=True, slots=True)
class Contender:
    """Who takes turns. `batches`: decisions per second in a closed loop. `open_loop`: the figures of one."""

    name: str
    batches: Callable[[Size], Awaitable[float]]
    open_loop: Callable[[Size], Awaitable[Mapping[str, Figure]]]


def measure(size: Size) -> Mapping[str, Figure]:
    """The middle of all turns, and what ours is of Postgres's: above 1 is more a second, or later."""
    with _all_up(size) as configs:
        return uvloop.run(_measure(configs, size._replace(seconds=size.seconds / 2)))  # there are many loops


@contextmanager
def _all_up(size: Size) -> Iterator[Sequence[Config]]:
    with ExitStack() as up:
        page_cache, fsync = (up.enter_context(own_kafka()) for _ in range(2))
        for_postgres = up.enter_context(own_servers(POSTGRES))
        postgres.prepare(for_postgres, size)
        up.enter_context(ours.two_serve(page_cache))
        yield page_cache, up.enter_context(ours.one_serves_with_fsync(fsync)), for_postgres


async def _measure(configs: Sequence[Config], size: Size) -> Mapping[str, Figure]:
    page_cache, fsync, for_postgres = configs
    async with AsyncExitStack() as open_:
        contenders = [
            await open_.enter_async_context(_ours(OURS, page_cache, size)),
            await open_.enter_async_context(_ours(OURS_FSYNC, fsync, size)),
            await open_.enter_async_context(_postgres(for_postgres, size)),
        ]
        told: dict[str, Figure] = {"durability": DURABILITY, "turns": TURNS}
        return {**told, **await _open_loops(contenders, size), **await _batches(contenders, size)}


@asynccontextmanager
async def _ours(name: str, config: Config, size: Size) -> AsyncIterator[Contender]:
    async with connect(config) as ledger:
        run = f"t{time.time_ns():x}"
        await latency.make_accounts(ledger, size.accounts, run)
        commands = work(size.accounts, run)
        yield Contender(
            name,
            lambda size: ours.batches(ledger, size, commands),
            lambda size: latency.ask_at(ledger, ours.load(size), commands),
        )


@asynccontextmanager
async def _postgres(config: Config, size: Size) -> AsyncIterator[Contender]:
    async with postgres.clients(config, size, max(CLIENTS)) as those:
        yield Contender(POSTGRES, those.batches, lambda size: postgres.open_loop(those, size))


async def _open_loops(contenders: Sequence[Contender], size: Size) -> Mapping[str, Figure]:
    """Once for a warm-up, then in turns."""
    for contender in contenders:
        await contender.open_loop(size._replace(seconds=1.0))
    got: dict[str, list[Mapping[str, Figure]]] = {contender.name: [] for contender in contenders}
    for contender in in_turns(contenders):
        got[contender.name].append(await contender.open_loop(size._replace(warm_up_s=min(1.0, size.warm_up_s))))
    figures: dict[str, Figure] = {}
    for name, turns in got.items():
        figures |= named(name, {key: middle(turn[key] for turn in turns) for key in ("p50_ms", "p99_ms")})
        figures[f"{name}_lost"] = sum(int(turn["lost"]) for turn in turns)
    return {**figures, **to_postgres("p99_ms", figures)}


async def _batches(contenders: Sequence[Contender], size: Size) -> Mapping[str, Figure]:
    """Each with the clients that suit it best, found in a short loop of each number."""
    best = {contender.name: await _best_clients(contender, size) for contender in contenders}
    rates: dict[str, list[Figure]] = {contender.name: [] for contender in contenders}
    for contender in in_turns(contenders):
        rates[contender.name].append(await contender.batches(size._replace(batch_clients=best[contender.name])))
    per_s: dict[str, Figure] = {f"{name}_batch_per_s": middle(those) for name, those in rates.items()}
    clients = {f"{name}_batch_clients": count for name, count in best.items()}
    return {**per_s, **clients, **to_postgres("batch_per_s", per_s)}


async def _best_clients(contender: Contender, size: Size) -> int:
    rates = {count: await contender.batches(size._replace(batch_clients=count)) for count in CLIENTS}
    return max(rates, key=lambda count: rates[count])


def in_turns(contenders: Sequence[T]) -> Iterator[T]:
    """Every turn of everybody, every second time in the other order: who comes behind whom must not matter."""
    for turn in range(TURNS):
        yield from contenders if turn % 2 == 0 else reversed(contenders)


def middle(figures: Iterable[Figure]) -> Figure:
    """The middle of some measured figures."""
    return median_high(float(figure) for figure in figures)


def to_postgres(name: str, figures: Mapping[str, Figure]) -> Mapping[str, Figure]:
    """Ours as a multiple of Postgres's."""
    theirs = float(figures[f"{POSTGRES}_{name}"])
    return {f"{who}_{name}_to_postgres": float(figures[f"{who}_{name}"]) / theirs for who in (OURS, OURS_FSYNC)}
