"""
What a JSON Schema costs to ask. Owns: its weight, an upper bound of the steps that each byte of a fact may take; a fact's size.

A check runs in the ledger's only writer, and some schemas cost more than they show: what is evaluated by how much is left over is
evaluated twice on each level, and a repetition in a pattern is followed at every place where it may have begun.
"""

import re
from typing import Any, Final

# Evaluated for the outcome, and again for what it left over: 2.9 times on each level by what was measured.
_LEFT_OVER: Final = frozenset({"unevaluatedProperties", "unevaluatedItems"})
_LEFT_OVER_FACTOR: Final = 4
_DIVISION_WEIGHT: Final = 1024  # of `multipleOf`: by fractions, 24 us where one is long
_FRACTION_WEIGHT: Final = 64  # of a number that is no integer of 53 bits: it is compared as a fraction, in 0.8 us
_INTEGER_MAX: Final = 2**53  # from here on a number is compared as a fraction
_CLASS_WEIGHT: Final = 64  # of a class of Unicode (`\p{L}`): tables of hundreds of ranges
_MOST: Final = 2**40  # beyond any bound; keeps the numbers short
_TOKEN: Final = re.compile(
    r"(?P<class>\\[pP](?:\{[^}]*\})?)"
    r"|(?P<times>\{0*(?P<least>\d+)(?P<comma>,)?0*(?P<most>\d+)?\})"
    r"|(?P<open>\()|(?P<close>\))|(?P<loop>[*+?])"
    r"|\[\^?\]?(?P<inside>(?:\\.|[^\]\\])*)\]|\\.|.",
    re.DOTALL,
)
_LONG_NUMBER: Final = re.compile(rb"[0-9]{128,}")
_UNICODE_CLASS: Final = re.compile(r"\\[pP](?:\{[^}]*\})?")
_VERBOSE: Final = re.compile(r"\(\?[A-Za-z-]*x")  # white space and comments, which would hide the rest
_DIGITS_MAX: Final = 9  # a number of repetitions with more is beyond any bound


def weight_of(schema: Any) -> int:
    """One for each value in it, and more where a value hides what it costs. It is nested as deep as settings may be."""
    if isinstance(schema, list):
        return min(_MOST, sum(map(weight_of, schema)))
    if not isinstance(schema, dict):
        is_plain = schema is None or isinstance(schema, str) or (isinstance(schema, int) and abs(schema) <= _INTEGER_MAX)
        return 1 if is_plain else _FRACTION_WEIGHT
    weight = 1 + sum(_weight_under(name, value) for name, value in schema.items())
    return min(_MOST, weight if _LEFT_OVER.isdisjoint(schema) else weight * _LEFT_OVER_FACTOR)


def size_of(fact: bytes) -> int:
    """What a fact as JSON counts: its bytes, and for a number of many digits their square, as each comparison reads it anew."""
    return len(fact) + sum(len(digits) ** 2 // 128 for digits in _LONG_NUMBER.findall(fact))


def _weight_under(name: str, value: Any) -> int:
    if name == "pattern" and isinstance(value, str):
        return pattern_weight(value)
    if name == "multipleOf":
        return _DIVISION_WEIGHT
    names = value if name == "patternProperties" and isinstance(value, dict) else ()
    return weight_of(value) + sum(map(pattern_weight, names))


def pattern_weight(pattern: str) -> int:
    """Its places, each as often as it is repeated by number: at most so many are followed at once."""
    if _VERBOSE.search(pattern):
        return _MOST
    sums, last = [0], 0
    for token in _TOKEN.finditer(pattern):
        if token["open"]:
            sums.append(0)
        elif token["close"] and len(sums) > 1:
            last = sums.pop()
            sums[-1] += last
        elif token["times"]:
            more = last * max(0, _times(token) - 1)
            sums[-1], last = min(_MOST, sums[-1] + more), min(_MOST, last + more)
        elif not token["loop"]:
            last = _place_weight(token)
            sums[-1] += last
    return min(_MOST, 1 + sum(sums))


def _times(token: re.Match[str]) -> int:
    """How often at most; without an end, once more than the least."""
    number = token["most"] or token["least"]
    if len(number) > _DIGITS_MAX:
        return _MOST
    return int(number) + (1 if token["comma"] and not token["most"] else 0)


def _place_weight(token: re.Match[str]) -> int:
    if token["class"]:
        return _CLASS_WEIGHT
    inside, classes = _UNICODE_CLASS.subn("", token["inside"] or "")
    return 1 + _CLASS_WEIGHT * classes + (pattern_weight(inside) if "{" in inside else 0)
