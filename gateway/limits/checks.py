"""What a call must pass: checks of counters, and what came of each.

All checks of a call are one question to the counters, answered as a whole: either every counter takes its part, or none
does. :func:`blocked` says which, the same for the counters in memory and, word for word, for the script in Redis.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rules.compiled import CompiledRule
from rules.shape import Unit

SLOTS: Final = 60
"""How finely a window slides: what was counted in a slot counts until the whole window after the slot has passed. So
within any stretch of time as long as the window never more passes than the limit, and what was taken comes back a
sixtieth of the window late at most."""
NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """One limit of one rule for one entity. ``key`` names its counter; a budget's lacks the period's first day."""

    rule: CompiledRule
    unit: Unit
    limit: int
    key: str
    entity: str

    @property
    def is_budget(self) -> bool:
        """Whether it is a budget's."""
        return bool(self.unit.period)


@dataclass(slots=True)
class Asked:
    """A check with what a call asks of it: ``amount``, and where it is counted.

    ``base`` and ``version`` are a budget's: what the ledger holds, as this worker knows it.
    """

    check: Check
    amount: int
    key: str
    base: int = 0
    version: int = 0


@dataclass(slots=True)
class Outcome:
    """What came of a check. ``used`` is what its counter holds now, this call included if it was taken.

    ``wait`` is how many seconds until the call would fit (``NEVER``: it asks for more than there ever is), ``reset``
    how many until everything is free again. ``slot`` is where a window counted the call.
    """

    fits: bool
    used: int
    wait: float = 0.0
    reset: float = 0.0
    slot: int = 0


def blocked(asked: Sequence[Asked], outcomes: Sequence[Outcome]) -> list[int]:
    """Return the positions of the checks that refuse the call; none: it is taken.

    A rule in audit mode refuses nothing. A soft budget refuses unless another budget that counts the call has room.
    """
    refusing = []
    allowing = {
        one.check.rule.id
        for one, outcome in zip(asked, outcomes, strict=True)
        if one.check.is_budget and one.check.rule.mode != "audit" and outcome.fits
    }
    for number, (one, outcome) in enumerate(zip(asked, outcomes, strict=True)):
        mode = one.check.rule.mode
        if outcome.fits or mode == "audit":
            continue
        if mode == "soft_enforce" and allowing - {one.check.rule.id}:
            continue
        refusing.append(number)
    return refusing


def share_of(limit: int, workers: int, *, budget: bool) -> int:
    """Return a worker's share of a limit, where workers can't count together.

    At least one call, or the limit would forbid all; of a budget no more than its part.
    """
    return limit // workers if budget or not limit else max(1, limit // workers)
