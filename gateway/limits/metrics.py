"""How full rate limits and budgets are, for the metrics: as the calls of this process last saw them.

Of each limit only the entity that has used the largest share is kept, so that users and teams make no series of their
own. What was seen holds until the window has passed, the period has ended, or the rules have changed.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.conf import settings

from gateway.limits.checks import Asked, Outcome
from gateway.telemetry import meter
from gateway.telemetry.series import OTHER, Counts
from gateway.telemetry.shared import Gauges
from rules.compiled import PICO, RuleSet
from rules.periods import Calendar
from rules.shape import PERIODS, Unit

CONCURRENT_SECONDS: Final = 60.0
"""How long what was seen of calls at once holds: their ends are not seen."""
Key = tuple[str, str, str]
"""Rule, unit and mode."""


@dataclass(slots=True)
class Seen:
    """The fullest entity of a limit: what it used of how much, until when that holds (unix seconds)."""

    budget: bool
    entity: str
    used: int
    limit: int
    scale: int
    until: float

    @property
    def share(self) -> float:
        """How much of the limit is used; more than 1 beyond it."""
        return self.used / self.limit if self.limit else 1.0


_seen: dict[Key, Seen] = {}
_rules: list[RuleSet | None] = [None]
"""The rules that it was seen under. Only the meter's thread touches both."""
_calendar = Calendar()


def note(asked: Sequence[Asked], outcomes: Sequence[Outcome]) -> None:
    """Note what a call saw of its limits, if anything is counted at all."""
    if meter.meter is not None:
        meter.meter.note(_take_in, asked, outcomes)


def _take_in(counts: Counts, asked: Sequence[Asked], outcomes: Sequence[Outcome]) -> None:
    now = time.time()
    for one, outcome in zip(asked, outcomes, strict=True):
        check, unit = one.check, one.check.unit
        key = (check.rule.label, unit.name, check.rule.mode)
        if key not in _seen and len(_seen) >= settings.METRICS_MAX_ROWS:
            key = (OTHER, unit.name, check.rule.mode)
        scale = PICO if unit.counts == "cost" else 1
        seen = Seen(check.is_budget, check.key, outcome.used, check.limit, scale, _until(unit, now))
        before = _seen.get(key)
        if before is None or before.entity == seen.entity or before.until < now or before.share <= seen.share:
            _seen[key] = seen


def _until(unit: Unit, now: float) -> float:
    if unit.period:
        return _calendar.at(now, PERIODS).ends[unit.period]
    return now + (unit.seconds or CONCURRENT_SECONDS)


def gauges(rules: RuleSet | None) -> Gauges:
    """Return the gauges of what was seen under these rules. What does not hold any more is left out."""
    now = time.time()
    if rules is not _rules[0]:
        _seen.clear()
        _rules[0] = rules
    found: Gauges = {}
    for key, seen in list(_seen.items()):
        if seen.until < now:
            del _seen[key]
            continue
        name = "gatehouse_budget" if seen.budget else "gatehouse_rate_limit"
        found.setdefault(f"{name}_used_ratio", {})[key] = seen.share
        found.setdefault(f"{name}_remaining", {})[key] = max(0, seen.limit - seen.used) / seen.scale
    return found
