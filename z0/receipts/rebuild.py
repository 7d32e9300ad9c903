"""
The command behind an accepted fact. Owns: reading it back from what the fact carries.

A refusal quotes its command byte for byte; an accepted fact carries what the command changed, and a digest of its canonical
bytes. What a caller may give or leave out to the same effect (an id by default, a time to live by default) is tried both ways:
the digest says which it was. Nothing that is lost here has a say in a decision; the tests hold that for every kind of fact.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any, Final

import msgspec
from msgspec import Raw

from z0.configs.resolve import versions_in
from z0.domain.appending import CAUSES
from z0.domain.commands import (
    AddBudget,
    Append,
    Authorize,
    Command,
    Confirm,
    CreateEntity,
    DeductBudget,
    GrantAccess,
    PutConfig,
    Release,
    Reserve,
    RevokeAccess,
    Settle,
    UpdateEntity,
)
from z0.domain.config import ANY, version_of_fact
from z0.domain.facts import NO_DATA, ConfigType, Fact, FactType, Links, Reference, Scope, Source
from z0.domain.ids import parse_fact_id
from z0.domain.payloads import CreatedData, GrantData, UpdatedData
from z0.domain.state import LedgerState

# Of one class of command: field -> what it may have been. Any: fields of all classes.
_Options = Mapping[str, tuple[Any, ...]]
_Rule = Callable[[Fact, LedgerState, Mapping[int, Reference]], Iterator[tuple[type[Any], _Options]]]
_encode = msgspec.json.Encoder().encode
_created = msgspec.json.Decoder(CreatedData).decode
_updated = msgspec.json.Decoder(UpdatedData).decode
_granted = msgspec.json.Decoder(GrantData).decode


def candidates(fact: Fact, state: LedgerState, references: Mapping[int, Reference]) -> Iterator[Command]:
    """Commands that may have left this fact on the state before it, the likeliest first."""
    times = (fact.timestamp,) if fact.timestamp != fact.recorded_at else (None, fact.timestamp)
    base = {
        "id": (fact.command_id,),
        "tenant_id": (fact.tenant_id,),
        "ledger_id": (fact.ledger_id,),
        "timestamp": times,
        "reply_to": (fact.reply_to,),
        "data": (fact.data,),
    } | {name: (getattr(fact, name),) for name in Links.__struct_fields__}
    rule = _RULES.get((fact.type, fact.subtype)) or _RULES.get((fact.type, None)) or _append
    for kind, options in rule(fact, state, references):
        given: _Options = {**base, **options}
        for values in product(*given.values()):
            yield kind(**dict(zip(given, values, strict=True)))


def creation(fact: Fact) -> PutConfig:
    """As much of a config's first `put_config` as the creation of its ledger takes from it."""
    entity = _created(fact.data).entity
    return PutConfig(
        id="",
        tenant_id=fact.tenant_id,
        ledger_id=fact.ledger_id,
        type=ConfigType(str(entity.subtype)),
        scope=Scope.TENANT,
        settings=NO_DATA,
        external_source=entity.external_source,
        external_id=entity.external_id,
        data=Raw(_encode(entity.data)) if entity.data else NO_DATA,
    )


def _spellings(data: dict[str, Any]) -> tuple[Raw, ...]:
    """A payload of which the value is kept and not the bytes: as encoders usually write it."""
    if not data:
        return NO_DATA, Raw(b"{}")
    texts = _encode(data), json.dumps(data).encode(), json.dumps(data, ensure_ascii=False).encode()
    return tuple(Raw(text) for text in dict.fromkeys(texts))


def _create(fact: Fact, state: LedgerState, references: Mapping[int, Reference]) -> Iterator[tuple[type[Any], _Options]]:
    entity = _created(fact.data).entity
    own = {name: (getattr(entity, name),) for name in ("subtype", "parent_id", "owner_id")}
    yield CreateEntity, own | {"data": _spellings(entity.data)}


def _update(fact: Fact, state: LedgerState, references: Mapping[int, Reference]) -> Iterator[tuple[type[Any], _Options]]:
    version = state.entity.version if state.entity is not None else None
    yield (
        UpdateEntity,
        {"changes": (_updated(fact.data).changes,), "expected_version": (None, version), "data": (NO_DATA, Raw(b"{}"))},
    )


def _add(kind: str) -> _Rule:
    def rule(fact: Fact, state: LedgerState, references: Mapping[int, Reference]) -> Iterator[tuple[type[Any], _Options]]:
        yield AddBudget, {"kind": (kind,), "amount": (fact.amount,), "currency": (fact.currency,)}

    return rule


def _deduct(fact: Fact, state: LedgerState, references: Mapping[int, Reference]) -> Iterator[tuple[type[Any], _Options]]:
    yield DeductBudget, {"amount": (fact.amount,), "currency": (fact.currency,)}


def _hold(fact: Fact, state: LedgerState, references: Mapping[int, Reference]) -> Iterator[tuple[type[Any], _Options]]:
    by_default = fact.reservation_id == fact.command_id
    own: _Options = {
        "reservation_id": (None, fact.reservation_id) if by_default else (fact.reservation_id,),
        "ttl_ms": (None, (fact.expires_at or 0) - fact.recorded_at),
        "amount": (fact.amount,),
        "currency": (fact.currency,),
    }
    if fact.usage is not None:
        yield from _priced(fact, own)
        return
    if fact.currency is not None:
        yield Reserve, {**own, "purpose": (fact.purpose or "spend",)}
    if fact.purpose is None:
        yield Authorize, own


