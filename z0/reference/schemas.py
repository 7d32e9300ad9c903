"""JSON Schemas of what travels: commands, facts, claims. Owns: titles and descriptions that the classes do not give."""

import json
from typing import Any, Final, Union, get_type_hints

import msgspec
from msgspec import UNSET, Raw, UnsetType

from z0.domain.commands import COMMAND_BYTES_MAX, OPS, TTL_MS_MAX
from z0.domain.facts import StoredFact
from z0.log.claims import Claim

AMOUNT: Final = r"^[0-9]{1,26}(\.[0-9]{1,12})?$"
DESCRIPTIONS: Final[dict[str, str]] = {
    "id": "Command: chosen by the caller, unique within (tenant, ledger). Fact: ledger id + '.' + seq.",
    "ledger_id": "Namespace and entity id, such as account_acct_123; the key of the record.",
    "timestamp": "Event time, Unix milliseconds; absent from a command: the batch's time.",
    "recorded_at": "The batch's time, Unix milliseconds; never goes back within a ledger.",
    "amount": "A plain decimal; never a number, never an exponent.",
    "held": "What the reservation that this fact closes had held.",
    "available": "Of `currency`, after this fact.",
    "currency": "An active ISO 4217 code.",
    "data": "A JSON object, kept byte for byte.",
    "sealed": "Personal fields, encrypted under the entity's key.",
    "reply_to": "The ledger that wants to hear the outcome.",
    "ttl_ms": f"From the batch's time; at most {TTL_MS_MAX}; absent: one hour.",
    "reservation_id": "Absent from a reserve command: the command's id.",
    "seq": "Position in the ledger, gapless from 1.",
    "epoch": "Offset of the claim under which the fact was written; see validity.md.",
    "offset": "The offset that the writer expected; only where it is the record's own the fact counts.",
    "prev_hash": "Hash of the ledger's fact before; 64 zeros for the first.",
    "hash": "SHA-256 over the stored bytes without this member: sha256(value[:-75] + b'}').",
    "digest": "Of the command's canonical bytes: the first 128 bits of SHA-256, in hex.",
    "outcome": "What the command came to (outcomes.md); absent where no command asked, as for expiries.",
    "rules": "Version of the rules that decided.",
    "cause": "Where the command stood, if it came by Kafka.",
    "workflow_id": "1 to 200 visible ASCII characters.",
    "expected_version": "Refused with version_conflict where the entity has another.",
}
MONEY: Final = ("amount", "held", "available")


def command_schema() -> str:
    """`command.schema.json`."""
    shown: Any = Union[tuple(_shown(of) for of in OPS.values())]  # noqa: UP007 - made while running
    return _schema(shown, "Command", f"A command as JSON, at most {COMMAND_BYTES_MAX} bytes.")


def fact_schema() -> str:
    """`fact.schema.json`."""
    text = "A stored fact. Fields are only ever added: a reader must accept ones it does not know."
    return _schema(_shown(StoredFact), "Fact", text)


def claim_schema() -> str:
    """`claim.schema.json`."""
    return _schema(Claim, "Claim", "The record that opens an epoch; its key is `!claim`, its offset is the epoch.")


def _shown(of: type[Any]) -> type[Any]:
    """The class as msgspec can describe it: payloads as objects that may be absent instead of raw bytes."""
    hints, config = get_type_hints(of, include_extras=True), of.__struct_config__
    fields: list[tuple[str, Any, Any]] = []
    for field in msgspec.structs.fields(of):
        if hints[field.name] is Raw:
            fields.append((field.name, dict[str, Any] | UnsetType, UNSET))
        elif field.required:
            fields.append((field.name, hints[field.name], msgspec.NODEFAULT))
        else:
            fields.append((field.name, hints[field.name], field.default))
    return msgspec.defstruct(
        of.__name__,
        fields,
        namespace={"__doc__": of.__doc__},
        tag=config.tag,
        tag_field=config.tag_field,
        kw_only=True,
        forbid_unknown_fields=config.forbid_unknown_fields,
    )


def _schema(of: Any, title: str, description: str) -> str:
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "description": description,
    }
    schema |= msgspec.json.schema(of)
    for definition in schema.get("$defs", {}).values():
        for name, field in definition.get("properties", {}).items():
            _describe(name, field)
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _describe(name: str, field: dict[str, Any]) -> None:
    if name in DESCRIPTIONS:
        field.setdefault("description", DESCRIPTIONS[name])
    if name in MONEY:
        parts: list[dict[str, Any]] = field.get("anyOf", [field])
        next(part for part in parts if part.get("type") == "string")["pattern"] = AMOUNT
