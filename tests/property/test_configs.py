"""What always holds of configs: the strictest counts, order is of no account, windows tile time, what is remembered is true."""

from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.config_world import NOW, book, version
from tests.unit.test_log_world import values
from z0.configs.book import Book
from z0.configs.effective import effective
from z0.configs.history import History
from z0.configs.resolve import versions_in
from z0.configs.windows import _zone_names, bounds_of
from z0.domain.commands import OPS
from z0.domain.config import ConfigVersion, RoutingSettings, Settings
from z0.domain.config_rules import Problem, read_settings
from z0.domain.facts import ConfigType
from z0.domain.narrowing import loosens, narrow_routing
from z0.domain.policy import FOR_EVER_MS, Policy, Window

FAST = settings(max_examples=150, deadline=None)
TENANTS = ("tenant_1", "tenant_2")
LEDGERS = ("account_acct_1", "account_acct_2", "asset_asset_1", "key_key_1", "config_cfg_1")
ZONES = sorted(_zone_names())

amounts = st.sampled_from(["0", "1", "2.5", "7", "0.000000000001"])
currencies = st.sampled_from(["USD", "EUR"])
budgets = st.fixed_dictionaries(
    {},
    optional={
        "overdraft": st.dictionaries(currencies, amounts),
        "confirm_above_hold": st.sampled_from(["refused", "topped_up"]),
        "ttl_ms_max": st.integers(1, 9_000_000),
    },
)
caps = st.integers(1, 3).map(
    lambda n: {"limits": [{"name": f"l{i}", "counts": "spend", "window": "day", "max_count": i} for i in range(n)]}
)
pricings = st.fixed_dictionaries(
    {"currency": currencies, "prices": st.dictionaries(st.sampled_from(["a", "b", "c"]), amounts)},
    optional={"max_amount": st.sampled_from(["8", "9"]), "min_amount": st.sampled_from(["1", "2"])},
)
accesses = st.dictionaries(st.sampled_from(["r", "s"]), st.lists(st.sampled_from(["*", "read", "reserve", "settle"]))).map(
    lambda roles: {"roles": roles}
)
candidates = st.builds(
    lambda asset, price: {"asset_id": f"asset_{asset}"} | ({"max_price": price} if price else {}),
    st.sampled_from("123"),
    st.sampled_from(["", "1", "2.5", "2.50"]),
)
routings = st.builds(
    lambda ways, strategy: {"candidates": ways, "strategy": strategy},
    st.lists(candidates, max_size=4),
    st.sampled_from(["first", "cheapest", "weighted"]),
)
SETTINGS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "budget": budgets,
    "cap": caps,
    "pricing": pricings,
    "access": accesses,
    "routing": routings,
}
targets = st.sampled_from([("platform", "*"), ("platform", "account"), ("tenant", "*"), ("tenant", "asset"), ("tenant", "key")])


@st.composite
def configs(draw: Any) -> list[ConfigVersion]:
    """Up to six configs of any scope, each with some versions at various times."""
    made: list[ConfigVersion] = []
    for n in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(sorted(SETTINGS)))
        scope, applies_to = draw(targets | st.just(("entity", "acct_1")))
        tenant = draw(st.sampled_from(TENANTS))
        for number in range(1, draw(st.integers(1, 3)) + 1):
            at = NOW + draw(st.integers(-5, 5))
            said = draw(SETTINGS[kind] | st.just({}))
            one = version(said, kind, id=f"cfg_{n}", scope=scope, applies_to=applies_to, tenant=tenant, version=number)
            made.append(ConfigVersion(**{name: getattr(one, name) for name in one.__struct_fields__} | {"effective_at": at}))
    return made


def shown(policy: Policy) -> Any:
    """A policy without functions and without the windows that limits remember."""
    limits = [(limit.key, limit.counts, limit.window, limit.max_count, limit.max_units) for limit in policy.limits]
    plain = [getattr(policy, name) for name in ("overdraft_units", "tops_up", "ttl_ms_default", "ttl_ms_max")]
    scopes = policy.access.scopes if policy.access is not None else None
    prices = {currency: values(price) for currency, price in policy.prices.items()}
    return limits, plain, scopes, prices, bytes(policy.versions), policy.until_ms


