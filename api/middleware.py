"""
What happens before a route is looked for. Owns: who is asking (401 before the body is read) and how much may be sent (413 while
it is read). Does not own: scopes, which depend on the command.

Plain ASGI: Starlette's BaseHTTPMiddleware costs a task and two queues per request.
"""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth import Caller, Verifier
from api.errors import Code, Problem, problem_response
from z0.domain.outcome import Outcome

API_KEY_HEADER: Final = b"x-api-key"
IDEMPOTENCY_HEADER: Final = b"idempotency-key"
GUARDED: Final = "/v1/"
_CALLER: Final = "z0.caller"


def caller_of(request: Request) -> Caller:
    """The caller that `Authenticate` found; every route under /v1 has one."""
    caller = request.scope[_CALLER]
    assert isinstance(caller, Caller), "every route under /v1 is authenticated"
    return caller


class Authenticate:
    """Every request under /v1 has a verified caller."""

    def __init__(self, app: ASGIApp, verifier: Verifier) -> None:
        self._app = app
        self._verifier = verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(GUARDED):
            try:
                scope[_CALLER] = await self._verifier.caller(_header(scope, API_KEY_HEADER))
            except Problem as problem:
                if problem.code is Code.KEYS_UNAVAILABLE:
                    # A 401 has one body for all; a 503 may say which command to send again.
                    problem.command_id = _header(scope, IDEMPOTENCY_HEADER)
                await problem_response(problem, scope["path"])(scope, receive, send)
                return
        await self._app(scope, receive, send)


class LimitBody:
    """No request has more than `bytes_max` bytes: refused by its Content-Length, or as soon as that much has come."""

    def __init__(self, app: ASGIApp, bytes_max: int) -> None:
        self._app = app
        self._bytes_max = bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = _header(scope, b"content-length")
        if declared is not None and declared.isdigit() and int(declared) > self._bytes_max:
            problem = Problem(Outcome.TOO_LARGE, too_large_detail(self._bytes_max))
            await problem_response(problem, scope["path"])(scope, receive, send)
            return
        await self._app(scope, self._counted(receive), send)

    def _counted(self, receive: Receive) -> Receive:
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._bytes_max:
                # FastAPI turns any other exception of a body into a 400.
                raise HTTPException(413, too_large_detail(self._bytes_max))
            return message

        return counted


def too_large_detail(bytes_max: int) -> str:
    """What a caller is told of a body that is too large."""
    return f"The body is larger than {bytes_max} bytes."


def _header(scope: Scope, name: bytes) -> str | None:
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return None
