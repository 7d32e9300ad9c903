"""Charges on their way to settlement. Owns: these routes. Does not own: appending a charge (`entities`)."""

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Path, Query, Request
from starlette.responses import Response

from api.answers import JSON, answer_response, encode
from api.docs import ChargesDoc
from api.examples import CHARGES, DONE, SETTLE
from api.gateway import Gateway, command_id, fields_of, ledger_of
from api.middleware import caller_of
from api.routers.params import After, EntityId, IdempotencyKey, decided, ok, read_of
from api.schemas import SettleBody
from api.views import PAGE_MAX, charges_page, place_of
from z0.domain.commands import Settle
from z0.domain.outcome import Outcome

ChargeId = Annotated[str, Path(description="Id of the `charge/incurred` fact.", examples=["account_acct_123.42"])]


def routes(gateway: Gateway) -> APIRouter:
    """The routes of charges."""
    router = APIRouter(prefix="/v1/entities/{entity_id}/charges", tags=["charges"])

    @router.get("", summary="Unsettled charges", responses=ok(ChargesDoc, CHARGES) | read_of())
    async def read_charges(
        request: Request,
        entity_id: EntityId,
        stage: Annotated[Literal["incurred", "pending"] | None, Query(description="Charges of this stage only.")] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="At most so many, the oldest.")] = 100,
        after: After = None,
    ) -> Response:
        """The oldest first, with the sums by currency and stage; `open` counts all stages, `next` says where to go on."""
        answer = await gateway.read(request, entity_id, charges_after=place_of(after))
        if answer.outcome is not Outcome.ACCEPTED:
            return answer_response(answer, request.url.path)
        return Response(encode(charges_page(answer, stage, limit)), 200, None, JSON)

    @router.post("/{charge_id}/settle", summary="Move a charge on", responses=decided(DONE))
    async def settle_charge(
        request: Request,
        entity_id: EntityId,
        charge_id: ChargeId,
        body: Annotated[SettleBody, Body(openapi_examples=SETTLE)],
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """To `pending`, or to `settled`, which ends it. Its money was spent when it was incurred."""
        given = await fields_of(request, body) | {"charge_id": charge_id}
        name, tenant = command_id(idempotency_key, body.id), caller_of(request).tenant_id
        return await gateway.run(request, Settle(id=name, tenant_id=tenant, ledger_id=ledger_of(entity_id), **given))

    return router
