"""Facts as rows, lines and objects: what each store is given."""

import msgspec
import pytest

from sinks import sql
from sinks.archive import manifest, parquet
from sinks.archive.parquet import Columns
from sinks.archive.sealing import Gathering, SealPolicy, split
from sinks.clickhouse.lines import duration_ms, fact_line, point_line
from sinks.postgres.rows import COLUMNS, rows
from sinks.reading import SteppingReader
from sinks.testing import LogMaker, slices
from z0.codec import decode_fact, encode_fact
from z0.domain.facts import Fact
from z0.log.reader import Read
from z0.log.validity import Position, Standing


def read_of(**given: object) -> Read:
    base: dict[str, object] = {
        "id": "account_acct_1.1", "ledger_id": "account_acct_1", "seq": 1, "type": "invocation", "timestamp": 1_800_000_000_123,
        "recorded_at": 1_800_000_000_123, "tenant_id": "t", "entity_id": "acct_1", "rules": 1, "epoch": 0, "offset": 5,
        "prev_hash": "0" * 64,
    }  # fmt: skip
    value, _ = encode_fact(Fact(**{**base, **given}))  # type: ignore[arg-type]  # fields by name
    return Read(5, Standing.VALID, value, 1_800_000_000_200, decode_fact(value), None)


def test_every_field_of_a_fact_has_its_column() -> None:
    """Fields are only ever added: a new one needs a new migration."""
    script = "\n".join(step.sql for step in sql.migrations("sinks.postgres"))
    assert set(COLUMNS) <= set(msgspec.json.decode(msgspec.json.encode(script.split())))
    wide = "\n".join(step.sql for step in sql.migrations("sinks.clickhouse")).split()
    assert set(Fact.__struct_fields__) <= set(wide)


def test_text_that_postgres_cannot_hold_is_replaced_outside_the_stored_bytes() -> None:
    """U+0000 is legal in JSON and impossible in Postgres; `value` keeps it."""
    read = read_of(subtype="a\0b")
    row = dict(zip(COLUMNS, next(iter(rows(3, [read]))), strict=True))
    assert (row["subtype"], row["value"], row["log_partition"]) == ("a\ufffdb", read.value, 3)


def test_the_line_of_a_fact_is_its_own_bytes_behind_its_place() -> None:
    """Nothing is encoded twice."""
    read = read_of(amount="12.000000000001", currency="EUR")
    assert fact_line(3, read) == b'{"partition":3,"log_time":1800000000200,' + read.value[1:]
    assert msgspec.json.decode(fact_line(3, read))["amount"] == "12.000000000001"


def test_a_data_point_has_the_published_blobs_and_doubles() -> None:
    """Index tenant; blobs asset, campaign, type, subtype, tool, error; doubles amount, duration, count."""
    read = read_of(
        asset_id="asset_1", campaign_id="camp_1", tool_id="tool_1", subtype="inbound_call", amount="1.5", currency="EUR",
        data=msgspec.Raw(b'{"duration_seconds": 2, "error_code": "busy"}'),
    )  # fmt: skip
    point = msgspec.json.decode(point_line(3, read))
    assert point["index1"] == point["tenant_id"] == "t"
    assert [point[f"blob{i}"] for i in range(1, 7)] == ["asset_1", "camp_1", "invocation", "inbound_call", "tool_1", "busy"]
    assert [point[f"double{i}"] for i in range(1, 4)] == [1.5, 2000.0, 1.0]


@pytest.mark.parametrize("data", [{"duration_ms": "7"}, {"duration_ms": True}, {}, {"duration_seconds": None}], ids=str)
def test_a_payload_without_a_number_measures_nothing(data: dict[str, object]) -> None:
    """The payload is the caller's; a point is left all the same."""
    assert duration_ms(data) == 0


def test_the_same_records_give_the_same_object_and_come_back_as_they_were() -> None:
    """Deterministic bytes, and a reader of the object sees what a reader of the log saw."""
    log = LogMaker(1)
    log.facts(50)
    log.zombie(0)
    [(_, reads, _)] = slices(log, {}, size=1_000)
    bodies = []
    for _ in range(2):
        columns = Columns()
        columns.extend(reads)
        bodies.append(parquet.encode(columns))
    assert bodies[0] == bodies[1]
    records = parquet.decode(bodies[0])
    again, poison = SteppingReader(0, Position()).read([record for record, _ in records])
    assert poison == []
    assert [(read.offset, read.standing, read.value) for read in again] == [(r.offset, r.standing, r.value) for r in reads]
    assert [standing for _, standing in records] == [read.standing for read in reads]


def test_keys_sort_as_offsets_do() -> None:
    """The newest manifest is the last one listed."""
    keys = [manifest.manifest_key(3, first) for first in (0, 999, 10_000, 2**62)]
    assert keys == sorted(keys)
    assert manifest.last_of(manifest.object_key(3, 0, 9_999)) == 9_999


def test_a_cut_inside_a_slice_has_the_position_of_a_reader_there() -> None:
    """A claim and a voided epoch on either side of the cut."""
    log = LogMaker(1)
    log.facts(5)
    log.claim(0)
    log.zombie(0)
    log.facts(5)
    [(_, reads, end)] = slices(log, {}, size=1_000)
    for cut in range(1, end.next_offset):
        head, at, rest = split(reads, Position(), end=end, cut=cut)
        reader = SteppingReader(0, Position())
        reader.read(log.records[0][:cut])
        assert (at, len(head), len(rest)) == (reader.position, cut, end.next_offset - cut)


def test_a_tail_is_sealed_when_quiet_and_spaced_or_when_old() -> None:
    """Idle 5 s, spacing 60 s, age 900 s."""
    log = LogMaker(1)
    log.facts(3)
    [(_, reads, end)] = slices(log, {}, size=1_000)
    policy, range_ = SealPolicy(), Gathering(0, Position(), 0)
    assert not range_.is_due(policy, sealed_ms=None, now_ms=1_000_000)
    range_.take(reads, end, 0)
    assert not range_.is_due(policy, sealed_ms=None, now_ms=4_999)
    assert range_.is_due(policy, sealed_ms=None, now_ms=5_000)
    assert not range_.is_due(policy, sealed_ms=0, now_ms=policy.spacing_ms - 1)
    range_.take(slices_of(log, end), Position(end.next_offset + 1, end.epoch), 899_999)
    assert range_.is_due(policy, sealed_ms=899_000, now_ms=900_000)


def slices_of(log: LogMaker, start: Position) -> list[Read]:
    log.facts(1)
    [(_, reads, _)] = slices(log, {0: start})
    return reads[:1]
