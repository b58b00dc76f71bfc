"""Which limits and budgets count a call: found once for each kind of call, and remembered while the rules stay."""

import time
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from gateway.call.call import Call
from gateway.call.plan import PlannedTarget
from gateway.limits.asked import asked_of
from gateway.limits.checks import Check
from gateway.limits.limiter import budget_key
from rules import spending
from rules.compiled import RuleSet

MOST_MATCHES: Final = 10_000
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """The checks that a call of this caller to this target must pass. ``applied`` is the header that names the
    rules."""

    checks: tuple[Check, ...]
    applied: bytes


NOTHING: Final = Matched((), b"")


class Matches:
    """Remembers what was matched, for as long as the rules stay the same."""

    def __init__(self) -> None:
        self._rules: RuleSet | None = None
        self._found: dict[Key, Matched] = {}
        self._until = 0.0

    def of(self, rules: RuleSet, call: Call, planned: PlannedTarget) -> Matched:
        """Return the checks for a call to a target."""
        target = planned.target
        metadata = call.options.metadata
        tags = call.caller.tags
        values = [tags.get(key) or metadata.get(key, "") for key in rules.metadata_keys]
        key = (call.caller, call.model_asked, target.account.name, target.model.name, planned.via, *values)
        if rules is not self._rules or len(self._found) >= MOST_MATCHES or self._until < time.time():
            self._rules, self._found, self._until = rules, {}, rules.stable_until(time.time())
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = _match(rules, call, planned)
        return found


def _match(rules: RuleSet, call: Call, planned: PlannedTarget) -> Matched:
    asked = asked_of(rules, call, planned.target, planned.via)
    checks: list[Check] = []
    labels: dict[str, dict[str, None]] = {}
    for rule, values, unit, limit in rules.counting(asked, time.time()):
        entity = spending.entity_name(values)
        if unit.period:
            key = budget_key(rule.id, unit.period, unit.counts, entity)
        else:
            key = f"l:{rule.id}:{unit.name}:{entity}"
        checks.append(Check(rule, unit, limit, key, entity))
        labels.setdefault("budget" if unit.period else "rate_limit", {})[rule.label] = None
    applied = {kind: list(names) for kind, names in labels.items()}
    return Matched(tuple(checks), msgspec.json.encode(applied)) if checks else NOTHING


matches = Matches()
"""This process's only one."""
