"""Commands in their documented JSON form: one, and a batch. Owns: these routes. Does not own: the form (`api.items`)."""

from fastapi import APIRouter, Request
from msgspec import Struct
from starlette.responses import Response

from api.answers import JSON, ItemOut, encode
from api.docs import BatchDoc, body_of
from api.errors import Code, Problem
from api.examples import BATCH, BATCH_ANSWER, COMMANDS
from api.gateway import Gateway, command_id
from api.items import COMMANDS_MAX, check_utf8, command_id_in, parse_item, split_batch
from api.middleware import caller_of
from api.routers.params import IdempotencyKey, decided, ok, problems


class _Results(Struct, frozen=True):
    results: list[ItemOut]


def routes(gateway: Gateway) -> APIRouter:
    """The routes of commands."""
    router = APIRouter(prefix="/v1/commands")
    _single(router, gateway)
    _batch(router, gateway)
    return router


def _single(router: APIRouter, gateway: Gateway) -> None:
    @router.post(
        "", tags=["commands"], summary="One command", responses=decided(), openapi_extra=body_of("CommandRequest", COMMANDS)
    )
    async def run_command(request: Request, idempotency_key: IdempotencyKey = None) -> Response:
        """Any command as one JSON object with `op`, with `entity_id` or `ledger_id`, without `tenant_id`."""
        raw = await request.body()
        check_utf8(raw)
        name = command_id(idempotency_key, command_id_in(raw))
        try:
            command = parse_item(raw, caller_of(request).tenant_id, name)
        except Problem as problem:
            problem.command_id = name
            raise
        return await gateway.run(request, command)


def _batch(router: APIRouter, gateway: Gateway) -> None:
    @router.post(
        "/batch",
        tags=["commands"],
        summary="Up to 1,000 commands",
        responses=ok(BatchDoc, BATCH_ANSWER) | problems(400, 401, 413, 422),
        openapi_extra=body_of("BatchRequest", BATCH),
    )
    async def run_batch(request: Request, idempotency_key: IdempotencyKey = None) -> Response:
        """
        Each command is answered on its own, in order, with the status that it would have had alone; the batch itself is a 200.

        A command without an `id` gets `Idempotency-Key/index`. A batch is not one transaction: some may be refused.
        """
        items = split_batch(await request.body())
        if not 0 < len(items) <= COMMANDS_MAX:
            raise Problem(Code.BATCH_SIZE, f"The batch holds {len(items)} commands; 1 to {COMMANDS_MAX} are taken.")
        results = await gateway.run_batch(caller_of(request), items, command_id(idempotency_key, None))
        return Response(encode(_Results(results)), 200, None, JSON)
