"""
Entities, balances and charges out of a batch. Owns: folding a batch's facts into what is stored. Pure; does not own: SQL.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from z0.domain.change import change_of
from z0.domain.deltas import add_delta, budget_delta
from z0.domain.entity import Entity
from z0.domain.facts import RESERVED_STAGES, FactType, StoredFact
from z0.domain.fold import apply_ledger
from z0.domain.money import format_amount
from z0.domain.state import SUMS, Budget, LedgerState

_FOLDED: Final = frozenset({FactType.CREATED, FactType.UPDATED})
_encode = msgspec.json.Encoder().encode


class EntityRow(NamedTuple):
    """An entity as it is stored, and the lifecycle fact that it is as of."""

    ledger_id: str
    seq: int
    entity: Entity
    log_partition: int = -1
    log_offset: int = -1


class Balances:
    """Deltas of a batch, summed by ledger and currency: a hot account costs one row a batch."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], tuple[str, Budget]] = {}

    def add(self, fact: StoredFact) -> None:
        """Add what a new fact moves."""
        delta = budget_delta(fact)
        if delta is None:
            return
        key = (fact.ledger_id, str(fact.currency))
        kept = self._sums.get(key)
        if kept is None:
            self._sums[key] = (fact.tenant_id, delta)
        else:
            add_delta(kept[1], delta)

    def parameters(self) -> dict[str, list[str]] | None:
        """The arguments of `move_balances`, or None where no money moved."""
        if not self._sums:
            return None
        sums = [budget for _, budget in self._sums.values()]
        columns = {name: [format_amount(getattr(budget, name)) for budget in sums] for name in SUMS}
        keys = {"ledger_ids": [ledger for ledger, _ in self._sums], "currencies": [currency for _, currency in self._sums]}
        return {**keys, "tenant_ids": [tenant for tenant, _ in self._sums.values()], **columns}


class Charges:
    """Charges that a batch opens, and the last stage to which it moves each."""

    def __init__(self) -> None:
        self._opened: list[StoredFact] = []
        self._moved: dict[str, StoredFact] = {}

    def add(self, fact: StoredFact) -> None:
        """Take a fact, in the order of its ledger."""
        if fact.type != FactType.CHARGE:
            return
        if fact.subtype == FactType.INCURRED:
            self._opened.append(fact)
        elif fact.subtype in RESERVED_STAGES and fact.source_id is not None:
            self._moved[fact.source_id] = fact

    def opened(self) -> dict[str, list[Any]] | None:
        """The arguments of `open_charges`, or None where there are none."""
        facts = self._opened
        if not facts:
            return None
        return {
            "ids": [fact.id for fact in facts],
            "ledger_ids": [fact.ledger_id for fact in facts],
            "seqs": [fact.seq for fact in facts],
            "tenant_ids": [fact.tenant_id for fact in facts],
            "amounts": [fact.amount for fact in facts],
            "currencies": [fact.currency for fact in facts],
            "incurred_at": [fact.timestamp for fact in facts],
            "stage_at": [fact.recorded_at for fact in facts],
        }

    def moved(self) -> dict[str, list[Any]] | None:
        """The arguments of `move_charges`, or None where there are none."""
        if not self._moved:
            return None
        facts = self._moved.values()
        return {
            "ids": list(self._moved),
            "stages": [fact.subtype for fact in facts],
            "seqs": [fact.seq for fact in facts],
            "stage_at": [fact.recorded_at for fact in facts],
        }


def lifecycle(facts: Iterable[tuple[int, StoredFact]]) -> list[tuple[int, StoredFact]]:
    """The facts, each with its partition, that change metadata."""
    return [(partition, fact) for partition, fact in facts if fact.type == FactType.LIFECYCLE and fact.subtype in _FOLDED]


def fold_entities(stored: Mapping[str, EntityRow], facts: Iterable[tuple[int, StoredFact]]) -> list[EntityRow]:
    """The rows that change; a fact at or below a row's seq is in it already, so a replay changes nothing."""
    changed: dict[str, EntityRow] = {}
    for partition, fact in facts:
        row = changed.get(fact.ledger_id) or stored.get(fact.ledger_id)
        if row is not None and fact.seq <= row.seq:
            continue
        state = LedgerState()
        state.entity = row.entity if row is not None else None
        apply_ledger(state, change_of(fact), fact.hash)
        assert state.entity is not None, "a lifecycle fact leaves an entity"
        changed[fact.ledger_id] = EntityRow(fact.ledger_id, fact.seq, state.entity, partition, fact.offset)
    return [changed[ledger_id] for ledger_id in sorted(changed)]


def entity_of(row: tuple[Any, ...]) -> EntityRow:
    """The entity of a row of `read_entities`."""
    ledger_id, seq, *fields = row
    given = dict(zip(_COLUMNS, fields, strict=True))
    given["data"] = msgspec.json.decode(given["data"])
    return EntityRow(ledger_id, seq, msgspec.convert(given, Entity))


def entity_parameters(row: EntityRow) -> dict[str, Any]:
    """The arguments of `write_entity`."""
    given = {name: _storable(getattr(row.entity, name)) for name in _COLUMNS}
    given["data"] = _encode(_storable(row.entity.data)).decode()
    place = {"seq": row.seq, "log_partition": row.log_partition, "log_offset": row.log_offset}
    return {"ledger_id": row.ledger_id, **place, **given}


def _storable(value: Any) -> Any:
    """Neither text nor jsonb of Postgres holds U+0000; the fact's own bytes do."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, dict):
        return {_storable(name): _storable(inner) for name, inner in value.items()}
    return [_storable(inner) for inner in value] if isinstance(value, list) else value


_COLUMNS: Final = (
    "id", "type", "tenant_id", "subtype", "parent_id", "owner_id", "status", "version",
    "external_source", "external_id", "data", "created_at", "updated_at",
)  # fmt: skip
