"""Facts by hand, for tests of what reads them. Owns: chaining and placing them as a writer would; what they say is the test's."""

from typing import Any

from z0.codec import encode_fact
from z0.domain.facts import RULES_VERSION, ZERO_HASH, Fact, Source, StoredFact
from z0.log.claims import Claim, Floor, encode_claim
from z0.log.ports import Record
from z0.log.reader import Read
from z0.log.validity import Position
from z0.names import CLAIM_KEY

NOW_MS = 1_800_000_000_000


class FactLog:
    """A log of a few partitions, each under one claim."""

    def __init__(self, partitions: int = 2) -> None:
        self.records: dict[int, list[Record]] = {}
        self._heads: dict[str, tuple[int, str]] = {}
        for partition in range(partitions):
            claim = Claim(partition=partition, owner="w", address="h:1", claimed_at=NOW_MS, floor=Floor())
            self.records[partition] = [Record(0, CLAIM_KEY, encode_claim(claim), NOW_MS)]

    def fact(self, partition: int, entity: str, kind: str, **given: Any) -> StoredFact:
        """Append a fact of `kind` (`type`, or `type/subtype`) to the entity's ledger, in its partition."""
        ledger_id = f"{'asset' if entity.startswith('asset') else 'config' if entity.startswith('cfg') else 'account'}_{entity}"
        seq, prev_hash = self._heads.get(ledger_id, (0, ZERO_HASH))
        type_, _, subtype = kind.partition("/")
        log = self.records[partition]
        fields: dict[str, Any] = {
            "id": f"{ledger_id}.{seq + 1}", "ledger_id": ledger_id, "seq": seq + 1, "type": type_, "subtype": subtype or None,
            "timestamp": NOW_MS + len(log), "recorded_at": NOW_MS + len(log), "tenant_id": "tenant_1", "entity_id": entity,
            "epoch": 0, "offset": len(log), "prev_hash": prev_hash, "rules": RULES_VERSION, "outcome": "accepted",
        }  # fmt: skip
        fact = Fact(**fields | given)
        value, digest = encode_fact(fact)
        log.append(Record(len(log), ledger_id.encode(), value, NOW_MS + len(log)))
        self._heads[ledger_id] = (seq + 1, digest)
        return StoredFact(**{name: getattr(fact, name) for name in fact.__struct_fields__}, hash=digest)


def proof_of(fact: StoredFact, **forged: Any) -> dict[str, Any]:
    """The fields of a fact that names another with proof; `forged` replaces parts of the proof."""
    proof: dict[str, Any] = {
        "id": fact.id,
        "ledger_id": fact.ledger_id,
        "seq": fact.seq,
        "hash": fact.hash,
        "checked": False,
    } | forged
    return {"source_id": proof["id"], "source": Source(**proof)}


def reads_of(log: FactLog) -> list[tuple[int, list[Read], Position]]:
    """What a runner would hand to a sink."""
    from sinks.reading import SteppingReader

    found = []
    for partition, records in log.records.items():
        reader = SteppingReader(partition, Position())
        reads, _ = reader.read(records)
        found.append((partition, reads, reader.position))
    return found
