"""
`z0 bench peers`: side by side in one run, one after the other, each with a server of its own kind that is new and alone; at the
end ours and Postgres once more, in turns.

Same work: reserve on one of 1,000 accounts, with a check of its balance and of the command's id. Each states its durability;
figures of one durability are to be compared with those of the same one. A peer that cannot be had here says so in a line.
"""

from collections.abc import Callable, Mapping

import uvloop

from z0.bench import decide, idiomatic
from z0.bench.cluster import own_kafka, own_servers
from z0.bench.figures import Figure, named
from z0.bench.peers import ours, postgres, streams, turns
from z0.bench.peers.names import Peer
from z0.bench.peers.sizes import Size
from z0.config import Config
from z0.errors import StackError

Measure = Callable[[Config, Size], Mapping[str, Figure]]


def faust(config: Config, size: Size) -> Mapping[str, Figure]:
    """The Faust worker of the documentation, which also keeps the ids that it has seen."""
    per_s = uvloop.run(decide.theirs(config, size.accounts, size.faust_commands, idiomatic.DEDUPE))
    return {"durability": "at least once, page cache", "per_s": per_s}


def _on_kafka(measure_on: Measure) -> Callable[[Size], Mapping[str, Figure]]:
    def measured(size: Size) -> Mapping[str, Figure]:
        with own_kafka() as config:
            return measure_on(config, size)

    return measured


def _on_postgres(size: Size) -> Mapping[str, Figure]:
    with own_servers("postgres") as config:
        return postgres.measure(config, size)


_MEASURES: Mapping[Peer, Callable[[Size], Mapping[str, Figure]]] = {
    Peer.OURS: _on_kafka(ours.page_cache),
    Peer.OURS_TWO_WORKERS: _on_kafka(ours.two_workers),
    Peer.OURS_FSYNC: _on_kafka(ours.fsync),
    Peer.POSTGRES: _on_postgres,
    Peer.STREAMS: _on_kafka(streams.measure),
    Peer.FAUST: _on_kafka(faust),
    Peer.IN_TURNS: turns.measure,
}


def measure(size: Size, peers: list[Peer], say: Callable[[str], None]) -> Mapping[str, Figure]:
    """All figures of `z0 bench peers`, each under the name of its peer."""
    figures: dict[str, Figure] = {}
    for peer in peers:
        say(f"measuring {peer}")
        figures |= _one(peer, size)
    return figures


def _one(peer: Peer, size: Size) -> Mapping[str, Figure]:
    try:
        return named(peer, _MEASURES[peer](size))
    except StackError as error:
        return {str(peer): f"not measured: {' '.join(str(error).split())}"}
