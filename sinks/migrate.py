"""
`z0 migrate`, the part of the stores. Owns: bringing every store to its newest schema. Run again, it changes nothing.
"""

from sinks.archive.bucket import Bucket
from sinks.clickhouse.migrate import migrate as migrate_clickhouse
from sinks.postgres.migrate import migrate as migrate_postgres
from z0.config import Config


def migrate(config: Config) -> list[str]:
    """
    Migrate Postgres and ClickHouse and make the bucket; what was done, one line each. The three do not depend on each other.

    Raises:
        StoreUnavailable: a store does not answer.
    """
    done = [f"postgres {name}" for name in migrate_postgres(config.postgres_url)]
    done += [f"clickhouse {name}" for name in migrate_clickhouse(config.clickhouse_url)]
    bucket = Bucket(config.s3_url)
    try:
        if bucket.create():
            done.append(f"bucket {bucket.address.bucket}")
    finally:
        bucket.close()
    return done
