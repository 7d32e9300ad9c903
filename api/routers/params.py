"""What many routes declare. Owns: common parameters, and the problems that OpenAPI shows for a route."""

from typing import Annotated, Any, Final

from fastapi import Header, Path, Query
from pydantic import BaseModel

from api.docs import AnswerDoc, ProblemDoc
from api.errors import PROBLEM_JSON
from api.examples import ANSWER, PROBLEMS, marked

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="The command's id, 1 to 200 visible ASCII characters. A repeat gives the first outcome again.",
        examples=["order-7/pay"],
    ),
]
After = Annotated[
    str | None,
    Query(pattern=r"^[0-9]{1,15}\..{1,300}$", description="`next` of the page before.", examples=["1800000000000.order-7/hold"]),
]
EntityId = Annotated[str, Path(description="Entity id with its type's prefix.", examples=["acct_123"])]

_AUTH: Final = (401, 403)
_DECIDED: Final = (400, *_AUTH, 402, 404, 409, 413, 422, 503, 504)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem responses of a route, each with an example."""
    return {
        status: {
            "model": ProblemDoc,
            "description": PROBLEMS[status]["title"],
            "content": {PROBLEM_JSON: {"example": marked(PROBLEMS[status])}},
        }
        for status in statuses
    }


def ok(model: type[BaseModel], example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """The response of a route that did what it was asked for."""
    return {200: {"model": model, "content": {"application/json": {"example": marked(example)}}}}


def decided(example: dict[str, Any] = ANSWER) -> dict[int | str, dict[str, Any]]:
    """The responses of a route that decides one command."""
    return ok(AnswerDoc, example) | problems(*_DECIDED)


def read_of(*more: int) -> dict[int | str, dict[str, Any]]:
    """The problem responses of a route that reads."""
    return problems(400, *_AUTH, 404, 503, 504, *more)
