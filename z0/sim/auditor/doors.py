"""
The Kafka door against the log. Owns: that every command on the topic left a fact, a letter or a forward, and no wrong letter.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from z0.client.partitioner import partition_of
from z0.sim.auditor.answers import Key
from z0.sim.auditor.log import Report, Seen
from z0.sim.broker import CommandRecord, Letter

FORWARDED: Final = "z0-forwarded"
# Of a config that is not there, which has no ledger to remember a refusal: judged anew after a lost round, its time may be over.
JUDGED_ANEW: Final = frozenset({"bad_config", "config_loosens"})


class KafkaDoor:
    """Judges what became of the records of `z0.commands`."""

    def __init__(
        self,
        report: Report,
        by_command: Mapping[Key, Seen],
        created: Mapping[str, Seen],
        digest_of: Callable[[bytes], str],
    ) -> None:
        self._report = report
        self._by_command = by_command
        self._created = created
        self._digest_of = digest_of
        self._letters: dict[str, list[tuple[str, float]]] = defaultdict(list)

    def check(
        self, topics: Sequence[Sequence[CommandRecord]], at_s: Sequence[Sequence[float]], letters: Sequence[Letter]
    ) -> None:
        """Every record of every partition."""
        for letter in letters:
            self._letters[letter.key.decode()].append((json.loads(letter.value)["reason"], letter.at_s))
        arrived = {(bytes(r.key or b""), bytes(r.value or b"")) for topic in topics for r in topic if _is_forwarded(r)}
        for partition, topic in enumerate(topics):
            for record, landed_s in zip(topic, at_s[partition], strict=True):
                self._record(partition, record, landed_s, arrived, len(topics))

    def _record(
        self, partition: int, record: CommandRecord, at_s: float, arrived: set[tuple[bytes, bytes]], partitions: int
    ) -> None:
        place = f"z0.commands-{partition}-{record.offset}"
        reasons = {reason for reason, _ in self._letters.get(place, ())}
        if len(reasons) > 1 and "unknown_entity" not in reasons and not reasons <= JUDGED_ANEW:
            self._report("letter", f"{place} has letters with different reasons: {sorted(reasons)}")
        try:
            command = json.loads(record.value or b"")
        except ValueError:
            self._expect(place, reasons, "malformed")
            return
        key, ledger = record.key or b"", command["ledger_id"]
        if key != ledger.encode():
            self._expect(place, reasons, "wrong_key")
            return
        home = partition_of(ledger, partitions)
        if home != partition and ledger not in self._created:
            home_ok = (key, record.value or b"") in arrived
            if not home_ok and "wrong_key" not in reasons:
                self._report("lost", f"{place} belongs to partition {home} and was not forwarded")
            return
        if home != partition:
            if (key, record.value or b"") not in arrived:
                self._report("lost", f"{place} belongs to partition {home} and was not forwarded")
            return
        self._at_home(place, record, command, at_s, reasons)

    def _at_home(self, place: str, record: CommandRecord, command: dict[str, Any], at_s: float, reasons: set[str]) -> None:
        if command["op"] in ("read", "check"):
            return
        seen = self._by_command.get((command["tenant_id"], command["ledger_id"], command["id"]))
        mine = seen is not None and seen.fact["digest"] == self._digest_of(record.value or b"")
        created = self._created.get(command["ledger_id"])
        known = created is not None and created.fact["tenant_id"] == command["tenant_id"]
        if not mine and not reasons:
            self._report("lost", f"{place} ({command['id']}) left neither a fact nor a letter")
        # A letter is sent before its round counts: where the round is lost, the command is decided again, and its fact wins.
        before = seen is not None and min(at for _, at in self._letters.get(place, [("", at_s)])) < seen.at_s
        if "id_reused" in reasons and (seen is None or (mine and not before)):
            self._report("letter", f"{place} has a letter id_reused, and the log has no other body under that id")
        if "unknown_entity" in reasons and known and created is not None and created.at_s < at_s:
            self._report("letter", f"{place} has a letter unknown_entity, and its ledger was there before it")

    def _expect(self, place: str, reasons: set[str], reason: str) -> None:
        if reasons != {reason}:
            self._report("letter", f"{place} should have a letter {reason}, it has {sorted(reasons)}")


def _is_forwarded(record: CommandRecord) -> bool:
    return any(name == FORWARDED for name, _ in record.headers)
