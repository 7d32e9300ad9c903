"""Is the process alive, and can it serve. Owns: these two routes; they take no API key and tell nothing about tenants."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.docs import ReadyDoc
from api.errors import Code, FieldError, Problem, problem_response
from api.reads import Reads
from api.routers.params import ok, problems
from z0.client.ports import Ledger

READY_EXAMPLE = {"status": "ready"}
ALIVE_EXAMPLE = {"status": "alive"}


def routes(ledger: Ledger, reads: Reads) -> APIRouter:
    """The routes of health."""
    router = APIRouter(tags=["health"])

    @router.get(
        "/healthz",
        summary="The process is alive",
        responses=ok(ReadyDoc, ALIVE_EXAMPLE),
    )
    async def healthz() -> Response:
        """Says nothing about what the API depends on: a restart would not help those."""
        return JSONResponse(ALIVE_EXAMPLE)

    @router.get(
        "/readyz",
        summary="Requests can be served",
        responses=ok(ReadyDoc, READY_EXAMPLE) | problems(503),
    )
    async def readyz(request: Request) -> Response:
        """Every partition has an owner that can be reached, and Postgres answers; otherwise 503 with what is missing."""
        missing = []
        if not ledger.is_ready():
            missing.append(FieldError(["ledger"], "not every partition has an owner that can be reached"))
        if not await reads.is_ready():
            missing.append(FieldError(["postgres"], "does not answer"))
        if missing:
            return problem_response(Problem(Code.NOT_READY, errors=missing), request.url.path)
        return JSONResponse(READY_EXAMPLE)

    return router
