"""Money: add, deduct, reserve, confirm, release. Owns: these routes. Does not own: the arithmetic (`z0.domain`)."""

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query, Request
from starlette.responses import Response

from api.answers import JSON, answer_response, encode
from api.docs import ReservationsDoc
from api.examples import ADD, CONFIRM, DEDUCT, RELEASE, RESERVATIONS, RESERVE
from api.gateway import Gateway, command_id, fields_of, ledger_of
from api.middleware import caller_of
from api.routers.params import After, EntityId, IdempotencyKey, decided, ok, read_of
from api.schemas import AddBudgetBody, ConfirmBody, DeductBudgetBody, ReleaseBody, ReserveBody
from api.views import PAGE_MAX, place_of, reservations_page
from z0.domain.commands import AddBudget, Confirm, DeductBudget, Release, Reserve
from z0.domain.outcome import Outcome

ReservationId = Annotated[str, Path(description="Reservation id; slashes in it are part of it.", examples=["order-7/hold"])]


def routes(gateway: Gateway) -> APIRouter:
    """The routes of budgets and reservations."""
    router = APIRouter(prefix="/v1/entities/{entity_id}", strict_content_type=False)
    _budget(router, gateway)
    _open(router, gateway)
    _reservations(router, gateway)
    return router


def _budget(router: APIRouter, gateway: Gateway) -> None:
    @router.post("/budget", tags=["budget"], summary="Add money", responses=decided())
    async def add_budget(
        request: Request,
        entity_id: EntityId,
        body: Annotated[AddBudgetBody, Body(openapi_examples=ADD)],
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """A deposit, a credit, or what came by transfer from another ledger."""
        given = await fields_of(request, body)
        name, tenant = command_id(idempotency_key, body.id), caller_of(request).tenant_id
        return await gateway.run(request, AddBudget(id=name, tenant_id=tenant, ledger_id=ledger_of(entity_id), **given))

    @router.post("/budget/deduct", tags=["budget"], summary="Spend money at once", responses=decided())
    async def deduct_budget(
        request: Request,
        entity_id: EntityId,
        body: Annotated[DeductBudgetBody, Body(openapi_examples=DEDUCT)],
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """Refused with 402 where more is asked for than is available."""
        given = await fields_of(request, body)
        name, tenant = command_id(idempotency_key, body.id), caller_of(request).tenant_id
        return await gateway.run(request, DeductBudget(id=name, tenant_id=tenant, ledger_id=ledger_of(entity_id), **given))


def _open(router: APIRouter, gateway: Gateway) -> None:
    @router.get(
        "/reservations",
        tags=["reservations"],
        summary="Open reservations",
        responses=ok(ReservationsDoc, RESERVATIONS) | read_of(),
    )
    async def read_reservations(
        request: Request,
        entity_id: EntityId,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="At most so many, the oldest.")] = 100,
        after: After = None,
    ) -> Response:
        """The oldest first, with their age; `open` says how many there are, `next` where to go on."""
        answer = await gateway.read(request, entity_id, reservations_after=place_of(after))
        if answer.outcome is not Outcome.ACCEPTED:
            return answer_response(answer, request.url.path)
        return Response(encode(reservations_page(answer, limit)), 200, None, JSON)


def _reservations(router: APIRouter, gateway: Gateway) -> None:
    @router.post("/reservations", tags=["reservations"], summary="Reserve money", responses=decided())
    async def reserve(
        request: Request,
        entity_id: EntityId,
        body: Annotated[ReserveBody, Body(openapi_examples=RESERVE)],
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """Hold an amount until it is confirmed, released or expires. Refused with 402 where it does not fit."""
        given = await fields_of(request, body)
        name, tenant = command_id(idempotency_key, body.id), caller_of(request).tenant_id
        return await gateway.run(request, Reserve(id=name, tenant_id=tenant, ledger_id=ledger_of(entity_id), **given))

    # `path`: a reservation is called like the command that made it, and those may hold slashes (`key/index` of a batch).
    @router.post(
        "/reservations/{reservation_id:path}/confirm", tags=["reservations"], summary="Spend a reservation", responses=decided()
    )
    async def confirm(
        request: Request,
        entity_id: EntityId,
        reservation_id: ReservationId,
        body: Annotated[ConfirmBody, Body(openapi_examples=CONFIRM)] = ConfirmBody(id=None),  # noqa: B008 - frozen
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """Spend all of it or part of it; the rest is released. The body may be empty."""
        given = await fields_of(request, body) | {"reservation_id": reservation_id}
        name, tenant = command_id(idempotency_key, body.id), caller_of(request).tenant_id
        return await gateway.run(request, Confirm(id=name, tenant_id=tenant, ledger_id=ledger_of(entity_id), **given))

    @router.post(
        "/reservations/{reservation_id:path}/release",
        tags=["reservations"],
        summary="Give a reservation back",
        responses=decided(),
    )
    async def release(
        request: Request,
        entity_id: EntityId,
        reservation_id: ReservationId,
        body: Annotated[ReleaseBody, Body(openapi_examples=RELEASE)] = ReleaseBody(id=None),  # noqa: B008 - frozen
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """The amount is available again. The body may be empty."""
        given = await fields_of(request, body) | {"reservation_id": reservation_id}
        name, tenant = command_id(idempotency_key, body.id), caller_of(request).tenant_id
        return await gateway.run(request, Release(id=name, tenant_id=tenant, ledger_id=ledger_of(entity_id), **given))
