"""
History from the log itself, through the one reader of facts: what is void there is not history. Owns: walking partitions.

A ledger is somewhere in its partition, so finding one costs a walk over all of it: for a person, not for a request.
"""

from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing

from z0.domain.config import PLATFORM_TENANT
from z0.domain.facts import FactType
from z0.domain.ids import EntityType
from z0.log.ports import Log
from z0.log.reader import FactReader
from z0.log.validity import Position, Standing
from z0.receipts.ports import Stored


class LogHistory:
    """A history over the log's partitions; of one tenant where it is given."""

    name = "log"
    behind = "It has everything that was ever decided: look at the id, and whether Z0_PARTITIONS is what the topics have."

    def __init__(self, log: Log, partition_of: Callable[[str], int], tenant_id: str | None = None) -> None:
        self._log = log
        self._partition_of = partition_of
        self._tenant_id = tenant_id

    async def facts(self, ledger_id: str) -> AsyncGenerator[Sequence[Stored], None]:
        async with aclosing(self._valid(self._partition_of(ledger_id))) as pieces:
            async for piece in pieces:
                mine = [stored for stored in piece if stored.fact.ledger_id == ledger_id]
                if mine and self._tenant_id in (None, mine[0].fact.tenant_id):
                    yield mine

    async def seq_of(self, ledger_id: str, command_id: str) -> int | None:
        found: int | None = None
        async with aclosing(self.facts(ledger_id)) as pieces:
            async for piece in pieces:
                found = next((s.fact.seq for s in reversed(piece) if s.fact.command_id == command_id), found)
        return found

    async def versions(self, wanted: Mapping[str, int], tenant_id: str) -> Sequence[Stored]:
        by_partition: dict[int, set[tuple[str | None, int | None]]] = defaultdict(set)
        for config_id, version in wanted.items():
            by_partition[self._partition_of(f"{EntityType.CONFIG}_{config_id}")].add((config_id, version))
        return [s for partition, pairs in by_partition.items() for s in await self._versions(partition, pairs, tenant_id)]

    async def _versions(self, partition: int, pairs: set[tuple[str | None, int | None]], tenant_id: str) -> list[Stored]:
        found: list[Stored] = []
        async with aclosing(self._valid(partition)) as pieces:
            async for piece in pieces:
                found += [stored for stored in piece if _is_version(stored, pairs, tenant_id)]
                if len(found) == len(pairs):
                    break
        return found

    async def _valid(self, partition: int) -> AsyncGenerator[list[Stored], None]:
        """The facts of a partition that count, up to its end at the call."""
        first, end = await self._log.bounds(partition)
        reader = FactReader(partition, Position(first))
        async for records in self._log.read(partition, first, end):
            reads = [(read.value, read.fact) for read in reader.read(records) if read.standing is Standing.VALID]
            yield [Stored(partition, value, fact) for value, fact in reads if fact is not None]


def _is_version(stored: Stored, pairs: set[tuple[str | None, int | None]], tenant_id: str) -> bool:
    fact = stored.fact
    if (fact.type, fact.subtype) != (FactType.CONFIG, FactType.VERSIONED) or fact.tenant_id not in (tenant_id, PLATFORM_TENANT):
        return False
    return (fact.config_id, fact.config_version) in pairs
