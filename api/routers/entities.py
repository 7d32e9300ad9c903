"""Entities and their facts: create, change, read, append. Owns: these routes. Does not own: what is decided."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, Header, Query, Request
from starlette.responses import Response

from api.answers import JSON, AsOf, answer_response, encode
from api.docs import EntityDoc, FactsDoc
from api.errors import Code, Problem
from api.examples import APPEND, CREATE, ENTITY, FACTS, UPDATE
from api.facts import PAGE_MAX, Page, facts_page
from api.gateway import Gateway, command_id, fields_of, ledger_of
from api.items import check_payload
from api.middleware import caller_of
from api.reads import Reads, Window
from api.routers.params import EntityId, IdempotencyKey, decided, ok, read_of
from api.schemas import AppendBody, ChangesBody, CreateEntityBody, UpdateEntityBody
from z0.domain.commands import Append, CreateEntity, UpdateEntity
from z0.domain.entity import Changes, Status
from z0.domain.facts import Source
from z0.domain.outcome import Outcome

IfMatch = Annotated[
    str | None, Header(alias="If-Match", description="The version that the change is meant for, in quotes.", examples=['"3"'])
]


class _Version(msgspec.Struct, frozen=True):
    version: int


class _Head(msgspec.Struct, frozen=True):
    seq: int
    entity: _Version


_head_decoder = msgspec.json.Decoder(_Head)
_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def routes(gateway: Gateway, reads: Reads) -> APIRouter:
    """The routes of entities and facts."""
    router = APIRouter(prefix="/v1/entities", strict_content_type=False)
    _writes(router, gateway)
    _state(router, gateway)
    _facts(router, gateway, reads)
    return router


def _writes(router: APIRouter, gateway: Gateway) -> None:
    @router.post("", tags=["entities"], summary="Create an entity", responses=decided())
    async def create_entity(
        request: Request, body: Annotated[CreateEntityBody, Body(openapi_examples=CREATE)], idempotency_key: IdempotencyKey = None
    ) -> Response:
        """The type of the entity comes from the prefix of its id. `id` in the body is the entity's, not the command's."""
        given = await fields_of(request, body)
        tenant = caller_of(request).tenant_id
        new = CreateEntity(id=command_id(idempotency_key, None), tenant_id=tenant, ledger_id=ledger_of(body.id), **given)
        return await gateway.run(request, new)

    @router.patch("/{entity_id}", tags=["entities"], summary="Change an entity", responses=decided())
    async def update_entity(
        request: Request,
        entity_id: EntityId,
        body: Annotated[UpdateEntityBody, Body(openapi_examples=UPDATE)],
        idempotency_key: IdempotencyKey = None,
        if_match: IfMatch = None,
    ) -> Response:
        """Absent fields stay, null clears, `data` is merged (RFC 7396). With a version, a change in between refuses it."""
        given = await fields_of(request, body)
        if "data" in body.changes.model_fields_set:
            check_payload(await request.body())
        given["changes"] = _changes(body.changes)
        given["expected_version"] = _expected(if_match, body.expected_version)
        name, tenant = command_id(idempotency_key, body.id), caller_of(request).tenant_id
        return await gateway.run(request, UpdateEntity(id=name, tenant_id=tenant, ledger_id=ledger_of(entity_id), **given))

    @router.post("/{entity_id}/facts", tags=["facts"], summary="Append a fact", responses=decided())
    async def append_fact(
        request: Request,
        entity_id: EntityId,
        body: Annotated[AppendBody, Body(openapi_examples=APPEND)],
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """
        A `charge` is spent from the budget and refused with 402 where it does not fit; `charge/incurred` stays open until it is
        settled. It names an outcome in `source_id`, a `cost` an invocation; `source` proves one on another ledger.
        """
        given = await fields_of(request, body)
        if body.source is not None:
            given["source"] = Source(**body.source.model_dump())
        name, tenant = command_id(idempotency_key, body.id), caller_of(request).tenant_id
        return await gateway.run(request, Append(id=name, tenant_id=tenant, ledger_id=ledger_of(entity_id), **given))


def _state(router: APIRouter, gateway: Gateway) -> None:
    @router.get(
        "/{entity_id}",
        tags=["entities"],
        summary="State of an entity",
        responses=ok(EntityDoc, ENTITY) | read_of(),
    )
    async def read_entity(request: Request, entity_id: EntityId) -> Response:
        """The authoritative state: from the ledger itself, as of the position that the answer names."""
        answer = await gateway.read(request, entity_id)
        if answer.outcome is not Outcome.ACCEPTED:
            return answer_response(answer, request.url.path)
        members: dict[str, Any] = dict(_members_decoder.decode(answer.state))
        members["as_of"] = AsOf(answer.partition, answer.offset)
        version = _head_decoder.decode(answer.state).entity.version
        return Response(encode(members), 200, {"ETag": f'"{version}"'}, JSON)


def _facts(router: APIRouter, gateway: Gateway, reads: Reads) -> None:
    @router.get(
        "/{entity_id}/facts",
        tags=["facts"],
        summary="Facts of an entity",
        responses=ok(FactsDoc, FACTS) | read_of(),
    )
    async def read_facts(
        request: Request,
        entity_id: EntityId,
        after: Annotated[int, Query(ge=0, description="Facts with a higher seq; `next_after` of the page before.")] = 0,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="Facts on one page.")] = 100,
        type: Annotated[str | None, Query(description="Facts of this type only.", examples=["charge"])] = None,  # noqa: A002 - the name on the wire
    ) -> Response:
        """
        Each fact as it is stored, hash included, in the order of `seq`, up to the ledger's head at the time of asking.

        The query store follows the ledger: it is waited for up to two seconds; `complete` is false where it was not there yet.
        """
        answer = await gateway.read(request, entity_id)
        if answer.outcome is not Outcome.ACCEPTED:
            return answer_response(answer, request.url.path)
        window = Window(after, _head_decoder.decode(answer.state).seq, limit, type)
        page: Page = await facts_page(reads, caller_of(request).tenant_id, answer, window)
        return Response(encode(page), 200, None, JSON)


def _changes(body: ChangesBody) -> Changes:
    given = {name: getattr(body, name) for name in body.model_fields_set}
    if "status" in given:
        given["status"] = Status(given["status"])
    return Changes(**given)


def _expected(if_match: str | None, in_body: int | None) -> int | None:
    if if_match is None or if_match == "*":
        return in_body
    version = if_match.removeprefix('"').removesuffix('"')
    if not (version.isascii() and version.isdigit()) or in_body not in (None, int(version)):
        raise Problem(Code.VERSION_MISMATCHED)
    return int(version)
