"""
What must be true at the end. Owns: the checks, each with the numbers that it was judged by. A check that fails makes exit code 1.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from sinks.base import StoreUnavailable
from sinks.counts import counts
from sinks.source import SourceUnavailable
from z0.config import Config
from z0.demo.flow import Flow
from z0.demo.money import ByCurrency
from z0.demo.world import World
from z0.domain.outcome import Outcome

# An archive's tail is sealed after 5 quiet seconds, but only every 15; ten times that, and a slow machine.
STORES_WITHIN_S: Final = 180.0
LOOK_EVERY_S: Final = 1.0


class Check(NamedTuple):
    """One thing that must be true."""

    name: str
    ok: bool
    detail: str


class Copies(NamedTuple):
    """Facts in each of the four places, and how long it took until they agreed."""

    counts: Mapping[str, int]
    seconds: float

    @property
    def equal(self) -> bool:
        return len(set(self.counts.values())) == 1


async def caught_up(config: Config) -> Copies:
    """Count everywhere until all agree, or the time is over."""
    began, found, why = time.monotonic(), dict[str, int](), ""
    while True:
        try:
            found = await counts(config)
        except (StoreUnavailable, SourceUnavailable) as error:
            why = str(error)
        copies = Copies(found or {why: 0}, time.monotonic() - began)
        if (found and copies.equal) or copies.seconds > STORES_WITHIN_S:
            return copies
        await asyncio.sleep(LOOK_EVERY_S)


def check_all(world: World, flow: Flow, copies: Copies, money: Mapping[str, ByCurrency]) -> list[Check]:
    """Every check, in the order of the story."""
    return [
        *_decided(flow),
        _refusals(flow),
        _counts(copies),
        *_conserved(money),
        _agree(money),
        *_as_planned(world, flow, money),
    ]


def _decided(flow: Flow) -> Iterator[Check]:
    for name, tally in (("over HTTP", flow.http), ("over Kafka", flow.kafka)):
        detail = f"{tally.decisions:,} decisions, {tally.unresolved} without an outcome, {tally.bad_rows} bad rows"
        yield Check(f"every command {name} has its outcome", tally.complete and not tally.bad_rows, detail)


def _refusals(flow: Flow) -> Check:
    """Nothing but what the story explains: an account ran dry, and over Kafka the confirm that was sent all the same."""
    kafka = flow.kafka.by_step
    dry = kafka["reserve", Outcome.BUDGET_EXHAUSTED]
    empty = kafka["confirm", Outcome.RESERVATION_NOT_OPEN]
    explained = sum(tally.by_step["reserve", Outcome.BUDGET_EXHAUSTED] for tally in flow.both) + empty
    refused = sum(tally.refused for tally in flow.both)
    detail = f"{refused:,} refused; over Kafka {dry:,} reserves for lack of money and {empty:,} confirms of these"
    return Check("every refusal is explained by an empty budget", refused == explained and dry == empty, detail)


def _counts(copies: Copies) -> Check:
    detail = ", ".join(f"{name} {count:,}" for name, count in copies.counts.items())
    return Check("the four counts of facts are equal", copies.equal, detail)


def _conserved(money: Mapping[str, ByCurrency]) -> Iterator[Check]:
    for currency in sorted({currency for sums in money.values() for currency in sums}):
        here = {place: sums[currency] for place, sums in money.items() if currency in sums}
        wrong = [place for place, sums in here.items() if not sums.conserved]
        some = next(iter(here.values()))
        detail = f"{some.deposited + some.credits} = {some.spent} + {some.reserved} + {some.available}"
        yield Check(f"{currency} is conserved in all three places", not wrong and len(here) == len(money), detail)


def _agree(money: Mapping[str, ByCurrency]) -> Check:
    views = [dict(sums) for sums in money.values()]
    agree = all(view == views[0] for view in views) and bool(views[0])
    return Check("ledger, Postgres and ClickHouse agree to the last unit", agree, ", ".join(money))


def _as_planned(world: World, flow: Flow, money: Mapping[str, ByCurrency]) -> Iterator[Check]:
    """Against what this client did itself: it knows what it paid in and what it was told is spent."""
    paid_in: defaultdict[str, Decimal] = defaultdict(Decimal)
    spent: defaultdict[str, Decimal] = defaultdict(Decimal)
    for account in world.accounts:
        paid_in[account.currency] += Decimal(account.deposit) + Decimal(account.credit)
        spent[account.currency] += flow.book.spent[world.account_id(account)]
    ledger = money["ledger"]
    same_in = {currency: sums.deposited + sums.credits for currency, sums in ledger.items()} == paid_in
    yield Check("the ledger holds what was paid in", same_in, ", ".join(f"{amount} {name}" for name, amount in paid_in.items()))
    same_out = {currency: sums.spent for currency, sums in ledger.items()} == spent
    yield Check("the ledger spent what the clients were told", same_out, ", ".join(f"{v} {k}" for k, v in spent.items()))
