"""Metrics and traces of what Celery's workers charge: each process counts from its first task on.

A worker that shares the data folder with the servers is counted with them; another one serves its own metrics, or sends
them by OTLP, as its settings say. The embedded worker's process is a server, which does that anyway.
"""

from typing import Any, Final

from celery.signals import task_prerun, worker_process_shutdown, worker_shutdown

from gateway.celery import EMBEDDED
from gateway.server import telemetry

_begun: Final[set[str]] = set()


def begin(**_: Any) -> None:
    """Begin to count, once: in the process that runs tasks, whatever the pool, and not in one that forks those."""
    if not _begun:
        _begun.add("telemetry")
        telemetry.start()


def end(**_: Any) -> None:
    """Share what was counted, and end."""
    if _begun:
        _begun.clear()
        telemetry.stop()


def connect() -> None:
    """Have Celery's workers count, where they are processes of their own."""
    if EMBEDDED:
        return
    task_prerun.connect(begin, dispatch_uid="batches.telemetry")
    for signal in (worker_process_shutdown, worker_shutdown):
        signal.connect(end, dispatch_uid="batches.telemetry")
