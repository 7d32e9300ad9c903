"""Nothing that bytes can say raises out of a decision: commands that were right, with hostile values in any of their fields."""

from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from tests.property.commands import COMMANDS, OVERDRAFT_UNITS, opening, policies
from tests.unit.config_world import EXAMPLES
from tests.unit.test_log_world import Bench, audit, comparable
from z0.codec import decode_fact, encode_command
from z0.configs.rules import unreadable
from z0.domain.commands import PutConfig
from z0.domain.config import version_of_fact
from z0.domain.facts import ConfigType, FactType, Scope
from z0.log.inbox import KafkaCommand

HOSTILE = st.sampled_from(
    [
        *(b"null", b"true", b"0", b"-1", b"1e999", b"1e-999", b"-0.0", b"1.5", b"9007199254740993", b"18446744073709551616"),
        *(b"9" * 400, b"9" * 5_000, b"[]", b"{}", b'{"":{}}', b"[[[[]]]]", b'{"a":' * 300 + b"1" + b"}" * 300),
        *(b'""', b'"\\u0000"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\xff"', b'"\\n"', b'"*"', b'"."', b'"' + b"x" * 300 + b'"'),
        *(b'"account_acct_1.0"', b'"account_acct_1.1"', b'"account_acct_1.99999999999999999999"', b'"asset_asset_3.2"'),
        *(
            b'"account_acct_1"',
            b'"config_cfg_cap"',
            b'"cfg_pricing"',
            b'"tenant_platform"',
            b'"user_1"',
            b'"!floor"',
            b'"transfer"',
        ),
        *('"\N{LATIN SMALL LETTER E WITH ACUTE}\N{GRINNING FACE}\u2028"'.encode(), '"\u0661\u0662"'.encode(), b'"1_0"', b'" 1"'),
        *(b'"-1"', b'"+1"', b'"1e3"', b'"."', b'".1"', b'"1."', b'"NaN"', b'"00000000000000000000000001"', b'"0.000000000000"'),
        *(b'{"call":"1"}', b'{"call":"999999999999999999"}', b'{"call":""}', b'{"":"1"}', b'{"call":1}'),
        *(b'{"id":"account_acct_1.1","ledger_id":"account_acct_1","seq":1,"hash":""}', b'{"status":"deleted"}', b'{"data":null}'),
        *(b'{"data":{"a":{"b":null}}}', b'{"data":{"a":1e308}}', b'{"data":{"a":99999999999999999999999}}', b'{"owner_id":null}'),
    ]
)
FIELDS = st.sampled_from(
    """op id tenant_id ledger_id timestamp reply_to data source_id asset_id user_id workflow_id config_id config_version trace_id
    external_id subtype owner_id changes expected_version type amount currency source kind reservation_id ttl_ms purpose usage
    charge_id stage grantee_id role scope settings applies_to effective_at name""".split()
)
CHANGED = st.lists(st.tuples(FIELDS, HOSTILE), max_size=3)
LONG = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _configs() -> st.SearchStrategy[PutConfig]:
    def put(kind: ConfigType, scope: Scope, field: str | None, value: bytes) -> PutConfig:
        body = {name: Raw(msgspec.json.encode(given)) for name, given in EXAMPLES[kind].items()}
        if field is not None:
            body[field] = Raw(value)
        given: dict[str, Any] = {"tenant_id": "tenant_1", "ledger_id": "config_cfg_new", "type": kind, "scope": scope}
        return PutConfig(id="put", settings=Raw(msgspec.json.encode(body)), **given)

    names = sorted({name for example in EXAMPLES.values() for name in example})
    return st.builds(put, st.sampled_from(ConfigType), st.sampled_from(Scope), st.none() | st.sampled_from(names), HOSTILE)


def _bytes(command: Any, changed: list[tuple[str, bytes]], cut: int | None) -> bytes:
    whole = encode_command(command)
    try:
        fields = msgspec.json.decode(whole, type=dict[str, Raw])
    except msgspec.DecodeError:  # hostile settings are no JSON
        return whole[:cut]
    raw = b",".join(b'"%b":%b' % (k.encode(), v) for k, v in ({k: bytes(v) for k, v in fields.items()} | dict(changed)).items())
    return (b"{" + raw + b"}")[:cut]


@LONG
@given(
    commands=st.lists(
        st.tuples(st.one_of(COMMANDS, COMMANDS, _configs()), CHANGED, st.none() | st.none() | st.integers(0, 300), st.booleans()),
        max_size=12,
    )
)
def test_no_bytes_raise_and_what_they_leave_is_read_back_and_comes_to_the_live_state(commands: list[Any]) -> None:
    """By both doors; the chain is intact and the money is kept, whatever was said."""
    bench = Bench(policies=policies())
    bench.decide(*opening())
    for n, (command, changed, cut, by_kafka) in enumerate(commands):
        raw = _bytes(command, changed, cut)
        if by_kafka:
            bench.kafka(KafkaCommand(n, command.ledger_id.encode(), raw))
        else:
            bench.one(raw)
    for ledger, state in audit(bench.records, overdraft_units=OVERDRAFT_UNITS).states.items():
        assert comparable(state) == comparable(bench.state(ledger))
    for record in bench.records[1:]:
        fact = decode_fact(record.value)
        if fact.type == FactType.CONFIG:
            assert unreadable(version_of_fact(fact.data)) is None


SCHEMAS: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([True, None, 0, -1, 1e308, 10**30, "", "x", "(", "(a{0,1000}){0,1000}", "\\p{L}", "(?=a)", [], {}]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                """type properties pattern patternProperties items enum const minimum multipleOf maxLength uniqueItems not if then
                allOf anyOf format required additionalProperties $id $schema $defs $anchor dependentSchemas contains""".split()
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@LONG
@given(
    schema=st.dictionaries(st.sampled_from(["properties", "not", "anyOf", "pattern", "data", "type", "$schema", "$id"]), SCHEMAS)
)
def test_no_schema_raises_and_one_that_is_taken_can_be_asked_anything(schema: Any) -> None:
    """The check runs in the ledger's only writer."""
    bench = Bench(policies=policies())
    bench.decide(*opening())
    rule = {"code": "RULE", "fact_type": "*", "schema": schema}
    given: dict[str, Any] = {"tenant_id": "tenant_1", "ledger_id": "config_cfg_rule", "type": ConfigType.INVARIANT}
    put = PutConfig(id="p", scope=Scope.TENANT, settings=Raw(msgspec.json.encode(rule)), applies_to="account", **given)
    if bench.one(put).seq:
        version = next((version_of_fact(f.data) for f in bench.facts if f.type == FactType.CONFIG), None)
        if version is not None:
            bench.policies.add(version)  # type: ignore[attr-defined]
    for n, data in enumerate((b"{}", b'{"a":99999999999999999999999999}', b'{"a":1e308}', b'{"a":' * 250 + b"{}" + b"}" * 250)):
        raw = b'{"op":"append","id":"n%d","tenant_id":"tenant_1","ledger_id":"account_acct_1","type":"note","data":%b}' % (
            n,
            data,
        )
        bench.one(raw)
