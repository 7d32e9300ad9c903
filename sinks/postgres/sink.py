"""
The sink itself. Owns: one transaction a batch, and who may write it. Does not own: rows and folds (`rows`, `projections`).

Order of effects of `flush`, all in ONE transaction:

    1. positions are moved, each only from where this sink expects it     fences a second writer, first: it wastes no work
    2. facts are copied in; where one of them is known already or has a payload that jsonb refuses, this is undone
       and they are merged by way of a temporary table: known ids change nothing, and must be the same fact, else SinkStopped
    3. entities of lifecycle facts are folded forward
    4. balances are moved by the summed deltas of the facts that are new; charges are opened and moved on
    5. commit

A crash before 5 leaves nothing, and the batch is read again. A crash after 5, or a connection that breaks so that the
outcome of 5 is not known, finds the positions at the batch's end: nothing is sent again.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import psycopg

from sinks import sql
from sinks.base import Probe, StoreUnavailable, no_probe
from sinks.postgres.projections import Balances, Charges, EntityRow, entity_of, entity_parameters, fold_entities, lifecycle
from sinks.postgres.rows import COLUMNS, rows
from z0.domain.facts import StoredFact
from z0.errors import SinkStopped, no_answer, refused
from z0.log.reader import Read
from z0.log.validity import Position, Standing
from z0.names import SINK_POSTGRES

Connection = psycopg.Connection[tuple[Any, ...]]
Cursor = psycopg.Cursor[tuple[Any, ...]]
CONNECT_TIMEOUT_S: Final = 5  # then it is tried again, at growing intervals
# A statement of one batch takes a second; a minute means a lock or a dying server, and trying again is better than waiting.
STATEMENT_TIMEOUT_MS: Final = 60_000
_COLUMNS: Final = ", ".join(COLUMNS).encode()
_TRANSIENT: Final = (psycopg.OperationalError, psycopg.InterfaceError)


class PostgresSink:
    """`sinks.base.Sink` over Postgres."""

    name = SINK_POSTGRES

    def __init__(self, url: str, *, probe: Probe = no_probe) -> None:
        self._url = url
        self._probe = probe
        self._queries = {name: text.encode() for name, text in sql.queries("sinks.postgres").items()}
        self._connection: Connection | None = None
        self._stored: dict[int, Position] = {}
        self._targets: dict[int, Position] = {}
        self._facts: dict[int, list[Read]] = {}
        self._waiting = 0

    @property
    def waiting(self) -> int:
        return self._waiting

    async def start(self) -> Mapping[int, Position]:
        self._stored = await asyncio.to_thread(self._read_positions)
        return dict(self._stored)

    def add(self, partition: int, reads: Sequence[Read], position: Position) -> None:
        valid = Standing.VALID
        self._facts.setdefault(partition, []).extend([read for read in reads if read.standing is valid])
        self._targets[partition] = position
        self._waiting += len(reads)

    async def flush(self, *, final: bool = False) -> Mapping[int, Position]:
        if self._targets:
            await asyncio.to_thread(self._write)
            self._stored.update(self._targets)
            self._facts, self._targets, self._waiting = {}, {}, 0
        return dict(self._stored)

    async def close(self) -> None:
        if self._connection is not None:
            await asyncio.to_thread(self._connection.close)
            self._connection = None

    def _write(self) -> None:
        with self._errors(), self._connected() as connection:
            with connection.transaction():
                if self._move_positions(connection):
                    self._probe(1)
                    self._write_batch(connection)
            self._probe(5)

    def _move_positions(self, connection: Connection) -> bool:
        """False: the batch is in the store already, and nothing is to be done."""
        for partition, target in sorted(self._targets.items()):
            expected = self._stored.get(partition, Position())
            given = {"partition": partition, "next_offset": target.next_offset, "epoch": target.epoch}
            moved = connection.execute(
                self._queries["move_position"],
                {**given, "expected_offset": expected.next_offset, "expected_epoch": expected.epoch},
            )
            if moved.rowcount != 1:
                self._explain(connection, partition)
                return False
        return True

    def _explain(self, connection: Connection, partition: int) -> None:
        """Our own commit whose answer was lost, or somebody else's."""
        found = self._positions(connection)
        if any(found.get(moved) != target for moved, target in self._targets.items()):
            expected = self._stored.get(partition, Position()).next_offset
            there = found.get(partition, Position()).next_offset
            raise SinkStopped(
                f"another writer moved partition {partition} of the Postgres sink: expected {expected}, found {there}"
            )

    def _write_batch(self, connection: Connection) -> None:
        known = set() if self._copied(connection) else self._merged(connection)
        self._probe(2)
        facts = [(partition, fact) for partition, reads in self._facts.items() for fact in _facts(reads)]
        self._move_entities(connection, facts)
        self._probe(3)
        self._move_balances(connection, [fact for partition, fact in facts if (partition, fact.offset) not in known])
        self._move_charges(connection, facts)
        self._probe(4)

    def _copied(self, connection: Connection) -> bool:
        """The short way, half the work for the server; False: undone, the long way it is."""
        try:
            with connection.transaction():
                self._copy(connection.cursor(), "copy_facts")
        except (psycopg.errors.UniqueViolation, psycopg.DataError):
            return False
        return True

    def _merged(self, connection: Connection) -> set[tuple[Any, ...]]:
        """The long way; the places of the facts that were there before."""
        with connection.cursor() as cursor:
            self._copy(cursor, "copy_facts_in")
            known = set(cursor.execute(self._queries["merge_facts"]).fetchall())
            if known:
                self._compare(cursor)
            return known

    def _copy(self, cursor: Cursor, name: str) -> None:
        with cursor.copy(self._queries[name].replace(b"{columns}", _COLUMNS)) as copy:
            for partition, reads in self._facts.items():
                for row in rows(partition, reads):
                    copy.write_row(row)

    def _compare(self, cursor: Cursor) -> None:
        found = cursor.execute(self._queries["find_contradiction"]).fetchone()
        if found is not None:
            fact_id, partition, offset, hash_, stored = found
            raise SinkStopped(
                f"fact {fact_id} at {partition}/{offset} has hash {hash_}, but Postgres holds {stored or 'another fact there'}"
            )

    def _move_entities(self, connection: Connection, facts: list[tuple[int, StoredFact]]) -> None:
        changes = lifecycle(facts)
        if not changes:
            return
        ids = list({fact.ledger_id for _, fact in changes})
        found = connection.execute(self._queries["read_entities"], {"ledger_ids": ids}).fetchall()
        stored: dict[str, EntityRow] = {row[0]: entity_of(row) for row in found}
        with connection.cursor() as cursor:
            cursor.executemany(self._queries["write_entity"], [entity_parameters(row) for row in fold_entities(stored, changes)])

    def _move_balances(self, connection: Connection, facts: list[StoredFact]) -> None:
        balances = Balances()
        for fact in facts:
            balances.add(fact)
        parameters = balances.parameters()
        if parameters is not None:
            connection.execute(self._queries["move_balances"], parameters)

    def _move_charges(self, connection: Connection, facts: list[tuple[int, StoredFact]]) -> None:
        charges = Charges()
        for _, fact in facts:
            charges.add(fact)
        for name, parameters in (("open_charges", charges.opened()), ("move_charges", charges.moved())):
            if parameters is not None:
                connection.execute(self._queries[name], parameters)

    def _read_positions(self) -> dict[int, Position]:
        with self._errors(), self._connected() as connection:
            return self._positions(connection)

    def _positions(self, connection: Connection) -> dict[int, Position]:
        found = connection.execute(self._queries["read_positions"]).fetchall()
        return {partition: Position(next_offset, epoch) for partition, next_offset, epoch in found}

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection]:
        """The one connection, made anew where it broke: a broken one is never used again."""
        if self._connection is None:
            self._connection = self._connect()
        try:
            yield self._connection
        except BaseException:
            self._connection.close()
            self._connection = None
            raise

    def _connect(self) -> Connection:
        connection = psycopg.connect(self._url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="z0-sink")
        try:
            connection.execute(f"SET statement_timeout = {STATEMENT_TIMEOUT_MS}".encode())
            connection.execute("SET client_min_messages = warning")
            connection.execute(self._queries["create_facts_in"])
        except BaseException:
            connection.close()
            raise
        return connection

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except _TRANSIENT as error:
            raise StoreUnavailable(no_answer("Postgres", error)) from error
        except psycopg.Error as error:
            raise SinkStopped(refused("Postgres", "a batch", error)) from error


def _facts(reads: list[Read]) -> Iterator[StoredFact]:
    for read in reads:
        assert read.fact is not None, "only valid facts are kept"
        yield read.fact
