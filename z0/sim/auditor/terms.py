"""
What configs said when a fact was decided. Owns: overdrafts, times and limits read from the configs' own facts, and the auditor's
own count of what limits have let through. Windows are cut here once more, from the time zones of the standard library.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from z0.sim.auditor.book import Book, units
from z0.sim.auditor.log import Report

HOUR_TTL_MS: Final = 3_600_000
Settings = dict[str, Any]


@dataclass(eq=False)
class Use:
    """One fact that counts: under which limits, and how much (of a reservation: what became of it)."""

    starts: Mapping[str, int]  # limit -> the window that it counts in
    units: int
    places: int = 1  # 0: more money for something that was counted before


@dataclass(frozen=True)
class Asked:
    """What a command wants to have counted."""

    counts: str
    units: int
    currency: str | None
    places: int = 1
    flies: bool = False  # whether it stays open, and so is in flight


def window_start(window: str, zone: str, at_ms: int) -> int:
    """The first millisecond of the window around a moment."""
    if window in ("total", "in_flight"):
        return 0
    local = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(ZoneInfo(zone)).replace(minute=0, second=0)
    if window != "hour":
        local = local.replace(hour=0)
    if window == "month":
        local = local.replace(day=1)
    return int(local.timestamp()) * 1000


class Terms:
    """All versions of all configs, and what each ledger has used."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._versions: dict[tuple[str, int], dict[str, Any]] = {}
        self._uses: dict[str, list[Use]] = defaultdict(list)
        self._held: dict[tuple[str, str], Use] = {}

    def learn(self, fact: Mapping[str, Any]) -> None:
        """A fact `config/versioned`, of any ledger."""
        config = fact["data"]["config"]
        self._versions[config["id"], config["version"]] = config

    def of(self, fact: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The versions that a fact says were looked at; each must exist and have been in force."""
        found = []
        for config_id, version in fact.get("configs", {}).items():
            config = self._versions.get((config_id, version))
            if config is None:
                self._report("config", f"{fact['id']} was decided by {config_id} version {version}, which does not exist")
            elif config["effective_at"] > fact["recorded_at"]:
                self._report("config", f"{fact['id']} was decided by {config_id} version {version} before its time")
            else:
                found.append(config)
        return found

    def was_overtaken(self, config_id: str, version: int) -> bool:
        """Whether a higher version came into force before it: then it never did."""
        one = self._versions.get((config_id, version))
        higher = [of["effective_at"] for (name, n), of in self._versions.items() if name == config_id and n > version]
        return one is not None and any(at < one["effective_at"] for at in higher)

    def _budgets(self, fact: Mapping[str, Any]) -> list[Settings]:
        return [config["settings"] for config in self.of(fact) if config["type"] == "budget"]

    def overdraft(self, fact: Mapping[str, Any], currency: str) -> int:
        """How far below zero a currency may go: the smallest of all that speak of it; unnamed: not at all."""
        said: list[dict[str, str]] = [s["overdraft"] for s in self._budgets(fact) if s.get("overdraft") is not None]
        return min((units(overdraft.get(currency, "0")) for overdraft in said), default=0)

    def tops_up(self, fact: Mapping[str, Any]) -> bool:
        """Whether a confirm may take more than was held."""
        return {s["confirm_above_hold"] for s in self._budgets(fact) if "confirm_above_hold" in s} == {"topped_up"}

    def ttl_ms(self, fact: Mapping[str, Any], asked: int | None) -> int:
        """How long a reservation made by a fact lives."""
        defaults: list[int] = [s["ttl_ms_default"] for s in self._budgets(fact) if "ttl_ms_default" in s]
        longest: list[int] = [s["ttl_ms_max"] for s in self._budgets(fact) if "ttl_ms_max" in s]
        return min([asked or min(defaults, default=HOUR_TTL_MS), *longest])

    # Caps ----------------------------------------------------------------------------------------

    def _limits(self, fact: Mapping[str, Any], asked: Asked) -> list[tuple[str, Settings, str]]:
        return [
            (f"{config['id']}/{limit['name']}", limit, config["settings"].get("timezone", "UTC"))
            for config in self.of(fact)
            if config["type"] == "cap"
            for limit in config["settings"].get("limits", ())
            if limit["counts"] == asked.counts and limit.get("currency") in (None, asked.currency)
            if asked.flies or limit["window"] != "in_flight"
        ]

    def exceeded(self, fact: Mapping[str, Any], book: Book, asked: Asked) -> list[str]:
        """The limits that would be passed, by what was used before the fact."""
        found = []
        for key, limit, zone in self._limits(fact, asked):
            count, used = self._used(fact, book, key, limit, zone)
            over_count = "max_count" in limit and asked.places and count + asked.places > limit["max_count"]
            over_amount = "max_amount" in limit and used + asked.units > units(limit["max_amount"])
            if over_count or over_amount:
                found.append(key)
        return found

    def _used(self, fact: Mapping[str, Any], book: Book, key: str, limit: Settings, zone: str) -> tuple[int, int]:
        if limit["window"] == "in_flight":
            return len(book.holds), book.sums[limit["currency"]]["reserved"] if "currency" in limit else 0
        start = window_start(limit["window"], zone, fact["recorded_at"])
        uses = [u for u in self._uses[fact["ledger_id"]] if u.starts.get(key) == start]
        return sum(use.places for use in uses), sum(use.units for use in uses)

    def count(self, fact: Mapping[str, Any], asked: Asked) -> None:
        """A fact counts from here on; it must say so itself, with the windows in which it does."""
        counting = [(key, limit, zone) for key, limit, zone in self._limits(fact, asked) if limit["window"] != "in_flight"]
        expected = {key: window_start(limit["window"], zone, fact["recorded_at"]) for key, limit, zone in counting}
        said = {key: start for key, start in fact.get("counted", {}).items() if start >= 0}  # the others are only kept
        if asked.places == 0:  # beside what the reservation was counted in
            said = {key: start for key, start in said.items() if key in expected}
        if said != expected:
            self._report("cap", f"{fact['id']} counts in {fact.get('counted')}, it should in {json.dumps(expected)}")
        self._begin_anew(fact["ledger_id"], expected)
        use = Use(expected, asked.units, asked.places)
        self._uses[fact["ledger_id"]].append(use)
        if fact.get("subtype") == "reserved":
            self._held[fact["ledger_id"], fact["reservation_id"]] = use

    def _begin_anew(self, ledger: str, starts: Mapping[str, int]) -> None:
        """A limit counts in one window at a time: given other windows it begins anew, also when it gets the first ones back."""
        for use in self._uses[ledger]:
            use.starts = {key: start for key, start in use.starts.items() if starts.get(key, start) == start}

    def closed(self, ledger: str, reservation: str, settled: int | None) -> None:
        """A reservation is no more: what was settled goes on counting; None: nothing was."""
        use = self._held.pop((ledger, reservation), None)
        if use is None:
            return
        if settled is None:
            self._uses[ledger].remove(use)
        else:
            use.units = settled
