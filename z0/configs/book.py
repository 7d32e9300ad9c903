"""
The copy of all configs in this process. Owns: which configs apply to an entity at a moment, and remembering what they come to.

Decisions ask for each command, so the answer is remembered: by entity type where an entity has no configs of its own, by entity
else, by tenant only where the tenant has configs. It is forgotten when a config arrives, and asked anew when the next
version comes into force. A platform's and a tenant's entities number in millions, what is remembered in thousands.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from z0.configs.history import History
from z0.configs.kept import Kept
from z0.configs.resolve import resolve, versions_in, versions_of
from z0.configs.rules import Held, refusal_of, unreadable
from z0.domain.commands import PutConfig
from z0.domain.config import ANY, NOT_IN_ANY, PLATFORM_TENANT, VERSION_BYTES, Config, ConfigVersion, Settings, bytes_of
from z0.domain.config_rules import Problem, is_off, read_settings
from z0.domain.draft import Refusal
from z0.domain.facts import ConfigType, Scope
from z0.domain.ids import EntityType, entity_type
from z0.domain.ids import ledger_id as ledger_of
from z0.domain.narrowing import in_order, narrow_prices
from z0.domain.policy import NO_POLICY, Policy

logger = logging.getLogger(__name__)
PINNED_MAX: Final = 4096  # retries under an older price come in bunches, of the same few versions
# Of versions whose settings are kept as values, which take up to 19 times their text (a role with 120 times `*`): most versions
# are old, and nobody asks for them.
READ_BYTES_MAX: Final = 8 * 1024 * 1024
# Of versions that remembered policies are made of: enough for 20,000 entities with configs of their own.
REMEMBERED_BYTES_MAX: Final = 32 * 1024 * 1024
_EVERYBODY: Final = ""


class _Remembered(NamedTuple):
    start_ms: int
    end_ms: int
    policy: Policy
    bytes: int


class InForce(NamedTuple):
    """The configs that apply to an entity, each in its version of a moment, and from when to when these are the ones."""

    configs: Sequence[Config]
    start_ms: int
    end_ms: int


class Book:
    """`z0.log.ports.Policies` over the versions that were added."""

    def __init__(self) -> None:
        self._versions: dict[str, History] = {}
        # Ids of configs by whom they apply to: (tenant or everybody, entity type, "*" or ledger id).
        self._targets: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._tenants: set[str] = set()
        self._own: set[str] = set()  # ledgers with configs of entity scope
        self._bytes: dict[str, int] = defaultdict(int)
        self._tenants_bytes = 0  # of all but the platform
        self._read: Kept[tuple[str, int], Settings | None] = Kept(READ_BYTES_MAX)
        self._remembered: Kept[tuple[str, str], _Remembered] = Kept(REMEMBERED_BYTES_MAX)
        self._pinned: Kept[tuple[bytes, str, int], Policy | None] = Kept(PINNED_MAX)

    # What is there ---------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._versions)

    def add(self, version: ConfigVersion) -> None:
        """Take a version; one that is known already changes nothing. What cannot be read is not in force, and said."""
        known = self._versions.get(version.id)
        if known is not None and (version.version in known or not _same_config(version, known.any)):
            return
        problem = unreadable(version)
        if problem is not None:
            logger.error("config %s version %d cannot be read: %s: %s", version.id, version.version, *problem)
            return
        self._versions.setdefault(version.id, History()).add(version)
        count = bytes_of(version)
        self._bytes[version.tenant_id] += count
        self._tenants_bytes += count if version.tenant_id != PLATFORM_TENANT else 0
        self._apply(version)

    def _apply(self, version: ConfigVersion) -> None:
        target = _target(version)
        self._pinned.clear()
        self._targets[target].add(version.id)
        if version.scope is not Scope.PLATFORM:
            self._tenants.add(version.tenant_id)
        if version.scope is Scope.ENTITY:
            self._own.add(target[1])
            self._remembered.pop(target, None)  # nobody else's answer changes: such configs may come by the thousand
        else:
            self._remembered.clear()

    def history(self, config_id: str) -> History:
        """All versions of a config, and when each is in force."""
        return self._versions.get(config_id) or History()

    def versions(self, config_id: str) -> list[ConfigVersion]:
        """All versions of a config, the first one first."""
        return list(self.history(config_id))

    def ids(self) -> Iterator[str]:
        """Every config's id."""
        return iter(self._versions)

    # What they say ---------------------------------------------------------------------------------

    def policy(self, tenant_id: str, ledger_id: str, at_ms: int) -> Policy:
        """What holds for an entity at a moment, the strictest of all scopes."""
        if not self._versions:
            return NO_POLICY
        tenant = tenant_id if tenant_id in self._tenants else _EVERYBODY
        whom = ledger_id if ledger_id in self._own else ledger_id[: ledger_id.find("_")]
        known = self._remembered.get((tenant, whom))
        if known is None or not known.start_ms <= at_ms < known.end_ms:
            known = self._find(tenant, ledger_id, at_ms)
            self._remembered.keep((tenant, whom), known, known.bytes)
        return known.policy

    def uncached(self, tenant_id: str, ledger_id: str, at_ms: int) -> Policy:
        """The same, looked for anew."""
        return self._find(tenant_id, ledger_id, at_ms).policy

    def _find(self, tenant_id: str, ledger_id: str, at_ms: int) -> _Remembered:
        configs, start_ms, end_ms = self.in_force(tenant_id, ledger_id, at_ms)
        count = VERSION_BYTES + sum(len(bytes(config.version.settings)) for config in configs)
        return _Remembered(start_ms, end_ms, resolve(configs, end_ms), count)

    def in_force(self, tenant_id: str, ledger_id: str, at_ms: int, *, kind: ConfigType | None = None) -> InForce:
        """What a policy of that moment is made from; of one type, if it is given."""
        applying = [self._versions[config_id] for config_id in self._applying(tenant_id, ledger_id)]
        applying = [history for history in applying if kind in (None, history.any.type)]
        periods = [period for history in applying if (period := history.at(at_ms)) is not None]
        end_ms = min((history.next_change(at_ms) for history in applying), default=NO_POLICY.until_ms)
        start_ms = max((period.start_ms for period in periods), default=0)
        return InForce([self._config(period.version) for period in periods], start_ms, end_ms)

    def _config(self, version: ConfigVersion) -> Config:
        """A version with its settings as values."""
        key = (version.id, version.version)
        if key in self._read:
            return Config(version, self._read[key])
        settings = read_settings(version.type, version.settings)
        assert not isinstance(settings, Problem), "it was read before"
        return Config(version, self._read.keep(key, settings, VERSION_BYTES + len(bytes(version.settings))))

    def _applying(self, tenant_id: str, ledger_id: str) -> set[str]:
        kind = ledger_id.partition("_")[0]
        if kind == EntityType.CONFIG:
            return set()
        whom = [kind] if kind in NOT_IN_ANY else [kind, ANY]
        places = [(tenant, name) for tenant in (_EVERYBODY, tenant_id) for name in whom]
        return set().union(*(self._targets.get(place, ()) for place in (*places, (tenant_id, ledger_id))))

    def at_versions(self, versions: Mapping[str, int]) -> Policy | None:
        """What exactly these versions come to, as a fact names them; None: one of them is not known here."""
        found = [self.history(config_id).get(number) for config_id, number in versions.items()]
        known = [version for version in found if version is not None]
        return resolve(map(self._config, known)) if len(known) == len(found) else None

    def pinned(self, policy: Policy, config_id: str, version: int) -> Policy | None:
        """
        The policy with that version of a pricing config in place of the present one; None: there is no such version.

        Only versions up to the present one, and of those the ones that came into force: a retry may use its own price, not
        tomorrow's, nor one that was overtaken before its time. Its config need not be the one that is named now: a narrower one
        may have come since, or it may have been switched off. Where it is no pricing config that applies, it is a link only.
        """
        key = (bytes(policy.versions), config_id, version)
        if key not in self._pinned:
            self._pinned.keep(key, self._pin(policy, config_id, version))
        pinned = self._pinned[key]
        if pinned is None:
            return None
        return policy.with_prices(pinned.prices, pinned.versions)

    def _pin(self, policy: Policy, config_id: str, version: int) -> Policy | None:
        named = dict(versions_in(policy.versions))
        history = self.history(config_id)
        if config_id not in named or history.any.type is not ConfigType.PRICING:
            return policy
        if not history.was_possible(version) or not version <= named[config_id]:
            return None
        named[config_id] = version
        found = [self.history(name).get(number) for name, number in named.items()]
        configs = in_order(self._config(one) for one in found if one is not None)
        return Policy(prices=narrow_prices(configs), versions=versions_of(configs))

    # What may be written ---------------------------------------------------------------------------

    def refuse(self, command: PutConfig, at_ms: int) -> Refusal | None:
        """Why a config may not be written, as far as this copy can say."""
        own = self.history(command.ledger_id.partition("_")[2]).from_now(at_ms)
        of_all = self._tenants_bytes if command.tenant_id != PLATFORM_TENANT else 0
        held = Held(
            self._bytes.get(command.tenant_id, 0),
            of_all,
            is_on=any(not is_off(one.settings) for one in own),
            to_come=sum(one.effective_at > at_ms for one in own),
        )
        return refusal_of(command, at_ms, others=self._others(command, at_ms), held=held)

    def _others(self, command: PutConfig, at_ms: int) -> list[Config]:
        """Configs of the same type that could meet the command's: those in force and those to come."""
        own_id = command.ledger_id.partition("_")[2]
        whom = [ANY, *EntityType]
        places = [(tenant, name) for tenant in (_EVERYBODY, command.tenant_id) for name in whom]
        if command.scope is Scope.ENTITY and entity_type(command.applies_to) is not None:
            places.append((command.tenant_id, ledger_of(command.applies_to)))
        ids = set().union(*(self._targets.get(place, ()) for place in places)) - {own_id}
        found = (version for config_id in ids for version in self._versions[config_id].from_now(at_ms))
        return [self._config(version) for version in found if version.type is command.type]


def _target(version: ConfigVersion) -> tuple[str, str]:
    match version.scope:
        case Scope.PLATFORM:
            return _EVERYBODY, version.applies_to
        case Scope.TENANT:
            return version.tenant_id, version.applies_to
        case Scope.ENTITY:
            return version.tenant_id, ledger_of(version.applies_to)


def _same_config(version: ConfigVersion, first: ConfigVersion) -> bool:
    """Type, scope and target never change between versions; the config's own ledger sees to it."""
    names = ("type", "scope", "applies_to", "tenant_id")
    if all(getattr(version, name) == getattr(first, name) for name in names):
        return True
    logger.error(
        "config %s version %d is of another type, scope or target than version %d", first.id, version.version, first.version
    )
    return False
