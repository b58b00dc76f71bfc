"""A Celery worker and its clock inside the server process, for installations without a broker: nothing else to start.

The broker is this process's memory. What a dying process drops is found again by the next sweep, of any process.
"""

import logging
import os
from typing import Any

from django.conf import settings

from accounts.worker_thread import WorkerThread
from gateway.jobs.leases import stopping

logger = logging.getLogger("gateway.server.embedded_celery")

STOP_SECONDS = 0.5
"""How long the end is waited for. The broker looks up every two seconds only, and nothing is lost when it is cut
off."""
THREADS = 4


def wanted() -> bool:
    """Whether this installation has no broker, so that the server does the work."""
    return bool(settings.CELERY_BROKER_URL.startswith("memory:"))


class EmbeddedCelery:
    """The worker and the clock, each in a thread. Starting returns at once; Celery is imported in the thread."""

    def __init__(self) -> None:
        self._thread = WorkerThread("gatehouse-jobs", self._run)
        self._clock: Any = None

    def start(self) -> None:
        """Begin."""
        stopping.clear()
        self._thread.start()

    def stop(self) -> None:
        """End. What is running gives up at its next step, and its lease runs out."""
        stopping.set()
        if self._clock is not None:
            self._clock.service.stop(wait=False)
            _stop_worker()
        self._thread.stop(STOP_SECONDS)

    def _run(self) -> None:
        try:
            self._work()
        except Exception:  # the thread's boundary: the server serves on, and the log has the reason
            logger.exception("The embedded worker ended.")

    def _work(self) -> None:
        # Slow to import, and of no use to an installation that has workers of its own.
        from celery.beat import EmbeddedService  # slow
        from celery.worker import WorkController  # slow

        from gateway.celery import app  # brings Celery
        from gateway.jobs.clock import Clock  # brings Celery

        app.finalize()
        app.loader.import_default_modules()
        worker = WorkController(
            app=app,
            pool="threads",
            concurrency=THREADS,
            hostname=f"embedded-{os.getpid()}@gatehouse",
            loglevel=logging.WARNING,
            without_heartbeat=True,
            without_mingle=True,
            without_gossip=True,
        )
        clock = EmbeddedService(app, thread=True, scheduler_cls=Clock)  # nothing on disk: processes would share it
        if stopping.is_set():
            return
        self._clock = clock
        clock.start()
        worker.start()


def _stop_worker() -> None:
    from celery.worker import state  # slow, and imported by then

    state.should_stop = 0  # the worker's loop ends with this exit code
