"""
Policies: what the configs in force say about one entity, as values. Owns: the shape that decisions read.

Does not own: settings and how scopes narrow (`z0.domain.config`), nor where configs come from (`z0.configs`). A policy is the
strictest of all scopes already; a decision only compares.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, final

from msgspec import Raw
from mypy_extensions import mypyc_attr

from z0.domain.facts import NO_DATA

FOR_EVER_MS: Final = 2**62
NOTHING: Final[Mapping[str, Any]] = {}


class Counts(StrEnum):
    """What a limit counts."""

    SPEND = "spend"  # reservations, deductions and charges
    INVOCATIONS = "invocations"  # facts of type `invocation`


class Window(StrEnum):
    """Over which time a limit counts; all but the last two begin anew in the cap's time zone."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    TOTAL = "total"
    IN_FLIGHT = "in_flight"  # what is reserved and neither confirmed nor released nor expired


@final
@mypyc_attr(acyclic=True)
class Limit:
    """
    One limit of a cap. `max_count` or `max_units` (of `currency`, in units of 1e-12) is given.

    `key` is config id + "/" + name of the limit: under this it is counted. `bounds` says the window around a moment: its first
    and its next one's first millisecond; `start_ms` and `end_ms` are the one that was asked for last; outside, it is asked again.
    """

    def __init__(
        self,
        key: str,
        counts: Counts,
        window: Window,
        bounds: Callable[[int], tuple[int, int]],
        max_count: int | None = None,
        max_units: int | None = None,
        currency: str | None = None,
    ) -> None:
        self.key: Final = key
        self.counts: Final = counts
        self.window: Final = window
        self.bounds: Final = bounds
        self.max_count: Final = max_count
        self.max_units: Final = max_units
        self.currency: Final = currency
        self.start_ms = 0
        self.end_ms = 0


@final
@mypyc_attr(acyclic=True)
class Access:
    """Who may do what: `ops` by role, each one scope's; a command passes where every scope allows it."""

    def __init__(self, scopes: tuple[Mapping[str, frozenset[str]], ...]) -> None:
        self.scopes: Final = scopes  # role -> names of commands, "*" for all


@final
@mypyc_attr(acyclic=True)
class Price:
    """
    Prices of one currency by meter, and bounds of one amount in units of 1e-12; None: no bound.

    A price may be finer than 1e-12 of the currency: a meter's product is rounded, never the price.
    """

    def __init__(
        self,
        currency: str,
        config_id: str,
        config_version: int,
        by_meter: Mapping[str, Decimal],
        min_units: int | None = None,
        max_units: int | None = None,
    ) -> None:
        self.currency: Final = currency
        self.config_id: Final = config_id
        self.config_version: Final = config_version
        self.by_meter: Final = by_meter
        self.min_units: Final = min_units
        self.max_units: Final = max_units


class Severity(StrEnum):
    """What a broken invariant does."""

    ERROR = "error"  # the fact is refused
    WARNING = "warning"  # the fact is appended and names it


@final
@mypyc_attr(acyclic=True)
class Check:
    """
    A tenant's own invariant; `fact_type` "*": of all. `holds` is handed the fact to be as a JSON object; `weight` times the bytes
    of that object is what it costs to ask at most.
    """

    def __init__(
        self, code: str, fact_type: str, severity: Severity, message: str, holds: Callable[[Any], bool], weight: int = 1
    ) -> None:
        self.code: Final = code
        self.fact_type: Final = fact_type
        self.severity: Final = severity
        self.message: Final = message
        self.holds: Final = holds
        self.weight: Final = weight


@final
@mypyc_attr(acyclic=True)
class Policy:
    """
    Everything that configs say about one entity at one moment. The default is what holds where there are none.

    `overdraft_units` and `prices` are by currency; `tops_up`: whether a confirm may take more than was reserved; `versions` is a
    JSON object config id -> version, of all configs that were looked at; the same configs say the same before `until_ms`.
    """

    def __init__(
        self,
        overdraft_units: Mapping[str, int] = NOTHING,
        tops_up: bool = False,
        ttl_ms_default: int | None = None,
        ttl_ms_max: int | None = None,
        limits: tuple[Limit, ...] = (),
        access: Access | None = None,
        prices: Mapping[str, Price] = NOTHING,
        checks: tuple[Check, ...] = (),
        versions: Raw = NO_DATA,
        until_ms: int = FOR_EVER_MS,
    ) -> None:
        self.overdraft_units: Final = overdraft_units
        self.tops_up: Final = tops_up
        self.ttl_ms_default: Final = ttl_ms_default
        self.ttl_ms_max: Final = ttl_ms_max
        self.limits: Final = limits
        self.access: Final = access
        self.prices: Final = prices
        self.checks: Final = checks
        self.versions: Final = versions
        self.until_ms: Final = until_ms

    def with_prices(self, prices: Mapping[str, Price], versions: Raw) -> "Policy":
        """The same with other prices, and the versions that they come from."""
        return Policy(
            self.overdraft_units,
            self.tops_up,
            self.ttl_ms_default,
            self.ttl_ms_max,
            self.limits,
            self.access,
            prices,
            self.checks,
            versions,
            self.until_ms,
        )


NO_POLICY: Final = Policy()
