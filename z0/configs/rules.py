"""
What a config must fulfil to be written, as far as a copy of the others can say. Owns: the order of the checks, and their words.

Does not own: that type, scope and target never change, and versions are contiguous: the config's own ledger knows that.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from z0.configs.schemas import problem_of
from z0.configs.windows import is_zone
from z0.domain import config_rules
from z0.domain.commands import PutConfig
from z0.domain.config import (
    ALL_BYTES_MAX,
    ANY,
    CHECKS_MAX,
    CONFIGS_PER_TARGET_MAX,
    LIMITS_MAX,
    NOT_IN_ANY,
    SCHEMA_WEIGHT_MAX,
    TENANT_BYTES_MAX,
    TO_COME_MAX,
    CapSettings,
    Config,
    ConfigVersion,
    InvariantSettings,
    Settings,
    bytes_of,
    covers,
)
from z0.domain.config_rules import Problem, problem_of_target, read_settings
from z0.domain.draft import Refusal
from z0.domain.facts import Scope
from z0.domain.ids import EntityType, entity_type
from z0.domain.narrowing import loosens
from z0.domain.outcome import Outcome
from z0.domain.schema_weight import weight_of

_RANKS: Final = list(Scope)


class Held(NamedTuple):
    """What the copy holds already: bytes of the command's tenant and of all tenants, and of the config itself."""

    tenant_bytes: int
    all_bytes: int
    is_on: bool  # whether it says something, now or in a version to come
    to_come: int  # how many of its versions are


NOTHING_HELD: Final = Held(0, 0, is_on=False, to_come=0)


def refusal_of(command: PutConfig, at_ms: int, *, others: Sequence[Config], held: Held) -> Refusal | None:
    """
    Why a config may not be written at a moment; None: it may.

    `others`: configs of the same type that are in force or to come and could meet this one.
    """
    problem = problem_of_target(command.scope, command.applies_to, command.tenant_id) or _problem_of_time(command, at_ms)
    if problem is not None:
        return _bad(problem)
    settings = read_settings(command.type, command.settings)
    problem = settings if isinstance(settings, Problem) else _problem_of_room(command, settings, held)
    if problem is not None:
        return _bad(problem)
    if settings is None:
        return None
    assert not isinstance(settings, Problem), "it was refused above"
    # The weight first, which also bounds what it takes to compile. A version that was taken is read whatever it weighs.
    problem = _problem_of_weight(settings) or problem_of_library(settings) or _problem_of_number(command, settings, others)
    return _bad(problem) if problem is not None else _loosening(command, settings, others)


def problems_of(command: PutConfig, at_ms: int) -> list[Problem]:
    """Everything that is wrong with a config by itself, for the one who wrote it; a refusal names the first, as it is a fact."""
    of_place = problem_of_target(command.scope, command.applies_to, command.tenant_id), _problem_of_time(command, at_ms)
    found = [problem for problem in of_place if problem is not None]
    settings = read_settings(command.type, command.settings)
    if isinstance(settings, Problem):
        return found + config_rules.problems_of(command.type, command.settings)
    by_itself = (_problem_of_weight(settings) or problem_of_library(settings)) if settings is not None else None
    return found + ([by_itself] if by_itself is not None else [])


def _bad(problem: Problem) -> Refusal:
    return Refusal(Outcome.BAD_CONFIG, f"config.{problem.where}", detail=problem.text)


def _problem_of_time(command: PutConfig, at_ms: int) -> Problem | None:
    if command.effective_at is None or command.effective_at >= at_ms:
        return None
    return Problem("effective_at", "is in the past; leave it out for now")


def unreadable(version: ConfigVersion) -> Problem | None:
    """Why this process cannot decide by a version that was written: a newer release, or newer libraries, may have taken it."""
    settings = read_settings(version.type, version.settings)
    if isinstance(settings, Problem):
        return settings
    target = problem_of_target(version.scope, version.applies_to, version.tenant_id)
    return target or (problem_of_library(settings) if settings is not None else None)


def problem_of_library(settings: Settings) -> Problem | None:
    """What a library says of settings whose shape is right."""
    if isinstance(settings, CapSettings) and not is_zone(settings.timezone):
        return Problem("settings.timezone", f"there is no time zone {settings.timezone!r} in the IANA database")
    text = problem_of(settings) if isinstance(settings, InvariantSettings) else None
    return Problem("settings.schema", text) if text is not None else None


