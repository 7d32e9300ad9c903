"""
What a decision must look like in the light of the book before it. Owns: the rules, said once more and differently.
"""

from collections.abc import Callable
from typing import Any

from z0.sim.auditor.book import Book, units
from z0.sim.auditor.log import Report, Seen


class Rules:
    """Checks one fact against its ledger's book, which has not folded it yet."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def check(self, book: Book, seen: Seen, command: dict[str, Any] | None) -> None:
        """Everything that can be said before the fact is booked."""
        fact = seen.fact
        if fact.get("command_id") is None:
            self._uncommanded(book, fact)
            return
        for name in book.due(fact["recorded_at"]):
            self._report("expiry", f"{fact['id']} was decided while {name} was due and still open")
        if command is None:
            return
        if fact["type"] == "decision":
            self._refused(book, fact, command)
        else:
            self._accepted(book, fact, command)

    def after(self, book: Book, seen: Seen) -> None:
        """Everything that must hold of the book once the fact is in it."""
        fact = seen.fact
        for name, sums in book.sums.items():
            if min(sums.values()) < 0:
                self._report("conservation", f"{fact['id']}: a sum is below zero: {name} {sums}")
            if book.available(name) < 0:
                self._report("overdraft", f"{fact['id']}: {name} is {book.available(name)} units below zero")
            if sums["reserved"] != book.held(name):
                self._report("conservation", f"{fact['id']}: reserved is not what the open holds hold")
        told, currency = fact.get("available"), fact.get("currency")
        if told is not None and currency is not None and units(told) != book.available(currency):
            self._report(
                "conservation", f"{fact['id']} says that {told} {currency} is available, it is {book.available(currency)}"
            )

    def _uncommanded(self, book: Book, fact: dict[str, Any]) -> None:
        if (fact["type"], fact.get("subtype")) != ("budget", "expired"):
            self._report("command", f"{fact['id']} has no command and is no expiry")
            return
        total = 0
        for name, amount in fact["data"]["reservations"].items():
            hold = book.holds.get(name)
            if hold is None:
                self._report("expiry", f"{fact['id']} expires {name}, which is not open")
                continue
            total += hold.amount
            if units(amount) != hold.amount or fact["currency"] != hold.currency:
                self._report("expiry", f"{fact['id']} gives back another amount than {name} held")
            if hold.expires_at > fact["recorded_at"]:
                early = hold.expires_at - fact["recorded_at"]
                self._report("expiry", f"{fact['id']} expires {name} {early} ms before its time")
        if total != units(fact["amount"]):
            self._report("expiry", f"{fact['id']} gives back {fact['amount']}, its reservations held {total}")

    def _accepted(self, book: Book, fact: dict[str, Any], command: dict[str, Any]) -> None:
        op, amount = command["op"], command.get("amount")
        asked = units(amount) if amount is not None else None
        if op != "create_entity" and book.created is None:
            self._report("decision", f"{fact['id']}: {op} was accepted on a ledger that does not exist")
        if op in ("confirm", "release"):
            self._closing(book, fact, command, asked)
            return
        if asked is not None and (asked != units(fact["amount"]) or command["currency"] != fact["currency"]):
            self._report("decision", f"{fact['id']}: {op} of {amount} {command['currency']} became {fact['amount']}")
        if op in ("reserve", "deduct_budget") and asked is not None and asked > book.available(command["currency"]):
            self._report("overdraft", f"{fact['id']}: {op} of {amount}, there was {book.available(command['currency'])}")
        if op == "reserve" and fact["reservation_id"] in book.holds:
            self._report("decision", f"{fact['id']} opens {fact['reservation_id']}, which is open")
        if op == "create_entity" and book.created is not None:
            self._report("decision", f"{fact['id']}: the ledger was created before")

    def _closing(self, book: Book, fact: dict[str, Any], command: dict[str, Any], asked: int | None) -> None:
        name = command["reservation_id"]
        hold = book.holds.get(name)
        if hold is None:
            self._report("decision", f"{fact['id']} closes {name}, which is not open")
            return
        expected = hold.amount if asked is None else asked
        if units(fact["amount"]) != expected or expected > hold.amount:
            self._report("decision", f"{fact['id']} closes {name} with {fact['amount']}, it held {hold.amount}")

    def _refused(self, book: Book, fact: dict[str, Any], command: dict[str, Any]) -> None:
        """A refusal must have had its reason."""
        code, amount = fact["outcome"], command.get("amount")
        asked = units(amount) if amount is not None else 0
        hold = book.holds.get(command.get("reservation_id") or command["id"])
        reasons: dict[str, Callable[[], bool]] = {
            "budget_exhausted": lambda: asked > book.available(command["currency"]),
            "reservation_not_open": lambda: hold is None,
            "reservation_exists": lambda: hold is not None,
            "confirm_above_hold": lambda: hold is not None and asked > hold.amount,
            "entity_exists": lambda: book.created is not None,
            "entity_not_active": lambda: book.status != "active",
        }
        if not reasons.get(code, lambda: True)():
            self._report("decision", f"{fact['id']}: {command['op']} {command['id']} was refused as {code} without reason")
