"""
Configs: their versions and the settings of each type. Owns: the shapes, and the bounds of what one config may hold, with reasons.

Does not own: what settings must fulfil beyond their shape (`z0.domain.config_rules`), how scopes narrow (`z0.domain.narrowing`),
nor the version in force in a process (`z0.configs`). `docs/reference/configs.md` is generated from these classes.
"""

from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta, Raw, Struct

from z0.domain.commands import TTL_MS_MAX, Role
from z0.domain.facts import ConfigType, Scope
from z0.domain.ids import EntityType
from z0.domain.policy import Counts, Severity, Window

PLATFORM_TENANT: Final = "tenant_platform"
ANY: Final = "*"
# What `*` leaves out: ledgers that say who may do what, and machinery. A slip in an access config for everything must not lock
# its writer out. All but `config` may be named; a config never governs configs, or none could be put right.
NOT_IN_ANY: Final = frozenset({EntityType.CONFIG, EntityType.KEY, EntityType.TENANT, EntityType.WORKFLOW})

# Every worker keeps every version: a retry may name an old price, and every decision may have to be explained.
SETTINGS_BYTES_MAX: Final = 32 * 1024
VERSION_BYTES: Final = 1024  # what a version takes in a worker beside its JSON, where it is the only one of its config
TENANT_BYTES_MAX: Final = 32 * 1024 * 1024  # of one tenant's versions together (`bytes_of`); the platform's are its own
# Of all tenants' versions together: half of what a worker takes with a million entities. The platform's do not count here, so
# that tenants cannot keep it from writing.
ALL_BYTES_MAX: Final = 512 * 1024 * 1024
# Of one config: one every hour for a year, and a third of what a tenant may have. Another config goes on where it ends.
VERSIONS_MAX: Final = 10_000
# Beyond them only `{}`: a config can be switched off whatever was written before. One is enough; the others are for those who
# wrote some to come first.
OFF_VERSIONS_MAX: Final = 16
# A decision passes every limit that applies, and the ledger keeps a counter for each: together 32 for one entity.
LIMITS_MAX: Final = {Scope.PLATFORM: 8, Scope.TENANT: 12, Scope.ENTITY: 12}
# Each fact of an entity is handed to every check of its type, by the ledger's only writer: together 32 for one entity.
CHECKS_MAX: Final = {Scope.PLATFORM: 8, Scope.TENANT: 16, Scope.ENTITY: 8}
# Of one type for one entity: their ids and versions stand on every fact.
CONFIGS_PER_TARGET_MAX: Final = 16
# Of one config, versions whose time is still to come: each config that is written under it is compared with all of them. A
# version that takes effect at once replaces them.
TO_COME_MAX: Final = 16
METERS_MAX: Final = 256  # a provider's price list has some dozens of meters; 256 fit the size
ROLES_MAX: Final = 64  # more are better grouped: a command is looked up in each scope's roles
CANDIDATES_MAX: Final = 64  # a caller tries them one after the other
PRICE_DECIMALS_MAX: Final = 24  # published price lists have up to 24; the product is rounded at 1e-12
SCHEMA_NODES_MAX: Final = 256  # a check costs at most nodes times values: 0.1 s for the largest fact there may be
SCHEMA_DEPTH_MAX: Final = 32  # people nest a handful of levels; whoever walks a schema calls itself once for each
# By `z0.domain.schema_weight`: what weighs so much can be asked of facts up to 4 KiB (`z0.domain.appending.CHECK_WORK_MAX`).
SCHEMA_WEIGHT_MAX: Final = 16_384

# `\Z`, as `$` would let a line feed at the end through.
Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}\Z")]
Meter = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_.-]{0,63}\Z")]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
Code = Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9_]{0,63}\Z")]
Amount = Annotated[str, Meta(pattern=r"^[0-9]{1,26}(\.[0-9]{1,12})?\Z")]
PriceText = Annotated[str, Meta(pattern=r"^[0-9]{1,26}(\.[0-9]{1,24})?\Z")]
# One pattern: msgspec would check a literal beside a patterned string against the pattern too.
FactTypeOrAny = Annotated[str, Meta(pattern=r"^([a-z][a-z0-9_.-]{0,63}|\*)\Z")]
Millis = Annotated[int, Meta(ge=1, le=TTL_MS_MAX)]


def said(text: str) -> Meta:
    """The words on a field, for the page that is made from these classes."""
    return Meta(description=text)