def _problem_of_weight(settings: Settings) -> Problem | None:
    weight = weight_of(msgspec.json.decode(settings.schema)) if isinstance(settings, InvariantSettings) else 0
    if weight <= SCHEMA_WEIGHT_MAX:
        return None
    return Problem("settings.schema", f"costs too much to ask: it weighs {weight}, at most {SCHEMA_WEIGHT_MAX}")


def _problem_of_room(command: PutConfig, settings: Settings | None, held: Held) -> Problem | None:
    if command.effective_at is not None and held.to_come >= TO_COME_MAX:
        return Problem("to_come", f"{TO_COME_MAX} of its versions are to come already; one that takes effect now replaces them")
    if settings is None and command.effective_at is None and held.is_on:
        return None  # what is in force can be switched off whatever there is: once, as then nothing is in force
    count = bytes_of(_as_version(command))
    if held.tenant_bytes + count > TENANT_BYTES_MAX:
        return Problem("bytes", f"the tenant's configs, in all their versions, are more than {TENANT_BYTES_MAX} bytes")
    if held.all_bytes + count > ALL_BYTES_MAX:
        return Problem("bytes", f"all tenants' configs, in all their versions, are more than {ALL_BYTES_MAX} bytes")
    return None


def _problem_of_number(command: PutConfig, settings: Settings, others: Sequence[Config]) -> Problem | None:
    beside = [config for config in others if config.version.scope is command.scope]
    if most(command, beside, lambda _: 1) >= CONFIGS_PER_TARGET_MAX:
        return Problem("applies_to", f"{CONFIGS_PER_TARGET_MAX} configs of this type and scope apply to it already")
    if isinstance(settings, CapSettings):
        there = most(command, beside, lambda s: len(s.limits) if isinstance(s, CapSettings) else 0)
        if there + len(settings.limits) > LIMITS_MAX[command.scope]:
            return Problem(
                "settings.limits", f"more than {LIMITS_MAX[command.scope]} limits of {command.scope} scope for one entity"
            )
    if isinstance(settings, InvariantSettings) and most(command, beside, lambda _: 1) >= CHECKS_MAX[command.scope]:
        return Problem("settings", f"more than {CHECKS_MAX[command.scope]} invariants of {command.scope} scope for one entity")
    return None


def most(command: PutConfig, beside: Iterable[Config], count: Callable[[Settings], int]) -> int:
    """What the configs of one scope come to together for that entity of the command's for which it is most."""
    by_name: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))  # target -> config id -> count
    for version, settings in beside:
        if settings is not None:
            found = by_name[version.applies_to]
            found[version.id] = max(found[version.id], count(settings))
    sums = {name: sum(counts.values()) for name, counts in by_name.items()}
    if command.scope is Scope.ENTITY:
        return sums.get(command.applies_to, 0)
    kinds = [kind for kind in EntityType if _meets(command.applies_to, kind)]
    return max(sums.get(kind, 0) + (sums.get(ANY, 0) if kind not in NOT_IN_ANY else 0) for kind in kinds)


def _meets(applies_to: str, kind: EntityType) -> bool:
    return applies_to == kind or (applies_to == ANY and kind not in NOT_IN_ANY)


def _loosening(command: PutConfig, settings: Settings, others: Iterable[Config]) -> Refusal | None:
    asked = _as_version(command)
    entity = entity_type(command.applies_to) if command.scope is Scope.ENTITY else command.applies_to
    assert entity is not None, "the target was checked before"
    for version, wider in sorted(others, key=lambda config: (_RANKS.index(config.version.scope), config.version.id)):
        if wider is not None and covers(version, asked, entity):
            what = loosens(wider, settings)
            if what is not None:
                return Refusal(Outcome.CONFIG_LOOSENS, f"config.{version.id}/{version.version}", detail=what)
    return None


def _as_version(command: PutConfig) -> ConfigVersion:
    return ConfigVersion(
        id=command.ledger_id.partition("_")[2],
        type=command.type,
        scope=command.scope,
        applies_to=command.applies_to,
        tenant_id=command.tenant_id,
        version=0,
        effective_at=command.effective_at or 0,
        settings=command.settings,
        name=command.name,
    )
