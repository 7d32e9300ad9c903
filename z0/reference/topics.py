"""The page of topics. Owns: its form and what each topic holds in a few words; the settings stand in `z0.log.topics`."""

from typing import Final

from z0.config import Config
from z0.log.topics import topics
from z0.names import (
    ACCESS_CHANGELOG,
    BUDGETS_CHANGELOG,
    CAPS_CHANGELOG,
    COMMANDS,
    CONFIGS,
    DEAD_LETTERS,
    FACTS,
    LEDGERS_CHANGELOG,
    OWNERS,
)
from z0.reference.text import page, table

INTRO: Final = """`z0 migrate` creates these topics; every start refuses topics that exist with other settings, because the
settings are part of the ledger's safety. The values below are those of the default settings: `min.insync.replicas` and the
number of partitions follow `Z0_MIN_INSYNC_REPLICAS` and `Z0_PARTITIONS`, the number of replicas `Z0_REPLICATION`."""
HOLDS: Final[dict[str, tuple[str, str, str]]] = {
    COMMANDS: ("ledger id", "commands ([command.schema.json](command.schema.json))", "anybody whom the ACL admits"),
    FACTS: ("ledger id, or `!claim`", "facts and claims ([validity.md](validity.md))", "the partition's owner"),
    LEDGERS_CHANGELOG: ("ledger id", "snapshots of head and metadata; internal", "the partition's owner"),
    BUDGETS_CHANGELOG: ("ledger id", "snapshots of sums and reservations; internal", "the partition's owner"),
    CAPS_CHANGELOG: ("ledger id", "snapshots of what limits have counted; internal", "the partition's owner"),
    ACCESS_CHANGELOG: ("ledger id", "snapshots of roles; internal", "the partition's owner"),
    OWNERS: ("partition", "who owns which partition, by epoch", "every worker"),
    CONFIGS: (
        "config id/version, or `!position/` and a partition",
        "versions of configs ([configs.md](configs.md)); positions of the sink",
        "the sink `configs`",
    ),
    DEAD_LETTERS: ("topic-partition-offset", "what could not be put on a ledger, with its reason", "workers and sinks"),
}


def topics_page() -> str:
    """`topics.md`."""
    config = Config()
    rows = [(f"`{t.name}`", str(t.partitions), *HOLDS[t.name]) for t in topics(config)]
    parts = [table(("topic", "partitions", "key", "value", "written by"), rows)]
    for topic in topics(config):
        parts.append(f"## {topic.name}")
        parts.append(table(("setting", "value"), [(f"`{name}`", f"`{value}`") for name, value in sorted(topic.settings.items())]))
    return page("Topics", INTRO, *parts)
