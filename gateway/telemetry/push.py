"""Metrics by OTLP: every process sends what it counted since its start, by the same names as Prometheus gets it."""

import logging
import time
from collections.abc import Mapping, Sequence

from gateway.telemetry.otlp import Destination, Unsent, sender
from gateway.telemetry.series import Counts
from gateway.telemetry.shared import Gauges

logger = logging.getLogger("gateway.telemetry")


class Pusher:
    """Sends this process's metrics to collectors every ``seconds``. What a collector misses, the next one brings."""

    def __init__(
        self, destinations: Sequence[Destination], resource: Mapping[str, str], groups: Sequence[str], seconds: float
    ) -> None:
        self._senders = [(each.endpoint, sender(each, "metrics")) for each in destinations]
        self._resource = resource
        self._groups = groups
        self._seconds = seconds
        self._due = time.monotonic() + seconds
        self._started_ns = time.time_ns()
        self._failed: set[str] = set()

    def push(self, counts: Counts, gauges: Gauges, *, last: bool = False) -> None:
        """Send when it is time, or for the ``last`` time."""
        if not last and time.monotonic() < self._due:
            return
        self._due = time.monotonic() + self._seconds
        from gateway.telemetry import metric_messages  # only with the extra ``otel``, which few install

        payload = metric_messages.request(counts, gauges, self._groups, self._resource, self._started_ns)
        for endpoint, each in self._senders:
            try:
                each.send(payload)
            except Unsent as error:
                if endpoint not in self._failed:
                    logger.warning("The collector at %s does not take metrics: %s.", endpoint, error)
                self._failed.add(endpoint)
            else:
                self._failed.discard(endpoint)
            if last:
                each.close()
