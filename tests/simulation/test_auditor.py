"""The auditor: a check that cannot fail proves nothing. A clean run's evidence is changed in one place, and must be noticed."""

import ast
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from z0.domain.outcome import Outcome
from z0.log.ports import Record
from z0.sim import auditor
from z0.sim.auditor import audit
from z0.sim.auditor.doors import KafkaDoor
from z0.sim.broker import CommandRecord, Letter
from z0.sim.evidence import Evidence
from z0.sim.planning import plan_of
from z0.sim.scenario import play

MARKERS = (b'"counted":', b'"transferred_in"', b'"expired"', b'"confirmed"', b'"configs":{"cfg_0"', b'"max_count"')
USAGE, WARNED = b'"config_version":1,"usage":{', b'"warnings":["'
ROLES, DENIED = b'"roles":{"owner"', b'"outcome":"access_denied"'
CHECK_DENIED = b'"eligible":false,"outcome":"access_denied"'
CHECK_BROKEN = b'"eligible":false,"outcome":"invariant_broken"'


RUNS = 4


@cache
def clean(markers: tuple[bytes, ...], behind: int = -1) -> tuple[int, Evidence]:
    """The first run behind a seed without a violation, with some of everything that is asked for; and its seed."""
    for seed in range(behind + 1, behind + 1_000):
        evidence = play(plan_of(seed))
        values = b"".join(record.value for log in evidence.facts for record in log)
        values += b"".join(told.answer.eligibility for told in evidence.told if b'"op":"check"' in told.command)
        if all(marker in values for marker in markers) and evidence.letters:
            assert audit(evidence).violations == []
            return seed, evidence
    raise AssertionError("no seed has everything")


def notices(rule: str, change: Callable[[Any], None], markers: tuple[bytes, ...] = MARKERS) -> bool:
    """Whether a changed copy breaks the rule. In one of a few runs: what is changed may be void, or matter to nobody in one."""
    seed = -1
    for _ in range(RUNS):
        seed, run = clean(markers, seed)
        evidence = deepcopy(run)
        change(evidence)
        if rule in {violation.rule for violation in audit(evidence).violations}:
            return True
    return False


def with_value(evidence: Any, marker: bytes, old: bytes, new: bytes) -> None:
    """Change the bytes of the first fact that has a marker."""
    for log in evidence.facts:
        for place, record in enumerate(log):
            if marker in record.value and old in record.value:
                log[place] = record._replace(value=record.value.replace(old, new, 1))
                return
    raise AssertionError("nothing to change")


def with_eligibility(evidence: Any, old: bytes, new: bytes) -> None:
    """Change what checks were told."""
    for place, told in enumerate(evidence.told):
        if b'"op":"check"' in told.command and old in told.answer.eligibility:
            answer = msgspec.structs.replace(told.answer, eligibility=told.answer.eligibility.replace(old, new))
            evidence.told[place] = told._replace(answer=answer)


def last_fact(evidence: Any) -> tuple[list[Record], list[float]]:
    """The log that is longest, to be cut."""
    place = max(range(len(evidence.facts)), key=lambda p: len(evidence.facts[p]))
    return evidence.facts[place], evidence.facts_at_s[place]


def cut_the_log(evidence: Any) -> None:
    log, at_s = last_fact(evidence)
    while log[-1].key == b"!claim":
        log.pop(), at_s.pop()
    log.pop(), at_s.pop()


def change_an_answer(evidence: Any) -> None:
    place = next(n for n, told in enumerate(evidence.told) if told.answer.seq and told.answer.available is not None)
    told = evidence.told[place]
    evidence.told[place] = told._replace(answer=msgspec.structs.replace(told.answer, available="12345"))


def change_a_detail(evidence: Any) -> None:
    place = next(n for n, told in enumerate(evidence.told) if told.answer.seq and told.answer.detail is not None)
    told = evidence.told[place]
    evidence.told[place] = told._replace(answer=msgspec.structs.replace(told.answer, detail="another reason"))


def answer_what_never_was(evidence: Any) -> None:
    told = next(told for told in evidence.told if told.answer.seq)
    command = told.command.replace(b'"id":"', b'"id":"never-')
    evidence.told.append(told._replace(command=command))


def deny_a_ledger(evidence: Any) -> None:
    told = evidence.told[-1]
    answer = msgspec.structs.replace(told.answer, outcome=Outcome.UNKNOWN_ENTITY, seq=0)
    evidence.told[-1] = told._replace(answer=answer)


