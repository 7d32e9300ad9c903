"""
`z0 config`: writing and looking at configs. Owns: options, output, and what a person types for a moment.

Does not own: what settings mean (`docs/reference/configs.md`), or deciding about them. Looking reads the copy `z0.configs`, which
is what workers decide by; what is authoritative is the config's ledger.
"""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer
from msgspec import Raw
from rich.table import Table

from api.keys import is_tenant_name, tenant_entity_id
from z0.cli.screen import screen
from z0.cli.servers import check, with_ledger
from z0.cli.tenants import TIMEOUT_MS, check_tenant
from z0.clock import SystemClock
from z0.domain.answer import Answer
from z0.domain.commands import TIMESTAMP_MAX, PutConfig
from z0.domain.config import PLATFORM_TENANT, ConfigVersion, encode_version, version_of_fact
from z0.domain.facts import ConfigType, Scope
from z0.domain.ids import EntityType, entity_type, ledger_id
from z0.domain.outcome import MEANINGS, Outcome, is_transient
from z0.errors import Z0Error
from z0.names import CONFIGS

if TYPE_CHECKING:
    from z0.client.ports import Ledger
    from z0.configs import Book
    from z0.configs.history import Period
    from z0.log.ports import Log

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENT_SHOWN = 60  # characters of what was no moment
ConfigId = Annotated[str, typer.Argument(help="`cfg_...`, of your choice; the same id again writes its next version.")]
At = Annotated[str | None, typer.Option("--at", help="A moment: ISO 8601 with a zone, or Unix milliseconds; now, if not given.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
PUT_EXAMPLES = """
Examples, with SETTINGS as JSON, as a file, or `-` for standard input:

    z0 config put cfg_daily --tenant acme --type cap --applies-to account '{"timezone": "Europe/Berlin", "limits":
        [{"name": "daily", "counts": "spend", "window": "day", "max_amount": "50", "currency": "EUR"}]}'

    z0 config put cfg_prices --tenant acme --type pricing prices.json --at 2027-01-01T00:00:00+01:00

    z0 config put cfg_vip --tenant acme --type budget --entity acct_7 '{"overdraft": {"USD": "100"}}'

    z0 config put cfg_ceiling --platform --type budget '{"ttl_ms_max": 3600000}'

    z0 config put cfg_daily --tenant acme --type cap --applies-to account '{}'        switches it off
"""
EFFECTIVE_EXAMPLES = """
Examples:

    z0 config effective acct_7 --tenant acme --type routing        where its requests may go, in order

    z0 config effective acct_7 --tenant acme --at 2027-01-01T00:00:00Z --json | jq .settings.budget
"""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Configs: budgets, caps, prices, access, routing, invariants.", no_args_is_help=True)
    app.add_typer(group, name="config")
    group.command("put", help=f"{put.__doc__}\n{PUT_EXAMPLES}", epilog="Settings of each type: docs/reference/configs.md")(put)
    group.command("get")(get)
    group.command("list")(list_)
    group.command("effective", help=f"{effective.__doc__}\n{EFFECTIVE_EXAMPLES}")(effective)


def put(
    config_id: ConfigId,
    settings: Annotated[str, typer.Argument(help="JSON, the name of a file with it, or `-`.")],
    kind: Annotated[ConfigType, typer.Option("--type", help="What it governs.")],
    tenant: Annotated[str | None, typer.Option(help="Name of the tenant.")] = None,
    platform: Annotated[bool, typer.Option("--platform", help="Of platform scope: for every tenant.")] = False,
    entity: Annotated[str | None, typer.Option(help="For one entity of the tenant only, such as acct_7.")] = None,
    applies_to: Annotated[str, typer.Option(help="For one type of entity only, such as account.")] = "*",
    at: Annotated[str | None, typer.Option(help="When it takes effect: ISO 8601 with a zone, or Unix milliseconds.")] = None,
    expected_version: Annotated[int | None, typer.Option(min=0, help="Refused where the newest version is another.")] = None,
    name: Annotated[str | None, typer.Option(help="For people.")] = None,
    command_id: Annotated[str | None, typer.Option("--id", help="Command id of an attempt whose end was not heard of.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the next version of a config; the first one creates it. Says which version it became, and from when it holds."""
    scope = _scope(platform, entity)
    command = PutConfig(
        id=command_id or f"put-{uuid4().hex}",
        tenant_id=_tenant(tenant, platform),
        ledger_id=_ledger(config_id),
        type=kind,
        scope=scope,
        applies_to=entity or applies_to,
        settings=read_settings_text(settings),
        effective_at=moment(at),
        expected_version=expected_version,
        name=name,
    )
    answer, version = _written(command, tenant)
    if as_json:
        shown = {"version": version.version, "effective_at": version.effective_at, "seq": answer.seq}
        print(json.dumps({"config_id": config_id, **shown, "recorded_at": answer.recorded_at, "repeated": answer.repeated}))
    else:
        said = "was written before" if answer.repeated else "written"
        print(f"{config_id}: version {version.version} {said}, in force from {_text(version.effective_at)}")


def get(
    config_id: ConfigId,
    at: At = None,
    every: Annotated[bool, typer.Option("--all", help="Every version, and when each is in force.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    Show the version that is in force, now or at a moment.

    Examples: `z0 config get cfg_daily --at 2027-01-01T00:00:00Z`, `z0 config get cfg_daily --all --json | jq '.[].version'`
    """
    _ledger(config_id)
    at_ms = _moment_or_now(at)
    book = _book()
    versions = book.versions(config_id)
    if not versions:
        raise Z0Error(f"no config {config_id} has come round to `z0.configs`; is the sink `configs` running?")
    periods = list(_all(book, config_id)) if every else [book.history(config_id).at(at_ms)]
    found = [period for period in periods if period is not None]
    if not found:
        raise Z0Error(f"no version of {config_id} is in force then; the first is from {_text(versions[0].effective_at)}")
    shown = [_shown(period) for period in found]
    if as_json:
        print(json.dumps(shown if every else shown[0]))
    else:
        print("\n".join(json.dumps(one, indent=2) for one in shown))


def list_(
    tenant: Annotated[str | None, typer.Option(help="Those of one tenant only.")] = None,
    platform: Annotated[bool, typer.Option("--platform", help="Those of platform scope only.")] = False,
    kind: Annotated[ConfigType | None, typer.Option("--type", help="Those of one type only.")] = None,
    at: At = None,
    as_json: AsJson = False,
) -> None:
    """
    List the versions that are in force, now or at a moment.

    Examples: `z0 config list --tenant acme --type cap`, `z0 config list --json | jq '.[].id'`
    """
    whose = _tenant(tenant, platform) if tenant or platform else None
    at_ms = _moment_or_now(at)
    found = [
        period
        for period in _in_force(_book_of(tenant), at_ms)
        if whose in (None, period.version.tenant_id) and kind in (None, period.version.type)
    ]
    if as_json:
        print(json.dumps([_shown(period) for period in found]))
        return
    if not found:
        print("Nothing of that kind is in force then.")
        return
    table = Table("config", "version", "type", "scope", "applies to", "tenant", "since", "until", "name")
    for version, start_ms, end_ms in found:
        names = (version.id, str(version.version), version.type, version.scope, version.applies_to, version.tenant_id)
        table.add_row(*names, _text(start_ms), _text(end_ms), version.name or "")
    screen().print(table)


def effective(
    entity_id: Annotated[str, typer.Argument(metavar="ENTITY", help="Such as acct_7.")],
    tenant: Annotated[str | None, typer.Option(help="Name of the tenant that it belongs to.")] = None,
    platform: Annotated[bool, typer.Option("--platform", help="It belongs to the platform itself.")] = False,
    kind: Annotated[ConfigType | None, typer.Option("--type", help="Settings of one type only.")] = None,
    at: At = None,
    as_json: AsJson = False,
) -> None:
    """
    Show what holds for one entity: the settings of platform, tenant and entity, narrowed as decisions use them. Reads the copy of
    the configs on Kafka, also while Postgres is away; a worker is asked only whether there is a tenant without configs.
    """
    import msgspec

    from z0.configs.effective import effective as found_for

    try:
        whom = _tenant(tenant, platform), ledger_id(entity_id)
    except ValueError as error:
        raise Z0Error(str(error)) from None
    at_ms = _moment_or_now(at)
    found = msgspec.json.encode(found_for(_book_of(tenant), whom, at_ms, kind=kind))
    print((found if as_json else msgspec.json.format(found)).decode())


def read_settings_text(given: str) -> Raw:
    """
    Settings as JSON, from the argument itself, a file, or standard input.

    Raises:
        Z0Error: it is none.
    """
    if given == "-":
        text = typer.get_text_stream("stdin").read()
    elif given.lstrip().startswith(("{", "[", '"')):
        text = given
    else:
        text = _file(given)
    try:
        json.loads(text)
    except ValueError as error:
        raise Z0Error(f"the settings are not JSON: {error}") from None
    return Raw(text.strip().encode())


def _file(name: str) -> str:
    try:
        return Path(name).read_text()
    except OSError as error:
        raise Z0Error(f"settings are JSON, a file or `-`; {name!r} is none: {error.strerror}") from None


def moment(text: str | None) -> int | None:
    """
    Unix milliseconds of what a person typed; None: nothing.

    Raises:
        Z0Error: it is no moment from 1970 to the end of the year 9999, as facts and the API take them.
    """
    if text is None:
        return None
    at_ms = _milliseconds(text)
    if at_ms is None or not 0 <= at_ms <= TIMESTAMP_MAX:
        wanted = "2027-01-01T00:00:00+01:00, with the zone, or Unix milliseconds, from 1970 to the end of the year 9999"
        raise Z0Error(f"{text[:MOMENT_SHOWN]!r} is no moment; write {wanted}")
    return at_ms


def _milliseconds(text: str) -> int | None:
    if text.isascii() and text.isdigit():
        return int(text) if len(text) <= MOMENT_SHOWN else None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (at - EPOCH) // timedelta(milliseconds=1) if at.tzinfo is not None else None


def _moment_or_now(text: str | None) -> int:
    given = moment(text)
    return SystemClock().wall_ms() if given is None else given


def _text(at_ms: int) -> str:
    try:
        return datetime.fromtimestamp(at_ms // 1000).astimezone().isoformat()
    except (ValueError, OverflowError, OSError):  # for ever
        return ""


def _scope(platform: bool, entity: str | None) -> Scope:
    if platform and entity is not None:
        raise Z0Error("--platform and --entity exclude each other")
    return Scope.PLATFORM if platform else Scope.ENTITY if entity is not None else Scope.TENANT


def _tenant(name: str | None, platform: bool) -> str:
    if platform and name is None:
        return PLATFORM_TENANT
    if name is None or platform:
        raise Z0Error("say whose: --tenant NAME, or --platform")
    if not is_tenant_name(name):
        raise Z0Error(f"{name!r} is no tenant name: 1 to 63 letters, digits, - and _, a letter or digit first")
    return tenant_entity_id(name)


def _ledger(config_id: str) -> str:
    if entity_type(config_id) is not EntityType.CONFIG:
        raise Z0Error(f"{config_id!r} is no id of a config: cfg_ and letters, digits, -, _ or :")
    return ledger_id(config_id)


async def write(ledger: "Ledger", log: "Log", command: PutConfig, *, tenant: str | None) -> tuple[Answer, ConfigVersion]:
    """
    Write a version, of a tenant where one is named; what the ledger answered, and the version as its fact has it.

    Raises:
        Z0Error: there is no such tenant, or the ledger refused.
    """
    if tenant is not None:
        await check_tenant(ledger, tenant)
    answer = await ledger.submit(command, timeout_ms=TIMEOUT_MS)
    if answer.outcome is not Outcome.ACCEPTED:
        raise Z0Error(refusal_text(answer, command))
    return answer, await _version_at(log, answer.partition, answer.offset)


async def _version_at(log: "Log", partition: int, offset: int) -> ConfigVersion:
    """From the fact: an answer names its place, and of a repeat the first one's, whatever was written since."""
    from z0.codec import decode_fact

    async for records in log.read(partition, offset, offset + 1):
        return version_of_fact(decode_fact(records[0].value).data)
    raise AssertionError("a fact that was answered is in the log")


def _written(command: PutConfig, tenant: str | None) -> tuple[Answer, ConfigVersion]:
    from z0.config import from_env
    from z0.log.kafka import KafkaLog

    log = KafkaLog(from_env().kafka_servers)
    return asyncio.run(with_ledger(lambda ledger: write(ledger, log, command, tenant=tenant)))


def refusal_text(answer: Answer, command: PutConfig) -> str:
    """Why it was refused. Of a config that is wrong by itself everything: the refusal, which is a fact, names one thing."""
    from z0.configs.rules import problems_of

    again = f" Give the same again with `--id {command.id}`: it has one effect." if is_transient(answer.outcome) else ""
    problems = problems_of(command, answer.recorded_at) if answer.outcome is Outcome.BAD_CONFIG else []
    if len(problems) > 1:
        lines = "\n".join(f"  - {problem.where}: {problem.text}" for problem in problems)
        return f"{answer.outcome}: {len(problems)} things to correct:\n{lines}"
    detail = f" ({answer.detail})" if answer.detail else ""
    return f"{answer.outcome}{detail}: {MEANINGS[answer.outcome]}{again}"


def _book() -> "Book":
    from z0.config import from_env
    from z0.configs.reader import read_book

    async def read() -> "Book":
        config = from_env()
        await check(config, CONFIGS)
        return await read_book(config.kafka_servers)

    return asyncio.run(read())


def _book_of(tenant: str | None) -> "Book":
    """
    The copy, of a tenant that there is: one with a config in it is, another one's ledger is asked.

    Raises:
        Z0Error: there is no such tenant.
    """
    book = _book()
    if tenant is not None and not _names(book, tenant_entity_id(tenant)):
        asyncio.run(with_ledger(lambda ledger: check_tenant(ledger, tenant)))
    return book


def _names(book: "Book", tenant_id: str) -> bool:
    return any(book.versions(config_id)[0].tenant_id == tenant_id for config_id in book.ids())


def _in_force(book: "Book", at_ms: int) -> Iterator["Period"]:
    for config_id in sorted(book.ids()):
        period = book.history(config_id).at(at_ms)
        if period is not None:
            yield period


def _all(book: "Book", config_id: str) -> Iterator["Period"]:
    """Every version in turn with the time in which it is in force; one that is overtaken before its time has none."""
    from z0.configs.history import Period

    history = book.history(config_id)
    for version in history:
        yield history.period(version.version) or Period(version, version.effective_at, version.effective_at)


def _shown(period: "Period") -> dict[str, Any]:
    version: dict[str, Any] = json.loads(encode_version(period.version))
    return version | {"since": _text(period.start_ms), "until": _text(period.end_ms) or None}
