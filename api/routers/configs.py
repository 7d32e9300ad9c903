"""Configs and their versions. Owns: these routes. Does not own: what settings mean (`z0.configs`)."""

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Path, Query, Request
from starlette.responses import Response

from api.answers import JSON, answer_response, encode
from api.config_docs import ConfigDoc, ConfigsDoc, EffectiveDoc
from api.configs import PAGE_MAX, Asked, Which, many_configs, one_config, settings_in_force
from api.examples import CONFIG, CONFIGS, DONE, EFFECTIVE, PUT_CONFIG
from api.gateway import Gateway, command_id, fields_of, ledger_of, needs
from api.keys import Scope as KeyScope
from api.middleware import caller_of
from api.reads import ConfigsWindow, Reads
from api.routers.params import EntityId, IdempotencyKey, decided, ok, read_of
from api.schemas import PutConfigBody
from z0.clock import Clock
from z0.domain.answer import Answer
from z0.domain.commands import TIMESTAMP_MAX, PutConfig
from z0.domain.facts import ConfigType, Scope
from z0.domain.outcome import Outcome

ConfigId = Annotated[str, Path(description="Config id.", examples=["cfg_daily"])]
At = Annotated[
    int | None,
    Query(ge=0, le=TIMESTAMP_MAX, description="Unix milliseconds, past or future; now where it is not given."),
]
OfType = Annotated[
    Literal["budget", "cap", "pricing", "access", "routing", "invariant"] | None, Query(description="Of this type only.")
]


def routes(gateway: Gateway, reads: Reads, clock: Clock) -> APIRouter:
    """The routes of configs."""
    router = APIRouter(prefix="/v1", tags=["configs"])
    _writes(router, gateway)
    _one(router, gateway, reads)
    _many(router, reads, clock)
    _in_force(router, gateway, reads)
    return router


def _writes(router: APIRouter, gateway: Gateway) -> None:
    @router.post("/configs/{config_id}", summary="Write the next version", responses=decided(DONE))
    async def put_config(
        request: Request,
        config_id: ConfigId,
        body: Annotated[PutConfigBody, Body(openapi_examples=PUT_CONFIG)],
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """
        Takes effect at `effective_at`, and ends the version before it then; the first version creates the config. A narrower
        scope may only tighten. Needs the scope `admin`; scope `platform` needs a key of the platform itself.
        """
        given = await fields_of(request, body) | {"type": ConfigType(body.type), "scope": Scope(body.scope)}
        name, tenant = command_id(idempotency_key, body.id), caller_of(request).tenant_id
        return await gateway.run(request, PutConfig(id=name, tenant_id=tenant, ledger_id=ledger_of(config_id), **given))


def _one(router: APIRouter, gateway: Gateway, reads: Reads) -> None:
    @router.get("/configs/{config_id}", summary="The version at a moment", responses=ok(ConfigDoc, CONFIG) | read_of())
    async def read_config(
        request: Request,
        config_id: ConfigId,
        at: At = None,
        version: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="The version of this number.")] = None,
    ) -> Response:
        """
        Of the tenant, or of the platform. The future is as it is scheduled now. With `version` alone, that one whenever it
        holds; 404 `not_effective` where there is none.

        The query store follows the ledger: it is waited for up to two seconds; `complete` is false where it was not there yet.
        """
        asked = Asked(caller_of(request).tenant_id, await gateway.read(request, config_id))
        found = await one_config(gateway, reads, asked, Which(at, version))
        if isinstance(found, Answer):
            return answer_response(found, request.url.path)
        return Response(encode(found), 200, None, JSON)


def _many(router: APIRouter, reads: Reads, clock: Clock) -> None:
    @router.get("/configs", summary="Configs in force", responses=ok(ConfigsDoc, CONFIGS) | read_of())
    async def list_configs(
        request: Request,
        at: At = None,
        type: OfType = None,  # noqa: A002 - the name on the wire
        after: Annotated[str, Query(description="Configs with a higher id; `next_after` of the page before.")] = "",
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="Configs on one page.")] = 100,
    ) -> Response:
        """The tenant's and the platform's, each in the version that holds at the moment, as far as the query store has them."""
        needs(caller_of(request), KeyScope.READ)
        moment = at if at is not None else clock.wall_ms()
        window = ConfigsWindow(moment, limit, type, _above(after))
        found = await many_configs(reads, caller_of(request).tenant_id, window)
        return Response(encode(found), 200, None, JSON)


def _in_force(router: APIRouter, gateway: Gateway, reads: Reads) -> None:
    @router.get(
        "/entities/{entity_id}/configs", summary="What holds for an entity", responses=ok(EffectiveDoc, EFFECTIVE) | read_of()
    )
    async def read_settings_in_force(
        request: Request,
        entity_id: EntityId,
        at: At = None,
        type: OfType = None,  # noqa: A002 - the name on the wire
    ) -> Response:
        """
        The settings that a decision of that moment would use: of platform, tenant and entity scope, narrowed, with the versions
        that they come from. Routing: the candidates that all scopes leave, in order, to be tried one after the other. Caps and
        invariants: all of them, since each counts by itself.

        As far as the query store has them; the future is as it is scheduled now.
        """
        answer = await gateway.read(request, entity_id)
        if answer.outcome is not Outcome.ACCEPTED:
            return answer_response(answer, request.url.path)
        moment = at if at is not None else answer.recorded_at
        kind = ConfigType(type) if type is not None else None
        whom = caller_of(request).tenant_id, answer.ledger_id
        return Response(encode(await settings_in_force(reads, whom, moment, kind=kind)), 200, None, JSON)


def _above(after: str) -> str:
    """Ids are compared as ledger ids, which all begin alike."""
    return ledger_of(after) if after else ""
