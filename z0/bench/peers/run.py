"""
`z0 bench peers`: side by side in one run, one after the other, each with a server of its own kind that is new and alone.

Same work: reserve on one of 1,000 accounts, with a check of its balance and of the command's id. Each states its durability;
figures of one durability are to be compared with those of the same one. A peer that cannot be had here says so in a line.
"""

from collections.abc import Callable, Mapping

import uvloop

from z0.bench import decide, idiomatic
from z0.bench.cluster import own_kafka, own_servers
from z0.bench.figures import Figure, named
from z0.bench.peers import ours, postgres, streams
from z0.bench.peers.names import Peer
from z0.bench.peers.sizes import Size
from z0.config import Config
from z0.errors import StackError

Measure = Callable[[Config, Size], Mapping[str, Figure]]


def faust(config: Config, size: Size) -> Mapping[str, Figure]:
    """The Faust worker of the documentation, which also keeps the ids that it has seen."""
    per_s = uvloop.run(decide.theirs(config, size.accounts, size.faust_commands, idiomatic.DEDUPE))
    return {"durability": "at least once, page cache", "per_s": per_s}


_ON_KAFKA: Mapping[Peer, Measure] = {
    Peer.OURS: ours.page_cache,
    Peer.OURS_TWO_WORKERS: ours.two_workers,
    Peer.OURS_FSYNC: ours.fsync,
    Peer.STREAMS: streams.measure,
    Peer.FAUST: faust,
}


def measure(size: Size, peers: list[Peer], say: Callable[[str], None]) -> Mapping[str, Figure]:
    """All figures of `z0 bench peers`, each under the name of its peer."""
    figures: dict[str, Figure] = {}
    for peer in peers:
        say(f"measuring {peer}")
        figures |= _one(peer, size)
    return figures


def _one(peer: Peer, size: Size) -> Mapping[str, Figure]:
    on_kafka = _ON_KAFKA.get(peer)
    try:
        if on_kafka is None:
            with own_servers("postgres") as config:
                return named(peer, postgres.measure(config, size))
        with own_kafka() as config:
            return named(peer, on_kafka(config, size))
    except StackError as error:
        return {str(peer): f"not measured: {' '.join(str(error).split())}"}
