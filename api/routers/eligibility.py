"""May this happen, and what is left: check, authorize, caps. Owns: these routes. Does not own: the rules (`z0.domain`)."""

from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Body, Request
from starlette.responses import Response

from api.answers import JSON, answer_response, encode
from api.docs import CapsDoc
from api.examples import AUTHORIZE, CAPS, CHECK, ELIGIBLE, HELD
from api.gateway import Gateway, command_id, fields_of, ledger_of
from api.middleware import caller_of
from api.routers.params import EntityId, IdempotencyKey, decided, ok, read_of
from api.schemas import AuthorizeBody, CheckBody
from api.views import caps_page, state_of
from z0.domain.commands import Authorize, Check
from z0.domain.outcome import Outcome


def routes(gateway: Gateway) -> APIRouter:
    """The routes of eligibility."""
    router = APIRouter(prefix="/v1/entities/{entity_id}", tags=["eligibility"], strict_content_type=False)
    _asks(router, gateway)
    _caps(router, gateway)
    return router


def _asks(router: APIRouter, gateway: Gateway) -> None:
    @router.post("/check", summary="Would it pass now?", responses=decided(ELIGIBLE))
    async def check(
        request: Request,
        entity_id: EntityId,
        body: Annotated[CheckBody, Body(openapi_examples=CHECK)] = CheckBody(id=None),  # noqa: B008 - frozen
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """
        Lifecycle, access, caps, budget and price, in this order; nothing is held and nothing is written.

        What is not eligible is an answer too: 200 with `eligible: false`, the first rule that failed and its outcome.
        """
        given = await fields_of(request, body)
        name, tenant = command_id(idempotency_key, body.id), caller_of(request).tenant_id
        return await gateway.run(request, Check(id=name, tenant_id=tenant, ledger_id=ledger_of(entity_id), **given))

    @router.post("/authorize", summary="Check, and hold", responses=decided(HELD))
    async def authorize(
        request: Request,
        entity_id: EntityId,
        body: Annotated[AuthorizeBody, Body(openapi_examples=AUTHORIZE)] = AuthorizeBody(id=None),  # noqa: B008 - frozen
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """
        The same rules; where all pass, the amount is held until it is confirmed, released or expires. Without an amount or a
        usage it holds a place only. A refusal has its own status, and the eligibility in the problem.

        A repeat (the same id again) has no eligibility: `check` says what is left now, `GET /v1/decisions/{id}` with the answer's
        `fact_id` what was left then.
        """
        given = await fields_of(request, body)
        name, tenant = command_id(idempotency_key, body.id), caller_of(request).tenant_id
        return await gateway.run(request, Authorize(id=name, tenant_id=tenant, ledger_id=ledger_of(entity_id), **given))


def _caps(router: APIRouter, gateway: Gateway) -> None:
    @router.get("/caps", summary="What is left of each limit", responses=ok(CapsDoc, CAPS) | read_of())
    async def read_caps(request: Request, entity_id: EntityId) -> Response:
        """Caps and budgets by the configs in force now: the limit, what is left, when it begins anew, what it has counted."""
        answer = await gateway.read(request, entity_id)
        if answer.outcome is not Outcome.ACCEPTED:
            return answer_response(answer, request.url.path)
        currencies = (None, *state_of(answer).budgets)
        tenant, ledger = caller_of(request).tenant_id, answer.ledger_id
        checks = [Check(id=f"caps-{uuid4().hex}", tenant_id=tenant, ledger_id=ledger, currency=c) for c in currencies]
        found = await gateway.look(checks)
        missed = next((check for check in found if check.outcome is not Outcome.ACCEPTED), None)
        if missed is not None:
            return answer_response(missed, request.url.path)
        return Response(encode(caps_page(answer, found)), 200, None, JSON)
