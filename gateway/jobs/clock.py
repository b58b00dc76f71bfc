"""Celery's scheduler without its busy wait before each task.

Beat wakes up 10 ms before a task is due, finds that it is not, and checks again at once until it is. Inside a server
process that keeps the interpreter from the event loop.
"""

from celery.beat import Scheduler


class Clock(Scheduler):
    """Beat's scheduler in memory, which wakes up when something is due."""

    def adjust(self, n: float | None, drift: float = 0.0) -> float | None:
        """Return when to check again, ``n`` seconds from now, no earlier."""
        return n + max(drift, 0.0) if n and n > 0 else n
