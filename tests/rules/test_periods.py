"""The periods of budgets: whole days in UTC, that follow one another without a gap, whatever the clock does."""

from datetime import UTC, date, datetime, timedelta

import pytest

from rules.periods import NEVER, Calendar, day_of, end_of, start_of

PERIODS = ("day", "week", "month", "quarter", "lifetime")


def unix(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        ("day", "2028-02-29", "2028-03-01"),
        ("week", "2028-02-28", "2028-03-06"),
        ("month", "2028-02-01", "2028-03-01"),
        ("quarter", "2028-01-01", "2028-04-01"),
    ],
)
def test_a_leap_day(period: str, start: str, end: str) -> None:
    for moment in ("2028-02-29T00:00:00", "2028-02-29T23:59:59.9"):
        first = start_of(period, day_of(unix(moment)))
        assert (first.isoformat(), end_of(period, first)) == (start, unix(end))


def test_they_follow_one_another() -> None:
    for number in range(3 * 366):
        day = date(2026, 1, 1) + timedelta(days=number)
        noon = unix(f"{day.isoformat()}T12:00:00")
        for period in PERIODS[:-1]:
            first = start_of(period, day)
            end = end_of(period, first)
            assert unix(first.isoformat()) < noon < end
            assert start_of(period, day_of(end)) == day_of(end), "where one ends the next begins"
    assert end_of("lifetime", start_of("lifetime", date(2026, 1, 1))) == NEVER


def test_a_clock_that_jumps_finds_the_period_of_its_moment() -> None:
    calendar = Calendar()
    for moment in ("2026-12-31T23:59:59", "2027-01-01T00:00:00", "2026-12-31T23:59:59", "2031-06-30T00:00:00"):
        found = calendar.at(unix(moment), PERIODS)
        day = date.fromisoformat(moment[:10])
        assert found.starts == {period: start_of(period, day).isoformat() for period in PERIODS}
        assert found.ends["day"] > unix(moment)