class ConfigVersion(Struct, frozen=True, omit_defaults=True):
    """One version of a config, as it stands on the fact `config/versioned` and on the topic `z0.configs`."""

    id: Annotated[str, said("`cfg_...`; its ledger is `config_cfg_...`.")]
    type: Annotated[ConfigType, said("What it governs. Type, scope and target never change.")]
    scope: Annotated[Scope, said("Whose it is: the platform's, a tenant's, or one entity's.")]
    applies_to: Annotated[str, said("An entity type, or `*`; of entity scope: an entity id.")]
    tenant_id: Annotated[str, said("Who wrote it; `tenant_platform` alone writes platform scope.")]
    version: Annotated[int, said("From 1, without gaps.")]
    effective_at: Annotated[int, said("Unix milliseconds, never in the past when it was written.")]
    settings: Annotated[Raw, said("By type, as below; `{}` switches the config off.")]
    name: Annotated[str | None, said("For people.")] = None


class VersionShown(Struct, frozen=True, kw_only=True):
    """What readers are told of a version: which it is, and whom it governs from when."""

    id: str
    version: int
    type: ConfigType
    scope: Scope
    applies_to: str
    effective_at: int
    name: str | None


def shown(version: ConfigVersion) -> dict[str, Any]:
    """The fields of `VersionShown`."""
    return {name: getattr(version, name) for name in VersionShown.__struct_fields__}


