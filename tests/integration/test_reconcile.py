"""What no partition could check is checked over a real Postgres: proofs of facts on other ledgers, honest and forged."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from sinks.postgres.migrate import migrate
from sinks.postgres.reconcile import Finding, Piece, Reconciliation, run
from sinks.postgres.sink import PostgresSink
from tests.facts import NOW_MS, FactLog, proof_of, reads_of
from tests.integration.test_api_servers import _replicate, url
from z0.client.memory import MemoryLedger
from z0.codec import decode_fact
from z0.domain.commands import AddBudget, Append, CreateEntity
from z0.domain.facts import Source, StoredFact
from z0.domain.outcome import Outcome

__all__ = ["url"]  # a fixture
pytestmark = pytest.mark.stack
ASSET, ACCOUNT = 0, 1  # each on a partition of its own
USD = {"amount": "5", "currency": "USD"}


@pytest.fixture
def store(url: str) -> str:
    """A schema of one's own."""
    name = f"t_{threading.get_ident()}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE".encode())
        connection.execute(f"CREATE SCHEMA {name}".encode())
    own = f"{url}?options=-csearch_path%3D{name}"
    migrate(own)
    return own


async def copy(store: str, log: FactLog, *partitions: int) -> None:
    sink = PostgresSink(store)
    await sink.start()
    for partition, reads, position in reads_of(log):
        if partition in partitions or not partitions:
            sink.add(partition, reads, position)
    await sink.flush()
    await sink.close()


def story() -> tuple[FactLog, StoredFact, StoredFact]:
    """An asset with an invocation and an outcome, and an account that will pay."""
    log = FactLog()
    log.fact(ASSET, "asset_1", "note")
    invocation = log.fact(ASSET, "asset_1", "invocation", timestamp=NOW_MS)
    outcome = log.fact(ASSET, "asset_1", "outcome/qualified", timestamp=NOW_MS + 10)
    log.fact(ACCOUNT, "acct_1", "note")
    return log, invocation, outcome


def ends(log: FactLog) -> dict[int, int]:
    return {partition: len(records) for partition, records in log.records.items()}


def reconcile(store: str, log: FactLog) -> list[Piece]:
    """Of a store that has all; in small pieces."""
    found, behind = reconcile_to(store, lambda: ends(log))
    assert behind == 0
    return found


def reconcile_to(store: str, end: Callable[[], dict[int, int]]) -> tuple[list[Piece], int]:
    """And by how many records the store is behind; it is not waited for."""
    with Reconciliation(store, piece_rows=2).opened() as reconciliation:
        total, behind, pieces = run(reconciliation, end, wait_s=0)
        found = list(pieces)
    assert total == sum(piece.checked for piece in found)
    return found, behind


def findings(pieces: list[Piece]) -> list[Finding]:
    return [finding for piece in pieces for finding in piece.findings]


async def test_honest_proofs_fit_and_what_the_partition_checked_is_not_looked_at_again(store: str) -> None:
    log, invocation, outcome = story()
    for number in range(5):
        log.fact(ACCOUNT, "acct_1", "charge/incurred", **USD, timestamp=NOW_MS + 20 + number, **proof_of(outcome))
    log.fact(ACCOUNT, "acct_1", "cost", **USD, **proof_of(invocation))
    log.fact(ACCOUNT, "acct_1", "charge/incurred", **USD, **proof_of(outcome, hash="0" * 64, checked=True))
    log.fact(ACCOUNT, "acct_1", "charge/incurred", **USD, source_id=outcome.id)
    await copy(store, log)
    pieces = reconcile(store, log)
    assert [(piece.checked, piece.findings) for piece in pieces] == [(2, []), (2, []), (2, [])]


