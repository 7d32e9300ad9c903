"""
Versions of configs. Owns: which version a reader is shown, and waiting, bounded, until the query store has the config's newest.
Does not own: the query (`api.reads`), what a version decides (`z0.domain`), nor what several come to (`z0.configs`).
"""

from typing import Any, Final, NamedTuple
from uuid import uuid4

from msgspec import Raw, Struct

from api.answers import AsOf
from api.errors import Code, Problem
from api.facts import wait_for
from api.gateway import Gateway
from api.reads import ConfigRow, ConfigsWindow, Reads
from api.views import State, state_of
from z0.codec import decode_fact
from z0.configs import Book
from z0.configs.effective import Effective, effective
from z0.domain.answer import Answer
from z0.domain.commands import Read
from z0.domain.config import ANY, PLATFORM_TENANT, version_of_fact
from z0.domain.facts import ConfigType, Scope
from z0.domain.outcome import Outcome

PAGE_MAX: Final = 1_000  # of up to 32 KiB each


class ConfigOut(Struct, frozen=True, kw_only=True):
    """One version as its fact has it, and until when it holds; null: no later version is known."""

    config: Raw
    superseded_at: int | None
    fact_id: str
    recorded_at: int


class OneConfig(ConfigOut, frozen=True, kw_only=True):
    """The version of one config at a moment; `complete`: the query store had everything that the ledger had."""

    complete: bool
    as_of: AsOf


class Configs(Struct, frozen=True, kw_only=True):
    """The versions of many configs at a moment, in the order of their ids."""

    configs: list[ConfigOut]
    at: int
    next_after: str | None


class Asked(NamedTuple):
    """Who asks, and what the ledger said to a read of the config in that tenant's name."""

    tenant_id: str
    answer: Answer


class Which(NamedTuple):
    """The version that was asked for: at a moment, of a number, both, or the present one."""

    at: int | None
    version: int | None


async def one_config(gateway: Gateway, reads: Reads, asked: Asked, which: Which) -> OneConfig | Answer:
    """
    A version of a config, or the answer of the ledger that says why not.

    Raises:
        Problem: there is no such version, or the query store does not have it yet.
    """
    (tenant_id, found), state = await _readable(gateway, asked)
    if state is None:
        return found
    stored = await wait_for(reads, tenant_id, found.ledger_id, seq=state.seq)
    complete = stored is not None and stored.seq >= state.seq
    at = which.at if which.at is not None or which.version is not None else found.recorded_at
    row = await reads.config(tenant_id, found.ledger_id, at=at, version=which.version)
    if row is None and not complete:
        raise Problem(Code.READS_UNAVAILABLE, "The query store does not have the config's newest version yet.")
    if row is None:
        raise Problem(Code.NOT_EFFECTIVE)
    return OneConfig(**_fields(row), complete=complete, as_of=AsOf(found.partition, found.offset))


async def _readable(gateway: Gateway, asked: Asked) -> tuple[Asked, State | None]:
    """The state of the tenant's own config, or of one of the platform: those hold for everybody. None: it is neither."""
    read = asked.answer
    if read.outcome is Outcome.ACCEPTED:
        return asked, state_of(read)
    if read.outcome is not Outcome.UNKNOWN_ENTITY:
        return asked, None
    [other] = await gateway.look([Read(id=f"read-{uuid4().hex}", tenant_id=PLATFORM_TENANT, ledger_id=read.ledger_id)])
    state = state_of(other) if other.outcome is Outcome.ACCEPTED else None
    if state is None or state.config is None or state.config.scope is not Scope.PLATFORM:
        return asked, None
    return Asked(PLATFORM_TENANT, other), state


async def many_configs(reads: Reads, tenant_id: str, window: ConfigsWindow) -> Configs:
    """The versions that are effective at the window's moment."""
    # One more than asked for tells whether there is another page.
    rows = await reads.configs(tenant_id, window._replace(limit=window.limit + 1))
    shown = rows[: window.limit]
    more = len(rows) > window.limit
    return Configs(
        configs=[ConfigOut(**_fields(row)) for row in shown], at=window.at, next_after=shown[-1].config_id if more else None
    )


async def settings_in_force(reads: Reads, whom: tuple[str, str], at: int, *, kind: ConfigType | None) -> Effective:
    """
    What holds for (tenant, ledger) at a moment.

    Raises:
        Problem: this process cannot read one of the versions.
    """
    book, (tenant_id, ledger_id) = Book(), whom
    names = (ANY, ledger_id.partition("_")[0], ledger_id.partition("_")[2])
    for value in await reads.applying(tenant_id, names, at):
        version = version_of_fact(decode_fact(value).data)
        book.add(version)
        if version not in book.versions(version.id):
            detail = f"Version {version.version} of {version.id} was written by a newer release than this one."
            raise Problem(Code.READS_UNAVAILABLE, detail)
    return effective(book, whom, at, kind=kind)


def _fields(row: ConfigRow) -> dict[str, Any]:
    return {
        "config": Raw(row.config.encode()),
        "superseded_at": row.superseded_at,
        "fact_id": row.fact_id,
        "recorded_at": row.recorded_at,
    }
