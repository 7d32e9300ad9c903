"""
`z0 tenant` and `z0 key`: who may use the API. Owns: making tenants and keys, which the API itself does not.
Does not own: what a key looks like (`api.keys`) or when it is accepted (`api.auth`).

A key is shown once, when it is made; the ledger keeps its hash. Command ids are derived from names, so a command that was
interrupted can be given again.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec
import typer
from msgspec import Raw

from api.keys import KeyRecord, Mode, Scope, hash_key, is_tenant_name, key_entity_id, make_key, tenant_entity_id
from z0.cli.servers import with_ledger
from z0.clock import Clock, SystemClock
from z0.domain.answer import Answer
from z0.domain.commands import CreateEntity, Read, UpdateEntity
from z0.domain.entity import Changes, Status
from z0.domain.ids import EntityType, entity_type, ledger_id
from z0.domain.outcome import MEANINGS, Outcome
from z0.errors import Z0Error

if TYPE_CHECKING:
    from z0.client.ports import Ledger

T = TypeVar("T")
DAY_MS = 24 * 3600 * 1000
TIMEOUT_MS = 15_000  # a worker that has just started, or that takes over, serves within this


class MadeKey(NamedTuple):
    """A new key; `key` is its only copy."""

    key: str
    key_id: str
    record: KeyRecord


async def create_tenant(ledger: "Ledger", name: str) -> bool:
    """
    Create a tenant; False where it exists already.

    Raises:
        Z0Error: the name does not do, or the ledger refused.
    """
    tenant = _tenant_id(name)
    # A repeat under this id is answered as the first time, so that an interrupted one can be given again.
    command = CreateEntity(id=f"create-{tenant}", tenant_id=tenant, ledger_id=ledger_id(tenant), data=_json({"name": name}))
    answer = await ledger.submit(command, timeout_ms=TIMEOUT_MS)
    if answer.outcome is Outcome.ENTITY_EXISTS:
        return False
    _accepted(answer, f"tenant {name}")
    return not answer.repeated


async def check_tenant(ledger: "Ledger", name: str) -> None:
    """
    Look whether there is a tenant: the ledger takes commands in any tenant's name, as it knows of no list of them.

    Raises:
        Z0Error: there is none.
    """
    tenant = _tenant_id(name)
    read = Read(id=f"read-{tenant}", tenant_id=tenant, ledger_id=ledger_id(tenant))
    answer = await ledger.submit(read, timeout_ms=TIMEOUT_MS)
    if answer.outcome is Outcome.UNKNOWN_ENTITY:
        raise Z0Error(f"there is no tenant {name}; `z0 tenant create {name}` makes it")
    _accepted(answer, f"tenant {name}")


async def create_key(ledger: "Ledger", tenant_name: str, wanted: KeyRecord) -> MadeKey:
    """
    Make a key for a tenant; `wanted` says everything but the hash.

    Raises:
        Z0Error: there is no such tenant, or the ledger refused.
    """
    tenant = _tenant_id(tenant_name)
    await check_tenant(ledger, tenant_name)
    key = make_key(tenant_name, wanted.mode)
    key_hash = hash_key(key)
    record = msgspec.structs.replace(wanted, hash=key_hash)
    key_id = key_entity_id(key_hash)
    create = CreateEntity(id=f"create-{key_id}", tenant_id=tenant, ledger_id=ledger_id(key_id), data=_json(record))
    _accepted(await ledger.submit(create, timeout_ms=TIMEOUT_MS), f"key {key_id}")
    return MadeKey(key, key_id, record)


async def revoke_key(ledger: "Ledger", tenant_name: str, key_id: str) -> None:
    """
    Revoke a key for good; the API stops accepting it within five seconds.

    Raises:
        Z0Error: the tenant has no such key, or the ledger refused.
    """
    if entity_type(key_id) is not EntityType.KEY:
        raise Z0Error(f"{key_id!r} is not a key id; `z0 key create` shows it beside the key, and it begins with key_")
    command = UpdateEntity(
        id=f"revoke-{key_id}",
        tenant_id=_tenant_id(tenant_name),
        ledger_id=ledger_id(key_id),
        changes=Changes(status=Status.DELETED),
    )
    answer = await ledger.submit(command, timeout_ms=TIMEOUT_MS)
    if answer.outcome is Outcome.UNKNOWN_ENTITY:
        raise Z0Error(f"tenant {tenant_name} has no key {key_id}; `z0 key create` showed the id beside the key")
    _accepted(answer, f"key {key_id} of tenant {tenant_name}")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    tenants = typer.Typer(help="Tenants.", no_args_is_help=True)
    keys = typer.Typer(help="API keys.", no_args_is_help=True)
    app.add_typer(tenants, name="tenant")
    app.add_typer(keys, name="key")
    _tenant_commands(tenants)
    _key_commands(keys)


def _tenant_commands(tenants: typer.Typer) -> None:
    @tenants.callback()
    def group() -> None:
        """Keeps `create` a word of its own while it is the only command."""

    @tenants.command()
    def create(
        name: str = typer.Argument(help="Letters, digits, - and _; it becomes part of every key."),
        as_json: bool = typer.Option(False, "--json", help="Print JSON."),
    ) -> None:
        """
        Create a tenant; says so where it exists.

        Example: `z0 tenant create acme`
        """
        created = _run(lambda ledger: create_tenant(ledger, name))
        text = f"tenant {name} created" if created else f"tenant {name} exists"
        _print({"tenant_id": _tenant_id(name), "name": name, "created": created}, text, as_json)


def _key_commands(keys: typer.Typer) -> None:
    @keys.command()
    def create(
        tenant: str = typer.Option(..., help="Name of the tenant."),
        mode: Mode = typer.Option(Mode.LIVE, help="Written into the key's text."),
        scopes: str = typer.Option("read,write", help="Any of read, write and admin, with commas."),
        name: str | None = typer.Option(None, help="What the key is for."),
        expires_days: int | None = typer.Option(None, min=1, help="Days until it expires; never, where it is not given."),
        as_json: bool = typer.Option(False, "--json", help="Print JSON."),
    ) -> None:
        """
        Make a key and print it, once.

        Examples: `z0 key create --tenant acme`, `z0 key create --tenant acme --scopes read --expires-days 90 --json`
        """
        wanted = KeyRecord(
            hash="", mode=mode, scopes=parse_scopes(scopes), expires_at=expiry(expires_days, SystemClock()), name=name
        )
        made = _run(lambda ledger: create_key(ledger, tenant, wanted))
        shown = {"key": made.key, "key_id": made.key_id, "tenant_id": _tenant_id(tenant), "scopes": made.record.scopes}
        text = f"{made.key}\n\nkey id: {made.key_id} (for `z0 key revoke`)\nThe key is shown this once: only its hash is kept."
        _print(shown | {"expires_at": made.record.expires_at}, text, as_json)

    @keys.command()
    def revoke(
        key_id: str = typer.Argument(help="`key_...`, as `z0 key create` showed it."),
        tenant: str = typer.Option(..., help="Name of the tenant."),
        as_json: bool = typer.Option(False, "--json", help="Print JSON."),
    ) -> None:
        """
        Revoke a key for good.

        Example: `z0 key revoke key_dd16035f... --tenant acme` with the whole id
        """
        _run(lambda ledger: revoke_key(ledger, tenant, key_id))
        _print({"key_id": key_id, "revoked": True}, f"{key_id} is revoked; it stops working within five seconds", as_json)


def parse_scopes(text: str) -> list[Scope]:
    """
    `read,write` as scopes.

    Raises:
        Z0Error: one of them is none.
    """
    try:
        return sorted({Scope(part.strip()) for part in text.split(",")})
    except ValueError:
        raise Z0Error(f"scopes are read, write and admin, with commas between them; given: {text!r}") from None


def expiry(days: int | None, clock: Clock) -> int | None:
    """When a key expires that is made now, in Unix milliseconds."""
    return clock.wall_ms() + days * DAY_MS if days is not None else None


def _tenant_id(name: str) -> str:
    if not is_tenant_name(name):
        raise Z0Error(f"{name!r} is no tenant name: 1 to 63 letters, digits, - and _, a letter or digit first")
    return tenant_entity_id(name)


def _accepted(answer: Answer, what: str) -> None:
    if answer.outcome is not Outcome.ACCEPTED:
        raise Z0Error(f"{what}: {answer.outcome}. {MEANINGS[answer.outcome]}")


def _json(value: Any) -> Raw:
    return Raw(msgspec.json.encode(value))


def _run(work: Callable[["Ledger"], Awaitable[T]]) -> T:
    return asyncio.run(with_ledger(work))


def _print(values: dict[str, Any], text: str, as_json: bool) -> None:
    print(json.dumps(values) if as_json else text)
