"""The periods of budgets: days, weeks from Monday, months, quarters and for ever, all in UTC."""

from datetime import UTC, date, datetime, timedelta
from typing import Final

BEGINNING: Final = date(1970, 1, 1)
"""The first day of a budget for ever."""
NEVER: Final = 253_370_764_800.0
"""The end of a budget for ever, in unix seconds: the year 9999."""
DAY_SECONDS: Final = 86_400


def start_of(period: str, day: date) -> date:
    """Return the first day of the period that ``day`` lies in."""
    match period:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "quarter":
            return day.replace(month=day.month - (day.month - 1) % 3, day=1)
        case _:
            return BEGINNING


def end_of(period: str, start: date) -> float:
    """Return when the period that begins on ``start`` ends, in unix seconds."""
    match period:
        case "day":
            after = start + timedelta(days=1)
        case "week":
            after = start + timedelta(days=7)
        case "month":
            after = (start + timedelta(days=31)).replace(day=1)
        case "quarter":
            after = (start + timedelta(days=93)).replace(day=1)
        case _:
            return NEVER
    return datetime(after.year, after.month, after.day, tzinfo=UTC).timestamp()


def day_of(moment: float) -> date:
    """Return the day (UTC) of a moment in unix seconds."""
    return datetime.fromtimestamp(moment, UTC).date()


class Calendar:
    """The present periods, worked out once a day: ``start`` and ``end`` by the name of a period."""

    __slots__ = ("_day", "ends", "starts")

    def __init__(self) -> None:
        self._day = -1
        self.starts: dict[str, str] = {}
        self.ends: dict[str, float] = {}

    def at(self, now: float, periods: tuple[str, ...]) -> "Calendar":
        """Return the calendar of ``now`` (unix seconds)."""
        number = int(now // DAY_SECONDS)
        if number != self._day:
            self._day, day = number, day_of(now)
            starts = {period: start_of(period, day) for period in periods}
            self.starts = {period: start.isoformat() for period, start in starts.items()}
            self.ends = {period: end_of(period, start) for period, start in starts.items()}
        return self
