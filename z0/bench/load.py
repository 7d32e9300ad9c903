"""The work that is measured: reservations and confirmations on accounts with budgets. Owns: the commands, their ids."""

from collections.abc import Iterator, Sequence

from z0.domain.commands import AddBudget, Command, Confirm, CreateEntity, Reserve

TENANT = "tenant_bench"
# Of holds that nobody confirms: so many are open at 10,000 a second that a budget of one account is full of them, and no more
# than it takes.
HOT_TTL_MS = 500


def ledgers(accounts: int, run: str) -> list[str]:
    """The ledgers of a run."""
    return [f"account_acct_{run}-{n}" for n in range(accounts)]


def setup(accounts: int, run: str) -> Iterator[Command]:
    """Accounts with money."""
    for ledger_id in ledgers(accounts, run):
        yield CreateEntity(id="create", tenant_id=TENANT, ledger_id=ledger_id)
        yield AddBudget(id="fund", tenant_id=TENANT, ledger_id=ledger_id, amount="1000000", currency="USD")


def work(accounts: int, run: str) -> Iterator[Command]:
    """For ever: reserve on each account in turn, then confirm a part of each."""
    ids = ledgers(accounts, run)
    n = 0
    while True:
        for ledger_id in ids:
            yield Reserve(id=f"r{n}", tenant_id=TENANT, ledger_id=ledger_id, amount="0.0125", currency="USD")
        for ledger_id in ids:
            yield Confirm(id=f"c{n}", tenant_id=TENANT, ledger_id=ledger_id, reservation_id=f"r{n}", amount="0.0075")
        n += 1


def reservations(ledger_ids: Sequence[str], first: int = 0) -> Iterator[Command]:
    """For ever: reserve on each ledger in turn; nobody confirms, so the holds end by their expiry."""
    n = first
    while True:
        for ledger_id in ledger_ids:
            yield Reserve(id=f"h{n}", tenant_id=TENANT, ledger_id=ledger_id, amount="0.0125", currency="USD", ttl_ms=HOT_TTL_MS)
        n += 1
