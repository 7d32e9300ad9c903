"""
From exceptions to problems. Owns: what FastAPI's, Starlette's and our own exceptions are called on the wire.

pydantic's complaints become the same codes that the ledger uses, so that a caller learns one list only.
"""

import logging
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.errors import Code, FieldError, Problem, problem_response
from z0.domain.outcome import Outcome

logger = logging.getLogger(__name__)
_BY_FIELD = {"amount": Outcome.BAD_AMOUNT, "currency": Outcome.UNKNOWN_CURRENCY}
_BY_STATUS: dict[int, Outcome | Code] = {
    404: Code.NO_SUCH_ROUTE,
    405: Code.METHOD_NOT_ALLOWED,
    413: Outcome.TOO_LARGE,
    400: Outcome.MALFORMED,
}


def install(app: FastAPI) -> None:
    """Register the handlers."""
    # Starlette types a handler by the broadest exception; each of these only ever gets its own.
    app.add_exception_handler(Problem, _problem)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _invalid)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http)  # type: ignore[arg-type]
    app.add_exception_handler(Exception, _fault)


async def _problem(request: Request, error: Problem) -> Response:
    return problem_response(error, request.url.path)


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    problem = problem_of(error.errors())
    problem.command_id = request.headers.get("idempotency-key")
    return problem_response(problem, request.url.path)


async def _http(request: Request, error: HTTPException) -> Response:
    code = _BY_STATUS.get(error.status_code, Code.INTERNAL)
    detail = error.detail if error.status_code == 413 else None
    response = problem_response(Problem(code, detail), request.url.path)
    response.headers.update(error.headers or {})
    return response


async def _fault(request: Request, error: Exception) -> Response:
    # Starlette logs the traceback when it raises the error again; the caller learns nothing of it.
    logger.error("fault in %s %s: %s", request.method, request.url.path, type(error).__name__)
    problem = Problem(Code.INTERNAL, command_id=request.headers.get("idempotency-key"))
    return problem_response(problem, request.url.path)


def problem_of(errors: Any) -> Problem:
    """The problem that pydantic's errors are; the worst form first: no JSON, then fields, then amounts."""
    fields = [FieldError(*_place_and_text(error)) for error in errors]
    if any(error["loc"][0] != "body" for error in errors):
        return Problem(Code.BAD_PARAMETER, errors=fields)
    codes = {_code_of(error) for error in errors}
    # The order of the members of `Outcome` is their precedence.
    return Problem(next(outcome for outcome in Outcome if outcome in codes), errors=fields)


def _code_of(error: dict[str, Any]) -> Outcome:
    if error["type"] in ("missing", "extra_forbidden"):
        return Outcome.MALFORMED
    return _BY_FIELD.get(str(error["loc"][-1]), Outcome.MALFORMED)


def _place_and_text(error: dict[str, Any]) -> tuple[list[str | int], str]:
    loc, text = list(error["loc"]), str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "json_invalid":
        return [], f"not JSON at byte {loc[-1]}: {error['ctx']['error']}"
    if loc == ["body"] and error["type"] == "model_attributes_type":
        return [], "not a JSON object; the request needs `Content-Type: application/json`"
    # A field's name may hold what UTF-8 cannot (a lone surrogate escape).
    return [part if isinstance(part, int) else part.encode(errors="replace").decode() for part in loc[1:]], text
