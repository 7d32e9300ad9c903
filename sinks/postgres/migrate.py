"""The schema of the Postgres store. Owns: applying each numbered migration once. Does not own: their text (`migrations/`)."""

from typing import Final

import psycopg

from sinks import sql
from sinks.base import StoreUnavailable
from z0.errors import no_answer

# Any number, the same for every z0 process: two migrations at once wait for each other.
LOCK: Final = 0x7A30_0001
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
)
"""


def migrate(url: str) -> list[str]:
    """
    Bring the schema up to date; the names of what was applied.

    Effects, in one transaction: 1. take the lock, 2. apply what is missing, 3. note it. A crash anywhere leaves nothing.

    Raises:
        StoreUnavailable: Postgres does not answer.
    """
    try:
        with psycopg.connect(url) as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            # Asked first: creating what is there would leave a notice in the log at every start.
            if connection.execute("SELECT to_regclass('schema_migrations')").fetchone() == (None,):
                connection.execute(_TABLE)
            applied = {row[0] for row in connection.execute("SELECT number FROM schema_migrations")}
            missing = [step for step in sql.migrations("sinks.postgres") if step.number not in applied]
            for step in missing:
                connection.execute(step.sql.encode())
                connection.execute("INSERT INTO schema_migrations (number, name) VALUES (%s, %s)", (step.number, step.name))
    except psycopg.OperationalError as error:
        raise StoreUnavailable(no_answer("Postgres", error)) from error
    return [f"{step.number:04d}_{step.name}" for step in missing]
