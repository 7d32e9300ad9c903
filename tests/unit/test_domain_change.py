"""What a fact changes is the same while it is written and when it is read back."""

import pytest

from sinks import testing
from sinks.testing import LogMaker
from z0.codec import decode_fact
from z0.domain import fold
from z0.domain.change import Change, change_of
from z0.domain.state import LedgerState
from z0.names import CLAIM_KEY

FIELDS = (
    "ledger_id seq recorded_at type subtype amount currency held reservation_id expires_at data counted "
    "source_id workflow_id purpose"
).split()


def values(change: Change) -> list[object]:
    return [getattr(change, name) for name in FIELDS]


@pytest.mark.parametrize("seed", range(4))
def test_a_draft_changes_what_its_fact_changes(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[list[object]] = []

    def remembering(state: LedgerState, change: Change, fact_hash: str) -> LedgerState:
        written.append(values(change))
        return fold.apply(state, change, fact_hash)

    monkeypatch.setattr(testing, "apply", remembering)
    log = LogMaker(1, seed=seed)
    log.facts(300)
    read = [values(change_of(decode_fact(record.value))) for record in log.records[0] if record.key != CLAIM_KEY]
    assert written == read[-len(written) :]
    assert len(written) > 250
