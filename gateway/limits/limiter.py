"""The limiter: what is between calls and the counters. In Redis when that is configured, else in memory.

A budget's counter is what the ledger holds plus what it does not hold yet: reservations of calls under way, and the
costs of attempts whose records are not stored. An entry goes in the moment in which the ledger's sum, with it, comes.
So the counter that gates is the ledger's own, and a worker that starts again reads it there.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.utils import timezone

from accounts.worker_thread import WorkerThread
from gateway.limits import shared as messages
from gateway.limits.checks import Asked, Outcome
from gateway.limits.memory import MemoryCounters
from gateway.limits.shared import FAULTS, Message, SharedCounters
from rules import spending
from rules.compiled import RuleSet
from rules.periods import Calendar
from rules.shape import PERIODS
from rules.spending import Held

logger = logging.getLogger("gateway.limits")

REFRESH_SECONDS: Final = 1.0
WAITING_SECONDS: Final = 0.02
"""Between looks for the rules, until they are loaded for the first time."""
OVERLAP_SECONDS: Final = 10.0
"""Counters that were written so long before the last look are looked at again: their commit may have come later."""
FULL_SECONDS: Final = 60.0
STALE_SECONDS: Final = 10.0
Base = tuple[int, int]


def budget_key(rule_id: int, period: str, counts: str, entity: str) -> str:
    """Return the name of a budget's counter, without the period's first day."""
    return f"b:{rule_id}:{period}:{counts}:{entity}"


class Limiter:
    """The counters of this process. Its methods run in the event loop, but :meth:`stored` and the refreshing thread's.

    ``rules`` returns the rules of the moment, ``known`` whether they were loaded yet.
    """

    def __init__(self, rules: Callable[[], RuleSet | None], known: Callable[[], bool]) -> None:
        self.memory = MemoryCounters()
        self.shared: SharedCounters | None = None
        self.loaded = False
        self.refreshed_at = 0.0
        self._rules = rules
        self._known = known
        self._bases: dict[str, Base] = {}
        self._booked: dict[str, list[str]] = {}
        self._calendar = Calendar()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: WorkerThread | None = None
        self._full_at = 0.0
        self._looked_at = timezone.now()

    # --- life ---

    def start(self) -> None:
        """Begin to follow the ledger's sums, inside the running event loop."""
        self._loop = asyncio.get_running_loop()
        if settings.REDIS_URL:
            self.shared = SharedCounters(settings.REDIS_URL, self._loop, self._held)
            self.shared.start()
        spending.LISTENERS.append(self.stored)
        self._thread = WorkerThread("gatehouse-budgets", self._refresh)
        self._thread.start()

    async def stop(self) -> None:
        """End what :meth:`start` began."""
        if self._thread is not None:
            await asyncio.to_thread(self._thread.stop, 5)
        if self.stored in spending.LISTENERS:
            spending.LISTENERS.remove(self.stored)
        if self.shared is not None:
            await self.shared.stop()
        # As new, for a server that starts in this process again.
        self.__init__(self._rules, self._known)  # type: ignore[misc]

    @property
    def workers(self) -> int:
        """Among how many workers limits are shared where they can't be counted together."""
        return max(settings.WORKERS, self.shared.workers if self.shared is not None else 1)

    def state(self) -> dict[str, object]:
        """Return what ``/readyz`` says about limits."""
        if self.shared is not None and self.shared.fault:
            detail = f"Redis can't be reached ({self.shared.fault}); this worker takes 1/{self.workers} of every limit"
            return {"state": "degraded", "detail": detail}
        rules = self._rules()
        late = rules is not None and bool(rules.budgets.rules) and time.monotonic() - self.refreshed_at > STALE_SECONDS
        if late:
            return {"state": "degraded", "detail": "what budgets hold can't be read from the database"}
        return {"state": "ok"}

    # --- calls ---

    async def take(self, receipt: str, asked: Sequence[Asked]) -> tuple[list[Outcome], list[int]]:
        """Let every counter take its part of a call, or none; return the outcomes and the refusing positions."""
        bases = self._bases
        for one in asked:
            if one.check.is_budget:
                one.base, one.version = bases.get(one.key, (0, 0))
        shared = self.shared
        if shared is None:
            return self.memory.take(receipt, asked, settings.WORKERS)
        if not shared.away:
            try:
                outcomes, refusing = await shared.take(receipt, asked)
            except FAULTS:
                pass
            else:
                if not refusing:
                    self._note(receipt, asked)
                return outcomes, refusing
        return self.memory.take(receipt, asked, self.workers)

    def _note(self, receipt: str, asked: Sequence[Asked]) -> None:
        """Remember what was taken in Redis, to renew it, and to count on alone without Redis."""
        for one in asked:
            if one.check.is_budget:
                if one.amount:
                    self.memory.put(one.key, receipt, one.amount)
            elif not one.check.unit.seconds:
                self.memory.concurrent.setdefault(one.key, set()).add(receipt)

    def key_now(self, key: str, period: str) -> tuple[str, float]:
        """Return the full name of a budget's counter in the present period, and when that ends (unix seconds)."""
        calendar = self._calendar.at(time.time(), PERIODS)
        return f"{key}:{calendar.starts[period]}", calendar.ends[period]

    def book(self, keys: Sequence[tuple[str, int]], attempt_id: str) -> None:
        """Hold what an attempt cost in these budgets until the ledger does."""
        name = attempt_id.replace("-", "")
        kept = [key for key, amount in keys if amount]
        if kept:
            self._booked[name] = kept
        for key, amount in keys:
            if amount:
                self.memory.put(key, name, amount)
                if self.shared is not None:
                    self.shared.report(messages.put(key, name, amount))

    def release(self, receipt: str, asked: Sequence[Asked], corrections: Sequence[tuple[Asked, int, int]]) -> None:
        """End what a call holds; ``corrections`` are checks with the slot they were counted in and the change."""
        changes: list[Message] = []
        for one, slot, change in corrections:
            self.memory.correct(one.check.unit.seconds, one.key, slot, change)
            changes.append(messages.corrected(one.key, one.check.unit.seconds, slot, change))
        for one in asked:
            if one.check.is_budget:
                self.memory.drop(one.key, receipt)
                changes.append(messages.dropped(one.key, receipt))
            elif not one.check.unit.seconds:
                self.memory.leave(one.key, receipt)
                changes.append(messages.left(one.key, receipt))
        if self.shared is not None and changes:
            self.shared.report(*changes)

    def _held(self) -> list[Message]:
        """Return what must not end in Redis, and whatever is reported again there."""
        held = [
            messages.put(key, name, amount)
            for key, state in self.memory.budgets.items()
            for name, amount in state.entries.items()
        ]
        return held + [
            messages.running(key, receipt) for key, receipts in self.memory.concurrent.items() for receipt in receipts
        ]

    # --- the ledger ---

    def stored(self, held: Sequence[Held], ids: Sequence[str]) -> None:
        """Take in that the ledger stored attempts; called in the thread that did."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._stored, held, ids)

    def _stored(self, held: Sequence[Held], ids: Sequence[str]) -> None:
        changes = self._learn(held)
        for name in ids:
            plain = name.replace("-", "")
            for key in self._booked.pop(plain, ()):
                self.memory.drop(key, plain)
                changes.append(messages.dropped(key, plain))
        if self.shared is not None and changes:
            self.shared.report(*changes)

    def _learn(self, held: Sequence[Held]) -> list[Message]:
        changes: list[Message] = []
        for one in held:
            place = one.place
            for counts, base in (("cost", one.cost), ("total", one.tokens)):
                name = budget_key(place.rule_id, place.period, counts, place.entity)
                key = f"{name}:{place.start.isoformat()}"
                known = self._bases.get(key)
                if known is None or known[1] < one.version:
                    self._bases[key] = base, one.version
                    self.memory.learn(key, base, one.version)
                    changes.append(messages.learned(key, base, one.version))
        return changes

    def _adopt(self, held: Sequence[Held], whole: bool) -> None:
        self._learn(held)
        if whole:  # what is left belongs to periods that are over, or was stored since
            present = {start.isoformat() for start in spending.present_starts()}
            self._bases = {key: base for key, base in self._bases.items() if key.rpartition(":")[2] in present}
        self.loaded = True
        self.refreshed_at = time.monotonic()

    def _refresh(self) -> float:
        """Read what budgets hold from the database, and sum those that are new; in a thread of its own."""
        known, rules = self._known(), self._rules()
        now, loop = time.monotonic(), self._loop
        if rules is None or not rules.budgets.rules:
            self.loaded = known
            self._full_at = 0.0
            return REFRESH_SECONDS / 4 if known else WAITING_SECONDS
        new = spending.uncounted()
        if new:
            spending.rebuild(new)
        whole = bool(new) or now - self._full_at > FULL_SECONDS
        began = timezone.now()
        since = None if whole else self._looked_at - timedelta(seconds=OVERLAP_SECONDS)
        held = spending.held_now(since)
        self._looked_at = began
        if whole:
            self._full_at = now
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._adopt, held, whole)
        return REFRESH_SECONDS
