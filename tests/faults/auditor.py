"""
What must hold after any fault. Owns: reading a whole cluster's log and comparing it with what callers were told.

Each partition: sequences gapless, chains and hashes true, each command id once, money conserved (`tests.unit.test_log_world`).
Each answer: the log holds its fact, with the same sequence, offset and outcome.
"""

from collections.abc import Iterable
from typing import NamedTuple

from tests.unit.test_log_world import audit
from z0.config import Config
from z0.domain.answer import Answer
from z0.domain.commands import Command
from z0.domain.facts import StoredFact
from z0.domain.outcome import Kind, Outcome, kind
from z0.domain.state import LedgerState
from z0.log.kafka import KafkaLog
from z0.log.reader import Read
from z0.log.validity import Standing


class Told(NamedTuple):
    """A command and an answer to it."""

    command: Command
    answer: Answer


class Found(NamedTuple):
    """What the log of a cluster holds."""

    reads: dict[int, list[Read]]  # by partition, void records and claims included
    facts: dict[tuple[str, str], StoredFact]  # by ledger and command id
    states: dict[str, LedgerState]

    @property
    def voids(self) -> list[Read]:
        """Records that do not count."""
        return [read for reads in self.reads.values() for read in reads if read.standing is Standing.VOID]

    @property
    def claims(self) -> int:
        """How many epochs were begun."""
        return sum(read.claim is not None for reads in self.reads.values() for read in reads)


async def audit_log(config: Config) -> Found:
    """Read everything and check what must always hold."""
    log, found = KafkaLog(config.kafka_servers), Found({}, {}, {})
    for partition in range(config.partitions):
        first, end = await log.bounds(partition)
        assert first == 0
        audited = audit([record async for records in log.read(partition, 0, end) for record in records])
        found.reads[partition] = audited.reads
        found.states.update(audited.states)
        for fact in audited.facts:
            if fact.command_id is not None:
                found.facts[fact.ledger_id, fact.command_id] = fact
    return found


def check_answers(found: Found, told: Iterable[Told]) -> None:
    """Nobody was told what the log does not hold; final answers are the first ones, however often they were asked for."""
    for command, answer in told:
        assert answer.outcome not in (Outcome.TIMEOUT, Outcome.OVERLOADED), f"{command.id} was never answered: {answer}"
        if kind(answer.outcome) is Kind.UNRECORDED or not answer.seq:
            continue
        fact = found.facts.get((command.ledger_id, command.id))
        assert fact is not None, f"{command.id} of {command.ledger_id} was answered {answer}, and is not in the log"
        assert (fact.seq, fact.offset, fact.outcome) == (answer.seq, answer.offset, answer.outcome.value)
        assert fact.available == answer.available


def check_decided(found: Found, commands: Iterable[Command]) -> None:
    """Every one of these has its fact."""
    missing = [(c.ledger_id, c.id) for c in commands if (c.ledger_id, c.id) not in found.facts]
    assert not missing, f"{len(missing)} commands have no fact: {missing[:5]}"
