"""
Policies: what the configs in force say about one entity, as values. Owns: the shape that decisions read.

Does not own: settings and how scopes narrow (`z0.domain.config`), nor where configs come from (`z0.configs`). A policy is the
strictest of all scopes already; a decision only compares.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from msgspec import Raw, Struct

from z0.domain.facts import NO_DATA

FOR_EVER_MS: Final = 2**62


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


class Limit(Struct, gc=False):
    """
    One limit of a cap. `max_count` or `max_units` (of `currency`, in units of 1e-12) is given.

    `start_ms` and `end_ms` are the window that was asked for last, remembered: `bounds` is asked again outside of them.
    """

    key: str  # config id + "/" + name of the limit: under this it is counted
    counts: Counts
    window: Window
    bounds: Callable[[int], tuple[int, int]]  # the window around a moment: its first and its next one's first millisecond
    max_count: int | None = None
    max_units: int | None = None
    currency: str | None = None
    start_ms: int = 0
    end_ms: int = 0


class Access(Struct, frozen=True):
    """Who may do what: `ops` by role, each one scope's; a command passes where every scope allows it."""

    scopes: tuple[Mapping[str, frozenset[str]], ...]  # role -> names of commands, "*" for all


class Price(Struct, frozen=True):
    """
    Prices of one currency by meter, and bounds of one amount in units of 1e-12; None: no bound.

    A price may be finer than 1e-12 of the currency: a meter's product is rounded, never the price.
    """

    currency: str
    config_id: str
    config_version: int
    by_meter: Mapping[str, Decimal]
    min_units: int | None = None
    max_units: int | None = None


class Severity(StrEnum):
    """What a broken invariant does."""

    ERROR = "error"  # the fact is refused
    WARNING = "warning"  # the fact is appended and names it


class Check(Struct, frozen=True):
    """A tenant's own invariant; `holds` is handed the fact to be as a JSON object."""

    code: str
    fact_type: str  # "*": all
    severity: Severity
    message: str
    holds: Callable[[Any], bool]


class Policy(Struct, frozen=True):
    """Everything that configs say about one entity at one moment. The default is what holds where there are none."""

    overdraft_units: Mapping[str, int] = {}  # by currency
    tops_up: bool = False  # whether a confirm may take more than was reserved
    ttl_ms_default: int | None = None
    ttl_ms_max: int | None = None
    limits: tuple[Limit, ...] = ()
    access: Access | None = None
    prices: Mapping[str, Price] = {}  # by currency
    checks: tuple[Check, ...] = ()
    versions: Raw = NO_DATA  # JSON object config id -> version, of all configs that were looked at
    until_ms: int = FOR_EVER_MS  # the same configs say the same before this moment


NO_POLICY: Final = Policy()
