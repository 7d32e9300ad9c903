"""The page of outcomes. Owns: its form; the meanings stand in `z0.domain.outcome`, the HTTP statuses in `api.errors`."""

from collections.abc import Callable, Iterator
from typing import Final

from z0.domain.outcome import MEANINGS, Kind, Outcome, kind
from z0.reference.text import page, table

KINDS: Final[dict[Kind, str]] = {
    Kind.ACCEPTED: "Its facts are in the ledger; a repeat under the same id gets the same answer, marked `repeated`.",
    Kind.FINAL: "A refusal that is a fact on its ledger and sticks: a repeat gets it again, also when its reason is gone.",
    Kind.UNRECORDED: "A refusal that leaves no fact; a command that came by Kafka goes to `z0.dead-letters`.",
    Kind.TRANSIENT: "Never recorded: send the same command again, under the same id.",
}
INTRO: Final = """What a command can come to. The list is closed and the names never change. The order is the precedence:
a command that deserves several outcomes gets the first of them. A refusal is data: it comes as an answer, never as
an exception."""
HTTP_ONLY: Final = """What the HTTP API says by itself, before or beside the ledger; none has the name of an outcome. Every
problem carries its word in `code` and is `application/problem+json`."""
CREATION: Final = "A creation that is refused while its ledger does not exist leaves no fact either, whatever its kind."


def outcomes_page() -> str:
    """`outcomes.md`."""
    status = _statuses()
    rows = [(str(n), f"`{o}`", kind(o), status(o), MEANINGS[o]) for n, o in enumerate(Outcome, 1)]
    kinds = table(("kind", "how it is kept"), [(f"`{k}`", text) for k, text in KINDS.items()])
    outcomes = table(("", "code", "kind", "HTTP", "meaning"), rows)
    return page("Outcomes", INTRO, outcomes, "## Kinds", kinds, CREATION, *_http_only())


def _statuses() -> Callable[[Outcome], str]:
    """The API's table, where the API is installed."""
    try:
        from api.errors import status_of
    except ImportError:
        return lambda _: ""
    return lambda outcome: str(status_of(outcome))


def _http_only() -> Iterator[str]:
    """The API's own codes, where the API is installed."""
    try:
        from api.errors import CODE_MEANINGS, status_of_code
    except ImportError:
        return
    rows = [(f"`{code}`", str(status_of_code(code)), meaning) for code, meaning in CODE_MEANINGS.items()]
    yield "## Codes of the HTTP API"
    yield HTTP_ONLY
    yield table(("code", "HTTP", "meaning"), rows)
