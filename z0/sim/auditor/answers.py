"""
Answers against the log. Owns: that every caller was told what the log says, no earlier than the log said it, and nothing stale.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from z0.sim.auditor.book import SUMS, units
from z0.sim.auditor.checks import Checks
from z0.sim.auditor.log import Report, Seen
from z0.sim.clients import Told

TRANSIENT: Final = frozenset({"not_owner", "warming_up", "overloaded", "timeout"})
UNRECORDED: Final = frozenset(
    {
        "malformed",
        "too_large",
        "unknown_command",
        "bad_command_id",
        "bad_ledger_id",
        "wrong_key",
        "bad_amount",
        "unknown_currency",
        "id_reused",
        "unknown_entity",
    }
)
Key = tuple[str, str, str]


class Answers:
    """Judges what callers were told."""

    def __init__(
        self,
        report: Report,
        by_command: Mapping[Key, Seen],
        created: Mapping[str, Seen],
        views: Mapping[str, Sequence[tuple[int, dict[str, Any]]]],
        checks: Checks,
    ) -> None:
        self._report = report
        self._by_command = by_command
        self._created = created
        self._views = views
        self._checks = checks

    def check(self, told: Sequence[Told], digest_of: Any) -> None:
        """All of them; then the order in which they were heard."""
        for one in told:
            if str(one.answer.outcome) not in TRANSIENT:
                self._check(one, digest_of)
        self._check_freshness(told)

    def _check(self, told: Told, digest_of: Any) -> None:
        outcome = str(told.answer.outcome)
        try:
            command = json.loads(told.command)
        except ValueError:
            if outcome != "malformed":
                self._report("answer", f"bytes that are no JSON were answered {outcome}")
            return
        key = (command["tenant_id"], command["ledger_id"], command["id"])
        fact = self._by_command.get(key)
        if command["op"] == "check" and outcome == "accepted":
            self._checks.check(told, command)
        elif command["op"] == "read":
            self._check_read(told, command)
        elif outcome in UNRECORDED:
            self._check_unrecorded(told, command, fact, digest_of)
        elif command["op"] == "put_config" and outcome != "accepted" and not told.answer.seq:
            self._check_forgotten(told, command)
        elif fact is None:
            self._report("answer", f"{key[2]} was told {outcome}, and the log has no such command")
        else:
            self._check_recorded(told, fact, digest_of(told.command))

    def _check_recorded(self, told: Told, seen: Seen, digest: str) -> None:
        answer, fact = told.answer, seen.fact
        name = fact["command_id"]
        if fact["digest"] != digest:
            self._report("answer", f"{name}: an answer was given to another body than the log has")
        said = (str(answer.outcome), answer.partition, answer.offset, answer.seq, answer.recorded_at)
        log = (fact["outcome"], seen.partition, seen.offset, fact["seq"], fact["recorded_at"])
        if said != log:
            self._report("answer", f"{name} was told {said}, the log says {log}")
        for field in ("available", "reservation_id", "expires_at"):
            if getattr(answer, field) != fact.get(field):
                self._report("answer", f"{name} was told {field} {getattr(answer, field)}, the log says {fact.get(field)}")
        self._check_words(told, fact)
        if told.said_s < seen.at_s:
            self._report("durable", f"{name} was answered at {told.said_s:.4f} s, its fact landed at {seen.at_s:.4f} s")

    def _check_words(self, told: Told, fact: dict[str, Any]) -> None:
        """The currency of what is left, and the reason of a refusal."""
        currency = fact.get("currency") if fact.get("available") is not None else None
        detail = fact["data"].get("detail") if fact["type"] == "decision" else None
        said = (told.answer.currency, told.answer.detail)
        if said != (currency, detail):
            self._report("answer", f"{fact['command_id']} was told {said}, the log says {(currency, detail)}")

    def _check_unrecorded(self, told: Told, command: dict[str, Any], seen: Seen | None, digest_of: Any) -> None:
        outcome, name = str(told.answer.outcome), command["id"]
        created = self._created.get(command["ledger_id"])
        known = created is not None and created.fact["tenant_id"] == command["tenant_id"]
        if outcome == "id_reused" and (seen is None or seen.fact["digest"] == digest_of(told.command)):
            self._report("answer", f"{name} was told that its id was used before with another body; the log has none")
        if outcome == "unknown_entity" and known and created is not None and created.at_s < told.asked_s:
            self._report("stale", f"{name} was told unknown_entity after its ledger had been created")

    def _check_forgotten(self, told: Told, command: dict[str, Any]) -> None:
        """A config that is not there yet has no ledger that could remember a refusal; asked again later, it may be."""
        created = self._created.get(command["ledger_id"])
        if created is not None and created.at_s < told.asked_s:
            self._report(
                "stale", f"{command['id']} was refused as {told.answer.outcome} and left no fact, but its config was there"
            )

    def _check_read(self, told: Told, command: dict[str, Any]) -> None:
        ledger, answer = command["ledger_id"], told.answer
        if str(answer.outcome) != "accepted":
            return self._check_unrecorded(told, command, None, lambda value: "")
        shown = _shown(json.loads(answer.state))
        expected = None
        for offset, view in self._views.get(ledger, ()):
            if offset <= answer.offset:
                expected = view
        if shown != expected:
            self._report(
                "read", f"{ledger} as of {answer.partition}/{answer.offset} was shown as {shown}, the log says {expected}"
            )
        return None

    def _check_freshness(self, told: Sequence[Told]) -> None:
        """What was asked after something was heard must know of it: no owner of yesterday may speak."""
        final = [one for one in told if str(one.answer.outcome) not in TRANSIENT and one.answer.partition >= 0]
        heard = sorted((one.heard_s, one.answer.partition, one.answer.offset) for one in final)
        newest: dict[int, int] = {}
        place = 0
        for one in sorted(final, key=lambda one: one.asked_s):
            while place < len(heard) and heard[place][0] < one.asked_s:
                _, partition, offset = heard[place]
                newest[partition] = max(offset, newest.get(partition, -1))
                place += 1
            is_read = one.answer.seq == 0
            if is_read and one.answer.offset < newest.get(one.answer.partition, -1):
                self._report(
                    "stale",
                    f"an answer reflects {one.answer.partition}/{one.answer.offset}, "
                    f"asked after {newest[one.answer.partition]} had been heard",
                )


def _shown(state: dict[str, Any]) -> dict[str, Any]:
    """A read's answer in the words of the book."""
    budgets = {c: {name: units(b[name]) for name in SUMS} for c, b in state["budgets"].items()}
    holds = {n: (r["currency"], units(r["amount"]), r["expires_at"]) for n, r in state["reservations"].items()}
    return {
        "seq": state["seq"],
        "head_hash": state["head_hash"],
        "budgets": {c: s for c, s in budgets.items() if any(s.values())},
        "holds": holds,
        "charges": {name: charge["currency"] for name, charge in state["charges"].items()},
        "roles": state["access"],
    }
