"""Decisions and their receipts. Owns: this route. Does not own: deciding again (`z0.receipts`)."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from api.answers import JSON, answer_response, encode
from api.decisions import Receipts
from api.docs import ReceiptDoc
from api.errors import Code, Problem
from api.examples import RECEIPT
from api.gateway import Gateway
from api.middleware import caller_of
from api.reads import Reads
from api.routers.params import ok, read_of
from z0.domain.outcome import Outcome
from z0.errors import DecisionUnknown
from z0.receipts import Wanted, wanted_of

DecisionId = Annotated[str, Path(description="A fact's id, or with `ledger` a command's.", examples=["account_acct_123.42"])]
OfLedger = Annotated[
    str | None, Query(description="Ledger or entity of a command id; without it the id is a fact's.", examples=["acct_123"])
]


def routes(gateway: Gateway, reads: Reads) -> APIRouter:
    """The route of receipts."""
    router = APIRouter(prefix="/v1/decisions", tags=["decisions"])
    receipts = Receipts(reads)

    # A command id may hold slashes.
    @router.get("/{decision_id:path}", summary="Why it was decided so", responses=ok(ReceiptDoc, RECEIPT) | read_of())
    async def read_decision(request: Request, decision_id: DecisionId, ledger: OfLedger = None) -> Response:
        """
        The decision, decided again from the facts before it: what was asked, by which rules and versions of configs, what it came
        to, the balance and limits before and after, and whether today's rules come to the recorded bytes (`bytes_equal`).

        The query store follows the ledger: it is waited for up to two seconds, then 503.
        """
        wanted = _wanted(decision_id, ledger)
        answer = await gateway.read(request, wanted.ledger_id.partition("_")[2])
        if answer.outcome is not Outcome.ACCEPTED:
            return answer_response(answer, request.url.path)
        receipt = await receipts.of(caller_of(request).tenant_id, wanted, answer)
        return Response(encode(receipt), 200, None, JSON)

    return router


def _wanted(decision_id: str, ledger: str | None) -> Wanted:
    try:
        return wanted_of(decision_id, ledger)
    except DecisionUnknown as error:
        raise Problem(Code.BAD_PARAMETER, str(error)) from None
