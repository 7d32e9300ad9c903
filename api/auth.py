"""
Who is asking. Owns: verifying an API key against its record on the ledger, and the short memory of the verdict.
Does not own: the key's format (`api.keys`), nor where in a request it stands (`api.middleware`).

The tenant of a request comes from here and from nowhere else. Every reason to refuse gives the one same answer, so that
nobody learns which keys or tenants exist.
"""

from collections import OrderedDict
from hmac import compare_digest
from typing import Final, NamedTuple
from uuid import uuid4

import msgspec
from msgspec import Struct

from api.errors import Code, Problem
from api.keys import KeyRecord, Scope, hash_key, key_ledger_id, parse_key
from z0.client.ports import Ledger
from z0.clock import Clock
from z0.domain.answer import Answer
from z0.domain.commands import Read
from z0.domain.entity import Status
from z0.domain.ids import ledger_id
from z0.domain.outcome import Outcome, is_transient

# A revoked key works for at most this long; without a memory every request would cost a second one on the ledger.
REMEMBERED_MS: Final = 5_000
# Bounded, since a process may meet more keys in its life than fit its memory; the least recently used one goes.
REMEMBERED_MAX: Final = 10_000


class Caller(NamedTuple):
    """A verified caller."""

    tenant_id: str
    scopes: frozenset[Scope]
    expires_at: int | None


class _Remembered(NamedTuple):
    caller: Caller
    at_ms: int


class _KeyEntity(Struct, frozen=True):
    status: Status
    data: KeyRecord


class _KeyState(Struct, frozen=True):
    entity: _KeyEntity


class _TenantEntity(Struct, frozen=True):
    status: Status


class _TenantState(Struct, frozen=True):
    entity: _TenantEntity


_key_decoder = msgspec.json.Decoder(_KeyState)
_tenant_decoder = msgspec.json.Decoder(_TenantState)


class Verifier:
    """Verifies keys; only good verdicts are remembered, so that a new key works at once and guesses take no memory."""

    def __init__(self, ledger: Ledger, clock: Clock, timeout_ms: int) -> None:
        self._ledger = ledger
        self._clock = clock
        self._timeout_ms = timeout_ms
        self._remembered: OrderedDict[str, _Remembered] = OrderedDict()

    async def caller(self, key: str | None) -> Caller:
        """
        The caller behind a key.

        Raises:
            Problem: the key is not valid now (401), or cannot be verified now (503).
        """
        parts = parse_key(key) if key is not None else None
        if key is None or parts is None:
            raise Problem(Code.UNAUTHORIZED)
        digest = hash_key(key)
        caller = self._recall(digest) or self._remember(digest, await self._verify(digest, parts.tenant_id))
        if caller.expires_at is not None and caller.expires_at <= self._clock.wall_ms():
            raise Problem(Code.UNAUTHORIZED)
        return caller

    def _recall(self, digest: str) -> Caller | None:
        entry = self._remembered.get(digest)
        if entry is None or self._clock.alive_ms() - entry.at_ms >= REMEMBERED_MS:
            return None
        self._remembered.move_to_end(digest)
        return entry.caller

    def _remember(self, digest: str, caller: Caller) -> Caller:
        self._remembered[digest] = _Remembered(caller, self._clock.alive_ms())
        self._remembered.move_to_end(digest)
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        return caller

    async def _verify(self, digest: str, tenant_id: str) -> Caller:
        key, tenant = await self._ledger.submit_many(
            [_read(key_ledger_id(digest), tenant_id), _read(ledger_id(tenant_id), tenant_id)], timeout_ms=self._timeout_ms
        )
        if is_transient(key.outcome) or is_transient(tenant.outcome):
            raise Problem(Code.KEYS_UNAVAILABLE)
        if not _tenant_is_active(tenant):
            raise Problem(Code.UNAUTHORIZED)
        return Caller(tenant_id, *_judge(key, digest))


def _read(ledger: str, tenant_id: str) -> Read:
    return Read(id=f"auth-{uuid4().hex}", tenant_id=tenant_id, ledger_id=ledger)


def _tenant_is_active(answer: Answer) -> bool:
    if answer.outcome is not Outcome.ACCEPTED:
        return False
    return _tenant_decoder.decode(answer.state).entity.status is Status.ACTIVE


def _judge(answer: Answer, digest: str) -> tuple[frozenset[Scope], int | None]:
    if answer.outcome is not Outcome.ACCEPTED:
        raise Problem(Code.UNAUTHORIZED)
    try:
        entity = _key_decoder.decode(answer.state).entity
    except msgspec.ValidationError:
        # A key entity that somebody wrote by hand; it opens nothing.
        raise Problem(Code.UNAUTHORIZED) from None
    record = entity.data
    same = compare_digest(record.hash.encode(), digest.encode())
    if not same or entity.status is not Status.ACTIVE or record.revoked_at is not None:
        raise Problem(Code.UNAUTHORIZED)
    return frozenset(record.scopes), record.expires_at
