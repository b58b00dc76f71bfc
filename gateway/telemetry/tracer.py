"""Spans beside the calls: facts wait in a queue, a thread makes spans of them and sends these to the collectors.

Off by default: then calls take no facts and no thread runs. An unavailable collector costs the calls nothing: spans
wait, ``WAITING_LIMIT`` for each collector at most, and are dropped and counted beyond that.
"""

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from time import perf_counter_ns

from accounts.backoff import backoff
from accounts.worker_thread import WorkerThread
from gateway.telemetry import meter, names
from gateway.telemetry.context import Trace
from gateway.telemetry.facts import AttemptFacts, CallFacts
from gateway.telemetry.otlp import Destination, Sender, Unsent, sender
from gateway.telemetry.series import Counts
from gateway.telemetry.spans import Builder
from gateway.telemetry.tables import SPANS
from gateway.telemetry.wire import export_request
from usage.records import AttemptRecord
from usage.rows import give_way

logger = logging.getLogger("gateway.telemetry")

QUEUE_LIMIT = 20_000
"""Calls whose facts may wait to become spans."""
WAITING_LIMIT = 50_000
"""Spans that may wait for one collector."""
BATCH = 2000
"""Spans of one request: half a megabyte, of the four that collectors take over gRPC."""
SEND_AFTER = 500
CHUNK = 16
ROUND_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
LAST_SECONDS = 3.0
ACCEPTED, EXPORTED, DROPPED = (SPANS.places[name] for name in ("accepted", "exported", "dropped"))


class Tracer:
    """Makes and sends the spans of this process.

    ``ratio`` of the traces are kept as a whole; of the others those that failed, or took ``slow_ns`` or longer.
    """

    def __init__(
        self,
        destinations: Sequence[Destination],
        resource: Mapping[str, str],
        *,
        ratio: float,
        slow_ns: int,
        vocabularies: Sequence[str],
        opt_in: Sequence[str],
    ) -> None:
        self.ratio = ratio
        self.slow_ns = slow_ns
        self._resource = resource
        self._builder = Builder(
            names.chosen(names.ATTEMPT, vocabularies, opt_in), names.chosen(names.CALL, vocabularies, opt_in)
        )
        self._queue: deque[CallFacts | tuple[Trace, AttemptFacts]] = deque()
        self._outlets = [_Outlet(each, resource) for each in destinations]
        self._dropped = 0
        self._thread = WorkerThread("gatehouse-traces", self._round, ending=self._finish)

    def keeps(self, trace: Trace, *, failed: bool, took_ns: int) -> bool:
        """Whether the spans of something that ended are sent."""
        return failed or (0 < self.slow_ns <= took_ns) or trace.sampled(self.ratio)

    def add(self, facts: "CallFacts | tuple[Trace, AttemptFacts]") -> None:
        """Take a call that ended, or an attempt of one that goes on for long: a socket's."""
        if len(self._queue) < QUEUE_LIMIT:
            self._queue.append(facts)
        else:
            self._dropped += 1

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send what is there, within some seconds, and end."""
        self._thread.stop(LAST_SECONDS + 2)

    def _round(self) -> float:
        number = 0
        while self._queue:
            self._make(self._queue.popleft())
            number += 1
            if number % CHUNK == 0:
                give_way()
            if number % SEND_AFTER == 0:
                self._send()
        self._send()
        return ROUND_SECONDS

    def _make(self, facts: "CallFacts | tuple[Trace, AttemptFacts]") -> None:
        try:
            if isinstance(facts, CallFacts):
                spans = self._builder.call(facts)
            else:
                trace, attempt = facts
                spans = self._builder.attempt(attempt, trace.trace_id, trace.span_id)
        except Exception:  # the boundary of a call's spans: others must not be lost with them
            logger.exception("The spans of a call can't be made.")
            return
        _count(ACCEPTED, len(spans))
        for outlet in self._outlets:
            outlet.add(spans)

    def _send(self) -> None:
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            _count(DROPPED, dropped)
        for outlet in self._outlets:
            outlet.send()

    def _finish(self) -> None:
        self._round()
        for outlet in self._outlets:
            outlet.send(last=True)


class _Outlet:
    """The spans that wait for one collector."""

    def __init__(self, destination: Destination, resource: Mapping[str, str]) -> None:
        self._sender: Sender = sender(destination, "traces")
        self._endpoint = destination.endpoint
        self._resource = resource
        self._waiting: deque[bytes] = deque()
        self._failures = 0
        self._rest = 0.0

    def add(self, spans: Sequence[bytes]) -> None:
        for span in spans:
            if len(self._waiting) < WAITING_LIMIT:
                self._waiting.append(span)
            else:
                _count(DROPPED, 1)

    def send(self, *, last: bool = False) -> None:
        """Send what waits, a batch at a time, until the collector does not take one."""
        if self._rest > 0 and not last:
            self._rest -= ROUND_SECONDS
            return
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                self._sender.send(export_request(self._resource, batch))
            except Unsent as error:
                if error.again:
                    self._waiting.extendleft(reversed(batch))
                else:
                    _count(DROPPED, len(batch))
                self._failed(error)
                break
            _count(EXPORTED, len(batch))
            if self._failures:
                logger.info("The collector at %s takes spans again.", self._endpoint)
            self._failures = 0
        if last:
            self._sender.close()

    def _failed(self, error: Unsent) -> None:
        if not self._failures:
            logger.warning("The collector at %s does not take spans: %s.", self._endpoint, error)
        self._rest = backoff(self._failures, ROUND_SECONDS, LONGEST_PAUSE_SECONDS)
        self._failures += 1


def _count(place: int, number: int) -> None:
    if meter.meter is not None:
        meter.meter.note(_count_spans, place, number)


def _count_spans(counts: Counts, place: int, number: int) -> None:
    counts.row(SPANS, ())[place] += number


tracer: Tracer | None = None
"""The tracer of this process; none without a collector."""


def charged(record: AttemptRecord) -> None:
    """Take the record of work that finished later: it is below its call. A line of a batch at a provider is a trace of
    its own, since a batch may have 50,000."""
    if tracer is None:
        return
    alone = bool(record.batch_key) or not record.request_id
    trace = Trace(record.attempt_id.replace("-", "") if alone else record.request_id)
    if alone:
        trace.span_id = ""
    elif record.trace_id:
        trace.trace_id = record.trace_id
    if not tracer.keeps(trace, failed=bool(record.error_class), took_ns=0):
        return
    now = perf_counter_ns()
    started = now - record.latency_us * 1000
    model, served = record.model_asked, record.model_served
    tracer.add((trace, AttemptFacts(record, model, served, "", started, now, 0, 0, -1, {})))
