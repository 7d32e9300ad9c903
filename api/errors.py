"""
What an HTTP caller is told when something is refused. Owns: the status of every outcome and of every problem of the API itself,
and the shape of a problem (RFC 9457). Does not own: what a command comes to (`z0.domain.outcome`).

`status_of` is exhaustive by type: a new outcome does not pass mypy before somebody has chosen its status here.
"""

from enum import StrEnum
from typing import Final, assert_never

import msgspec
from msgspec import Struct
from starlette.responses import Response

from z0.domain.outcome import MEANINGS, Outcome

PROBLEM_TYPE: Final = "urn:z0:problem:"
PROBLEM_JSON: Final = "application/problem+json"
RETRY_AFTER_S: Final = 1


class Code(StrEnum):
    """Problems that the API finds itself; stable like the outcomes, and none has an outcome's name."""

    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    COMMAND_ID_CONFLICT = "command_id_conflict"
    VERSION_MISMATCHED = "expected_version_conflict"
    BAD_PARAMETER = "bad_parameter"
    BATCH_SIZE = "batch_size"
    NOT_EFFECTIVE = "not_effective"
    UNKNOWN_DECISION = "unknown_decision"
    NO_SUCH_ROUTE = "no_such_route"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    KEYS_UNAVAILABLE = "keys_unavailable"
    READS_UNAVAILABLE = "reads_unavailable"
    NOT_READY = "not_ready"
    INTERNAL = "internal"


CODE_MEANINGS: Final[dict[Code, str]] = {
    Code.UNAUTHORIZED: "The header X-API-Key holds no key that is valid now.",
    Code.FORBIDDEN: "The API key lacks the scope that this needs.",
    Code.COMMAND_ID_CONFLICT: "The header Idempotency-Key and `id` in the body name two different commands.",
    Code.VERSION_MISMATCHED: "The header If-Match and `expected_version` in the body differ, or If-Match holds no version.",
    Code.BAD_PARAMETER: "A parameter of the path, the query or a header is not what it should be.",
    Code.BATCH_SIZE: "A batch holds 1 to 1,000 commands.",
    Code.NOT_EFFECTIVE: "The config has no such version, or none that is effective at that moment.",
    Code.UNKNOWN_DECISION: "The entity's ledger has no such fact. A read, a check and a transient refusal leave none.",
    Code.NO_SUCH_ROUTE: "There is no such route.",
    Code.METHOD_NOT_ALLOWED: "The route does not take this method.",
    Code.KEYS_UNAVAILABLE: "API keys cannot be verified at the moment; nothing was done.",
    Code.READS_UNAVAILABLE: "The query store does not answer; commands and the state of an entity still work.",
    Code.NOT_READY: "Not every part that requests need is there.",
    Code.INTERNAL: "Something went wrong on our side. The command may or may not have been decided: a retry with its id is safe.",
}