@pytest.mark.parametrize(
    ("kind", "forged"),
    [
        ("hash", {"hash": "f" * 64}),
        ("seq", {"seq": 2}),
        ("seq", {"seq": 2**70}),
        ("ledger", {"ledger_id": "asset_asset_2"}),
        ("missing", {"id": "asset_asset_1.9"}),
        ("missing", {"id": "asset_asset_1.3\0"}),
    ],
)
async def test_a_forged_proof_is_found_with_what_it_claims_and_what_is_there(
    store: str, kind: str, forged: dict[str, Any]
) -> None:
    log, _, outcome = story()
    log.fact(ACCOUNT, "acct_1", "charge/incurred", **USD, **proof_of(outcome))
    bad = log.fact(ACCOUNT, "acct_1", "charge/incurred", **USD, timestamp=NOW_MS + 20, **proof_of(outcome, **forged))
    await copy(store, log)
    [finding] = [f for f in findings(reconcile(store, log)) if f.fact_id == bad.id]
    assert finding.finding == kind
    there = {"hash": outcome.hash, "seq": outcome.seq, "ledger": outcome.ledger_id, "missing": None}
    assert finding.found == there[kind]


async def test_a_proof_of_the_wrong_fact_is_found_by_type_time_tenant_and_id(store: str) -> None:
    log, invocation, outcome = story()
    late = log.fact(ASSET, "asset_1", "outcome/qualified", timestamp=NOW_MS + 500)
    foreign = log.fact(ASSET, "asset_9", "outcome/qualified", tenant_id="tenant_2", timestamp=NOW_MS)
    base: dict[str, Any] = {**USD, "timestamp": NOW_MS + 100}
    log.fact(ACCOUNT, "acct_1", "charge/incurred", **base, **proof_of(invocation))
    log.fact(ACCOUNT, "acct_1", "cost", **base, **proof_of(outcome))
    log.fact(ACCOUNT, "acct_1", "charge/incurred", **base, **proof_of(late))
    log.fact(ACCOUNT, "acct_1", "charge/incurred", **base, **proof_of(foreign))
    log.fact(ACCOUNT, "acct_1", "charge/incurred", **base, **proof_of(outcome) | {"source_id": invocation.id})
    await copy(store, log)
    found = findings(reconcile(store, log))
    assert [(f.finding, f.expected, f.found) for f in found] == [
        ("type", "outcome", "invocation"),
        ("type", "invocation", "outcome"),
        ("time", NOW_MS + 100, NOW_MS + 500),
        ("tenant", "tenant_1", "tenant_2"),
        ("id", invocation.id, outcome.id),
    ]


async def test_a_forged_proof_that_the_ledger_had_to_take_is_found(store: str) -> None:
    """The whole way: the account's partition sees the form of a proof only, so the forged charge is accepted."""
    async with MemoryLedger() as ledger:
        asset = next(f"asset_asset_{n}" for n in range(99) if ledger.partition_of(f"asset_asset_{n}") == ASSET)
        account = next(f"account_acct_{n}" for n in range(99) if ledger.partition_of(f"account_acct_{n}") == ACCOUNT)
        of: dict[str, Any] = {"tenant_id": "tenant_1"}
        at_asset, at_account = {**of, "ledger_id": asset}, {**of, "ledger_id": account}
        await ledger.submit(CreateEntity(id="c", **at_asset))
        await ledger.submit(CreateEntity(id="c", **at_account))
        await ledger.submit(AddBudget(id="d", amount="10", currency="USD", **at_account))
        happened = await ledger.submit(Append(id="o", type="outcome", **at_asset))
        named = decode_fact(ledger.log.records[ASSET][happened.offset].value)
        for number, given in enumerate((named.hash, "0" * 64)):
            proof = Source(named.id, asset, named.seq, given, checked=True)
            charge = Append(
                id=f"p{number}", type="charge", amount="1", currency="USD", source_id=named.id, source=proof, **at_account
            )
            assert (await ledger.submit(charge)).outcome is Outcome.ACCEPTED
        await _replicate(ledger, store)
        stored = {partition: len(records) for partition, records in enumerate(ledger.log.records)}
    with Reconciliation(store).opened() as reconciliation:
        total, behind, pieces = run(reconciliation, lambda: stored, wait_s=0)
        [finding] = findings(list(pieces))
    assert (total, behind) == (2, 0)
    assert (finding.finding, finding.expected, finding.found) == ("hash", "0" * 64, named.hash)


