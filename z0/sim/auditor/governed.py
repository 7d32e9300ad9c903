"""
Who may, at what price, under which of the tenant's own rules. Owns: access, prices and invariants, as their page says them.

Prices are multiplied as `Decimal` with room for every digit; of JSON Schema there is as much as the workload's schemas use.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final

from z0.sim.auditor.book import Book, units
from z0.sim.auditor.log import Report
from z0.sim.auditor.terms import Terms

Json = dict[str, Any]
Configs = Sequence[Mapping[str, Any]]
GOVERNED: Final = frozenset({"append", "authorize", "check", "confirm", "deduct_budget", "release", "reserve", "settle"})
# Refusals that come before the question who may: nothing follows from them for it.
BEFORE_ACCESS: Final = frozenset(
    {
        "entity_not_active",
        "timestamp_out_of_bounds",
        "reserved_fact_type",
        "missing_amount",
        "unknown_config_version",
        "access_denied",
    }
)
SCOPES: Final = ("platform", "tenant", "entity")
ROOM: Final = Context(prec=80)
UNIT: Final = Decimal("1e-12")
TYPES: Final = {"add_budget": {"deposit": "deposit", "credit": "credit_issued"}}


class Governed:
    """What configs of these three types say of one decision."""

    def __init__(self, report: Report, terms: Terms) -> None:
        self._report = report
        self._terms = terms

    def _settings(self, fact: Json, kind: str) -> list[tuple[str, Json]]:
        """(config id, settings) of those that are not switched off, from the widest scope to the narrowest."""
        configs = [config for config in self._terms.of(fact) if config["type"] == kind and config["settings"]]
        configs.sort(key=lambda config: (SCOPES.index(config["scope"]), config["id"]))
        return [(config["id"], config["settings"]) for config in configs]

    # Access --------------------------------------------------------------------------------------

    def may(self, fact: Json, roles: Mapping[str, str], command: Json) -> bool:
        """Whether the user of a command may give it, by every access config; where there is none, everybody may."""
        if command["op"] not in GOVERNED:
            return True
        role = roles.get(command.get("user_id", ""), "")
        allowed = [settings["roles"].get(role, ()) for _, settings in self._settings(fact, "access")]
        return all("*" in ops or command["op"] in ops for ops in allowed)

    # Prices --------------------------------------------------------------------------------------

    def priced(self, fact: Json, command: Json) -> Json:
        """The command with the amount that its usage costs, where it has a usage and there is a price; else without one."""
        if command.get("usage") is None:
            return command
        price = self._price(fact, command)
        if price is None:
            return {name: value for name, value in command.items() if name != "currency"}
        currency, _, of = price
        total = sum((_product(of[meter], quantity) for meter, quantity in command["usage"].items()), Decimal(0))
        return {**command, "amount": f"{total:f}", "currency": currency}

    def _price(self, fact: Json, command: Json) -> tuple[str, str, Mapping[str, str]] | None:
        """(currency, config id, prices of all meters that the command uses); None: there is no price for it."""
        configs = self._settings(fact, "pricing")
        wanted = command.get("currency")
        currencies = {settings["currency"] for _, settings in configs if wanted in (None, settings["currency"])}
        if len(currencies) != 1:
            return None
        [currency] = currencies
        mine = [(name, settings["prices"]) for name, settings in configs if settings["currency"] == currency]
        of = {m: max((p[m] for _, p in mine if m in p), key=Decimal, default="") for m in command["usage"]}
        return (currency, mine[-1][0], of) if all(of.values()) else None

    def in_bounds(self, fact: Json, currency: str | None, amount: int) -> bool:
        """Whether an amount lies within what pricing configs of its currency let one decision have."""
        mine = [settings for _, settings in self._settings(fact, "pricing") if settings["currency"] == currency]
        least = [units(settings["min_amount"]) for settings in mine if "min_amount" in settings]
        most = [units(settings["max_amount"]) for settings in mine if "max_amount" in settings]
        return all(amount >= bound for bound in least) and all(amount <= bound for bound in most)

    def _lacks_version(self, fact: Json, command: Json) -> bool:
        """Whether a command names a version of a pricing config that is not there, not yet, or never came into force."""
        name, version = command.get("config_id", ""), command.get("config_version", 0)
        in_force = fact.get("configs", {}).get(name, 0)
        return bool(version > in_force or version < 1) or self._terms.was_overtaken(name, version)

    # Invariants ----------------------------------------------------------------------------------

    def broken(self, fact: Json, instance: Json, severity: str) -> list[str]:
        """The codes of the rules that a fact to be does not fulfil."""
        rules = [settings for _, settings in self._settings(fact, "invariant")]
        mine = [s for s in rules if s["severity"] == severity and s["fact_type"] in ("*", instance["type"])]
        return [settings["code"] for settings in mine if not _fulfils(settings["schema"], instance)]

    # A decision ----------------------------------------------------------------------------------

    def accepted(self, book: Book, fact: Json, command: Json) -> None:
        """What was accepted was allowed, at its price, and breaks no rule but those that it names."""
        if not self.may(fact, book.roles, command):
            self._report("access", f"{fact['id']}: {command.get('user_id')} may not {command['op']}")
        if command.get("usage") is not None:
            self._usage(fact, command)
        instance = {**fact, "data": fact.get("data", {})}
        for code in self.broken(fact, instance, "error"):
            self._report("invariant", f"{fact['id']} breaks {code}")
        warned, expected = fact.get("warnings", []), self.broken(fact, instance, "warning")
        if warned != expected:
            self._report("invariant", f"{fact['id']} warns of {warned}, it should of {expected}")

    def _usage(self, fact: Json, command: Json) -> None:
        price = self._price(fact, command)
        if price is None:
            self._report("price", f"{fact['id']}: there is no price for {command['usage']}")
        elif (fact.get("usage"), fact.get("config_id")) != (command["usage"], price[1]):
            self._report("price", f"{fact['id']} says {fact.get('usage')} by {fact.get('config_id')}, it should by {price[1]}")

    def refused(self, book: Book, fact: Json, command: Json) -> None:
        """What was refused for one of these had its reason; what was refused by a later rule had passed the question who may."""
        code = fact["outcome"]
        if code not in BEFORE_ACCESS and not self.may(fact, book.roles, command):
            self._report("access", f"{fact['id']}: {command['op']} was refused as {code}, not as access_denied")
        reasons: dict[str, Callable[[], bool]] = {
            "access_denied": lambda: not self.may(fact, book.roles, command),
            "unpriced": lambda: command.get("usage") is not None and self._price(fact, command) is None,
            "unknown_config_version": lambda: self._lacks_version(fact, command),
            "invariant_broken": lambda: bool(self.broken(fact, self.instance(book, self.priced(fact, command)), "error")),
        }
        if not reasons.get(code, lambda: True)():
            self._report("decision", f"{fact['id']}: {command['op']} {command['id']} was refused as {code} without reason")

    def instance(self, book: Book, command: Json) -> Json:
        """The fact that a command would have left, as far as the schemas look."""
        op, hold = command["op"], book.holds.get(command.get("reservation_id", ""))
        kind = TYPES.get(op, {}).get(command.get("kind", "deposit"), "budget")
        currency = command.get("currency") if command.get("currency") or hold is None else hold.currency
        if op == "append":
            kind = command["type"]
        elif op == "settle":
            kind, currency = "charge", book.charges.get(command["charge_id"])
        elif op not in GOVERNED and op != "add_budget":
            kind = "other"
        instance = {"type": kind, "data": command.get("data", {}), "user_id": command.get("user_id"), "currency": currency}
        return {name: value for name, value in instance.items() if value is not None}


def _product(price: str, quantity: str) -> Decimal:
    return ROOM.multiply(Decimal(price), Decimal(quantity)).quantize(UNIT, rounding=ROUND_HALF_EVEN, context=ROOM)


def _fulfils(schema: Json, value: Any) -> bool:
    """Of JSON Schema: `required`, `properties`, `enum`, `maxLength`; each says nothing of values that it is not about."""
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, str) and len(value) > schema.get("maxLength", len(value)):
        return False
    if not isinstance(value, dict):
        return True
    if any(name not in value for name in schema.get("required", ())):
        return False
    return all(_fulfils(of, value[name]) for name, of in schema.get("properties", {}).items() if name in value)
