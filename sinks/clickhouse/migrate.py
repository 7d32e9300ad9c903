"""The schema of the ClickHouse store. Owns: applying each numbered migration once. Does not own: their text (`migrations/`)."""

from typing import Final

from sinks import sql
from sinks.clickhouse.client import Store, address_of

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (number Int32, name String, applied_at DateTime('UTC') DEFAULT now())
ENGINE = MergeTree ORDER BY number SETTINGS non_replicated_deduplication_window = 1000
"""


def migrate(url: str) -> list[str]:
    """
    Bring the schema up to date; the names of what was applied.

    Effects: 1. the database, 2. each statement of a migration, 3. its note. ClickHouse has no lock for this and no
    transaction: every statement can be run again (`IF NOT EXISTS`), so a crash before 3, or two at once, does no harm.

    Raises:
        StoreUnavailable: ClickHouse does not answer.
    """
    _create_database(url)
    store = Store(url)
    try:
        store.command(_TABLE)
        applied = {row[0] for row in store.query("SELECT number FROM schema_migrations")}
        missing = [step for step in sql.migrations("sinks.clickhouse") if step.number not in applied]
        for step in missing:
            for statement in sql.statements(step.sql):
                store.command(statement)
            line = b'{"number":%d,"name":"%b"}' % (step.number, step.name.encode())
            store.insert("schema_migrations", [line], f"migration-{step.number}")
    finally:
        store.close()
    return [f"{step.number:04d}_{step.name}" for step in missing]


def _create_database(url: str) -> None:
    # Connected to `default`, because the database of the URL may not be there yet.
    store = Store(url, database="default")
    try:
        name = address_of(url).database.replace("`", "``")
        store.command(f"CREATE DATABASE IF NOT EXISTS `{name}`")
    finally:
        store.close()
