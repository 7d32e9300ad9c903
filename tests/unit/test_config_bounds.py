"""What the copy of all configs may come to, and that what is in force can always be switched off."""

import tracemalloc
from typing import Any

import msgspec
import pytest

from tests.unit.config_world import NOW, OVERDRAFT, PRICES, TENANT, book, put, version
from tests.unit.test_log_world import Bench
from z0.configs import book as books
from z0.configs import rules
from z0.configs.book import Book
from z0.domain.answer import Answer
from z0.domain.config import (
    OFF_VERSIONS_MAX,
    SETTINGS_BYTES_MAX,
    TO_COME_MAX,
    VERSION_BYTES,
    VERSIONS_MAX,
    bytes_of,
    decode_version,
    encode_version,
)
from z0.domain.outcome import Outcome

OFF: dict[str, Any] = {}


def refused(of: Book, command: Any) -> str | None:
    """The rule, where the copy refuses."""
    found = of.refuse(command, NOW)
    assert found is None or found.outcome is Outcome.BAD_CONFIG
    return found.rule if found is not None else None


def full(monkeypatch: pytest.MonkeyPatch, of: Book, bound: str = "TENANT_BYTES_MAX") -> Book:
    """A book to which no version may be added."""
    held = sum(bytes_of(one) for config_id in of.ids() for one in of.versions(config_id))
    monkeypatch.setattr(rules, bound, held + VERSION_BYTES)
    return of


