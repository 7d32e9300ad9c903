"""
From a request to the ledger and back. Owns: the id of a command, the scope that it needs, handing it in, answering.
Does not own: how a body becomes a command (`api.schemas`, `api.items`), nor the ledger (`z0.client`).
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import uuid4

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from api.answers import ItemOut, answer_response, answered_item, refused_item
from api.auth import Caller
from api.closings import Closings
from api.errors import Code, FieldError, Problem
from api.items import check_payload, check_utf8, checked, command_id_in, parse_item
from api.keys import Scope
from api.middleware import caller_of
from api.schemas import LinksBody
from z0.client.ports import Ledger
from z0.configs.rules import problems_of
from z0.domain.answer import Answer
from z0.domain.commands import Check, Command, GrantAccess, PutConfig, Read, RevokeAccess
from z0.domain.config import PLATFORM_TENANT
from z0.domain.facts import NO_DATA
from z0.domain.facts import Scope as ConfigScope
from z0.domain.ids import EntityType, ledger_id, parse_ledger_id
from z0.domain.outcome import Outcome
from z0.domain.views import Place

AUTO_PREFIX: Final = "auto-"
# Who may act in a tenant's name is decided by these two; a key that only writes facts must not make itself a better key.
_GUARDED_TYPES: Final = frozenset({EntityType.TENANT, EntityType.KEY})
_READS: Final = (Read, Check)  # what leaves nothing
# What says for everybody else how much may be spent, and who may do it.
_ADMINISTERS: Final = (PutConfig, GrantAccess, RevokeAccess)


class _Payload(Struct, frozen=True):
    data: Raw = NO_DATA
    settings: Raw = NO_DATA


_payload_decoder = msgspec.json.Decoder(_Payload)


class Gateway:
    """Hands commands of callers to the ledger."""

    def __init__(self, ledger: Ledger, closings: Closings, timeout_ms: int) -> None:
        self._ledger = ledger
        self._closings = closings
        self._timeout_ms = timeout_ms

    async def run(self, request: Request, command: Command) -> Response:
        """Submit one command and answer it."""
        try:
            allow(caller_of(request), checked(command))
        except Problem as problem:
            problem.command_id = command.id
            raise
        answer = await self._ledger.submit(command, timeout_ms=self._timeout_ms)
        (told,) = await self._closings.told([command], [answer])
        return answer_response(told, request.url.path, _errors(command, told))

    async def look(self, commands: Sequence[Command]) -> list[Answer]:
        """Answers to commands of our own that leave nothing, in order; the caller's right to them was checked before."""
        return await self._ledger.submit_many(commands, timeout_ms=self._timeout_ms)

    async def read(
        self, request: Request, entity_id: str, *, reservations_after: Place | None = None, charges_after: Place | None = None
    ) -> Answer:
        """
        The state of an entity of the caller's tenant, with the reservations and charges after a place.

        Raises:
            Problem: the id is no entity id, or the caller may not read it.
        """
        tenant = caller_of(request).tenant_id
        command = Read(
            id=f"read-{uuid4().hex}",
            tenant_id=tenant,
            ledger_id=ledger_of(entity_id),
            reservations_after=reservations_after,
            charges_after=charges_after,
        )
        allow(caller_of(request), command)
        return await self._ledger.submit(command, timeout_ms=self._timeout_ms)

    async def run_batch(self, caller: Caller, items: list[Raw], key: str) -> list[ItemOut]:
        """Every item's own answer, in order; an item that is no command does not reach the ledger and spoils no other."""
        results: dict[int, ItemOut] = {}
        commands: dict[int, Command] = {}
        for index, raw in enumerate(items):
            default_id = f"{key}/{index}"
            try:
                command = parse_item(bytes(raw), caller.tenant_id, default_id)
                allow(caller, command)
                commands[index] = command
            except Problem as problem:
                results[index] = refused_item(index, command_id_in(bytes(raw)) or default_id, problem)
        if commands:
            given = list(commands.values())
            answers = await self._ledger.submit_many(given, timeout_ms=self._timeout_ms)
            told = await self._closings.told(given, answers)
            for (index, command), answer in zip(commands.items(), told, strict=True):
                results[index] = answered_item(index, answer, _errors(command, answer))
        return [results[index] for index in range(len(items))]


def _errors(command: Command, answer: Answer) -> list[FieldError] | UnsetType:
    """All that is wrong with a refused config by itself: the ledger's words, which are a fact, name the first thing only."""
    if answer.outcome is not Outcome.BAD_CONFIG or not isinstance(command, PutConfig):
        return UNSET
    found = problems_of(command, answer.recorded_at)
    return [FieldError(list(problem.where.split(".")), problem.text) for problem in found] or UNSET


def allow(caller: Caller, command: Command) -> None:
    """
    Check the scopes that a command needs.

    Raises:
        Problem: one is missing.
    """
    reads = type(command) in _READS
    needs(caller, Scope.READ if reads else Scope.WRITE)
    ref = parse_ledger_id(command.ledger_id)
    kind = ref.type if ref is not None else None
    changes_config = kind is EntityType.CONFIG and not reads
    if kind not in _GUARDED_TYPES and not changes_config and type(command) not in _ADMINISTERS:
        return
    needs(caller, Scope.ADMIN)
    if kind is EntityType.TENANT and not reads:
        raise Problem(Code.FORBIDDEN, "Tenants are made and changed by the operator, not over HTTP.")
    if type(command) is PutConfig and command.scope == ConfigScope.PLATFORM and caller.tenant_id != PLATFORM_TENANT:
        raise Problem(Code.FORBIDDEN, "Configs of scope `platform` are written with the platform's own key.")


def needs(caller: Caller, scope: Scope) -> None:
    """
    Check one scope.

    Raises:
        Problem: the caller's key lacks it.
    """
    if scope not in caller.scopes:
        raise Problem(Code.FORBIDDEN, f"The API key lacks the scope `{scope}`.")


def command_id(header: str | None, in_body: str | None) -> str:
    """
    The id of a command: the caller's, or a new one.

    Raises:
        Problem: header and body name two.
    """
    if header is not None and in_body is not None and header != in_body:
        raise Problem(Code.COMMAND_ID_CONFLICT)
    given = in_body if header is None else header  # an empty one is a bad id: who sends the header wants no second effect
    return AUTO_PREFIX + uuid4().hex if given is None else given


def ledger_of(entity_id: str) -> str:
    """
    The ledger of the entity that a path or a body names.

    Raises:
        Problem: it names none.
    """
    try:
        return ledger_id(entity_id)
    except ValueError as error:
        raise Problem(Outcome.BAD_LEDGER_ID, errors=[FieldError(["id"], str(error))]) from None


async def fields_of(request: Request, body: LinksBody) -> dict[str, Any]:
    """The fields of a command that a body gives; payloads as the bytes that were sent."""
    fields = {name: getattr(body, name) for name in body.model_fields_set}
    fields.pop("id", None)
    raw = await request.body()
    check_utf8(raw)
    payloads = [name for name in _Payload.__struct_fields__ if name in fields]
    if payloads:
        check_payload(raw)
        given = _payload_decoder.decode(raw)
        fields.update((name, getattr(given, name)) for name in payloads)
    return fields
