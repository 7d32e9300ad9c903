"""A reader that decodes only what it is asked for has the same standings and positions as one that decodes everything."""

import random

import pytest

from sinks.configs.sink import KEY_PREFIX
from sinks.reading import SelectiveReader, SteppingReader
from sinks.testing import LogMaker
from tests.unit.config_world import OVERDRAFT, put
from z0.log.claims import Claim, Floor, encode_claim
from z0.log.ports import Record
from z0.log.reader import FactReader
from z0.log.validity import Position, Standing
from z0.names import CLAIM_KEY


def log_of(seed: int) -> LogMaker:
    """Facts, configs, claims, dead epochs, and records that are none of them, some of which look like a fact by their place."""
    log, chance = LogMaker(1, seed=seed), random.Random(seed)
    for n in range(30):
        match chance.randrange(7):
            case 0:
                log.claim(0)
            case 1:
                log.zombie(0, 2)
            case 2:
                log.land(0, b"x", b"no json")
            case 3:
                log.land(0, b"x", b'{"epoch":%d,"offset":%d}' % (chance.randrange(9), chance.randrange(200)))
            case 4:
                log.land(0, CLAIM_KEY, b"no claim")
            case 5:
                claim = Claim(partition=0, owner="w", address="h:1", claimed_at=0, floor=Floor())
                log.land(0, b"key of a fact", encode_claim(claim))
            case _:
                log.command(0, put(OVERDRAFT, id=f"p{n}", ledger_id=f"config_cfg_{n % 3}"))
                log.facts(5, 0)
    return log


@pytest.mark.parametrize("seed", range(40))
def test_standings_and_positions_do_not_depend_on_what_is_decoded(seed: int) -> None:
    """Only whether there is a fact to look at does; those under the prefix are all there."""
    log = log_of(seed)
    whole, selective = SteppingReader(0, Position()), SelectiveReader(0, Position(), KEY_PREFIX)
    records = log.records[0]
    for at in range(0, len(records), 13):
        expected, _ = whole.read(records[at : at + 13])
        found, _ = selective.read(records[at : at + 13])
        assert [(r.offset, r.standing, r.claim) for r in found] == [(r.offset, r.standing, r.claim) for r in expected]
        assert selective.position == whole.position
        keys = [record.key for record in records[at : at + 13]]
        configs = [r.fact for r, key in zip(expected, keys, strict=True) if key.startswith(KEY_PREFIX)]
        assert [r.fact for r, key in zip(found, keys, strict=True) if key.startswith(KEY_PREFIX)] == configs


def test_most_facts_are_passed_by_without_being_decoded() -> None:
    """That is what it is for."""
    log = LogMaker(1)
    log.facts(50, 0)
    reads, poison = SelectiveReader(0, Position(), KEY_PREFIX).read(log.records[0])
    assert [r.standing for r in reads] == [Standing.CLAIM, *[Standing.VALID] * 50]
    assert {r.fact for r in reads} == {None}
    assert poison == []


def test_what_looks_like_a_fact_of_no_epoch_is_not_passed_by_as_valid() -> None:
    """A reader that begins before any claim has no epoch, and a forged record may name just that one."""
    reader = FactReader(0, Position())
    assert reader.pass_by(Record(0, b"account_acct_1", b'{"epoch":-1,"offset":0}', 0)) is None
    assert reader.position == Position()
