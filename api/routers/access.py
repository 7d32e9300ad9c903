"""Who has which role on an entity. Owns: these routes. Does not own: what a role may do (configs of type `access`)."""

from typing import Annotated

from fastapi import APIRouter, Body, Path, Request
from starlette.responses import Response

from api.answers import JSON, answer_response, encode
from api.docs import AccessDoc
from api.examples import ACCESS, DONE, GRANT
from api.gateway import Gateway, command_id, fields_of, ledger_of
from api.middleware import caller_of
from api.routers.params import EntityId, IdempotencyKey, decided, ok, read_of
from api.schemas import GrantAccessBody
from api.views import access_page
from z0.domain.commands import GrantAccess, RevokeAccess
from z0.domain.outcome import Outcome

GranteeId = Annotated[str, Path(description="A user.", examples=["user_ada"])]


def routes(gateway: Gateway) -> APIRouter:
    """The routes of access."""
    router = APIRouter(prefix="/v1/entities/{entity_id}/access", tags=["access"])
    _reads(router, gateway)
    _writes(router, gateway)
    return router


def _reads(router: APIRouter, gateway: Gateway) -> None:
    @router.get("", summary="Who has which role", responses=ok(AccessDoc, ACCESS) | read_of())
    async def read_access(request: Request, entity_id: EntityId) -> Response:
        """Roles matter where a config of type `access` is in force; it says which commands each role may give."""
        answer = await gateway.read(request, entity_id)
        if answer.outcome is not Outcome.ACCEPTED:
            return answer_response(answer, request.url.path)
        return Response(encode(access_page(answer)), 200, None, JSON)


def _writes(router: APIRouter, gateway: Gateway) -> None:
    @router.post("", summary="Give a user a role", responses=decided(DONE))
    async def grant_access(
        request: Request,
        entity_id: EntityId,
        body: Annotated[GrantAccessBody, Body(openapi_examples=GRANT)],
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """A second grant changes the role. Needs the scope `admin`."""
        given = await fields_of(request, body)
        name, tenant = command_id(idempotency_key, body.id), caller_of(request).tenant_id
        return await gateway.run(request, GrantAccess(id=name, tenant_id=tenant, ledger_id=ledger_of(entity_id), **given))

    @router.delete("/{grantee_id}", summary="Take a user's role away", responses=decided(DONE))
    async def revoke_access(
        request: Request, entity_id: EntityId, grantee_id: GranteeId, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """From the next command on. Needs the scope `admin`."""
        name, tenant = command_id(idempotency_key, None), caller_of(request).tenant_id
        revocation = RevokeAccess(id=name, tenant_id=tenant, ledger_id=ledger_of(entity_id), grantee_id=grantee_id)
        return await gateway.run(request, revocation)
