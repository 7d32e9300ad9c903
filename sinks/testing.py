"""
Twins for tests of sinks. Owns: a source, dead letters and a sink in memory, and a maker of logs (claims, valid and void facts).

The log that `LogMaker` writes obeys the rules of `z0.domain` (its facts are decided and chained by them), so whatever a
sink makes of it can be compared with the states that the maker keeps.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from sinks.base import StoreUnavailable
from sinks.reading import SteppingReader
from sinks.source import SourceUnavailable
from z0.codec import digest_of, encode_command, encode_fact
from z0.domain.commands import (
    AddBudget,
    Append,
    Command,
    Confirm,
    CreateEntity,
    DeductBudget,
    PutConfig,
    Release,
    Reserve,
    UpdateEntity,
)
from z0.domain.decide import creation_draft, decide
from z0.domain.draft import Case, Draft, Refusal, refusal_draft
from z0.domain.entity import Changes
from z0.domain.expiry import expiry_drafts
from z0.domain.facts import Reference
from z0.domain.fold import apply
from z0.domain.money import parse_amount
from z0.domain.outcome import Outcome
from z0.domain.record import Asked, Place, change_by, fact_of
from z0.domain.state import LedgerState
from z0.log.claims import Claim, Floor, encode_claim
from z0.log.ports import Record
from z0.log.reader import Read
from z0.log.validity import Position, Standing
from z0.names import CLAIM_KEY

NO_SUCH_EPOCH: Final = -7  # of a claim that was never read
START_MS: Final = 1_800_000_000_000
_CURRENCIES: Final = ("EUR", "USD")


class LogMaker:
    """Writes the fact log of some partitions, reproducibly from a seed."""

    def __init__(self, partitions: int = 2, *, seed: int = 1, ledgers: int = 5, start_ms: int = START_MS) -> None:
        self.records: dict[int, list[Record]] = {partition: [] for partition in range(partitions)}
        self.states: dict[str, LedgerState] = {}
        self.valid = 0
        self._random = random.Random(seed)
        self._ledgers = ledgers
        self._epochs = dict.fromkeys(range(partitions), -1)
        self._now_ms = start_ms
        self._commands = 0
        for partition in range(partitions):
            self.claim(partition)

    def claim(self, partition: int) -> None:
        """Open a new epoch."""
        offset = len(self.records[partition])
        claim = Claim(partition=partition, owner="w", address="h:1", claimed_at=self._now_ms, floor=Floor())
        self.land(partition, CLAIM_KEY, encode_claim(claim))
        self._epochs[partition] = offset

    def land(self, partition: int, key: bytes, value: bytes) -> None:
        """Append any record, as the broker would."""
        log = self.records[partition]
        log.append(Record(len(log), key, value, self._now_ms))

    def facts(self, count: int, partition: int | None = None) -> None:
        """Append facts of random commands until there are so many more valid ones."""
        until = self.valid + count
        while self.valid < until:
            chosen = self._random.randrange(len(self.records)) if partition is None else partition
            self.command(chosen, self._command(chosen))

    def zombie(self, partition: int, count: int = 3) -> None:
        """Facts of a dead epoch: on the log, and void."""
        ledger_id = f"account_acct_{partition}z"
        for seq in range(1, count + 1):
            state = LedgerState()
            state.seq = seq - 1
            fact = fact_of(state, Draft("note"), self._place(ledger_id, partition), None)
            value, _ = encode_fact(msgspec.structs.replace(fact, epoch=NO_SUCH_EPOCH))
            self.land(partition, ledger_id.encode(), value)

    def command(self, partition: int, command: Command) -> None:
        """Decide a command and append its facts, expiries first."""
        self._now_ms += 7
        state = self.states.setdefault(command.ledger_id, LedgerState())
        for draft in expiry_drafts(state, self._now_ms):
            self._append(partition, state, command, draft)
        text = getattr(command, "amount", None)
        decision = decide(state, command, self._case(command, parse_amount(text) if text is not None else None))
        if isinstance(decision, Refusal):
            decision = refusal_draft(state, command, decision, encode_command(command))
        elif isinstance(command, PutConfig) and state.entity is None:
            self._append(partition, state, command, creation_draft(command, self._now_ms))
        assert decision is not None, "only commands that leave facts are made"
        self._append(partition, state, command, decision, asked=True)

    def _case(self, command: Command, units: int | None) -> Case:
        """Every fact that a charge names is taken to be an outcome: who checks that is tested elsewhere."""
        known = Reference("outcome", 0, "0" * 64) if isinstance(command, Append) and command.type == "charge" else None
        return Case(units, self._now_ms, reference=known)

    def _append(self, partition: int, state: LedgerState, command: Command, draft: Draft, *, asked: bool = False) -> None:
        place = self._place(command.ledger_id, partition)
        answered = Asked(command, digest_of(encode_command(command)), Outcome.ACCEPTED) if asked else None
        fact = fact_of(state, draft, place, answered)
        value, digest = encode_fact(fact)
        self.land(partition, command.ledger_id.encode(), value)
        apply(state, change_by(fact, draft, place), digest)
        self.valid += 1

    def _place(self, ledger_id: str, partition: int) -> Place:
        return Place(ledger_id, "tenant_1", self._epochs[partition], len(self.records[partition]), self._now_ms)

    def _command(self, partition: int) -> Command:
        self._commands += 1
        ledger_id = f"account_acct_{partition}x{self._random.randrange(self._ledgers)}"
        base: dict[str, Any] = {"id": f"c{self._commands}", "tenant_id": "tenant_1", "ledger_id": ledger_id}
        if ledger_id not in self.states:
            return CreateEntity(**base, subtype="customer", external_source="crm", external_id=f"x{self._commands}")
        return self._of_known(base, self.states[ledger_id])

    def _of_known(self, base: dict[str, Any], state: LedgerState) -> Command:
        money: dict[str, Any] = {
            "amount": f"{self._random.randrange(1, 90)}.000000000001",
            "currency": self._random.choice(_CURRENCIES),
        }
        held = next(iter(state.holds), "none")
        kinds: tuple[Command, ...] = (
            AddBudget(**base, **money),
            AddBudget(**base, **money, kind="credit"),
            DeductBudget(**base, **money),
            Reserve(**base, **money, ttl_ms=self._random.choice((50, 100_000))),
            Confirm(**base, reservation_id=held),
            Release(**base, reservation_id=held),
            Append(**base, **money, type="charge", source_id=f"{base['ledger_id']}.1"),
            Append(
                **base, type="invocation", subtype="inbound_call", asset_id="asset_1", data=msgspec.Raw(b'{"duration_ms":1200}')
            ),
            UpdateEntity(**base, changes=Changes(data={"n": self._commands})),
        )
        return self._random.choice(kinds)


def slices(maker: LogMaker, start: Mapping[int, Position], *, size: int = 50) -> list[tuple[int, list[Read], Position]]:
    """What a runner would add to a sink from its stored positions on: (partition, records, position after them)."""
    found = []
    for partition, records in maker.records.items():
        reader = SteppingReader(partition, start.get(partition, Position()))
        rest = records[reader.position.next_offset :]
        for at in range(0, len(rest), size):
            reads, _ = reader.read(rest[at : at + size])
            found.append((partition, reads, reader.position))
    return found


class MemorySource:
    """`sinks.source.Source` over lists of records."""

    def __init__(self, records: Mapping[int, list[Record]]) -> None:
        self.records = records
        self.starts: dict[int, int] = {}
        self.shown: dict[int, Position] = {}
        self.failures = 0  # so many starts fail first
        self._next: dict[int, int] = {}

    async def start(self) -> Mapping[int, tuple[int, int]]:
        if self.failures:
            self.failures -= 1
            raise SourceUnavailable("away")
        return {partition: (self.starts.get(partition, 0), len(records)) for partition, records in self.records.items()}

    def seek(self, offsets: Mapping[int, int]) -> None:
        self._next = dict(offsets)

    async def poll(self, rows_max: int, timeout_ms: int) -> Mapping[int, Sequence[Record]]:
        found = {partition: self.records[partition][at : at + rows_max] for partition, at in self._next.items()}
        for partition, records in found.items():
            self._next[partition] += len(records)
        # A source in memory would otherwise never let go of the event loop.
        await asyncio.sleep(0 if any(found.values()) else timeout_ms / 1000)
        return found

    async def ends(self) -> Mapping[int, int]:
        return {partition: len(records) for partition, records in self.records.items()}

    async def show(self, positions: Mapping[int, Position]) -> None:
        self.shown = dict(positions)

    async def close(self) -> None:
        return None


class MemoryDeadLetters:
    """`sinks.source.DeadLetters` as a list."""

    def __init__(self) -> None:
        self.letters: list[tuple[bytes, bytes]] = []

    async def send(self, letters: Sequence[tuple[bytes, bytes]]) -> None:
        self.letters.extend(letters)

    async def close(self) -> None:
        return None


class MemorySink:
    """`sinks.base.Sink` as a list of ids; `failures` makes so many flushes fail before one works."""

    name = "memory"

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.stored: dict[int, Position] = {}
        self.failures = 0
        self.flushes: list[int] = []
        self._added: list[tuple[int, list[Read], Position]] = []

    @property
    def waiting(self) -> int:
        return sum(len(reads) for _, reads, _ in self._added)

    async def start(self) -> Mapping[int, Position]:
        return dict(self.stored)

    def add(self, partition: int, reads: Sequence[Read], position: Position) -> None:
        self._added.append((partition, list(reads), position))

    async def flush(self, *, final: bool = False) -> Mapping[int, Position]:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("down")
        self.flushes.append(self.waiting)
        for partition, reads, position in self._added:
            self.ids += [read.fact.id for read in reads if read.standing is Standing.VALID and read.fact is not None]
            self.stored[partition] = position
        self._added = []
        return dict(self.stored)

    async def close(self) -> None:
        self._added = []