@FAST
@given(made=configs(), at=st.integers(NOW - 7, NOW + 7))
def test_the_order_in_which_configs_come_is_of_no_account(made: list[ConfigVersion], at: int) -> None:
    """The same policy for every entity, from the first to the last and from the last to the first."""
    # All versions of a config are of one target, so that any of them may be the first to come.
    first, second = book(*made), book(*made[::-1])
    for ledger in LEDGERS:
        assert shown(first.policy("tenant_1", ledger, at)) == shown(second.policy("tenant_1", ledger, at))


def _at(number: int, at: int) -> ConfigVersion:
    return version({}, version=number, effective_at=at)


versions_of_one = st.lists(st.integers(0, 8), min_size=1, max_size=8).map(
    lambda times: [_at(number, at) for number, at in enumerate(times, 1)]
)


@FAST
@given(data=st.data(), versions=versions_of_one)
def test_what_is_found_by_halves_is_what_looking_at_all_would_find(data: st.DataObject, versions: list[ConfigVersion]) -> None:
    """In whatever order versions come, at every moment."""
    history = History(data.draw(st.permutations(versions)))
    for at in range(10):
        begun = [version for version in versions if version.effective_at <= at]
        now = max(begun, key=lambda version: version.version, default=None)
        period = history.at(at)
        assert (period.version if period is not None else None) == now
        later = [v.effective_at for v in versions if v.effective_at > at and v.version > (now.version if now is not None else 0)]
        assert history.next_change(at) == min(later, default=FOR_EVER_MS)
        if period is not None:
            assert period == history.period(period.version.version)
            assert period.start_ms <= at < period.end_ms == history.next_change(at)
        possible = {v.version for v in versions if not any(w.effective_at < v.effective_at for w in versions[v.version :])}
        assert possible == {number for number in range(10) if history.was_possible(number)}
        from_now = {v.version for v in history.from_now(at)}
        assert from_now == {p.version.version for later_at in range(at, 10) if (p := history.at(later_at)) is not None}


steps = st.lists(st.tuples(st.sampled_from(TENANTS), st.sampled_from(LEDGERS), st.integers(NOW - 7, NOW + 7)), max_size=12)


@FAST
@given(made=configs(), asked=steps)
def test_what_is_remembered_is_what_would_be_found_anew(made: list[ConfigVersion], asked: list[Any]) -> None:
    """While configs arrive one by one, and time goes back and forth between partitions."""
    remembering = Book()
    for one in (None, *made):
        if one is not None:
            remembering.add(one)
        for tenant, ledger, at in asked:
            policy = remembering.policy(tenant, ledger, at)
            assert shown(policy) == shown(remembering.uncached(tenant, ledger, at))
            assert policy.until_ms > at


@FAST
@given(made=configs(), at=st.integers(NOW - 7, NOW + 7))
def test_a_reader_is_shown_what_comes_from_the_versions_that_decide(made: list[ConfigVersion], at: int) -> None:
    """At any moment, until the same end; and of each type what that type's configs say."""
    of_all = book(*made)
    for ledger in LEDGERS:
        policy, shown_to_a_reader = of_all.policy("tenant_1", ledger, at), effective(of_all, ("tenant_1", ledger), at)
        assert {one.id: one.version for one in shown_to_a_reader.configs} == versions_in(policy.versions)
        assert (shown_to_a_reader.until or FOR_EVER_MS) == policy.until_ms
        for kind in ConfigType:
            assert effective(of_all, ("tenant_1", ledger), at, kind=kind).settings == {kind: shown_to_a_reader.settings[kind]}


