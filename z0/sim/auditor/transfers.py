"""Transfers between ledgers. Owns: that what leaves one ledger arrives on another, once, and nothing that did not leave."""

from collections.abc import Iterable, Mapping
from typing import Any

from z0.sim.auditor.book import units
from z0.sim.auditor.log import Report, Seen


def check_transfers(facts: Iterable[Seen], refused: Iterable[str], report: Report) -> None:
    """By the id of the command that let it leave, which the arrival names; `refused`: arrivals that were refused."""
    out: dict[str, Mapping[str, Any]] = {}
    arrived: dict[str, Mapping[str, Any]] = {}
    for seen in facts:
        kind = (seen.fact["type"], seen.fact.get("subtype"))
        if kind == ("budget", "transferred_out"):
            out[seen.fact["command_id"]] = seen.fact
        elif kind == ("budget", "transferred_in"):
            if seen.fact["correlation_id"] in arrived:
                report("transfer", f"{seen.fact['id']} arrived a second time")
            arrived[seen.fact["correlation_id"]] = seen.fact
    for name, fact in arrived.items():
        left = out.get(name)
        if left is None or units(left["amount"]) != units(fact["amount"]) or left["currency"] != fact["currency"]:
            report("transfer", f"{fact['id']} arrived, and {name} did not leave")
    for name in out.keys() - arrived.keys() - set(refused):
        report("transfer", f"{out[name]['id']} left and never arrived")