def test_what_was_in_the_log_at_the_call_is_judged_though_the_store_gets_it_later(store: str) -> None:
    """The store lags: it has nothing when it is first asked, and a forged charge was in the log before that."""
    log, _, outcome = story()
    log.fact(ACCOUNT, "acct_1", "charge/incurred", **USD, timestamp=NOW_MS + 20, **proof_of(outcome, hash="f" * 64))
    lagging = iter([None])

    def asked() -> dict[int, int]:
        """What the log has; the store gets it a moment later."""
        at = ends(log)
        for _ in lagging:
            asyncio.run(copy(store, log))
        return at

    pieces, behind = reconcile_to(store, asked)
    assert ([finding.finding for finding in findings(pieces)], behind) == (["hash"], 0)


async def test_what_the_store_does_not_have_in_time_is_counted_and_never_a_clean_end(store: str) -> None:
    log, _, outcome = story()
    log.fact(ACCOUNT, "acct_1", "charge/incurred", **USD, timestamp=NOW_MS + 20, **proof_of(outcome, hash="f" * 64))
    await copy(store, log, ASSET)
    assert reconcile_to(store, lambda: ends(log)) == ([], len(log.records[ACCOUNT]))


async def test_what_the_store_does_not_have_yet_is_waiting_and_not_missing(store: str) -> None:
    """The sinks follow each partition at its own pace."""
    log, _, outcome = story()
    log.fact(ACCOUNT, "acct_1", "charge/incurred", **USD, timestamp=NOW_MS + 20, **proof_of(outcome))
    await copy(store, log, ACCOUNT)
    [piece], behind = reconcile_to(store, lambda: ends(log))
    assert (piece.checked, piece.findings, piece.waiting, behind) == (1, [], 1, len(log.records[ASSET]))


async def test_what_is_named_may_lie_behind_the_end_that_its_own_partition_had_when_it_was_asked(store: str) -> None:
    """The asset's end was read, then outcome and charge came, then the account's end was read: the outcome is not missing."""
    log, _, outcome = story()
    log.fact(ACCOUNT, "acct_1", "charge/incurred", **USD, timestamp=NOW_MS + 20, **proof_of(outcome))
    await copy(store, log, ACCOUNT)
    at_two_moments = iter([ends(log) | {ASSET: 0}, ends(log)])
    [piece], behind = reconcile_to(store, lambda: next(at_two_moments))
    assert (piece.checked, piece.findings, piece.waiting, behind) == (1, [], 1, 0)


async def test_what_came_into_the_log_after_the_call_is_left_for_the_next_run(store: str) -> None:
    """Its named fact may lie beyond what is waited for."""
    log, _, outcome = story()
    at_the_call = ends(log)
    log.fact(ACCOUNT, "acct_1", "charge/incurred", **USD, timestamp=NOW_MS + 20, **proof_of(outcome, hash="f" * 64))
    await copy(store, log)
    assert reconcile_to(store, lambda: at_the_call) == ([], 0)


async def test_the_store_is_waited_for_up_to_the_end_that_the_log_had(store: str) -> None:
    log, _, outcome = story()
    log.fact(ACCOUNT, "acct_1", "charge/incurred", **USD, timestamp=NOW_MS + 20, **proof_of(outcome))
    await copy(store, log, ACCOUNT)
    with Reconciliation(store).opened() as reconciliation:
        assert reconciliation.wait(ends(log), 0) == {ACCOUNT: len(log.records[ACCOUNT])}
        await copy(store, log, ASSET)
        assert reconciliation.wait(ends(log), 0) == ends(log)
    assert findings(reconcile(store, log)) == []