@FAST
@given(said=st.lists(routings, min_size=1, max_size=3))
def test_a_request_goes_only_where_every_scope_lets_it_and_at_no_higher_price(said: list[dict[str, Any]]) -> None:
    """In the order of the narrowest, each candidate once."""
    narrowed = narrow_routing([msgspec.convert(one, RoutingSettings) for one in said])
    assert narrowed is not None
    names = [one.asset_id for one in narrowed.candidates]
    everywhere = set.intersection(*({way["asset_id"] for way in one["candidates"]} for one in said))
    assert names == [name for name in dict.fromkeys(way["asset_id"] for way in said[-1]["candidates"]) if name in everywhere]
    for one in narrowed.candidates:
        prices = [
            Decimal(way["max_price"])
            for of in said
            for way in of["candidates"]
            if way["asset_id"] == one.asset_id and "max_price" in way
        ]
        assert (Decimal(one.max_price) if one.max_price else None) == min(prices, default=None)


def of(kind: str, said: Any) -> Settings:
    one = version(said, kind)
    found = read_settings(one.type, one.settings)
    assert found is not None
    assert not isinstance(found, Problem)
    return found


def allowed(policy: Policy, role: str) -> set[str]:
    scopes = policy.access.scopes if policy.access is not None else ()
    return {op for op in OPS if all({"*", op} & scope.get(role, frozenset()) for scope in scopes)}


@FAST
@given(kind=st.sampled_from(sorted(SETTINGS)), data=st.data())
def test_together_configs_are_never_looser_than_any_of_them(kind: str, data: st.DataObject) -> None:
    """Of overdraft, times, topping up, limits, roles, prices and bounds; and what does not loosen leaves nothing to narrow."""
    wide, narrow = (data.draw(SETTINGS[kind].filter(bool)) for _ in range(2))
    wider = version(wide, kind, scope="platform")
    narrower = version(narrow, kind, id="cfg_2")
    both = book(wider, narrower).policy("tenant_1", "account_acct_1", NOW)
    for one in (wider, narrower):
        _is_no_looser(both, book(one).policy("tenant_1", "account_acct_1", NOW), said=_said(one))


def _said(one: ConfigVersion) -> Any:
    return read_settings(one.type, one.settings)


def _is_no_looser(both: Policy, alone: Policy, said: Any) -> None:
    if getattr(said, "overdraft", None) is not None:
        assert all(units <= alone.overdraft_units.get(currency, 0) for currency, units in both.overdraft_units.items())
    if getattr(said, "confirm_above_hold", None) is not None:
        assert both.tops_up <= alone.tops_up
    if alone.ttl_ms_max is not None:
        assert both.ttl_ms_max is not None
        assert both.ttl_ms_max <= alone.ttl_ms_max
    assert {limit.key for limit in alone.limits} <= {limit.key for limit in both.limits}
    if alone.access is not None:
        assert all(allowed(both, role) <= allowed(alone, role) for role in ("r", "s", "t"))
    for currency, price in alone.prices.items():
        found = both.prices[currency]
        assert all(found.by_meter[meter] >= least for meter, least in price.by_meter.items())
        assert found.max_units is None or price.max_units is None or found.max_units <= price.max_units
        assert (found.min_units or 0) >= (price.min_units or 0)
        assert (price.max_units is None) <= (found.max_units is None) or found.max_units is not None


@FAST
@given(kind=st.sampled_from(sorted(SETTINGS)), data=st.data())
def test_settings_never_loosen_themselves(kind: str, data: st.DataObject) -> None:
    """The same again at a narrower scope is always taken."""
    said = data.draw(SETTINGS[kind].filter(bool))
    assert loosens(of(kind, said), of(kind, said)) is None


@settings(max_examples=400, deadline=None)
@given(
    name=st.sampled_from(ZONES),
    window=st.sampled_from([Window.HOUR, Window.DAY, Window.MONTH]),
    at=st.integers(0, 4_000_000_000_000),
)
def test_a_window_contains_its_moment_and_windows_tile_time(name: str, window: Window, at: int) -> None:
    """In every time zone there is; each moment of a window gives the same window."""
    bounds = bounds_of(window, name)
    start, end = bounds(at)
    assert start <= at < end
    assert bounds(end)[0] == end
    assert bounds(start - 1)[1] == start
    for moment in (start, (start + at) // 2, (at + end) // 2, end - 1):
        assert bounds(moment) == (start, end)
    assert end - start <= {Window.HOUR: 1, Window.DAY: 26, Window.MONTH: 31 * 24 + 2}[window] * 3_600_000
