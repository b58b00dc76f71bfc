"""Counting beside the calls: they put observations into a queue, a thread counts and shares them.

Off by default: then ``note`` does nothing, and neither a thread nor a file exists.
"""

import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accounts.worker_thread import WorkerThread
from gateway.telemetry.exporter import Exporter
from gateway.telemetry.push import Pusher
from gateway.telemetry.series import Counts
from gateway.telemetry.shared import Gauges, SharedCounts
from gateway.telemetry.tables import REFUSED, TRIED_AGAIN, count_attempt
from usage.records import AttemptRecord
from usage.rows import give_way

logger = logging.getLogger("gateway.telemetry")

QUEUE_LIMIT = 50_000
CHUNK = 32
ROUND_SECONDS = 1.0
QUIET_ROUNDS = 5
"""Rounds without a call after which the gauges are shared all the same."""


class Meter:
    """The counts of this process. Any thread may call ``note``; the rest happens in the meter's own thread.

    ``read_gauges`` returns the gauges of this process. ``exporter`` serves what all processes counted, ``pusher``
    sends what this one did.
    """

    def __init__(
        self,
        folder: Path,
        limit: int,
        read_gauges: Callable[[], Gauges],
        exporter: Exporter | None,
        pusher: Pusher | None = None,
    ) -> None:
        self.counts = Counts(limit)
        self.dropped = 0
        self._queue: deque[tuple[Any, ...]] = deque()
        self._folder, self._limit = folder, limit
        self._read_gauges = read_gauges
        self._exporter = exporter
        self._pusher = pusher
        self._shared: SharedCounts | None = None
        self._quiet = QUIET_ROUNDS
        self._thread = WorkerThread("gatehouse-metrics", self._round, ending=self._finish)

    def note(self, count: Callable[..., None], *arguments: Any) -> None:
        """Have ``count(counts, *arguments)`` called soon."""
        if len(self._queue) < QUEUE_LIMIT:
            self._queue.append((count, *arguments))
        else:
            self.dropped += 1

    def start(self) -> None:
        """Begin to count and, in one process of the installation, to export."""
        self._thread.start()

    def stop(self) -> None:
        """Count what is there, and end."""
        self._thread.stop(5)

    def _round(self) -> float:
        if self._shared is None:
            self._shared = SharedCounts(self._folder, self._limit)
        self._quiet = 0 if self._drain() else self._quiet + 1
        if self._quiet == 0 or self._quiet >= QUIET_ROUNDS:
            self._shared.write(self.counts.tables, self._gauges())
            self._quiet = min(self._quiet, 1)
        if self._pusher is not None:
            self._pusher.push(self.counts, self._gauges())
        if self._exporter is not None and self._shared.becomes_exporter():
            self._exporter.serve(self._shared)
        return ROUND_SECONDS

    def _gauges(self) -> Gauges:
        return {**self._read_gauges(), "gatehouse_telemetry_dropped": {(): float(self.dropped)}}

    def _drain(self) -> int:
        """Count what is in the queue, with pauses for the event loop; return how many there were."""
        number = 0
        while self._queue:
            count, *arguments = self._queue.popleft()
            count(self.counts, *arguments)
            number += 1
            if number % CHUNK == 0:
                give_way()
        return number

    def _finish(self) -> None:
        self._drain()
        if self._exporter is not None:
            self._exporter.close()
        if self._pusher is not None:
            self._pusher.push(self.counts, {}, last=True)
        if self._shared is not None:
            self._shared.write(self.counts.tables, {})
            self._shared.close()


meter: Meter | None = None
"""The meter of this process; none when nothing is to be counted."""


def attempt_ended(record: AttemptRecord, model: str, overhead_us: int = -1) -> None:
    """Note a finished attempt, or a refused call."""
    if meter is not None:
        meter.note(count_attempt, record, model, overhead_us)


def tried_again(kind: str, from_model: str, to_model: str) -> None:
    """Note a retry or a failover (``kind``)."""
    if meter is not None:
        meter.note(_count_again, kind, from_model, to_model)


def unauthenticated(code: str) -> None:
    """Note a call that came without a valid token."""
    if meter is not None:
        meter.note(_count_refused, code)


def _count_again(counts: Counts, *key: str) -> None:
    counts.row(TRIED_AGAIN, key)[0] += 1


def _count_refused(counts: Counts, code: str) -> None:
    counts.row(REFUSED, (code,))[0] += 1