@pytest.mark.parametrize("settings", [OVERDRAFT, OFF], ids=["settings", "empty"])
def test_a_tenant_has_only_so_many_bytes_of_versions_also_of_empty_ones(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    """Each version counts with what it takes beside its settings; another tenant's are not touched."""
    of = full(monkeypatch, book(version(OVERDRAFT)))
    assert refused(of, put(settings)) == "config.bytes"
    assert refused(of, put(settings, tenant_id="tenant_2")) is None
    monkeypatch.setattr(rules, "TENANT_BYTES_MAX", 2 * SETTINGS_BYTES_MAX)
    assert refused(of, put(settings)) is None


def test_the_platform_has_a_bound_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tenants neither use it up nor are used up by it."""
    of = full(monkeypatch, book(version(OVERDRAFT, scope="platform")))
    assert refused(of, put(OVERDRAFT, scope="platform")) == "config.bytes"
    assert refused(of, put(OVERDRAFT)) is None
    assert refused(full(monkeypatch, of, "ALL_BYTES_MAX"), put(OVERDRAFT)) is None


def test_all_tenants_together_have_a_bound_and_the_platform_stays_outside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tenants there are; what they wrote does not keep the platform from writing."""
    of = full(monkeypatch, book(version(OVERDRAFT), version(OVERDRAFT, id="cfg_2", tenant="tenant_2")), "ALL_BYTES_MAX")
    assert refused(of, put(OVERDRAFT, tenant_id="tenant_3")) == "config.bytes"
    assert refused(of, put(OVERDRAFT, scope="platform")) is None


@pytest.mark.parametrize("bound", ["TENANT_BYTES_MAX", "ALL_BYTES_MAX"])
def test_what_is_in_force_can_be_switched_off_at_once_whatever_there_is(monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    """Once: what is off already, or is to end later, has no need; and what is on may not be written anew."""
    of, own = full(monkeypatch, book(version(OVERDRAFT)), bound), {"ledger_id": "config_cfg_1"}
    assert refused(of, put(OFF, **own)) is None
    assert refused(of, put(OFF, effective_at=NOW + 1, **own)) == "config.bytes"
    assert refused(of, put({"overdraft": {"USD": "1"}}, **own)) == "config.bytes"
    of.add(version(OFF, version=2, effective_at=NOW))
    assert refused(of, put(OFF, **own)) == "config.bytes"


def test_what_is_to_come_into_force_can_be_switched_off_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a version of last week would come into force in an emergency."""
    of = book(version(OFF), version(OVERDRAFT, version=2, effective_at=NOW + 9))
    assert refused(full(monkeypatch, of), put(OFF, ledger_id="config_cfg_1")) is None


def test_one_config_has_only_so_many_versions_and_can_then_be_switched_off() -> None:
    """Its own ledger knows how many there are, whatever the copy says; another config goes on."""
    bench = Bench()

    def write(settings: dict[str, Any], **fields: Any) -> Answer:
        return bench.one(put(settings, id=f"put-{len(bench.facts)}", tenant_id=TENANT, **fields))

    def is_written(settings: dict[str, Any], version: int) -> bool:
        state = bench.working.get("config_cfg_new")
        assert state is not None
        assert state.config is not None
        state.config = msgspec.structs.replace(state.config, version=version - 1)
        return write(settings).outcome is Outcome.ACCEPTED

    assert write(OVERDRAFT).outcome is Outcome.ACCEPTED
    assert is_written(OVERDRAFT, VERSIONS_MAX)
    assert not is_written(OVERDRAFT, VERSIONS_MAX + 1)
    assert is_written(OFF, VERSIONS_MAX + 1)
    assert is_written(OFF, VERSIONS_MAX + OFF_VERSIONS_MAX)
    assert not is_written(OFF, VERSIONS_MAX + OFF_VERSIONS_MAX + 1)
    refused = write(OVERDRAFT)
    assert refused.outcome is Outcome.BAD_CONFIG
    assert "another config" in str(refused.detail)
    assert write(OVERDRAFT, ledger_id="config_cfg_other").outcome is Outcome.ACCEPTED


def test_only_so_many_versions_of_a_config_may_be_to_come_and_one_at_once_replaces_them() -> None:
    """What is written is compared with all of them, by the ledger's only writer."""
    coming = [version(OVERDRAFT, version=n, effective_at=NOW + n) for n in range(1, TO_COME_MAX + 1)]
    of, own = book(version(OVERDRAFT, version=0), *coming[:-1]), {"ledger_id": "config_cfg_1"}
    later = put(OVERDRAFT, effective_at=NOW + 99, **own)
    assert refused(of, later) is None
    of.add(coming[-1])
    assert refused(of, later) == "config.to_come"
    assert refused(of, put(OVERDRAFT, effective_at=NOW + 99)) is None
    assert refused(of, put(OVERDRAFT, **own)) is None
    of.add(version(OVERDRAFT, version=TO_COME_MAX + 1, effective_at=NOW))
    assert refused(of, later) is None


HEAVY = {"roles": {f"{one}{two}": ["*"] * 120 for one in "abcdefgh" for two in "ijklmnop"}}
MADE = {
    "small": ("budget", {"ttl_ms_max": 9}, 10_000),
    "heavy": ("access", HEAVY, 30),
    "prices": ("pricing", PRICES | {"prices": {f"m{n}": "1" for n in range(256)}}, 200),
}


@pytest.mark.parametrize(("kind", "settings", "count"), MADE.values(), ids=MADE)
@pytest.mark.parametrize("of_one", [True, False], ids=["versions", "configs"])
def test_what_versions_count_is_what_they_take(
    monkeypatch: pytest.MonkeyPatch, kind: str, settings: dict[str, Any], count: int, *, of_one: bool
) -> None:
    """Whether they are of one config or each is its own, though values of settings take many times their text."""
    monkeypatch.setattr(books, "READ_BYTES_MAX", 2 * SETTINGS_BYTES_MAX)
    values = [encode_version(_numbered(n, of_one, kind, settings)) for n in range(1, count + 1)]
    tracemalloc.start()
    of = Book()
    for value in values:
        of.add(decode_version(value))
    for n in range(1, count + 1):  # each is asked for, and its values are not kept
        assert of.at_versions({"cfg_1": n} if of_one else {_name(n): 1}) is not None
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    counted = sum(bytes_of(one) for config_id in of.ids() for one in of.versions(config_id))
    assert taken < counted + 2 * 1024 * 1024


def _numbered(n: int, of_one: bool, kind: str, settings: dict[str, Any]) -> Any:
    fields = {"version": n} if of_one else {"id": _name(n), "scope": "entity", "applies_to": f"acct_{n:032}"}
    return version(settings, kind, effective_at=NOW + n, **fields)


def _name(n: int) -> str:
    return f"cfg_{n:036}"


def test_answers_that_are_remembered_do_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the thousand entities with configs of their own, and by the thousand settings that were read."""
    monkeypatch.setattr(books, "REMEMBERED_BYTES_MAX", 20_000)
    monkeypatch.setattr(books, "READ_BYTES_MAX", 20_000)
    of = book(*(version(OVERDRAFT, id=f"cfg_{n}", scope="entity", applies_to=f"acct_{n}") for n in range(100)))
    for n in range(100):
        assert of.policy(TENANT, f"account_acct_{n}", NOW).overdraft_units
        assert 0 < len(of._remembered) < 20
        assert 0 < len(of._read) < 20


def test_a_copied_version_counts_like_the_command_that_wrote_it() -> None:
    """The bound is judged before the version has a number."""
    one = version(OFF, id="cfg_new", effective_at=0, name="n" * 200)
    assert bytes_of(one) == bytes_of(decode_version(encode_version(one)))
    assert bytes_of(rules._as_version(put(OFF, name="n" * 200))) == bytes_of(one)