Change = Callable[[Any], None]
CHANGES: list[tuple[str, Change]] = [
    ("chain", lambda e: with_value(e, b'"deposit"', b'"amount":"100"', b'"amount":"101"')),
    ("chain", lambda e: with_value(e, b'"prev_hash"', b'"prev_hash":"0', b'"prev_hash":"1')),
    ("overdraft", lambda e: with_value(e, b'"deposit"', b'"amount":"100"', b'"amount":"001"')),
    ("conservation", lambda e: with_value(e, b'"available"', b'"available":"', b'"available":"9')),
    ("gapless", lambda e: with_value(e, b'"seq":3,', b'"seq":3,', b'"seq":4,')),
    ("decision", lambda e: with_value(e, b'"subtype":"reserved"', b'"amount":"', b'"amount":"1')),
    ("sink", cut_the_log),
    ("sink", lambda e: e.rows.pop()),
    ("sink", lambda e: e.rows.append(e.rows[0])),
    ("answer", change_an_answer),
    ("answer", change_a_detail),
    ("answer", answer_what_never_was),
    ("stale", deny_a_ledger),
    ("lost", lambda e: e.letters.clear()),
    ("durable", lambda e: e.told.__setitem__(slice(None), [t._replace(said_s=0.0) for t in e.told])),
    ("cap", lambda e: with_value(e, b'"max_count":', b'"max_count":', b'"max_count":-')),
    ("cap", lambda e: with_value(e, b'"counted":', b'"counted":{"', b'"counted":{"other/')),
    ("config", lambda e: with_value(e, b'"configs":{"cfg_0"', b'"configs":{"cfg_0":', b'"configs":{"cfg_0":9')),
    ("transfer", lambda e: with_value(e, b'"transferred_in"', b'"correlation_id":"', b'"correlation_id":"other-')),
    ("leak", lambda e: with_value(e, b'"subtype":"expired"', b'"subtype":"expired"', b'"subtype":"nothing"')),
    ("expiry", lambda e: with_value(e, b'"subtype":"reserved"', b'"expires_at":17', b'"expires_at":16')),
    ("liveness", lambda e: e.problems.append("a worker stopped")),
]
GOVERNED: list[tuple[str, bytes, Change]] = [
    ("price", USAGE, lambda e: with_value(e, USAGE, b'"usage":{"', b'"usage":{"other-')),
    ("price", USAGE, lambda e: with_value(e, USAGE, b'"config_id":"cfg_', b'"config_id":"cfg_1')),
    ("decision", USAGE, lambda e: with_value(e, USAGE, b'"amount":"', b'"amount":"1')),
    ("invariant", WARNED, lambda e: with_value(e, WARNED, WARNED, WARNED + b"NOT_")),
    ("access", ROLES, lambda e: with_value(e, ROLES, ROLES, b'"roles":{"other"')),
    ("access", DENIED, lambda e: with_value(e, DENIED, DENIED, b'"outcome":"budget_exhausted"')),
    ("read", DENIED, lambda e: with_value(e, b'"access_granted"', b'"role":"', b'"role":"other-')),
]


@pytest.mark.parametrize(("rule", "change"), CHANGES, ids=[f"{n}-{rule}" for n, (rule, _) in enumerate(CHANGES)])
def test_the_auditor_notices_a_change_of_one_place(rule: str, change: Change) -> None:
    """By the rule that is about it, whatever others it breaks."""
    assert notices(rule, change)


@pytest.mark.parametrize(("rule", "marker", "change"), GOVERNED, ids=[f"{n}-{of[0]}" for n, of in enumerate(GOVERNED)])
def test_the_auditor_notices_a_change_under_access_prices_and_invariants(rule: str, marker: bytes, change: Change) -> None:
    """In a run that has what is changed."""
    assert notices(rule, change, (marker,))


def test_the_auditor_notices_a_check_that_was_told_another_price_or_what_it_may_not() -> None:
    """It left no fact: the answer is all there is."""
    assert notices("price", lambda e: with_eligibility(e, b'"amount":"', b'"amount":"1'), (b'"eligible":true',))
    assert notices("access", lambda e: with_eligibility(e, b'"eligible":false', b'"eligible":true'), (CHECK_DENIED,))
    assert notices("invariant", lambda e: with_eligibility(e, b'"eligible":false', b'"eligible":true'), (CHECK_BROKEN,))


@pytest.mark.parametrize(
    ("reasons", "is_noticed"), [(("bad_config", "config_loosens"), False), (("bad_config", "id_reused"), True)]
)
def test_letters_about_one_command_give_one_reason_but_of_a_config_that_may_have_missed_its_time(
    reasons: tuple[str, str], is_noticed: bool
) -> None:
    """Its round was lost after the first letter: decided again later, it is in the past, or loosens nothing any more."""
    key, found = b"config_cfg_1", list[str]()
    command = {"op": "put_config", "id": "c", "tenant_id": "tenant_1", "ledger_id": key.decode()}
    record = CommandRecord(0, key, msgspec.json.encode(command), (), 0)
    letters = [Letter(b"z0.commands-0-0", msgspec.json.encode({"reason": reason}), 1.0) for reason in reasons]
    door = KafkaDoor(lambda rule, text: found.append(text), {}, {}, lambda body: "")
    door.check([[record]], [[0.0]], letters)
    assert any("different reasons" in text for text in found) is is_noticed


FIRST_PARTY = {"z0", "streams", "tables", "sinks", "api"}
SEEN_BY_THE_AUDITOR = ("z0.sim", "z0.log.ports", "z0.client.partitioner")


def shared(source: str) -> list[str]:
    """What some code takes from the ledger's, besides the shapes of records and the partitioner."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    ours = [name for name in names if name.split(".")[0] in FIRST_PARTY]
    return [name for name in ours if not any(f"{name}.".startswith(f"{seen}.") for seen in SEEN_BY_THE_AUDITOR)]


def test_the_auditor_shares_no_code_with_what_it_judges() -> None:
    """It reads JSON by itself."""
    found = {path.name: shared(path.read_text()) for path in Path(str(auditor.__file__)).parent.glob("*.py")}
    assert len(found) > 5
    assert not any(found.values()), found


@pytest.mark.parametrize(
    "taken", ["from z0 import codec", "from z0.log.validity import Place", "import tables.store", "from streams import lease"]
)
def test_what_the_auditor_would_share_is_noticed(taken: str) -> None:
    """Whichever package it comes from, and however it is imported."""
    assert len(shared(taken)) == 1
    assert shared("import json\nfrom z0.sim.auditor.log import Seen\nfrom z0.log.ports import Record") == []