class Settings(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What every type's settings share: a field that is unknown is refused, so that a misspelt one is not lost."""


class BudgetSettings(Settings, frozen=True, omit_defaults=True):
    """
    How an entity's budget may be used. What is not given, this config says nothing of.

    Narrowing: of overdrafts and times the smallest counts; a confirm is topped up where every config that speaks of it says so.
    """

    overdraft: Annotated[
        dict[Currency, Amount] | None,
        said("How far below zero what is available may go; a currency that is not named: not at all."),
    ] = None
    confirm_above_hold: Annotated[
        Literal["refused", "topped_up"] | None,
        said("What a confirm of more than the reservation holds does. Nowhere said: it is refused."),
    ] = None
    ttl_ms_default: Annotated[Millis | None, said("Of a reservation that names no time. Nowhere said: one hour.")] = None
    ttl_ms_max: Annotated[Millis | None, said("The longest time that a reservation may name.")] = None


class LimitSettings(Settings, frozen=True, omit_defaults=True):
    """One limit of a cap. Either `max_count`, or `max_amount` of a `currency`."""

    name: Annotated[Name, said("Name of the counter: a limit that is renamed begins anew.")]
    counts: Annotated[
        Counts, said("`spend`: reservations, deductions and charges; `invocations`: facts of the type `invocation`.")
    ]
    window: Annotated[
        Window,
        said(
            "Over which time; `in_flight`: what is reserved and neither confirmed nor released nor expired, "
            "so it stops reservations only."
        ),
    ]
    max_count: Annotated[Annotated[int, Meta(ge=0, le=2**53)] | None, said("How often.")] = None
    max_amount: Annotated[Amount | None, said("How much, of `currency`.")] = None
    currency: Annotated[Currency | None, said("Of `max_amount`.")] = None


class CapSettings(Settings, frozen=True, omit_defaults=True):
    """
    Limits on how often and how much, in the days of a time zone.

    Narrowing: all limits of all scopes count side by side.
    """

    limits: Annotated[tuple[LimitSettings, ...], said("Each of them counts by itself.")]
    timezone: Annotated[str, Meta(max_length=64), said("Of the IANA database: whose hours, days and months.")] = "UTC"


class PricingSettings(Settings, frozen=True, omit_defaults=True):
    """
    Prices of one currency, by meter, and bounds of one amount.

    Narrowing: of two prices of a meter the higher counts, of two least amounts the higher, of two greatest the lower.
    """

    currency: Annotated[Currency, said("Of all prices and bounds.")]
    prices: Annotated[
        dict[Meter, PriceText], said("Per one unit of each meter; the product with the usage is rounded half-even at 1e-12.")
    ] = {}
    min_amount: Annotated[Amount | None, said("The least amount of one decision.")] = None
    max_amount: Annotated[Amount | None, said("The greatest amount of one decision.")] = None


class AccessSettings(Settings, frozen=True, omit_defaults=True):
    """
    Which roles may give which commands; who has a role on an entity is said by `grant_access`.

    Narrowing: a command passes where the user's role allows it in every scope.
    """

    roles: Annotated[dict[Role, tuple[str, ...]], said("The commands that each role may give; `*`: all of them.")]


class Candidate(Settings, frozen=True, omit_defaults=True):
    """One way to serve a request: an asset or a tool."""

    asset_id: Annotated[str | None, said("Either an asset,")] = None
    tool_id: Annotated[str | None, said("or a tool.")] = None
    weight: Annotated[Annotated[int, Meta(ge=1, le=1_000_000)] | None, said("Its share, where the strategy is `weighted`.")] = (
        None
    )
    max_price: Annotated[Amount | None, said("It is not a candidate above this price.")] = None


class RoutingSettings(Settings, frozen=True, omit_defaults=True):
    """
    Where a request may go. Kept, versioned and written on decisions; the one who routes evaluates it, not the ledger: it asks
    what holds for the entity, and tries the candidates one after the other.

    Narrowing: the candidates that every scope names, each once and with its lowest `max_price`, in the order, with the weights
    and the strategy of the narrowest. None left: nowhere.
    """

    candidates: Annotated[tuple[Candidate, ...], said("In the order of preference.")]
    strategy: Annotated[Literal["first", "cheapest", "weighted"], said("How one of them is chosen.")] = "first"


class InvariantSettings(Settings, frozen=True, omit_defaults=True):
    """
    A rule that facts must fulfil before they are appended.

    Narrowing: every rule of every scope counts.
    """

    code: Annotated[Code, said("Its name; facts that it warns of carry it in `warnings`.")]
    fact_type: Annotated[FactTypeOrAny, said("Which facts it looks at; `*`: all.")]
    schema: Annotated[Raw, said("A JSON Schema (2020-12) of the fact to be, without references; amounts are strings.")]
    severity: Annotated[Severity, said("`error`: the fact is refused; `warning`: it is appended and names the rule.")] = (
        Severity.ERROR
    )
    message: Annotated[str, Meta(max_length=500), said("What a refusal says to a person.")] = ""


SETTINGS: Final[dict[ConfigType, type[Settings]]] = {
    ConfigType.BUDGET: BudgetSettings,
    ConfigType.CAP: CapSettings,
    ConfigType.PRICING: PricingSettings,
    ConfigType.ACCESS: AccessSettings,
    ConfigType.ROUTING: RoutingSettings,
    ConfigType.INVARIANT: InvariantSettings,
}


class Config(NamedTuple):
    """A version with its settings as values; `settings` is None where they are `{}`: the config is switched off."""

    version: ConfigVersion
    settings: Settings | None


def covers(wider: ConfigVersion, narrower: ConfigVersion, entity: str) -> bool:
    """Whether `wider` is of a wider scope and applies to all that `narrower` applies to; `entity`: type or "*" of the latter."""
    ranks = list(Scope)
    if ranks.index(wider.scope) >= ranks.index(narrower.scope):
        return False
    if wider.scope is Scope.TENANT and wider.tenant_id != narrower.tenant_id:
        return False
    return wider.applies_to == entity or (wider.applies_to == ANY and entity not in NOT_IN_ANY)


def topic_key(config_id: str, version: int) -> bytes:
    """The key of a version on the topic `z0.configs`."""
    return f"{config_id}/{version}".encode()


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ConfigVersion)


class ConfigData(Struct, frozen=True):
    """Payload of `config/versioned`."""

    config: ConfigVersion


_data_decoder = msgspec.json.Decoder(ConfigData)


def encode_version(version: ConfigVersion) -> bytes:
    """A version as the topic keeps it."""
    return _encoder.encode(version)


def bytes_of(version: ConfigVersion) -> int:
    """What a version counts of what a tenant's may come to."""
    return VERSION_BYTES + len(encode_version(version))


def decode_version(value: bytes) -> ConfigVersion:
    """
    A version from the topic, with its settings copied out of the record.

    Raises:
        msgspec.DecodeError: the bytes are none.
    """
    return _own(_decoder.decode(value))


def version_of_fact(data: Any) -> ConfigVersion:
    """
    The version that a fact `config/versioned` carries in its data.

    Raises:
        msgspec.DecodeError: it carries none.
    """
    return _own(_data_decoder.decode(data).config)


def data_of(version: ConfigVersion) -> Raw:
    """The data of the fact `config/versioned`."""
    return Raw(_encoder.encode(ConfigData(version)))


def _own(version: ConfigVersion) -> ConfigVersion:
    """A Raw is a view: it would keep the whole record, or the whole fetch, in memory."""
    return msgspec.structs.replace(version, settings=version.settings.copy())
