"""The page of configs. Owns: its form and its examples; fields and words stand in `z0.domain.config`."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Raw

from z0.domain.commands import Role
from z0.domain.config import (
    NOT_IN_ANY,
    PRICE_DECIMALS_MAX,
    SETTINGS,
    Amount,
    Code,
    ConfigVersion,
    Currency,
    FactTypeOrAny,
    Meter,
    Name,
    PriceText,
)
from z0.domain.facts import ConfigType
from z0.reference.text import page, table

INTRO: Final = f"""A config says what entities may do. It is written by the command `put_config` on a ledger of its own,
`config_cfg_...`: each command that is taken is its next version, and no version is ever changed. Over HTTP: `/v1/configs`; on
the command line: `z0 config`.

- **In force** at a moment is the highest version whose `effective_at` is not later. A version in the future may be overtaken by a
  higher one; then it never comes into force.
- **Scopes narrow:** platform, then tenant, then entity. A decision evaluates the strictest of everything that applies. A narrower
  config that would loosen a wider one is refused with `config_loosens`; that is help for the writer, not what holds the bound.
- **What applies:** a config of platform or tenant scope applies to one entity type, or to `*`: all types but
  {", ".join(f"`{name}`" for name in sorted(NOT_IN_ANY))}. All but `config` may be named. One of entity scope applies to one
  entity. Several configs of one type and scope may apply to one entity: all of them narrow.
- **Settings of `{{}}`** switch a config off, whatever its type.
- Workers decide from a copy (`z0.configs`): a version counts some tenths of a second after it was accepted. Every fact names the
  configs and versions that its decision looked at, in `configs`.
- **What holds** for an entity, narrowed, now, at a moment of the past, or as it is scheduled: over HTTP
  `GET /v1/entities/{{id}}/configs?at=&type=`, on the command line `z0 config effective`. Both name the versions that it comes
  from, and until when it holds. They read copies that follow the ledger: what was accepted some tenths of a second ago may not
  be there yet. Caps and invariants are not one value: all of them are shown.
