"""
The auditor's own bookkeeping of one ledger. Owns: sums and holds as plain integers, open charges, roles, and what each fact
does to them.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

SUMS: Final = ("deposited", "credits", "spent", "transferred_in", "transferred_out", "reserved")
ADDED: Final = {"deposit": "deposited", "credit_issued": "credits"}


def units(amount: str) -> int:
    """A decimal string as a count of 1e-12."""
    scaled = Decimal(amount).scaleb(12)
    whole = int(scaled)
    if scaled != whole:
        raise ValueError(f"{amount} has more than 12 decimals")
    return whole


@dataclass
class OpenHold:
    """One reservation that is open."""

    currency: str | None  # None: a place only
    amount: int
    expires_at: int
    is_transfer: bool = False


@dataclass
class Book:
    """What one ledger comes to, fact by fact."""

    created: dict[str, Any] | None = None
    status: str = ""
    sums: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(lambda: dict.fromkeys(SUMS, 0)))
    holds: dict[str, OpenHold] = field(default_factory=dict)
    charges: dict[str, str] = field(default_factory=dict)  # open ones, by the fact's id: their currency
    roles: dict[str, str] = field(default_factory=dict)  # by user
    seq: int = 0
    head: str = "0" * 64

    def available(self, currency: str) -> int:
        """What may still be spent or held."""
        s = self.sums[currency]
        return s["deposited"] + s["credits"] + s["transferred_in"] - s["spent"] - s["transferred_out"] - s["reserved"]

    def held(self, currency: str) -> int:
        """What the open reservations hold."""
        return sum(hold.amount for hold in self.holds.values() if hold.currency == currency)

    def due(self, now_ms: int) -> list[str]:
        """Reservations whose time has come."""
        return [name for name, hold in self.holds.items() if hold.expires_at <= now_ms]

    def fold(self, fact: dict[str, Any]) -> None:
        """
        Book one fact.

        Raises:
            KeyError: it closes a reservation or a charge that is not open, or takes a role that nobody has.
        """
        self.seq, self.head = fact["seq"], fact["hash"]
        kind, subtype = fact["type"], fact.get("subtype")
        if kind == "lifecycle":
            self._lifecycle(subtype, fact)
        elif kind in ADDED:
            self.sums[fact["currency"]][ADDED[kind]] += units(fact["amount"])
        elif kind == "charge":
            self._charge(subtype, fact)
        elif kind == "budget":
            self._budget(subtype, fact)
        elif kind in ("access_granted", "access_modified"):
            self.roles[fact["data"]["user_id"]] = fact["data"]["role"]
        elif kind == "access_revoked":
            del self.roles[fact["data"]["user_id"]]

    def _charge(self, subtype: str | None, fact: dict[str, Any]) -> None:
        if subtype == "settled":
            del self.charges[fact["source_id"]]
        elif subtype != "pending":
            self.sums[fact["currency"]]["spent"] += units(fact["amount"])
        if subtype == "incurred":
            self.charges[fact["id"]] = fact["currency"]

    def _lifecycle(self, subtype: str | None, fact: dict[str, Any]) -> None:
        if subtype == "created":
            self.created = fact["data"]["entity"]
            self.status = fact["data"]["entity"]["status"]
        elif subtype == "updated":
            self.status = fact["data"]["changes"].get("status", self.status)

    def _budget(self, subtype: str | None, fact: dict[str, Any]) -> None:
        if subtype == "expired":
            for name in fact["data"]["reservations"]:
                self._close(name)
            return
        currency = fact.get("currency")
        sums, amount = self.sums[currency] if currency else {}, units(fact.get("amount", "0"))
        if subtype == "reserved":
            is_transfer = fact.get("purpose") == "transfer"
            self.holds[fact["reservation_id"]] = OpenHold(currency, amount, fact["expires_at"], is_transfer)
            if currency:
                sums["reserved"] += amount
        elif subtype == "released":
            self._close(fact["reservation_id"])
        elif subtype in ("confirmed", "transferred_out"):
            self._close(fact["reservation_id"])
            if currency:
                sums["spent" if subtype == "confirmed" else "transferred_out"] += amount
        elif subtype == "transferred_in":
            sums["transferred_in"] += amount
        elif subtype == "deducted":
            sums["spent"] += amount

    def _close(self, name: str) -> None:
        hold = self.holds.pop(name)
        if hold.currency:
            self.sums[hold.currency]["reserved"] -= hold.amount

    def view(self) -> dict[str, Any]:
        """What a reader must be shown of it."""
        return {
            "seq": self.seq,
            "head_hash": self.head,
            "budgets": {c: dict(s) for c, s in self.sums.items() if any(s.values())},
            "holds": {name: (hold.currency, hold.amount, hold.expires_at) for name, hold in self.holds.items()},
            "charges": dict(self.charges),
            "roles": dict(self.roles),
        }
