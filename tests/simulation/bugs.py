"""
Bugs to plant: switches that make the code under test wrong, one at a time. Product code has no such switches.

Each is a mistake that somebody could make in earnest, and that no test of the happy way would notice.
"""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest

from streams.lease import GroupLease
from tables import store
from tables.snapshots import TableSnapshots
from z0.configs.resolve import resolve as resolve_rightly
from z0.domain.expiry import expiry_drafts
from z0.domain.policy import Check, Policy, Price, Severity
from z0.errors import EpochDead
from z0.log import recovery
from z0.log.deciding import Decider
from z0.log.engine import PartitionEngine
from z0.sim.network import START_MS

Plant = Callable[[pytest.MonkeyPatch], None]


def no_offset_check(patch: pytest.MonkeyPatch) -> None:
    """An ack is an ack: where the batch landed is not looked at."""

    async def acked(self: Any, round_: Any, ack: Any) -> None:
        try:
            await asyncio.wait_for(ack, 15.0)
        except Exception as error:
            raise EpochDead(str(error)) from error

    patch.setattr(PartitionEngine, "_acked", acked)


def reply_before_ack(patch: pytest.MonkeyPatch) -> None:
    """Callers are answered when the batch is sent, which is faster."""
    append = PartitionEngine._append

    def answering(self: Any, round_: Any) -> Any:
        ack = append(self, round_)
        for item, answer in round_.answers:
            item.group.answer(item.place, answer)
        round_.answers = []
        return ack

    patch.setattr(PartitionEngine, "_append", answering)


def lease_always_holds(patch: pytest.MonkeyPatch) -> None:
    """A worker that was replaced while it stood still takes itself for the owner until it hears otherwise."""
    patch.setattr(GroupLease, "holds", lambda self: True)


def index_not_restored(patch: pytest.MonkeyPatch) -> None:
    """The replay folds state and forgets the command ids."""
    patch.setattr(recovery, "entry_of", lambda fact: None)


def expiry_by_wall_clock(patch: pytest.MonkeyPatch) -> None:
    """Reservations end by a look at the time of day, not by the batch's time, which the facts carry."""

    def wall_ms() -> int:
        return START_MS + int(asyncio.get_running_loop().time() * 1000)

    def expire_due(self: Any, round_: Any) -> None:
        for ledger_id in self._working.take_due(wall_ms(), 100):
            state = self._working.get(ledger_id)
            if state is not None and state.entity is not None:
                self._expire(state, ledger_id, round_)
                self._working.schedule(ledger_id, state)

    def expire(self: Any, state: Any, ledger_id: str, round_: Any) -> None:
        for draft in expiry_drafts(state, wall_ms()):
            self._append(state, ledger_id, state.entity.tenant_id, draft, None, round_)

    patch.setattr(Decider, "_expire_due", expire_due)
    patch.setattr(Decider, "_expire", expire)
    patch.setattr(Decider, "is_due", lambda self, now_ms: self._working.is_due(wall_ms()))


def stale_snapshot_believed(patch: pytest.MonkeyPatch) -> None:
    """The newest record of a key counts, whoever wrote it."""

    def add(self: Any, key: bytes, value: bytes) -> None:
        self.changes[key] = value

    patch.setattr(store._Fold, "add", add)


def lost_table_not_missed(patch: pytest.MonkeyPatch) -> None:
    """The floor says where a replay begins, whether or not every table has what is below it."""
    patch.setattr(TableSnapshots, "_has_lost_one", lambda self, partition: False)


def value_taken_for_a_claim(patch: pytest.MonkeyPatch) -> None:
    """A table that knows values of an epoch, or a later claim, has been claimed by it."""
    patch.setattr(store.Fenced, "has_claim", lambda self, partition, epoch: self.epoch(partition) >= epoch)


def roles_lost_with_memory(patch: pytest.MonkeyPatch) -> None:
    """An entity that comes back from its snapshot has everything but its users' roles."""
    load = TableSnapshots.load

    def without_roles(self: Any, partition: int, ledger_id: str) -> Any:
        snapshot = load(self, partition, ledger_id)
        return msgspec.structs.replace(snapshot, access=None) if snapshot is not None else None

    patch.setattr(TableSnapshots, "load", without_roles)


def fine_prices_cut(patch: pytest.MonkeyPatch) -> None:
    """Prices are amounts, and amounts have twelve decimals."""

    def cut(price: Any) -> Any:
        meters = {meter: value.quantize(Decimal("1e-12")) for meter, value in price.by_meter.items()}
        return Price(**(vars(price) | {"by_meter": meters}))

    _resolve_with(patch, lambda policy: {"prices": {currency: cut(price) for currency, price in policy.prices.items()}})


def rules_that_only_warn(patch: pytest.MonkeyPatch) -> None:
    """A tenant's rule that should refuse a fact lets it pass, and says so."""

    def warn(check: Any) -> Any:
        return Check(check.code, check.fact_type, Severity.WARNING, check.message, check.holds)

    _resolve_with(patch, lambda policy: {"checks": tuple(map(warn, policy.checks))})


def _resolve_with(patch: pytest.MonkeyPatch, changed: Callable[[Any], dict[str, Any]]) -> None:
    def resolve(*arguments: Any) -> Any:
        policy = resolve_rightly(*arguments)
        return Policy(**(vars(policy) | changed(policy)))

    patch.setattr("z0.configs.book.resolve", resolve)


BUGS: Final[tuple[Plant, ...]] = (
    no_offset_check,
    reply_before_ack,
    lease_always_holds,
    index_not_restored,
    expiry_by_wall_clock,
    stale_snapshot_believed,
    lost_table_not_missed,
    value_taken_for_a_claim,
    roles_lost_with_memory,
    fine_prices_cut,
    rules_that_only_warn,
)