- A retry of a priced command may name `config_id` and `config_version` of its first price, which must have been in force; all
  others are as they are now."""
EXAMPLES: Final[dict[ConfigType, dict[str, Any]]] = {
    ConfigType.BUDGET: {"overdraft": {"USD": "100"}, "confirm_above_hold": "topped_up", "ttl_ms_max": 3_600_000},
    ConfigType.CAP: {
        "timezone": "Europe/Berlin",
        "limits": [
            {"name": "daily", "counts": "spend", "window": "day", "max_amount": "50", "currency": "EUR"},
            {"name": "calls", "counts": "invocations", "window": "hour", "max_count": 100},
            {"name": "open", "counts": "spend", "window": "in_flight", "max_count": 5},
        ],
    },
    ConfigType.PRICING: {
        "currency": "USD",
        "prices": {"input_token": "0.00000015", "output_token": "0.0000006"},
        "max_amount": "5",
    },
    ConfigType.ACCESS: {"roles": {"buyer": ["authorize", "reserve", "confirm", "release"], "owner": ["*"]}},
    ConfigType.ROUTING: {
        "candidates": [{"tool_id": "tool_fast", "max_price": "0.02"}, {"tool_id": "tool_slow"}],
        "strategy": "cheapest",
    },
    ConfigType.INVARIANT: {
        "code": "DISCOUNT_AT_MOST_20",
        "fact_type": "charge",
        "message": "a discount is at most 20%",
        "schema": {"properties": {"data": {"properties": {"discount_percent": {"type": "number", "maximum": 20}}}}},
    },
}
# What the patterns of `z0.domain.config` are called on the page.
WORDS: Final[Mapping[str, str]] = {
    get_args(of)[1].pattern: word
    for of, word in (
        (Amount, "amount"),
        (PriceText, f"price: an amount with up to {PRICE_DECIMALS_MAX} decimals"),
        (Currency, "currency"),
        (Meter, "meter"),
        (Name, "name"),
        (Code, "code"),
        (Role, "role"),
        (FactTypeOrAny, "fact type or `*`"),
    )
}
NOTATION: Final = """An *amount* is a plain decimal string (`"12.5"`, at most 12 decimals); a *currency* an active ISO 4217 code;
a *meter*, a *name*, a *role* and a *fact type* begin with a small letter, a *code* with a capital one."""


def configs_page() -> str:
    """`configs.md`."""
    parts = [INTRO, NOTATION, "## A version", _fields(ConfigVersion)]
    for kind in ConfigType:
        parts += _type(kind)
    return page("Configs", *parts, "How many of what there may be, and why, stands in [limits.md](limits.md#configs).")


def _type(kind: ConfigType) -> Iterator[str]:
    yield f"## {kind}"
    yield str(SETTINGS[kind].__doc__).replace("\n    ", "\n").strip()
    yield _fields(SETTINGS[kind])
    for inner in _inner(SETTINGS[kind]):
        yield f"**{inner.__name__}.** {str(inner.__doc__).strip()}"
        yield _fields(inner)
    yield "```json\n" + json.dumps(EXAMPLES[kind], indent=2) + "\n```"


def _inner(of: type[Any]) -> Iterator[type[Any]]:
    """Structs in lists of a struct."""
    for hint in get_type_hints(of).values():
        for part in get_args(hint):
            if isinstance(part, type) and issubclass(part, msgspec.Struct):
                yield part


def _fields(of: type[Any]) -> str:
    schema = msgspec.json.schema(_plain(of))
    found = schema["$defs"][of.__name__]
    rows = [
        (f"`{name}`", _words(field, schema["$defs"]), _default(field, name in found["required"]), field["description"])
        for name, field in found["properties"].items()
    ]
    return table(("field", "value", "absent", "meaning"), rows)


def _plain(of: type[Any]) -> type[Any]:
    """The class with objects in the place of raw bytes, which msgspec cannot describe."""
    fields: list[tuple[str, Any, Any]] = []
    hints = get_type_hints(of, include_extras=True)
    for field in msgspec.structs.fields(of):
        hint: Any = hints[field.name]
        if get_origin(hint) is Annotated and get_args(hint)[0] is Raw:
            hint = Annotated[(dict[str, Any], *get_args(hint)[1:])]
        absent = msgspec.NODEFAULT if field.required else field.default
        if field.default_factory is not msgspec.NODEFAULT:
            absent = msgspec.field(default_factory=field.default_factory)
        fields.append((field.name, hint, absent))
    return msgspec.defstruct(of.__name__, fields, kw_only=True)


def _default(field: Mapping[str, Any], required: bool) -> str:
    if required:
        return "needed"
    default = field.get("default")
    return "" if default in (None, {}, "") else f"`{default}`"


def _words(field: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    """A field's schema in words."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return _choices(defs[name]) if "enum" in defs[name] else name
    if "anyOf" in field:
        parts = [_words(part, defs) for part in field["anyOf"] if part.get("type") != "null"]
        return " or ".join(parts)
    if "enum" in field:
        return _choices(field)
    return _of_type(field, defs)


def _of_type(field: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    match field.get("type"):
        case "array":
            return f"list of {_words(field['items'], defs)}"
        case "object":
            inner = field.get("additionalProperties")
            if not isinstance(inner, dict) or not inner:
                return "object"
            return f"object: {_words(field['propertyNames'] | {'type': 'string'}, defs)} → {_words(inner, defs)}"
        case "integer":
            least, most = field.get("minimum"), field.get("maximum")
            return f"integer, {least} to {most}" if least is not None else "integer"
        case _:
            pattern = field.get("pattern")
            return WORDS.get(pattern, f"`{pattern}`") if pattern else "text"


def _choices(field: Mapping[str, Any]) -> str:
    return ", ".join(f"`{choice}`" for choice in field["enum"])
