"""The audit of one run. Owns: what is judged in which order, and what is counted."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, NamedTuple

from z0.sim.auditor.answers import Answers, Key
from z0.sim.auditor.book import Book
from z0.sim.auditor.checks import Checks
from z0.sim.auditor.doors import KafkaDoor
from z0.sim.auditor.log import Chains, Seen, valid_facts
from z0.sim.auditor.rules import Rules
from z0.sim.auditor.terms import Terms
from z0.sim.auditor.transfers import check_transfers
from z0.sim.evidence import Evidence

EXPIRED_WITHIN_MS: Final = 2_000


class Violation(NamedTuple):
    """Something that must not be: the rule's name, and what was found."""

    rule: str
    text: str


@dataclass
class Audit:
    """What was found."""

    violations: list[Violation] = field(default_factory=list)
    facts: int = 0
    void: int = 0
    claims: int = 0


def digest_of(command: bytes) -> str:
    """Of a command as its sender wrote it: senders here write canonical bytes."""
    return sha256(command).hexdigest()[:32]


def audit(evidence: Evidence) -> Audit:
    """Judge a run."""
    return _Auditor(evidence).run()


class _Auditor:
    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._found = Audit()
        self._books: dict[str, Book] = defaultdict(Book)
        self._by_command: dict[Key, Seen] = {}
        self._created: dict[str, Seen] = {}
        self._views: dict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
        self._sent = _sent(evidence)
        self._terms = Terms(self._report)

    def run(self) -> Audit:
        for problem in self._evidence.problems:
            self._report("liveness", problem)
        facts = [self._read(p) for p in range(len(self._evidence.facts))]
        for partition in facts:
            self._partition(partition)
        checks = Checks(self._report, self._terms, self._views)
        Answers(self._report, self._by_command, self._created, self._views, checks).check(self._evidence.told, digest_of)
        door = KafkaDoor(self._report, self._by_command, self._created, digest_of)
        if not self._evidence.problems:  # what did not come to rest has not answered for everything yet
            door.check(self._evidence.commands, self._evidence.commands_at_s, self._evidence.letters)
            self._check_sink(facts)
            self._check_leaks()
            check_transfers((seen for partition in facts for seen in partition), self._refused_arrivals(), self._report)
        return self._found

    def _report(self, rule: str, text: str) -> None:
        self._found.violations.append(Violation(rule, text))

    def _read(self, partition: int) -> list[Seen]:
        records = self._evidence.facts[partition]
        facts = valid_facts(partition, records, self._evidence.facts_at_s[partition])
        for seen in facts:
            if seen.fact["type"] == "config":
                self._terms.learn(seen.fact)
        claims = sum(record.key == b"!claim" for record in records)
        self._found.claims += claims
        self._found.facts += len(facts)
        self._found.void += len(records) - claims - len(facts)
        return facts

    def _partition(self, facts: list[Seen]) -> None:
        chains, rules = Chains(self._report), Rules(self._report, self._terms)
        applied = -1
        for seen in facts:
            chains.add(seen)
            applied = self._check_cause(seen, applied)
            self._book(seen, rules)

    def _book(self, seen: Seen, rules: Rules) -> None:
        fact = seen.fact
        book = self._books[fact["ledger_id"]]
        rules.check(book, seen, self._command(seen))
        try:
            book.fold(fact)
        except KeyError as error:
            self._report("decision", f"{fact['id']} closes {error}, which is not open")
        rules.after(book, seen)
        if book.created is not None:
            self._created.setdefault(fact["ledger_id"], seen)
        self._views[fact["ledger_id"]].append((seen.offset, book.view()))

    def _command(self, seen: Seen) -> dict[str, Any] | None:
        """The command that a fact says it comes from: it was sent, and this is the only fact that it left."""
        fact = seen.fact
        if fact.get("command_id") is None:
            return None
        key = (fact["tenant_id"], fact["ledger_id"], fact["command_id"])
        if key in self._by_command:
            first = self._by_command[key].fact["id"]
            self._report("once", f"{key[2]} left {first} and {fact['id']}")
        self._by_command.setdefault(key, seen)
        command = self._sent.get((*key, fact["digest"]))
        if command is None:
            self._report("command", f"{fact['id']} comes from a command {key[2]} that nobody sent")
        return command

    def _check_cause(self, seen: Seen, applied: int) -> int:
        cause = seen.fact.get("cause")
        if cause is None:
            return applied
        if cause["offset"] <= applied:
            self._report("order", f"{seen.fact['id']} comes from offset {cause['offset']}, after {applied}")
        return max(applied, int(cause["offset"]))

    def _check_leaks(self) -> None:
        """No reservation outlives its time by more than the worker's timer needs, also where nobody asks."""
        now_ms = self._evidence.ended_ms
        for ledger, book in self._books.items():
            for name in book.due(now_ms - EXPIRED_WITHIN_MS):
                late_ms = now_ms - book.holds[name].expires_at
                self._report("leak", f"{ledger}: {name} should have ended {late_ms} ms ago and is open")

    def _refused_arrivals(self) -> list[str]:
        """Transfers that the ledger which they were for refused, by the command that let them leave."""
        names = []
        for (*key, _), command in self._sent.items():
            seen = self._by_command.get((key[0], key[1], key[2]))
            if command.get("kind") == "transfer" and (seen is None or seen.fact["type"] == "decision"):
                names.append(command["correlation_id"])
        return names

    def _check_sink(self, facts: list[list[Seen]]) -> None:
        """The store behind the sink has every fact that counts, once, to the byte, and nothing else."""
        stored = sorted((row.partition, row.offset, row.value) for row in self._evidence.rows)
        expected = [(seen.partition, seen.offset, seen.value) for partition in facts for seen in partition]
        if stored != expected:
            missing, extra = set(expected) - set(stored), set(stored) - set(expected)
            self._report(
                "sink", f"{len(missing)} facts are missing, {len(extra)} too many, {len(stored)} rows for {len(expected)} facts"
            )


def _sent(evidence: Evidence) -> dict[tuple[str, str, str, str], dict[str, Any]]:
    """All commands that anybody sent, by (tenant, ledger, id, digest)."""
    found = {}
    raws = {told.command for told in evidence.told} | {record.value or b"" for topic in evidence.commands for record in topic}
    for raw in raws | set(evidence.asked):
        try:
            command = json.loads(raw)
        except ValueError:
            continue
        found[command["tenant_id"], command["ledger_id"], command["id"], digest_of(raw)] = command
    return found
