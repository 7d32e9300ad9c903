"""
Every name that is written outside this process, as a literal: topics, tables, agents, consumer groups.

Names are chosen, never derived: Faust would derive them from import paths, so that moving a file would
rename a topic. A golden test lists them all. Does not own: topic settings (`z0.log.topics`).
"""

from typing import Final

# Topics. The first two have the same number of partitions, fixed at creation.
COMMANDS: Final = "z0.commands"
FACTS: Final = "z0.facts"
OWNERS: Final = "z0.owners"
DEAD_LETTERS: Final = "z0.dead-letters"
CONFIGS: Final = "z0.configs"
LEDGERS_CHANGELOG: Final = "z0.ledgers-changelog"
BUDGETS_CHANGELOG: Final = "z0.budgets-changelog"
CAPS_CHANGELOG: Final = "z0.caps-changelog"
ACCESS_CHANGELOG: Final = "z0.access-changelog"

# Faust: the app id is the consumer group of `z0.commands`.
FAUST_APP: Final = "z0-worker"
COMMANDS_AGENT: Final = "z0.commands-agent"
LEDGERS_TABLE: Final = "ledgers"
BUDGETS_TABLE: Final = "budgets"
CAPS_TABLE: Final = "caps"
ACCESS_TABLE: Final = "access"

# Sinks: a sink's name is its key in every place where a position is stored.
SINK_POSTGRES: Final = "postgres"
SINK_CLICKHOUSE: Final = "clickhouse"
SINK_ARCHIVE: Final = "archive"
SINK_CONFIGS: Final = "configs"
SINK_GROUP_PREFIX: Final = "z0-sink-"

# Key of a claim record on `z0.facts`; a ledger id can never look like this.
CLAIM_KEY: Final = b"!claim"
# Keys on `z0.configs` of the sink's positions, with the partition behind; a config id can never look like this.
CONFIGS_POSITION_PREFIX: Final = b"!position/"
