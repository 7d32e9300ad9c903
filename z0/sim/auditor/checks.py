"""
What a `check` was told, in the light of the ledger as it was then. Owns: access, price, budget and
invariants of an answer that left no fact.

Caps are not looked at: the auditor's own counts are those of the log's end.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from z0.sim.auditor.book import Book, units
from z0.sim.auditor.governed import Governed
from z0.sim.auditor.log import Report
from z0.sim.auditor.terms import Terms
from z0.sim.clients import Told

Json = dict[str, Any]


class Checks:
    """Judges eligibilities."""

    def __init__(self, report: Report, terms: Terms, views: Mapping[str, Sequence[tuple[int, Json]]]) -> None:
        self._report = report
        self._terms = terms
        self._views = views
        self._governed = Governed(report, terms)

    def check(self, told: Told, command: Json) -> None:
        """One answer."""
        found = json.loads(told.answer.eligibility)
        name = f"the check {command['id']}"
        said = {"id": name, "recorded_at": told.answer.recorded_at, "configs": found.get("configs", {})}
        book = self._book(command["ledger_id"], told.answer.offset)
        if found["eligible"]:
            self._passed(book, said, command, found)
        else:
            self._governed.refused(book, {**said, "outcome": found["outcome"]}, command)
            self._refused(book, said, command, found)

    def _book(self, ledger: str, offset: int) -> Book:
        """Sums and roles as of an offset."""
        view: Json = {"budgets": {}, "roles": {}}
        for at, seen in self._views.get(ledger, ()):
            view = seen if at <= offset else view
        book = Book(roles=view["roles"])
        book.sums.update(view["budgets"])
        return book

    def _passed(self, book: Book, said: Json, command: Json, found: Json) -> None:
        given = self._governed.priced(said, command)
        currency, amount = given.get("currency"), units(given.get("amount") or "0")
        if not self._governed.may(said, book.roles, command):
            self._report("access", f"{said['id']}: {command.get('user_id')} may not, and was told that it may")
        if currency is not None and (found.get("currency"), units(found.get("amount", "-1"))) != (currency, amount):
            self._report("price", f"{said['id']} was told {found.get('amount')} {found.get('currency')}, not {amount} units")
        if not self._governed.in_bounds(said, currency, amount) or self._lacks(book, said, currency, amount):
            self._report("overdraft", f"{said['id']} was told that {amount} units of {currency} may be spent")
        for code in self._governed.broken(said, self._governed.instance(book, given), "error"):
            self._report("invariant", f"{said['id']} was told that it may what breaks {code}")

    def _refused(self, book: Book, said: Json, command: Json, found: Json) -> None:
        given = self._governed.priced(said, command)
        currency, amount = given.get("currency"), units(given.get("amount") or "0")
        if found["outcome"] == "budget_exhausted" and not self._lacks(book, said, currency, amount):
            self._report("decision", f"{said['id']} was told {found['outcome']} without reason")
        if found["outcome"] == "price_out_of_bounds" and self._governed.in_bounds(said, currency, amount):
            self._report("decision", f"{said['id']} was told {found['outcome']} without reason")

    def _lacks(self, book: Book, said: Json, currency: str | None, amount: int) -> bool:
        return currency is not None and amount > book.available(currency) + self._terms.overdraft(said, currency)
