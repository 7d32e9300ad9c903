"""Windows of caps, around the moments at which clocks are changed."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from z0.configs.windows import bounds_of, is_zone, zone
from z0.domain.policy import FOR_EVER_MS, Window

HOUR = 3_600_000


def ms(text: str, name: str, fold: int = 0) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(name), fold=fold).timestamp()) * 1000


DAYS = [
    ("Europe/Berlin", "2027-03-28T12:00", 23),  # clocks go forward
    ("Europe/Berlin", "2027-10-31T12:00", 25),  # and back
    ("Europe/Berlin", "2027-06-01T00:00", 24),
    ("America/Sao_Paulo", "2018-11-04T12:00", 23),  # midnight does not exist
    ("America/Havana", "2027-11-07T12:00", 25),  # 0:00 to 1:00 comes twice
    ("Australia/Lord_Howe", "2027-04-04T12:00", 24.5),
    ("Pacific/Apia", "2011-12-31T12:00", 24),  # the day before was left out
    ("Pacific/Apia", "2011-12-29T12:00", 24),
    ("Asia/Kathmandu", "2027-01-01T00:00", 24),
    ("UTC", "2027-01-01T23:59", 24),
]


@pytest.mark.parametrize(("name", "noon", "hours"), DAYS)
def test_a_day_has_the_hours_that_its_clock_shows(name: str, noon: str, hours: float) -> None:
    """It begins at the first moment of its date."""
    start, end = bounds_of(Window.DAY, name)(ms(noon, name))
    assert (end - start) / HOUR == hours
    assert datetime.fromtimestamp(start // 1000, zone(name)).date() == datetime.fromisoformat(noon).date()


def test_an_hour_that_comes_twice_is_two_windows() -> None:
    """What may happen once an hour may happen in both."""
    bounds = bounds_of(Window.HOUR, "Europe/Berlin")
    first, second = (ms("2027-10-31T02:30", "Europe/Berlin", fold) for fold in (0, 1))
    assert bounds(first)[1] == bounds(second)[0]
    assert bounds(second) == (bounds(first)[0] + HOUR, bounds(first)[1] + HOUR)


def test_a_change_by_half_an_hour_cuts_hours_short() -> None:
    """At Lord Howe 2:00 becomes 1:30."""
    change = ms("2027-04-04T02:00", "Australia/Lord_Howe", 1) - HOUR // 2
    bounds = bounds_of(Window.HOUR, "Australia/Lord_Howe")
    assert bounds(change - 1)[1] == change
    assert bounds(change) == (change, change + HOUR // 2)


def test_a_midnight_that_comes_twice_begins_one_day() -> None:
    """In St. John's clocks went back from 0:01 to 23:01: the rest of that hour belongs to the new day."""
    name = "America/St_Johns"
    midnight = ms("2010-11-07T00:00", name)
    day = bounds_of(Window.DAY, name)
    assert day(midnight - 1)[1] == midnight
    assert day(midnight + 30 * 60_000) == day(midnight)
    assert day(midnight)[1] - midnight == 25 * HOUR


def test_a_month_ends_where_the_next_begins() -> None:
    """Of 31 days with a change of the clock."""
    start, end = bounds_of(Window.MONTH, "Europe/Berlin")(ms("2027-10-31T23:59", "Europe/Berlin"))
    assert (start, end) == (ms("2027-10-01T00:00", "Europe/Berlin"), ms("2027-11-01T00:00", "Europe/Berlin"))


def test_a_midnight_that_comes_twice_begins_one_month() -> None:
    """In St. John's it was the first of November once: the hour of October that came again belongs to the new month."""
    name = "America/St_Johns"
    midnight = ms("2009-11-01T00:00", name)
    month = bounds_of(Window.MONTH, name)
    assert month(midnight - 1)[1] == midnight
    assert month(midnight + 30 * 60_000) == month(midnight) == (midnight, ms("2009-12-01T00:00", name))


@pytest.mark.parametrize("window", [Window.TOTAL, Window.IN_FLIGHT])
def test_what_never_begins_anew_lasts_for_ever(window: Window) -> None:
    """Both count from the beginning."""
    assert bounds_of(window, "UTC")(1_800_000_000_000) == (0, FOR_EVER_MS)


def test_only_zones_of_the_database_are_known() -> None:
    """A name is no path."""
    assert is_zone("Europe/Berlin")
    assert is_zone("UTC")
    for name in ("Europe/Atlantis", "", "../zones", "/etc/passwd", "europe/berlin"):
        assert not is_zone(name)
        with pytest.raises(ValueError, match="no time zone"):
            zone(name)
