"""Who can be measured side by side. Owns: their names, which are the prefixes of their figures."""

from enum import StrEnum


class Peer(StrEnum):
    """Who is measured."""

    OURS = "ours"
    OURS_TWO_WORKERS = "ours_two_workers"
    OURS_FSYNC = "ours_fsync"
    POSTGRES = "postgres"
    STREAMS = "streams"
    FAUST = "faust"
    IN_TURNS = "in_turns"  # ours and Postgres
