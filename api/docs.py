"""
The OpenAPI document. Owns: the shapes that responses are shown with, and the schema of a command, generated from the classes that
check it. Does not own: the responses themselves (`api.answers`); a test validates every example against these shapes.
"""

from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from msgspec import Struct
from pydantic import BaseModel, ConfigDict

from api.examples import unmarked
from api.items import COMMANDS_MAX
from z0.domain.commands import OPS
from z0.domain.outcome import Outcome

_REF: Final = "#/components/schemas/{name}"
TAGS: Final = [
    {"name": "entities", "description": "Accounts, assets, contacts, deals and the rest: one ledger each."},
    {"name": "facts", "description": "What happened, for ever."},
    {"name": "budget", "description": "Money in and out."},
    {"name": "reservations", "description": "Holds on money."},
    {"name": "eligibility", "description": "May this happen, and what is left of each limit."},
    {"name": "charges", "description": "From incurred to settled."},
    {"name": "access", "description": "Who may do what on an entity."},
    {"name": "configs", "description": "Versioned rules: budget, cap, pricing, access, routing, invariant."},
    {"name": "decisions", "description": "Why something was decided as it was, proved by deciding it again."},
    {"name": "commands", "description": "Any command as JSON, one or up to 1,000."},
    {"name": "health", "description": "For load balancers and supervisors; no API key."},
]
DESCRIPTION: Final = (
    "An economic ledger: budgets are decided in milliseconds and every decision is a fact.\n\n"
    "Amounts are decimal strings, times are Unix milliseconds. A command has an id (`Idempotency-Key`, or `id`): the same id and "
    "the same body give the first outcome again. After 503 and 504 send the same request with the same id. Problems are "
    "`application/problem+json` with a stable `code`."
)


class Doc(BaseModel):
    """What all shapes share: no other members."""

    model_config = ConfigDict(extra="forbid")


class AsOfDoc(Doc):
    """The position of the log that an answer reflects."""

    partition: int
    offset: int


class LimitDoc(BaseModel):
    """One limit as a decision saw it, amounts and counts as decimal strings."""

    rule: str
    max: str
    left: str
    resets_at: int | None = None


class EligibilityDoc(BaseModel):
    """What a check or an authorize found: the first rule that failed, and what is left of each limit; a repeat has none."""

    eligible: bool
    outcome: Outcome
    rule: str | None = None
    amount: str | None = None
    currency: str | None = None
    limits: list[LimitDoc] = []
    configs: dict[str, int] = {}


class AnswerDoc(Doc):
    """What a command came to."""

    command_id: str
    outcome: Outcome
    repeated: bool
    fact_id: str | None
    seq: int | None
    available: str | None
    currency: str | None
    reservation_id: str | None
    expires_at: int | None
    as_of: AsOfDoc | None
    recorded_at: int | None
    state: dict[str, Any] | None = None
    eligibility: EligibilityDoc | None = None


class FieldErrorDoc(Doc):
    """One thing wrong with a request."""

    loc: list[str | int]
    msg: str


