"""What holds for an entity at a moment, as a reader is shown it: the same as decisions go by, and where requests may go."""

from typing import Any

import msgspec
import pytest

from tests.unit.config_world import CAP, EXAMPLES, NOW, OVERDRAFT, PRICES, ROLES, RULE, TENANT, book, version
from z0.configs.book import Book
from z0.configs.effective import effective
from z0.configs.resolve import versions_in
from z0.domain.config import RoutingSettings
from z0.domain.facts import ConfigType
from z0.domain.narrowing import loosens, narrow_routing

ACCOUNT = "account_acct_1"
OF_ENTITY: dict[str, Any] = {"scope": "entity", "applies_to": "acct_1"}


def shown(of: Book, kind: str | None = None, *, at: int = NOW, ledger: str = ACCOUNT, tenant: str = TENANT) -> dict[str, Any]:
    """As JSON has it."""
    found = effective(of, (tenant, ledger), at, kind=ConfigType(kind) if kind is not None else None)
    read: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    return read


def routes(*ways: str, strategy: str = "first") -> dict[str, Any]:
    """Tools in order, each with its highest price behind a blank."""
    pairs = [way.partition(" ") for way in ways]
    candidates = [{"tool_id": f"tool_{name}"} | ({"max_price": price} if price else {}) for name, _, price in pairs]
    return {"candidates": candidates, "strategy": strategy}


def ways(found: dict[str, Any]) -> list[str]:
    """The candidates that are left, in the same words."""
    return [
        f"{c['tool_id'].removeprefix('tool_')} {c['max_price'] or ''}".strip() for c in found["settings"]["routing"]["candidates"]
    ]


def test_without_configs_a_reader_sees_what_decisions_go_by_then() -> None:
    """Of every type."""
    found = shown(book())
    assert found["settings"] == {
        "budget": {"overdraft": {}, "confirm_above_hold": "refused", "ttl_ms_default": 3_600_000, "ttl_ms_max": None},
        "cap": [],
        "pricing": {},
        "access": None,
        "routing": None,
        "invariant": [],
    }
    assert (found["at"], found["until"], found["configs"]) == (NOW, None, [])


def test_every_type_is_shown_with_the_versions_that_it_comes_from() -> None:
    """Beside what a policy of the same moment says."""
    of = book(*(version(said, kind, id=f"cfg_{kind}") for kind, said in EXAMPLES.items()))
    found, policy = shown(of), of.policy(TENANT, ACCOUNT, NOW)
    settings = found["settings"]
    assert settings["budget"]["overdraft"] == {"USD": "100"}
    assert [limit["rule"] for limit in settings["cap"]] == [f"cap.{limit.key}" for limit in policy.limits]
    assert (settings["cap"][0]["timezone"], settings["cap"][0]["max_count"]) == ("Europe/Berlin", 5)
    assert settings["pricing"]["USD"]["prices"] == {"input_token": "0.0000001500000001"}
    assert (settings["pricing"]["USD"]["config_id"], settings["pricing"]["USD"]["config_version"]) == ("cfg_pricing", 1)
    assert settings["access"] == [{"buyer": ["authorize", "reserve"], "owner": ["*"]}]
    assert [c["asset_id"] or c["tool_id"] for c in settings["routing"]["candidates"]] == ["asset_1", "tool_1"]
    assert settings["invariant"][0]["schema"] == RULE["schema"]
    assert (settings["invariant"][0]["code"], settings["invariant"][0]["severity"]) == ("PAYER_NAMED", "error")
    assert {source["id"]: source["version"] for source in found["configs"]} == versions_in(policy.versions)


def test_numbers_narrow_as_for_a_decision() -> None:
    """Overdraft, times and prices."""
    of = book(
        version({"overdraft": {"USD": "50"}, "ttl_ms_max": 900}, scope="platform"),
        version({"overdraft": {"USD": "60", "EUR": "1"}, "confirm_above_hold": "topped_up"}, id="cfg_2", **OF_ENTITY),
        version({"currency": "USD", "prices": {"a": "2"}, "max_amount": "9.50"}, "pricing", id="cfg_3"),
        version({"currency": "USD", "prices": {"a": "1", "b": "0.1"}, "min_amount": "1"}, "pricing", id="cfg_4", **OF_ENTITY),
    )
    settings = shown(of)["settings"]
    terms = {"overdraft": {"USD": "50"}, "confirm_above_hold": "topped_up", "ttl_ms_default": 900, "ttl_ms_max": 900}
    assert settings["budget"] == terms
    assert settings["pricing"]["USD"]["prices"] == {"a": "2", "b": "0.1"}
    assert (settings["pricing"]["USD"]["min_amount"], settings["pricing"]["USD"]["max_amount"]) == ("1", "9.5")