def status_of(outcome: Outcome) -> int:  # noqa: C901 - a table, and exhaustive
    """The HTTP status of an outcome."""
    match outcome:
        case Outcome.ACCEPTED:
            return 200
        case Outcome.MALFORMED | Outcome.UNKNOWN_COMMAND | Outcome.BAD_COMMAND_ID | Outcome.BAD_LEDGER_ID | Outcome.WRONG_KEY:
            return 400
        case Outcome.BUDGET_EXHAUSTED | Outcome.CAP_EXHAUSTED:
            return 402
        case Outcome.ACCESS_DENIED:
            return 403
        case Outcome.UNKNOWN_ENTITY | Outcome.GRANT_NOT_FOUND:
            return 404
        case (
            Outcome.ID_REUSED
            | Outcome.ENTITY_EXISTS
            | Outcome.VERSION_CONFLICT
            | Outcome.ENTITY_NOT_ACTIVE
            | Outcome.BAD_TRANSITION
            | Outcome.RESERVATION_NOT_OPEN
            | Outcome.RESERVATION_EXISTS
            | Outcome.TOO_MANY_HOLDS
            | Outcome.TOO_MANY_GRANTS
            | Outcome.TOO_MANY_CHARGES
            | Outcome.CHARGE_NOT_OPEN
            | Outcome.CONFIG_LOOSENS
        ):
            return 409
        case Outcome.TOO_LARGE | Outcome.ENTITY_TOO_LARGE:
            return 413
        case (
            Outcome.BAD_AMOUNT
            | Outcome.UNKNOWN_CURRENCY
            | Outcome.TIMESTAMP_OUT_OF_BOUNDS
            | Outcome.RESERVED_FACT_TYPE
            | Outcome.MISSING_AMOUNT
            | Outcome.CONFIRM_ABOVE_HOLD
            | Outcome.AMOUNT_OVERFLOW
            | Outcome.BAD_CONFIG
            | Outcome.UNKNOWN_CONFIG_VERSION
            | Outcome.SOURCE_MISSING
            | Outcome.SOURCE_INVALID
            | Outcome.SOURCE_LATER
            | Outcome.UNPRICED
            | Outcome.PRICE_OUT_OF_BOUNDS
            | Outcome.INVARIANT_BROKEN
        ):
            return 422
        case Outcome.NOT_OWNER | Outcome.WARMING_UP | Outcome.OVERLOADED:
            return 503
        case Outcome.TIMEOUT:
            return 504
        case _:
            assert_never(outcome)


def status_of_code(code: Code) -> int:
    """The HTTP status of a problem of the API itself."""
    match code:
        case Code.COMMAND_ID_CONFLICT | Code.VERSION_MISMATCHED | Code.BAD_PARAMETER:
            return 400
        case Code.UNAUTHORIZED:
            return 401
        case Code.FORBIDDEN:
            return 403
        case Code.NO_SUCH_ROUTE | Code.NOT_EFFECTIVE | Code.UNKNOWN_DECISION:
            return 404
        case Code.METHOD_NOT_ALLOWED:
            return 405
        case Code.BATCH_SIZE:
            return 422
        case Code.KEYS_UNAVAILABLE | Code.READS_UNAVAILABLE | Code.NOT_READY:
            return 503
        case Code.INTERNAL:
            return 500
        case _:
            assert_never(code)


class FieldError(Struct, frozen=True):
    """One thing wrong with a request: where, as a path into the body, and what."""

    loc: list[str | int]
    msg: str


class ProblemOut(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem as it is sent, where no answer of the ledger stands behind it."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str | None = None
    command_id: str | None = None
    errors: list[FieldError] | None = None


class Problem(Exception):
    """Raised by the API's own code to end a request with a problem; never crosses into the ledger's client."""

    def __init__(
        self,
        code: Outcome | Code,
        detail: str | None = None,
        *,
        errors: list[FieldError] | None = None,
        command_id: str | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail or meaning_of(code)
        self.errors = errors
        self.command_id = command_id

    @property
    def status(self) -> int:
        """The HTTP status."""
        return status_of(self.code) if isinstance(self.code, Outcome) else status_of_code(self.code)


def meaning_of(code: Outcome | Code) -> str:
    """The sentence that documents a code."""
    return MEANINGS[code] if isinstance(code, Outcome) else CODE_MEANINGS[code]


def title_of(code: str) -> str:
    """`budget_exhausted` -> `Budget exhausted`."""
    return code.replace("_", " ").capitalize()


def problem_response(problem: Problem, instance: str) -> Response:
    """The response of a problem."""
    body = ProblemOut(
        type=PROBLEM_TYPE + problem.code,
        title=title_of(problem.code),
        status=problem.status,
        code=problem.code,
        detail=problem.detail,
        instance=instance,
        command_id=problem.command_id,
        errors=problem.errors,
    )
    return Response(msgspec.json.encode(body), problem.status, headers_of(problem.status), PROBLEM_JSON)


def headers_of(status: int) -> dict[str, str]:
    """Headers that belong to a status: when to come back, and how to authenticate."""
    if status == 503:
        return {"Retry-After": str(RETRY_AFTER_S)}
    if status == 401:
        return {"WWW-Authenticate": 'ApiKey header="X-API-Key"'}
    return {}
