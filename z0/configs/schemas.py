"""
Invariants as functions. Owns: compiling a JSON Schema into a check of a fact. Does not own: when it is asked.

Facts are checked by the ledger's only writer, so a check must be cheap whatever its writer had in mind: regular expressions
run in linear time, nothing is fetched, references are refused before (`z0.domain.config_rules`), and what a schema weighs
(`z0.domain.schema_weight`) bounds what is asked of a large fact.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import msgspec
from jsonschema_rs import Draft202012Validator, RegexOptions

from z0.domain.config import InvariantSettings
from z0.domain.policy import Check
from z0.domain.schema_weight import weight_of

_PATTERN_BYTES: Final = 1 << 20  # of a compiled expression and of its tables
_PATTERNS: Final = RegexOptions(size_limit=_PATTERN_BYTES, dfa_size_limit=_PATTERN_BYTES)


def check_of(settings: InvariantSettings) -> Check:
    """
    The invariant, ready to be asked.

    Raises:
        ValueError: the schema is none.
    """
    holds, weight = _compiled(bytes(settings.schema))
    return Check(settings.code, settings.fact_type, settings.severity, settings.message, holds, weight)


@lru_cache(maxsize=4096)  # a policy is put together anew with every config that arrives, the schema stays
def _compiled(schema: bytes) -> tuple[Callable[[Any], bool], int]:
    decoded = msgspec.json.decode(schema)
    is_valid = Draft202012Validator(decoded, pattern_options=_PATTERNS, offline=True).is_valid

    def holds(fact: Any) -> bool:
        try:
            return is_valid(fact)
        except (ValueError, OverflowError):  # nested deeper than the library goes, or a number it cannot take: nothing proves it
            return False

    return holds, weight_of(decoded)


def problem_of(settings: InvariantSettings) -> str | None:
    """What is wrong with the schema, in one line; None where it is one."""
    try:
        check_of(settings)
    except ValueError as error:
        return str(error).splitlines()[0]
    return None