def _priced(fact: Fact, own: _Options) -> Iterator[tuple[type[Any], _Options]]:
    """
    The amount is the usage's price; `config_id` and `config_version` are its config's. The command may have named that one, or
    a wider one that had its say in the price.
    """
    usage = {**own, "usage": (fact.usage,), "amount": (None,), "currency": (fact.currency, None)}
    yield Authorize, {**usage, "config_id": (None,), "config_version": (None,)}
    yield Authorize, usage
    for config_id, version in versions_in(fact.configs).items():
        yield Authorize, {**usage, "config_id": (config_id,), "config_version": (version,)}


def _confirm(fact: Fact, state: LedgerState, references: Mapping[int, Reference]) -> Iterator[tuple[type[Any], _Options]]:
    amounts = (None, fact.amount) if fact.amount is not None else (None, "0")  # a place is confirmed with nothing, or zero
    yield Confirm, {"reservation_id": (fact.reservation_id,), "amount": amounts}


def _release(fact: Fact, state: LedgerState, references: Mapping[int, Reference]) -> Iterator[tuple[type[Any], _Options]]:
    yield Release, {"reservation_id": (fact.reservation_id,)}


def _settle(fact: Fact, state: LedgerState, references: Mapping[int, Reference]) -> Iterator[tuple[type[Any], _Options]]:
    yield Settle, {"charge_id": (fact.source_id,), "stage": (fact.subtype,), "source_id": (None, fact.source_id)}


def _append(fact: Fact, state: LedgerState, references: Mapping[int, Reference]) -> Iterator[tuple[type[Any], _Options]]:
    own = {name: (getattr(fact, name),) for name in ("type", "subtype", "amount", "currency")}
    yield Append, own | {"source": _proofs(fact, references)}


def _proofs(fact: Fact, references: Mapping[int, Reference]) -> tuple[Source | None, ...]:
    """What the caller may have given as proof; the fact carries it only where the ledger's own chain does not hold it."""
    if fact.source is not None:
        given = msgspec.structs.replace(fact.source, checked=None)
        return (None, given) if fact.source.checked else (given, msgspec.structs.replace(fact.source, checked=False))
    named = parse_fact_id(fact.source_id) if fact.source_id is not None and fact.type in CAUSES else None
    own = references.get(named[1]) if named is not None else None
    if named is None or own is None:
        return (None,)
    return None, Source(str(fact.source_id), named[0], named[1], own.hash)


def _grant(fact: Fact, state: LedgerState, references: Mapping[int, Reference]) -> Iterator[tuple[type[Any], _Options]]:
    grant = _granted(fact.data)
    yield GrantAccess, {"grantee_id": (grant.user_id,), "role": (grant.role,), "data": (NO_DATA, Raw(b"{}"))}


def _revoke(fact: Fact, state: LedgerState, references: Mapping[int, Reference]) -> Iterator[tuple[type[Any], _Options]]:
    yield RevokeAccess, {"grantee_id": (_granted(fact.data).user_id,), "data": (NO_DATA, Raw(b"{}"))}


def _put_config(fact: Fact, state: LedgerState, references: Mapping[int, Reference]) -> Iterator[tuple[type[Any], _Options]]:
    version = version_of_fact(fact.data)
    at = version.effective_at
    first = version.version == 1 and state.entity is not None
    own = {name: (getattr(version, name),) for name in ("type", "scope", "settings", "name")}
    yield (
        PutConfig,
        own
        | {
            # Left out, or given as what it is by default: these are two spellings, since the class knows its own "*" only.
            "applies_to": (ANY, version.applies_to) if version.applies_to == ANY else (version.applies_to,),
            "effective_at": (None, at) if at == fact.recorded_at else (at,),
            "expected_version": (None, version.version - 1),
            "config_id": (None,),
            "config_version": (None,),
            "data": _spellings(state.entity.data) if first and state.entity is not None else (NO_DATA, Raw(b"{}")),
        },
    )


_RULES: Final[dict[tuple[str, str | None], _Rule]] = {
    (FactType.LIFECYCLE, FactType.CREATED): _create,
    (FactType.LIFECYCLE, FactType.UPDATED): _update,
    (FactType.DEPOSIT, None): _add("deposit"),
    (FactType.CREDIT_ISSUED, None): _add("credit"),
    (FactType.BUDGET, FactType.TRANSFERRED_IN): _add("transfer"),
    (FactType.BUDGET, FactType.DEDUCTED): _deduct,
    (FactType.BUDGET, FactType.RESERVED): _hold,
    (FactType.BUDGET, FactType.CONFIRMED): _confirm,
    (FactType.BUDGET, FactType.TRANSFERRED_OUT): _confirm,
    (FactType.BUDGET, FactType.RELEASED): _release,
    (FactType.CHARGE, FactType.PENDING): _settle,
    (FactType.CHARGE, FactType.SETTLED): _settle,
    (FactType.ACCESS_GRANTED, None): _grant,
    (FactType.ACCESS_MODIFIED, None): _grant,
    (FactType.ACCESS_REVOKED, None): _revoke,
    (FactType.CONFIG, FactType.VERSIONED): _put_config,
}