def test_routing_leaves_what_all_scopes_name_in_the_order_and_with_the_strategy_of_the_narrowest() -> None:
    """Each candidate with its lowest price, whatever order the configs came in."""
    scopes = [
        version(routes("a 3", "b 3", "c", "d"), "routing", scope="platform"),
        version(routes("d", "c 2", "b 1", strategy="cheapest"), "routing", id="cfg_2", applies_to="account"),
        version(routes("b 2", "c", "a", strategy="weighted"), "routing", id="cfg_3", **OF_ENTITY),
    ]
    for order in (scopes, scopes[::-1]):
        found = shown(book(*order), "routing")
        assert (ways(found), found["settings"]["routing"]["strategy"]) == (["b 1", "c 2"], "weighted")
        assert [source["id"] for source in found["configs"]] == ["cfg_1", "cfg_2", "cfg_3"]
    other = shown(book(*scopes), "routing", ledger="account_acct_2")
    assert (ways(other), other["settings"]["routing"]["strategy"]) == (["d", "c 2", "b 1"], "cheapest")


def test_scopes_that_have_no_candidate_in_common_leave_none() -> None:
    """Which is not the same as no config: then a request may go anywhere."""
    of = book(version(routes("a"), "routing", scope="platform"), version(routes("b"), "routing", id="cfg_2"))
    assert shown(of, "routing")["settings"] == {"routing": {"strategy": "first", "candidates": []}}


def test_a_candidate_that_is_named_twice_is_tried_once_at_its_lowest_price() -> None:
    """So it is where a wider scope names it twice."""
    twice = routes("a 5", "b", "a 2")
    assert ways(shown(book(version(twice, "routing")), "routing")) == ["a 2", "b"]
    of = book(version(twice, "routing", scope="platform"), version(routes("b", "a 3"), "routing", id="cfg_2"))
    assert ways(shown(of, "routing")) == ["b", "a 2"]
    settings = msgspec.convert(twice, RoutingSettings)
    assert loosens(settings, settings) is None
    assert narrow_routing([]) is None


def test_a_config_that_is_switched_off_is_named_and_says_nothing() -> None:
    """Decisions name it too."""
    found = shown(book(version({}, "routing"), version(routes("a"), "routing", id="cfg_2")), "routing")
    assert ways(found) == ["a"]
    assert [(source["id"], source["is_off"]) for source in found["configs"]] == [("cfg_1", True), ("cfg_2", False)]


def test_the_past_and_the_scheduled_future_are_as_they_were_and_will_be() -> None:
    """And the answer says until when it holds; of one type, it is that type's."""
    of = book(
        version(routes("a"), "routing", effective_at=NOW),
        version(routes("b"), "routing", version=2, effective_at=NOW + 200),
        version(routes("c"), "routing", version=3, effective_at=NOW + 100),
        version(OVERDRAFT, id="cfg_2", effective_at=NOW + 50),
    )
    for at, left, until in ((NOW, ["a"], NOW + 100), (NOW + 99, ["a"], NOW + 100), (NOW + 300, ["c"], None)):
        found = shown(of, "routing", at=at)
        assert (ways(found), found["until"]) == (left, until)
    assert shown(of)["until"] == NOW + 50
    before = shown(of, "routing", at=NOW - 1)
    assert (before["settings"], before["until"], before["configs"]) == ({"routing": None}, NOW, [])


@pytest.mark.parametrize("kind", list(ConfigType))
def test_only_what_was_asked_for_is_shown(kind: str) -> None:
    """And only its configs are named."""
    of = book(*(version(said, one, id=f"cfg_{one}") for one, said in EXAMPLES.items()))
    found = shown(of, kind)
    assert list(found["settings"]) == [kind]
    assert found["settings"][kind] == shown(of)["settings"][kind]
    assert [source["type"] for source in found["configs"]] == [kind]


def test_no_config_holds_for_a_config_nor_for_another_tenants_entity() -> None:
    """As in decisions."""
    of = book(version(CAP, "cap"), version(ROLES, "access", id="cfg_2"), version(PRICES, "pricing", id="cfg_3", **OF_ENTITY))
    assert shown(of, ledger="config_cfg_9")["configs"] == []
    assert shown(of, tenant="tenant_2")["configs"] == []
    assert len(shown(of)["configs"]) == 3
