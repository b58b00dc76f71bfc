"""A thread that does one thing again and again until it is stopped: the form of every loop beside the event loop."""

import logging
import threading
from collections.abc import Callable

from django.db import connections

from accounts.backoff import backoff

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 15.0


def renew_connections() -> None:
    """Let Django renew this thread's connections that are old or dead: at the beginning of a round.

    One to SQLite is neither, and stays unless something failed: a file has to be opened, read and set up again for some
    2 ms, in which the event loop waits for the interpreter.
    """
    for connection in connections.all(initialized_only=True):
        if connection.vendor != "sqlite" or connection.errors_occurred:
            connection.close_if_unusable_or_obsolete()


class WorkerThread:
    """A daemon thread that calls ``work`` again and again.

    ``work`` returns the seconds until its next call, or ``None`` when there is nothing more to do. What it raises ends
    nothing: ``failed`` gets the error and the number of failures before it in a row, and returns the pause; without it,
    the first of a row is logged and the pause grows. ``ending`` is called once after the last ``work``. Connections to
    databases that the thread opened are closed at its end."""

    def __init__(
        self,
        name: str,
        work: Callable[[], float | None],
        *,
        first: float = 0.0,
        failed: Callable[[Exception, int], float] | None = None,
        ending: Callable[[], None] | None = None,
    ) -> None:
        self.stopping = threading.Event()
        self._work = work
        self._first = first
        self._failed = failed or self._log
        self._ending = ending
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def started(self) -> bool:
        """Whether :meth:`start` was called."""
        return self._thread.ident is not None

    @property
    def running(self) -> bool:
        """Whether the thread was started and has not ended."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin, ``first`` seconds from now."""
        self._thread.start()

    def stop(self, timeout: float | None = None, wake: Callable[[], None] | None = None) -> bool:
        """End after the present round and wait for that, ``timeout`` seconds at most; return whether it has ended.

        ``wake`` is called in between: for work that waits for something else than its pause.
        """
        self.stopping.set()
        if wake is not None:
            wake()
        if self.started:
            self._thread.join(timeout)
        return not self.running

    def _run(self) -> None:
        pause: float | None = self._first
        try:
            while pause is not None and not self.stopping.wait(pause):
                pause = self._round()
            if self._ending is not None:
                self._ending()
        except Exception:  # the thread's boundary: only the log can have it
            logger.exception("The thread %s ended with a failure.", self._thread.name)
        finally:
            connections.close_all()

    def _round(self) -> float | None:
        try:
            pause = self._work()
        except Exception as error:  # the round's boundary: whatever it is, the next one tries again
            pause = self._failed(error, self._failures)
            self._failures += 1
            return pause
        self._failures = 0
        return pause

    def _log(self, error: Exception, before: int) -> float:
        if not before:
            logger.warning("%s fails and is tried again: %s.", self._thread.name, type(error).__name__)
        connections.close_all()
        return backoff(before, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
