"""
Answers on the wire. Owns: the JSON of an answer, of a refusal and of one item of a batch, and their headers.
Does not own: which status an outcome gets (`api.errors`).

msgspec encodes: this is the path of every decision, and pydantic would cost more than the decision itself.
"""

from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from starlette.responses import Response

from api.errors import PROBLEM_JSON, PROBLEM_TYPE, FieldError, Problem, headers_of, meaning_of, status_of, title_of
from z0.domain.answer import Answer
from z0.domain.ids import fact_id
from z0.domain.outcome import Outcome

JSON: Final = "application/json"
encode = msgspec.json.Encoder().encode


class AsOf(Struct, frozen=True):
    """The position of the log that an answer reflects."""

    partition: int
    offset: int


class AnswerOut(Struct, frozen=True, kw_only=True):
    """
    What a decision came to; every field is always there, null where it does not apply.

    But for two: `state` is there for a read, `eligibility` for a check and for the first answer to an authorize.
    """

    command_id: str
    outcome: str
    repeated: bool = False
    fact_id: str | None = None
    seq: int | None = None
    available: str | None = None
    currency: str | None = None
    reservation_id: str | None = None
    expires_at: int | None = None
    as_of: AsOf | None = None
    recorded_at: int | None = None
    state: Raw | UnsetType = UNSET
    eligibility: Raw | UnsetType = UNSET


class RefusalOut(AnswerOut, frozen=True, kw_only=True):
    """A refusal: the answer and the members of a problem (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str
    errors: list[FieldError] | UnsetType = UNSET  # of a config that is wrong by itself: all that is


class ItemOut(AnswerOut, frozen=True, kw_only=True):
    """One command of a batch: its answer and the status that it would have had alone."""

    index: int
    status: int
    code: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    errors: list[FieldError] | UnsetType = UNSET


def answer_fields(answer: Answer) -> dict[str, Any]:
    """The members of `AnswerOut`."""
    seq = answer.seq or None
    return {
        "command_id": answer.command_id,
        "outcome": answer.outcome,
        "repeated": answer.repeated,
        "fact_id": fact_id(answer.ledger_id, answer.seq) if seq else None,
        "seq": seq,
        "available": answer.available,
        "currency": answer.currency,
        "reservation_id": answer.reservation_id,
        "expires_at": answer.expires_at,
        # A time-out reflects no position.
        "as_of": AsOf(answer.partition, answer.offset) if answer.offset >= 0 else None,
        "recorded_at": answer.recorded_at or None,
        "state": Raw(answer.state) if answer.state else UNSET,
        "eligibility": Raw(answer.eligibility) if answer.eligibility else UNSET,
    }


def answer_response(answer: Answer, instance: str, errors: list[FieldError] | UnsetType = UNSET) -> Response:
    """The response to one command; `errors`: what is wrong with it, in parts, where it was refused."""
    status = status_of(answer.outcome)
    headers = headers_of(status)
    if answer.repeated:
        headers["Idempotency-Replayed"] = "true"
    if answer.outcome is Outcome.ACCEPTED:
        return Response(encode(AnswerOut(**answer_fields(answer))), status, headers, JSON)
    refusal = RefusalOut(
        **answer_fields(answer),
        type=PROBLEM_TYPE + answer.outcome,
        title=title_of(answer.outcome),
        status=status,
        code=answer.outcome,
        detail=answer.detail or meaning_of(answer.outcome),
        instance=instance,
        errors=errors,
    )
    return Response(encode(refusal), status, headers, PROBLEM_JSON)


def answered_item(index: int, answer: Answer, errors: list[FieldError] | UnsetType = UNSET) -> ItemOut:
    """An item that the ledger answered."""
    status = status_of(answer.outcome)
    if answer.outcome is Outcome.ACCEPTED:
        return ItemOut(**answer_fields(answer), index=index, status=status)
    detail = answer.detail or meaning_of(answer.outcome)
    return ItemOut(**answer_fields(answer), index=index, status=status, code=answer.outcome, detail=detail, errors=errors)


def refused_item(index: int, command_id: str, problem: Problem) -> ItemOut:
    """An item that never reached the ledger."""
    return ItemOut(
        command_id=command_id,
        outcome=problem.code,
        index=index,
        status=problem.status,
        code=problem.code,
        detail=problem.detail,
        errors=problem.errors or UNSET,
    )
