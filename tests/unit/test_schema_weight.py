"""What a schema weighs bounds what a check may cost, in time and in compiling: it runs in the ledger's only writer."""

import time
from typing import Any

import pytest
from msgspec import Raw

from tests.unit.config_world import NOW, TENANT, book, put, version
from tests.unit.test_log_world import LEDGER, Bench, create
from z0.configs.rules import NOTHING_HELD, refusal_of
from z0.domain.appending import CHECK_WORK_MAX
from z0.domain.commands import Append
from z0.domain.config import SCHEMA_WEIGHT_MAX
from z0.domain.outcome import Outcome
from z0.domain.schema_weight import pattern_weight, size_of, weight_of

LETTERS = "ab" * 120_000


def rule(schema: Any, **fields: Any) -> dict[str, Any]:
    return {"code": "RULE", "fact_type": "*", "message": "no", "schema": schema} | fields


def of_data(schema: Any) -> dict[str, Any]:
    return {"properties": {"data": {"properties": {"a": schema}}}}


def left_over(depth: int) -> dict[str, Any]:
    """Nested so, each level is evaluated twice, and both times its inner one."""
    schema: dict[str, Any] = {"properties": {"a": True}}
    for _ in range(depth):
        schema = {"if": schema, "unevaluatedProperties": False}
    return schema


COSTLY = {
    "evaluated twice on each of twenty-four levels": left_over(24),
    "letters repeated a hundred times a hundred times": of_data({"pattern": "((a?){200}){200}"}),
    "tables of Unicode, each compiled": {"patternProperties": {rf"\p{{L}}{{9}}{n}": True for n in range(600)}},
    "a number of repetitions that no counter holds": of_data({"pattern": "a{99999999999}"}),
    "repetitions behind a comment": of_data({"pattern": "(?x)#[\n a{9}"}),
}


@pytest.mark.parametrize("schema", COSTLY.values(), ids=COSTLY)
def test_a_schema_that_costs_too_much_is_refused_before_it_is_compiled(schema: Any) -> None:
    """A tenth of a second would be enough to see that it is only weighed."""
    begun = time.perf_counter()
    refusal = refusal_of(put(rule(schema), "invariant"), NOW, others=[], held=NOTHING_HELD)
    assert time.perf_counter() - begun < 1
    assert refusal is not None
    assert (refusal.outcome, refusal.rule) == (Outcome.BAD_CONFIG, "config.settings.schema")
    assert f"at most {SCHEMA_WEIGHT_MAX}" in (refusal.detail or "")


USUAL = [
    {"required": ["user_id"], "properties": {"amount": {"pattern": "^[0-9]{1,6}(\\.[0-9]{1,2})?$"}}},
    of_data({"enum": [f"country-{n}" for n in range(250)]}),
    of_data({"pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"}),
    of_data({"pattern": r"^[\p{L}'-]{1,12}$", "maxLength": 12}),
    of_data({"multipleOf": 0.01, "minimum": 0.01, "maximum": 10**20}),
    {"allOf": [{"properties": {"data": {"type": "object"}}}], "unevaluatedProperties": True},
]


@pytest.mark.parametrize("schema", USUAL)
def test_what_rules_usually_say_is_taken_and_asked_of_facts_of_kibibytes(schema: Any) -> None:
    """The bound is for what nobody writes by hand."""
    assert refusal_of(put(rule(schema), "invariant"), NOW, others=[], held=NOTHING_HELD) is None
    assert weight_of(rule(schema)) * 4096 < CHECK_WORK_MAX


def bench_under(*schemas: Any, **fields: Any) -> Bench:
    """These were taken, perhaps before there was a bound."""
    rules = (version(rule(s, **fields), "invariant", id=f"cfg_{n}", applies_to="account") for n, s in enumerate(schemas))
    bench = Bench(policies=book(*rules))
    bench.one(create())
    return bench


def note(data: bytes) -> Append:
    return Append(id="n1", tenant_id=TENANT, ledger_id=LEDGER, type="note", data=Raw(data))


def test_a_version_that_was_taken_without_a_bound_is_in_force_and_not_asked_for_ever() -> None:
    """Nothing proves that what it says holds; asked, twenty-four levels would take longer than anybody lives."""
    bench = bench_under(left_over(24), severity="warning", fact_type="note")
    assert bench.policies.policy(TENANT, LEDGER, NOW).checks
    assert bench.one(note(b'{"a":1}')).outcome is Outcome.ACCEPTED
    assert bench.last.warnings == ("RULE",)


def test_a_large_fact_is_not_asked_what_would_take_seconds() -> None:
    """A pattern of twenty letters follows two thousand places at each of its letters; a small fact is asked."""
    bench = bench_under(of_data({"pattern": "[ab]*a[ab]{2000}c"}), fact_type="note")
    begun = time.perf_counter()
    answer = bench.one(note(b'{"a":"%b"}' % LETTERS.encode()))
    assert time.perf_counter() - begun < 2
    assert (answer.outcome, answer.detail) == (Outcome.INVARIANT_BROKEN, "the fact is too large for all that its invariants ask")
    small = bench_under(of_data({"pattern": "[ab]*a[ab]{2000}c"}), fact_type="note")
    assert small.one(note(b'{"a":"b"}')).detail == "no"


def test_all_invariants_of_a_fact_share_one_bound() -> None:
    """Many that are cheap cost as much as one that is not."""
    cheap = of_data({"items": {"allOf": [{"minimum": 0}] * 50}})
    data = b'{"a":[%b1]}' % (b"1," * 100_000)
    one = bench_under(cheap, fact_type="note")
    assert one.one(note(data)).outcome is Outcome.ACCEPTED
    assert bench_under(*[cheap] * 8, fact_type="note").one(note(data)).outcome is Outcome.INVARIANT_BROKEN


@pytest.mark.parametrize(
    ("pattern", "weight"),
    [
        ("", 1),
        ("abc", 4),
        ("[0-9a-f]{8}-x", 11),
        ("(?:(?:a?){50}){50}b", 5052),
        ("a{3}{4}", 13),
        ("a{2,}", 4),
        (r"\{3}\p{L}", 68),
        ("[]]a", 3),
        ("((((", 1),
        ("a{0000000002}", 3),
    ],
)
def test_a_pattern_weighs_its_places_as_often_as_they_are_repeated(pattern: str, weight: int) -> None:
    """Whatever is wrong with it is for the library to say."""
    assert pattern_weight(pattern) == weight


def test_a_number_of_many_digits_counts_by_their_square() -> None:
    """Each comparison reads it anew."""
    assert size_of(b'{"a":1234567890}') == 16
    assert size_of(b"9" * 4096) == 4096 + 4096**2 // 128
