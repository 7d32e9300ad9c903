"""
Reading the log by the published rule. Owns: which facts count, that chains and hashes are true, that nothing is missing.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from z0.log.ports import Record

HASH_MEMBER: Final = len(',"hash":""}') + 64
CLAIM: Final = b"!claim"
Report = Callable[[str, str], None]


@dataclass(frozen=True)
class Seen:
    """One fact that counts."""

    partition: int
    offset: int
    at_s: float
    value: bytes
    fact: dict[str, Any]


def valid_facts(partition: int, records: Sequence[Record], at_s: Sequence[float]) -> list[Seen]:
    """Those whose epoch is the newest claim before them and whose offset is the one they carry; a mismatch ends the epoch."""
    found = []
    epoch = -1
    for record, landed_s in zip(records, at_s, strict=True):
        if record.key == CLAIM:
            epoch = record.offset
            continue
        fact = json.loads(record.value)
        if epoch < 0 or fact["epoch"] != epoch:
            continue
        if fact["offset"] == record.offset:
            found.append(Seen(partition, record.offset, landed_s, record.value, fact))
        else:
            epoch = -1
    return found


class Chains:
    """Per ledger: gapless from 1, each fact's hash its own, each `prev_hash` the one before, time forward."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._heads: dict[str, tuple[int, str, int]] = {}

    def add(self, seen: Seen) -> None:
        fact = seen.fact
        ledger, seq = fact["ledger_id"], fact["seq"]
        before, head, recorded_at = self._heads.get(ledger, (0, "0" * 64, 0))
        if seq != before + 1:
            self._report("gapless", f"{ledger}: after seq {before} comes {seq}")
        if fact["id"] != f"{ledger}.{seq}":
            self._report("gapless", f"{ledger}: fact {seq} calls itself {fact['id']}")
        digest = sha256(seen.value[:-HASH_MEMBER] + b"}").hexdigest()
        if fact["hash"] != digest:
            self._report("chain", f"{fact['id']} does not have the hash that it carries")
        if fact["prev_hash"] != head:
            self._report("chain", f"{fact['id']} does not follow the fact before it")
        if fact["recorded_at"] < recorded_at:
            self._report("time", f"{fact['id']} was recorded before the fact before it")
        self._heads[ledger] = (seq, digest, fact["recorded_at"])
