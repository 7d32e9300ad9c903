"""
What the ledger's tests share: commands in few words; `Bench`, one partition's decider on twins, synchronous; and `audit`,
which reads a whole log by the published rule and checks what must always hold.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw

from z0.codec import decode_fact, encode_command, hash_of
from z0.domain.answer import Answer
from z0.domain.change import change_of
from z0.domain.commands import AddBudget, Append, Command, CreateEntity, DeductBudget, Read, Reserve
from z0.domain.facts import StoredFact
from z0.domain.fold import apply
from z0.domain.policy import Price
from z0.domain.state import Budget, Charge, Counter, Hold, LedgerState
from z0.domain.views import state_view
from z0.log.claims import Claim, Floor, encode_claim
from z0.log.deciding import Decider
from z0.log.inbox import CommandBatch, DirectGroup, Inbox, KafkaCommand
from z0.log.index import MemoryIndex
from z0.log.memory import MemorySnapshots, NoPolicies
from z0.log.ports import Message, Policies, Record
from z0.log.reader import FactReader
from z0.log.reader import Read as ReadRecord
from z0.log.round import Round
from z0.log.validity import Position, Standing
from z0.log.working_set import WorkingSet
from z0.names import CLAIM_KEY

NOW: Final = 1_800_000_000_000
TENANT: Final = "tenant_1"
LEDGER: Final = "account_acct_1"
OTHER: Final = "account_acct_2"
FAR: Final = "asset_asset_1"  # never on the bench's partition

# Commands in few words ---------------------------------------------------------------------------


def create(id: str = "create", ledger: str = LEDGER, tenant: str = TENANT, **fields: Any) -> CreateEntity:  # noqa: A002
    return CreateEntity(id=id, tenant_id=tenant, ledger_id=ledger, **fields)


def add(id: str, amount: str = "100", ledger: str = LEDGER, currency: str = "USD", **fields: Any) -> AddBudget:  # noqa: A002
    return AddBudget(id=id, tenant_id=TENANT, ledger_id=ledger, amount=amount, currency=currency, **fields)


def deduct(id: str, amount: str = "1", ledger: str = LEDGER, currency: str = "USD", **fields: Any) -> DeductBudget:  # noqa: A002
    return DeductBudget(id=id, tenant_id=TENANT, ledger_id=ledger, amount=amount, currency=currency, **fields)


def reserve(id: str, amount: str = "1", ledger: str = LEDGER, currency: str = "USD", **fields: Any) -> Reserve:  # noqa: A002
    return Reserve(id=id, tenant_id=TENANT, ledger_id=ledger, amount=amount, currency=currency, **fields)


def note(id: str, ledger: str = LEDGER, text: str = "hello", **fields: Any) -> Append:  # noqa: A002
    data = Raw(msgspec.json.encode({"text": text}))
    return Append(id=id, tenant_id=TENANT, ledger_id=ledger, type="note", data=data, **fields)


def read(id: str = "read", ledger: str = LEDGER, tenant: str = TENANT) -> Read:  # noqa: A002
    return Read(id=id, tenant_id=tenant, ledger_id=ledger)


# The audit ---------------------------------------------------------------------------------------


class Audit(NamedTuple):
    """What a reader of its own finds in a partition."""

    reads: list[ReadRecord]
    facts: list[StoredFact]
    states: dict[str, LedgerState]


def audit(records: Sequence[Record], *, overdraft_units: int = 0) -> Audit:
    """Read by the rule, fold, and check: seq gapless, chain intact, hashes true, time forward, one effect per id, money kept."""
    reads = list(FactReader(0, Position()).read(records))
    facts: list[StoredFact] = []
    states: dict[str, LedgerState] = {}
    seen: set[tuple[str, str, str]] = set()
    for item in reads:
        if item.standing is not Standing.VALID:
            continue
        fact = item.fact
        assert fact is not None
        assert fact.hash == hash_of(item.value)
        state = states.setdefault(fact.ledger_id, LedgerState())
        assert fact.seq == state.seq + 1
        assert fact.prev_hash == state.head_hash
        assert fact.recorded_at >= state.recorded_at
        if fact.command_id is not None:
            key = (fact.tenant_id, fact.ledger_id, fact.command_id)
            assert key not in seen, f"two effects of {key}"
            seen.add(key)
        apply(state, change_of(fact), fact.hash)
        check_money(state, overdraft_units)
        if fact.available is not None and fact.currency is not None:
            view = state_view(state).budgets.get(fact.currency)
            assert fact.available == (view.available if view is not None else "0")
        facts.append(fact)
    return Audit(reads, facts, states)


def check_money(state: LedgerState, overdraft_units: int = 0) -> None:
    """Conservation, per currency; what is reserved is what the open holds hold; nothing below zero, or the overdraft."""
    for currency, b in state.budgets.items():
        assert b.deposited + b.credits + b.transferred_in == b.spent + b.transferred_out + b.reserved + b.available
        assert b.reserved == sum(hold.amount for hold in state.holds.values() if hold.currency == currency)
        assert b.available >= -overdraft_units
    assert {hold.currency for hold in state.holds.values()} - {None} <= set(state.budgets)


def values(of: Budget | Hold | Counter | Charge | Price) -> tuple[Any, ...]:
    """The attributes of a value; compiled, a class keeps their names elsewhere."""
    names = getattr(type(of), "__mypyc_attrs__", None) or vars(of)
    return tuple(getattr(of, name) for name in sorted(names))


def comparable(state: LedgerState) -> tuple[Any, ...]:
    """A state without its index of expiries, which may hold what is closed."""
    budgets = {currency: values(b) for currency, b in state.budgets.items() if any(values(b))}
    holds = {name: values(hold) for name, hold in state.holds.items()}
    assert {(hold.expires_at, name) for name, hold in state.holds.items()} <= set(state.expiries)
    caps = {key: values(counter) for key, counter in (state.caps or {}).items()}
    charges = {name: values(charge) for name, charge in state.charges.items()}
    head = (state.entity, state.seq, state.head_hash, state.recorded_at, state.config)
    return (*head, budgets, holds, caps, charges, state.ended, state.access or {})


# Bench: one decider, synchronous -----------------------------------------------------------------


class Bench:
    """One partition under one epoch: decides at once, keeps the records as the log would."""

    def __init__(self, *, live_entities_max: int = 1_000, partitions: int = 1, policies: Policies | None = None) -> None:
        self.now = NOW
        self.snapshots = MemorySnapshots()
        self.index = MemoryIndex()
        self.policies: Policies = policies if policies is not None else NoPolicies()  # an empty book is false
        self.live_entities_max = live_entities_max
        self.working = WorkingSet(0, self.snapshots, live_entities_max=live_entities_max)
        self.inbox = Inbox(queue_commands_max=100_000, queue_bytes_max=10**9)
        claim = Claim(partition=0, owner="bench", address="bench:1", claimed_at=NOW, floor=Floor())
        self.records = [Record(0, CLAIM_KEY, encode_claim(claim), NOW)]
        self.partitions = partitions
        self.decider = self._decider()

    def _decider(self) -> Decider:
        return Decider(
            0,
            epoch=0,
            working=self.working,
            index=self.index,
            policies=self.policies,
            partition_of=self._partition_of,
            applied=-1,
            batch_time_ms=0,
        )

    def _partition_of(self, ledger_id: str) -> int:
        if ledger_id == FAR:
            return 1
        return (int(ledger_id[-1]) if ledger_id[-1].isdigit() else 0) % self.partitions

    async def let_go(self) -> None:
        """Write every snapshot and begin with an empty memory."""
        as_of = len(self.records) - 1
        await self.snapshots.save(0, 0, self.working.snapshot(list(self.working.dirty), as_of, 0))
        self.working = WorkingSet(0, self.snapshots, live_entities_max=self.live_entities_max)
        self.working.load_expiries()
        batch_time_ms = self.decider.batch_time_ms
        self.decider = self._decider()
        self.decider.batch_time_ms = batch_time_ms

    def decide(self, *commands: Command | bytes) -> list[Answer]:
        """Commands by the direct door, acked; their answers."""
        raws = [c if isinstance(c, bytes) else encode_command(c) for c in commands]
        self.inbox.offer_direct(DirectGroup(raws, lambda _: None))
        return [answer for round_ in self._rounds() for _, answer in round_.answers]

    def one(self, command: Command | bytes) -> Answer:
        """One command's answer."""
        return self.decide(command)[0]

    def kafka(self, *commands: KafkaCommand) -> list[Message]:
        """Commands by the Kafka door, acked; what they caused elsewhere."""
        self.inbox.offer_kafka(CommandBatch(self.decider.applied, commands, lambda: None))
        return [message for round_ in self._rounds() for message in round_.outbox]

    def _rounds(self) -> list[Round]:
        rounds = []
        while len(self.inbox) or self.decider.carried:
            round_ = self.decider.decide_round(self.inbox, len(self.records), self.now)
            self.ack(round_)
            rounds.append(round_)
        return rounds

    def tick(self) -> Round:
        """The worker's timer, where it finds something due: a round that nobody asked for."""
        round_ = Round(len(self.records))
        if self.decider.is_due(self.now):
            round_ = self.decider.decide_round(self.inbox, len(self.records), self.now)
            self.ack(round_)
        return round_

    def ack(self, round_: Round) -> None:
        """The round's facts are durable."""
        start = len(self.records)
        self.records += [Record(start + i, key, value, self.now) for i, (key, value) in enumerate(round_.records)]
        self.index.put(round_.entries, Position(len(self.records), 0), round_.references)
        self.decider.indexed_but(None)
        self.working.dirty.update(round_.touched)

    @property
    def facts(self) -> list[StoredFact]:
        """Every fact so far."""
        return [decode_fact(record.value) for record in self.records if record.key != CLAIM_KEY]

    @property
    def last(self) -> StoredFact:
        """The newest fact."""
        return self.facts[-1]

    def state(self, ledger: str = LEDGER) -> LedgerState:
        """Live state."""
        state = self.working.get(ledger)
        assert state is not None
        return state
