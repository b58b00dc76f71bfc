"""The thread that polls deferred work where no Celery worker does."""

import random
import threading

from django.db import close_old_connections, connection

from gateway.jobs.poll import logger, poll_due


class Poller:
    """A thread that calls :func:`poll_due` every ``seconds``, more or less."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gatehouse-background", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; a round that is under way is waited for a little, and leaves its leases to others after that."""
        self._stopping.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        failing = False
        while not self._stopping.wait(self._seconds * random.uniform(0.75, 1.25)):
            try:
                close_old_connections()
                poll_due()
                failing = False
            except Exception as error:  # the thread's boundary: whatever it is, the next round tries again
                if not failing:
                    logger.warning("Background responses can't be looked at: %s.", type(error).__name__)
                failing = True
                connection.close()
        connection.close()
