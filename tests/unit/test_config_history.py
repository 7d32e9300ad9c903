"""The versions of one config: which is in force when, and what finding it takes."""

import pytest
from msgspec import Raw

from z0.configs import history
from z0.configs.history import History
from z0.domain.config import ConfigVersion
from z0.domain.facts import ConfigType, Scope
from z0.domain.policy import FOR_EVER_MS


def of(number: int, at: int) -> ConfigVersion:
    return ConfigVersion("cfg_1", ConfigType.BUDGET, Scope.TENANT, "*", "tenant_1", number, at, Raw(b"{}"))


def test_the_version_in_force_is_the_highest_that_has_begun() -> None:
    """One that is overtaken before its time never comes into force."""
    three = History([of(1, 10), of(2, 50), of(3, 30)])
    in_force = [period.version.version if (period := three.at(at)) else 0 for at in (9, 10, 29, 30, 50, 99)]
    assert in_force == [0, 1, 1, 3, 3, 3]
    first = three.at(10)
    assert first is not None
    assert (first.start_ms, first.end_ms) == (10, 30)
    assert [three.next_change(at) for at in (0, 10, 30)] == [10, 30, FOR_EVER_MS]
    assert [three.period(number) is None for number in (1, 2, 3, 4)] == [False, True, False, True]
    assert [version.version for version in three] == [1, 2, 3]


def test_old_versions_do_not_slow_down_finding_the_one_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hundred thousand, some dozens are looked at."""
    many, looked = History(of(number, 1000 + number) for number in range(1, 100_001)), [0]

    def time_of(version: ConfigVersion) -> int:
        looked[0] += 1
        return version.effective_at

    monkeypatch.setattr(history, "_time", time_of)
    period = many.at(10**12)
    assert period is not None
    assert (period.version.version, many.next_change(10**12)) == (100_000, FOR_EVER_MS)
    assert 0 < looked[0] < 50