class ProblemDoc(BaseModel):
    """A problem (RFC 9457); a refusal by the ledger also has the members of an answer."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str | None = None
    command_id: str | None = None
    errors: list[FieldErrorDoc] | None = None
    eligibility: EligibilityDoc | None = None


class BudgetDoc(Doc):
    """
    One currency.

    remaining = deposited + credits + transferred_in - spent - transferred_out; available = remaining - reserved.
    """

    deposited: str
    credits: str
    spent: str
    transferred_in: str
    transferred_out: str
    reserved: str
    remaining: str
    available: str


class ReservationDoc(Doc):
    """One open reservation; one without a currency holds a place only."""

    currency: str | None
    amount: str
    expires_at: int
    created_at: int
    workflow_id: str | None


class SettlementDoc(Doc):
    """Charges of one currency by stage, and what is left of prepaid money (credits are spent first)."""

    prepaid: str
    incurred: str
    pending: str


class ChargeDoc(Doc):
    """One unsettled charge."""

    currency: str
    amount: str
    stage: str
    incurred_at: int


class CounterDoc(Doc):
    """What one limit has counted since its window began."""

    start: int
    count: int
    amount: str


class ConfigHeadDoc(Doc):
    """The newest version of a config."""

    type: str
    scope: str
    applies_to: str
    version: int
    effective_at: int


class EntityDoc(Doc):
    """State of an entity; at most 1,000 reservations and 1,000 charges are shown."""

    entity: dict[str, Any]
    seq: int
    head_hash: str
    recorded_at: int
    budgets: dict[str, BudgetDoc]
    reservations: dict[str, ReservationDoc]
    reservations_open: int
    settlement: dict[str, SettlementDoc]
    charges: dict[str, ChargeDoc]
    charges_open: int
    caps: dict[str, CounterDoc]
    access: dict[str, str]
    config: ConfigHeadDoc | None
    as_of: AsOfDoc


class HeldDoc(Doc):
    """One open reservation; `currency` null: it holds a place only."""

    reservation_id: str
    currency: str | None
    amount: str
    created_at: int
    expires_at: int
    age_ms: int
    workflow_id: str | None


class ReservationsDoc(Doc):
    """Open reservations, the oldest first; `open`: how many there are; `next`: where to go on."""

    reservations: list[HeldDoc]
    open: int
    next: str | None
    as_of: AsOfDoc


class IncurredDoc(Doc):
    """One unsettled charge."""

    charge_id: str
    stage: str
    currency: str
    amount: str
    incurred_at: int
    age_ms: int


class ChargesDoc(Doc):
    """Unsettled charges, the oldest first, and their sums; `open`: how many there are of all stages; `next`: where to go on."""

    charges: list[IncurredDoc]
    settlement: dict[str, SettlementDoc]
    open: int
    next: str | None
    as_of: AsOfDoc


class GrantedDoc(Doc):
    """A user's role."""

    user_id: str
    role: str


class AccessDoc(Doc):
    """Who has which role."""

    access: list[GrantedDoc]
    as_of: AsOfDoc


class LimitedDoc(Doc):
    """One limit, and what it counted; null: nothing, or it is about what is in flight or available."""

    rule: str
    max: str
    left: str
    resets_at: int | None
    counted: CounterDoc | None


class CapsDoc(Doc):
    """Every limit that has a say, and the versions of the configs that say so."""

    limits: list[LimitedDoc]
    configs: dict[str, int]
    as_of: AsOfDoc


class FactsDoc(Doc):
    """A page of facts, each as it is stored."""

    facts: list[dict[str, Any]]
    next_after: int | None
    complete: bool
    head_seq: int
    as_of: AsOfDoc


class VersionDoc(Doc):
    """Which version of a config it is, and whom it governs from when."""

    id: str
    version: int
    type: str
    scope: str
    applies_to: str
    effective_at: int
    name: str | None


class UsedDoc(VersionDoc):
    """A version of a config that a decision looked at; `intact`: the fact that wrote it is what its hash says."""

    fact_id: str
    intact: bool


class SideDoc(Doc):
    """The entity before or after; `balance` is of the decision's currency, null where it has none."""

    seq: int
    status: str | None
    version: int | None
    balance: BudgetDoc | None
    reservations_open: int
    limits: list[LimitDoc]


class DifferenceDoc(Doc):
    """A member of the fact that comes out otherwise; null: it is not there."""

    member: str
    recorded: Any
    recomputed: Any


class ChainDoc(Doc):
    """The hash chain from the ledger's first fact to this one; `followed`: the next one names it, null: there is none yet."""

    holds: bool
    facts: int
    broken_at: int | None
    why: str | None
    followed: bool | None


class WhereDoc(Doc):
    """Position in the log, and the claim under which it was written."""

    partition: int
    offset: int
    epoch: int


