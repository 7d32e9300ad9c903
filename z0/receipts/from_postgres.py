"""
History from Postgres, which has every fact that counts with its stored bytes. Owns: these queries.

Does not own: connections (whoever asks has them), nor the schema and its writer (`sinks/postgres`).
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from z0.codec import decode_fact
from z0.domain.config import PLATFORM_TENANT
from z0.domain.ids import EntityType
from z0.receipts.ports import Stored

PAGE: Final = 500  # about 5 ms of folding between two turns of the event loop
Ask = Callable[[str, Mapping[str, Any]], Awaitable[Sequence[tuple[Any, ...]]]]

_FACTS: Final = """
SELECT log_partition, value
  FROM facts
 WHERE ledger_id = %(ledger_id)s AND (%(tenant_id)s::text IS NULL OR tenant_id = %(tenant_id)s) AND seq > %(after)s
 ORDER BY seq
 LIMIT %(limit)s
"""
_SEQ_OF: Final = """
SELECT max(seq)
  FROM facts
 WHERE ledger_id = %(ledger_id)s AND (%(tenant_id)s::text IS NULL OR tenant_id = %(tenant_id)s) AND command_id = %(command_id)s
"""
# A config of the platform holds for every tenant.
_VERSIONS: Final = """
SELECT log_partition, value
  FROM facts
  JOIN unnest(%(ledgers)s::text[], %(versions)s::bigint[]) AS wanted (ledger, version)
    ON ledger_id = wanted.ledger AND config_version = wanted.version
 WHERE type = 'config' AND subtype = 'versioned' AND tenant_id IN (%(tenant_id)s, %(platform)s)
"""


class PostgresHistory:
    """A history over a way to ask Postgres; of one tenant where it is given."""

    name = "postgres"
    behind = "Postgres follows the log: try again in a moment, or `z0 explain ID --from log`, which reads the log itself."

    def __init__(self, ask: Ask, tenant_id: str | None = None) -> None:
        self._ask = ask
        self._tenant_id = tenant_id

    async def facts(self, ledger_id: str) -> AsyncGenerator[Sequence[Stored], None]:
        given = {"ledger_id": ledger_id, "tenant_id": self._tenant_id, "limit": PAGE, "after": 0}
        while page := [_stored(*row) for row in await self._ask(_FACTS, given)]:
            yield page
            given["after"] = page[-1].fact.seq

    async def seq_of(self, ledger_id: str, command_id: str) -> int | None:
        rows = await self._ask(_SEQ_OF, {"ledger_id": ledger_id, "tenant_id": self._tenant_id, "command_id": command_id})
        return rows[0][0] if rows else None

    async def versions(self, wanted: Mapping[str, int], tenant_id: str) -> Sequence[Stored]:
        given = {
            "ledgers": [f"{EntityType.CONFIG}_{config_id}" for config_id in wanted],
            "versions": list(wanted.values()),
            "tenant_id": tenant_id,
            "platform": PLATFORM_TENANT,
        }
        return [_stored(*row) for row in await self._ask(_VERSIONS, given)]


def _stored(partition: int, value: bytes) -> Stored:
    return Stored(partition, value, decode_fact(value))
