"""Counters in this process's memory: exact for one worker; of several, each takes its share.

Windows slide in ``SLOTS`` slots and are forgotten when they are empty; the number of them is bounded, and beyond that
the one that was longest unused is forgotten first.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Final

from gateway.limits.checks import NEVER, SLOTS, Asked, Outcome, blocked, share_of

MOST_WINDOWS: Final = 200_000
"""Counters of one length of window."""
SWEPT: Final = 2
"""Forgotten windows per new one: more than come, so that what is empty goes."""


class Window:
    """A sliding window: what was counted, by slot. ``width`` is a slot's, in seconds."""

    __slots__ = ("slots", "total", "width")

    def __init__(self, seconds: int) -> None:
        self.width = seconds / SLOTS
        self.slots: deque[list[int]] = deque()
        self.total = 0

    def slide(self, now: float) -> int:
        """Drop what no longer counts; return the present slot."""
        slot = int(now / self.width)
        slots = self.slots
        while slots and slots[0][0] < slot - SLOTS:
            self.total -= slots.popleft()[1]
        return slot

    def add(self, slot: int, amount: int) -> None:
        """Count ``amount`` in the present slot."""
        if self.slots and self.slots[-1][0] == slot:
            self.slots[-1][1] += amount
        else:
            self.slots.append([slot, amount])
        self.total += amount

    def correct(self, slot: int, change: int) -> None:
        """Change what a slot holds, if it still counts; never below nothing."""
        for entry in reversed(self.slots):
            if entry[0] <= slot:
                if entry[0] == slot:
                    change = max(change, -entry[1])
                    entry[1] += change
                    self.total += change
                return

    def wait(self, amount: int, limit: int, now: float) -> float:
        """Return how many seconds until ``amount`` fits."""
        if amount > limit:
            return NEVER
        left = self.total + amount - limit
        for slot, counted in self.slots:
            left -= counted
            if left <= 0:
                return max(0.0, (slot + SLOTS + 1) * self.width - now)
        return 0.0

    def reset(self, now: float) -> float:
        """Return how many seconds until nothing counts any more."""
        return max(0.0, (self.slots[-1][0] + SLOTS + 1) * self.width - now) if self.slots else 0.0


class BudgetState:
    """A budget's counter: what the ledger holds, and what it does not hold yet.

    ``entries`` are reservations by the call's id, and what attempts cost by theirs.
    """

    __slots__ = ("base", "entries", "open", "version")

    def __init__(self) -> None:
        self.base = 0
        self.version = -1
        self.entries: dict[str, int] = {}
        self.open = 0

    def learn(self, base: int, version: int) -> None:
        """Take what the ledger holds, unless a newer sum is known."""
        if version > self.version:
            self.base, self.version = base, version

    def put(self, name: str, amount: int) -> None:
        """Hold ``amount`` under ``name``, instead of what it held."""
        self.open += amount - self.entries.get(name, 0)
        self.entries[name] = amount

    def drop(self, name: str) -> None:
        """Hold nothing under ``name`` any more."""
        self.open -= self.entries.pop(name, 0)


class MemoryCounters:
    """The counters. ``clock`` gives seconds that only ever grow; used in one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[int, OrderedDict[str, Window]] = {}
        self.concurrent: dict[str, set[str]] = {}
        self.budgets: dict[str, BudgetState] = {}

    def take(self, receipt: str, asked: Sequence[Asked], workers: int = 1) -> tuple[list[Outcome], list[int]]:
        """Let every counter take its part of a call, or none; return the outcomes and the refusing positions.

        ``workers`` is among how many the limits are shared.
        """
        now = self._clock()
        outcomes = [self._judge(one, now, workers) for one in asked]
        refusing = blocked(asked, outcomes)
        if not refusing:
            for one, outcome in zip(asked, outcomes, strict=True):
                self._count(receipt, one, outcome, now)
        return outcomes, refusing

    def window(self, seconds: int, key: str, now: float) -> Window:
        """Return a window, a new one if necessary; forget some that are empty."""
        windows = self._windows.setdefault(seconds, OrderedDict())
        window = windows.get(key)
        if window is not None:
            windows.move_to_end(key)
            return window
        for _ in range(SWEPT):
            oldest = next(iter(windows), None)
            if oldest is None:
                break
            windows[oldest].slide(now)
            if windows[oldest].total and len(windows) < MOST_WINDOWS:
                break
            del windows[oldest]
        window = windows[key] = Window(seconds)
        return window

    def _judge(self, one: Asked, now: float, workers: int) -> Outcome:
        check, amount = one.check, one.amount
        if check.is_budget:
            return self._judge_budget(one, workers)
        limit = check.limit if workers == 1 else share_of(check.limit, workers, budget=False)
        if not check.unit.seconds:
            used = len(self.concurrent.get(one.key, ()))
            return Outcome(used + amount <= limit, used, wait=1.0 if limit else NEVER)
        window = self.window(check.unit.seconds, one.key, now)
        slot = window.slide(now)
        if window.total + amount <= limit:
            return Outcome(True, window.total, reset=check.unit.seconds + window.width, slot=slot)
        return Outcome(False, window.total, window.wait(amount, limit, now), window.reset(now), slot)

    def _judge_budget(self, one: Asked, workers: int) -> Outcome:
        state = self.budgets.get(one.key) or BudgetState()  # kept only where the call is counted
        state.learn(one.base, one.version)
        limit, used = one.check.limit, state.base + state.open
        if workers == 1:
            return Outcome(used < limit and used + one.amount <= limit, used)
        room = share_of(max(0, limit - state.base), workers, budget=True)
        return Outcome(state.open < room and state.open + one.amount <= room, used)

    def _count(self, receipt: str, one: Asked, outcome: Outcome, now: float) -> None:
        outcome.used += one.amount
        if one.check.is_budget:
            self.put(one.key, receipt, one.amount)
        elif not one.check.unit.seconds:
            self.concurrent.setdefault(one.key, set()).add(receipt)
        else:
            self.window(one.check.unit.seconds, one.key, now).add(outcome.slot, one.amount)

    # --- afterwards ---

    def correct(self, seconds: int, key: str, slot: int, change: int) -> None:
        """Change what a call was counted with in a window."""
        windows = self._windows.get(seconds)
        if windows is not None and key in windows:
            windows[key].correct(slot, change)

    def leave(self, key: str, receipt: str) -> None:
        """End a call's place among those that run at once."""
        running = self.concurrent.get(key)
        if running is not None:
            running.discard(receipt)
            if not running:
                del self.concurrent[key]

    def put(self, key: str, name: str, amount: int) -> None:
        """Hold an amount in a budget under a name."""
        state = self.budgets.get(key)
        if state is None:
            state = self.budgets[key] = BudgetState()
        state.put(name, amount)

    def drop(self, key: str, name: str) -> None:
        """Hold nothing under a name in a budget any more; a budget that holds nothing is forgotten."""
        state = self.budgets.get(key)
        if state is not None:
            state.drop(name)
            if not state.entries:
                del self.budgets[key]

    def learn(self, key: str, base: int, version: int) -> None:
        """Take what the ledger holds of a budget."""
        state = self.budgets.get(key)
        if state is not None:
            state.learn(base, version)

    @property
    def size(self) -> int:
        """How many counters there are."""
        return sum(map(len, self._windows.values())) + len(self.concurrent) + len(self.budgets)
