"""
What a decision must look like in the light of the book before it. Owns: the rules, said once more and differently.
"""

from collections.abc import Callable
from typing import Any, Final

from z0.sim.auditor.book import Book, units
from z0.sim.auditor.governed import Governed
from z0.sim.auditor.log import Report, Seen
from z0.sim.auditor.terms import Asked, Terms

SPENDS: Final = frozenset({"reserve", "authorize", "deduct_budget"})
Json = dict[str, Any]


def _asked(command: Json, book: Book) -> Asked | None:
    """What a command would have limits count; None: nothing."""
    op, amount, currency = command["op"], command.get("amount"), command.get("currency")
    if op == "append" and command["type"] == "invocation":
        return Asked("invocations", units(amount or "0"), currency)
    if (op in SPENDS and command.get("purpose") != "transfer") or (op == "append" and command["type"] == "charge"):
        return Asked("spend", units(amount or "0"), currency, flies=op in ("reserve", "authorize"))
    hold = book.holds.get(command.get("reservation_id", ""))
    more = units(amount or "0") - hold.amount if hold is not None else 0
    if op == "confirm" and hold is not None and not hold.is_transfer and more > 0:
        return Asked("spend", more, hold.currency, places=0)
    return None


class Rules:
    """Checks one fact against its ledger's book, which has not folded it yet."""

    def __init__(self, report: Report, terms: Terms) -> None:
        self._report = report
        self._terms = terms
        self._governed = Governed(report, terms)

    def check(self, book: Book, seen: Seen, command: Json | None) -> None:
        """Everything that can be said before the fact is booked."""
        fact = seen.fact
        if fact.get("command_id") is None:
            self._uncommanded(book, fact)
            return
        for name in book.due(fact["recorded_at"]):
            self._report("expiry", f"{fact['id']} was decided while {name} was due and still open")
        if command is None:
            return
        given = self._governed.priced(fact, command)
        if fact["type"] == "decision":
            self._governed.refused(book, fact, command)
            self._refused(book, fact, given)
        else:
            self._governed.accepted(book, fact, command)
            self._accepted(book, fact, given)

    def after(self, book: Book, seen: Seen) -> None:
        """Everything that must hold of the book once the fact is in it."""
        fact = seen.fact
        for name, sums in book.sums.items():
            if min(sums.values()) < 0:
                self._report("conservation", f"{fact['id']}: a sum is below zero: {name} {sums}")
            if sums["reserved"] != book.held(name):
                self._report("conservation", f"{fact['id']}: reserved is not what the open holds hold")
        told, currency = fact.get("available"), fact.get("currency")
        if told is not None and currency is not None and units(told) != book.available(currency):
            self._report("conservation", f"{fact['id']} says that {told} {currency} is there, it is {book.available(currency)}")

    # Without a command ---------------------------------------------------------------------------

    def _uncommanded(self, book: Book, fact: Json) -> None:
        kind = (fact["type"], fact.get("subtype"))
        if kind == ("lifecycle", "created") and fact["ledger_id"].startswith("config_") and fact["seq"] == 1:
            return  # a config's first version makes its ledger
        if kind != ("budget", "expired"):
            self._report("command", f"{fact['id']} has no command and is no expiry")
            return
        total = 0
        for name, amount in fact["data"]["reservations"].items():
            total += self._expired(book, fact, name, amount)
        if total != units(fact.get("amount", "0")):
            self._report("expiry", f"{fact['id']} gives back {fact['amount']}, its reservations held {total}")

    def _expired(self, book: Book, fact: Json, name: str, amount: str) -> int:
        hold = book.holds.get(name)
        self._terms.closed(fact["ledger_id"], name, None)
        if hold is None:
            self._report("expiry", f"{fact['id']} expires {name}, which is not open")
            return 0
        if units(amount) != hold.amount or fact.get("currency") != hold.currency:
            self._report("expiry", f"{fact['id']} gives back another amount than {name} held")
        if hold.expires_at > fact["recorded_at"]:
            self._report("expiry", f"{fact['id']} expires {name} {hold.expires_at - fact['recorded_at']} ms before its time")
        return hold.amount

    # Accepted ------------------------------------------------------------------------------------

    def _accepted(self, book: Book, fact: Json, command: Json) -> None:
        op, asked = command["op"], _asked(command, book)
        if op == "create_entity" and book.created is not None:
            self._report("decision", f"{fact['id']}: the ledger was created before")
        if op != "create_entity" and book.created is None:
            self._report("decision", f"{fact['id']}: {op} was accepted on a ledger that does not exist")
        if asked is not None:
            for key in self._terms.exceeded(fact, book, asked):
                self._report("cap", f"{fact['id']}: {op} passes {key}")
        if op in ("confirm", "release"):
            self._closing(book, fact, command, asked)
            return
        self._as_asked(fact, command)
        if op in ("reserve", "authorize"):
            self._opening(book, fact, command)
        if fact.get("currency") and (op in SPENDS or (op == "append" and fact["type"] == "charge")):
            self._covered(book, fact, units(fact["amount"]))
            self._priced(fact, command, units(fact["amount"]))
        if asked is not None:
            self._terms.count(fact, asked)

    def _as_asked(self, fact: Json, command: Json) -> None:
        amount = command.get("amount")
        if amount is not None and (units(amount), command["currency"]) != (units(fact["amount"]), fact["currency"]):
            self._report("decision", f"{fact['id']}: {command['op']} of {amount} became {fact['amount']} {fact['currency']}")

    def _covered(self, book: Book, fact: Json, more: int) -> None:
        """What is taken must be there, or within the overdraft."""
        currency = fact["currency"]
        left = book.available(currency) - more
        if left < 0 and left < -self._terms.overdraft(fact, currency):
            self._report("overdraft", f"{fact['id']} takes {more} units of {currency}, there were {book.available(currency)}")

    def _priced(self, fact: Json, command: Json, amount: int) -> None:
        """What is spent or held at once lies within the bounds of prices."""
        if command.get("purpose") != "transfer" and not self._governed.in_bounds(fact, fact["currency"], amount):
            self._report("price", f"{fact['id']}: {fact['amount']} {fact['currency']} is outside the bounds of one decision")

    def _opening(self, book: Book, fact: Json, command: Json) -> None:
        if fact["reservation_id"] in book.holds:
            self._report("decision", f"{fact['id']} opens {fact['reservation_id']}, which is open")
        ttl_ms = self._terms.ttl_ms(fact, command.get("ttl_ms"))
        if fact["expires_at"] != fact["recorded_at"] + ttl_ms:
            self._report(
                "expiry", f"{fact['id']} ends at {fact['expires_at']}, it should {ttl_ms} ms after {fact['recorded_at']}"
            )

    def _closing(self, book: Book, fact: Json, command: Json, more: Asked | None) -> None:
        name, amount = command["reservation_id"], command.get("amount")
        hold = book.holds.get(name)
        if hold is None:
            self._report("decision", f"{fact['id']} closes {name}, which is not open")
            return
        settled = hold.amount if amount is None else units(amount)
        if hold.currency is not None and units(fact["amount"]) != settled:
            self._report("decision", f"{fact['id']} closes {name} with {fact['amount']}, not {settled}")
        if settled > hold.amount:
            if not self._terms.tops_up(fact):
                self._report("decision", f"{fact['id']} takes more than {name} held")
            self._covered(book, fact, settled - hold.amount)
            self._priced(fact, {"purpose": "transfer"} if hold.is_transfer else {}, settled)
        is_out = fact["subtype"] == "transferred_out"
        if command["op"] == "confirm" and is_out != hold.is_transfer:
            self._report("decision", f"{fact['id']}: what was held for a transfer must leave, anything else be spent")
        self._terms.closed(fact["ledger_id"], name, None if command["op"] == "release" else min(settled, hold.amount))
        if more is not None:  # what is above the reservation is spent now, and counts now
            self._terms.count(fact, more)

    # Refused -------------------------------------------------------------------------------------

    def _refused(self, book: Book, fact: Json, command: Json) -> None:
        """A refusal must have had its reason."""
        code, amount, asked = fact["outcome"], command.get("amount"), _asked(command, book)
        wanted = units(amount) if amount is not None else 0
        hold = book.holds.get(command.get("reservation_id") or command["id"])
        more = wanted - hold.amount if command["op"] == "confirm" and hold is not None else wanted
        currency = command.get("currency") or (hold.currency if hold is not None else None)
        reasons: dict[str, Callable[[], bool]] = {
            "budget_exhausted": lambda: more > book.available(currency or "") + self._terms.overdraft(fact, currency or ""),
            "cap_exhausted": lambda: asked is not None and bool(self._terms.exceeded(fact, book, asked)),
            "reservation_not_open": lambda: hold is None,
            "reservation_exists": lambda: hold is not None,
            "confirm_above_hold": lambda: hold is not None and wanted > hold.amount and not self._terms.tops_up(fact),
            "entity_exists": lambda: book.created is not None,
            "entity_not_active": lambda: book.status != "active",
            "charge_not_open": lambda: command["stage"] == "pending" or command["charge_id"] not in book.charges,
            "grant_not_found": lambda: command["grantee_id"] not in book.roles,
            "price_out_of_bounds": lambda: not self._governed.in_bounds(fact, currency, wanted),
        }
        if not reasons.get(code, lambda: True)():
            self._report("decision", f"{fact['id']}: {command['op']} {command['id']} was refused as {code} without reason")