class ReceiptDoc(Doc):
    """
    A decision, decided again.

    `bytes_equal` null: it could not be decided again, and `why` says what is missing. `digest_matches` false: the command could
    be rebuilt up to its spelling only. `outcome`, `command` and `digest` are null where no command asked for the fact.
    """

    id: str
    ledger_id: str
    tenant_id: str
    command_id: str | None
    outcome: str | None
    rule: str | None
    detail: str | None
    recorded_at: int
    rules: int
    configs: list[UsedDoc]
    command: dict[str, Any] | None
    digest: str | None
    digest_matches: bool | None
    before: SideDoc | None
    after: SideDoc | None
    bytes_equal: bool | None
    why: str | None
    differences: list[DifferenceDoc]
    taken_from_record: list[str]
    chain: ChainDoc
    position: WhereDoc
    read_from: str
    fact: dict[str, Any]


class ItemDoc(BaseModel):
    """One command of a batch; `outcome` may also be a code of the API itself, such as `forbidden`."""

    index: int
    status: int
    command_id: str
    outcome: str
    repeated: bool
    code: str | None = None
    detail: str | None = None
    errors: list[FieldErrorDoc] | None = None


class BatchDoc(Doc):
    """The answers in the order of the commands."""

    results: list[ItemDoc]


class ReadyDoc(Doc):
    """Everything that requests need is there."""

    status: str


def body_of(schema: str, examples: dict[str, Any]) -> dict[str, Any]:
    """`openapi_extra` of a route that reads its body itself."""
    content = {"application/json": {"schema": {"$ref": _REF.format(name=schema)}, "examples": examples}}
    return {"requestBody": {"required": True, "content": content}}


def command_schemas() -> dict[str, Any]:
    """Schemas of every command as HTTP takes it, and of the two bodies that hold them."""
    shapes = [_http_form(tag, command) for tag, command in OPS.items()]
    refs, parts = msgspec.json.schema_components(shapes, ref_template=_REF)
    mapping = {tag: ref["$ref"] for tag, ref in zip(OPS, refs, strict=True)}
    union = {"oneOf": list(refs), "discriminator": {"propertyName": "op", "mapping": mapping}}
    items = {"type": "array", "minItems": 1, "maxItems": COMMANDS_MAX, "items": {"$ref": _REF.format(name="CommandRequest")}}
    batch = {"type": "object", "properties": {"commands": items}, "required": ["commands"], "additionalProperties": False}
    return {**parts, "CommandRequest": union, "BatchRequest": batch}


def _http_form(tag: str, command: type[Any]) -> type[Struct]:
    """The command's own fields, but the tenant: that one comes from the key. The schema of a Raw payload is that of an object."""
    fields: list[Any] = [("id", str, ""), ("ledger_id", str, ""), ("entity_id", str, "")]
    for field in msgspec.structs.fields(command):
        if field.name == "data":
            fields.append(("data", dict[str, Any], msgspec.field(default_factory=dict)))
        elif field.type is msgspec.Raw:
            fields.append((field.name, dict[str, Any]))
        elif field.required and field.name not in ("id", "tenant_id", "ledger_id"):
            fields.append((field.name, field.type))
        elif not field.required:
            fields.append((field.name, field.type, field.default))
    form = msgspec.defstruct(command.__name__, fields, kw_only=True, tag=tag, tag_field="op", forbid_unknown_fields=True)
    form.__doc__ = command.__doc__
    return form


def install(app: FastAPI) -> None:
    """Make `app` give this document, computed once."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    # FastAPI's documented way to extend the document is to replace the method.
    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    raw = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes, tags=TAGS)
    document: dict[str, Any] = unmarked(raw)
    components = document["components"]
    components["schemas"].update(command_schemas())
    components["securitySchemes"] = {"ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if path.startswith("/v1/"):
                operation["security"] = [{"ApiKey": []}]
            # FastAPI announces its own 422, with a body that this API never sends.
            _drop_foreign_422(operation["responses"])
            _problems_are_problem_json(operation["responses"])
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    return document


def _drop_foreign_422(responses: dict[str, Any]) -> None:
    if "HTTPValidationError" in str(responses.get("422", "")):
        del responses["422"]


def _problems_are_problem_json(responses: dict[str, Any]) -> None:
    for status, response in responses.items():
        content = response.get("content", {})
        if int(status) >= 400 and "application/problem+json" in content:
            schema = content.pop("application/json", {}).get("schema")
            content["application/problem+json"]["schema"] = schema
