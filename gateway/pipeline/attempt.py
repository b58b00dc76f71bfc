"""One attempt to have a call answered by one target: its request, answer, timings, error and usage record."""

from collections.abc import Mapping, Sequence
from time import perf_counter_ns

import msgspec

from gateway.billing import usage as metering
from gateway.call import errors
from gateway.call.call import Call
from gateway.call.plan import PlannedTarget
from gateway.pipeline import records
from gateway.pipeline.unmetered import KeptOutput, estimate_usage, is_metered, needs_estimate
from gateway.policies import settle
from gateway.routing.health import health
from gateway.state import state
from gateway.telemetry import meter
from gateway.telemetry import tracer as tracing
from gateway.telemetry.facts import AttemptFacts
from providers.dialects import DIALECTS, dialect_of
from providers.dialects.conversion import Conversion, StreamConversion
from providers.snapshot import Target
from providers.upstream.client import UpstreamAnswer, UpstreamRequest

USAGE_WAIT_SECONDS = 2.0
"""How long the vendor may take to say what a stream used whose client left behind its last output."""

TRACED_FIELDS = ("id", "choices")


class Attempt:
    """One attempt. It leaves exactly one record: :meth:`begin` notes it in the spool's journal, :meth:`finish`
    completes it.

    ``outcome`` is the status that decides about another attempt: the answer's own, or that of an error inside a 200.
    ``spare_key`` says that another of the account's keys follows one that is refused, ``probes`` that it tries a target
    which rested. ``replied`` says that the
    answer's head goes to the client. ``failure`` is what ended the attempt; ``free`` says that there is nothing to pay,
    whatever was used. ``complete`` says that its record is written and settled. ``ended`` says that a stream's whole
    output came, ``output`` keeps the beginning of it. ``dialect`` is the upstream's, ``spoken`` the one that the client
    gets its answer in: where they differ, ``conversion`` is between them, and ``streamed`` converts the answer's
    events. ``dropped`` names what the model does not take. ``response`` are fields of the answer, for its span.
    """

    __slots__ = (
        "answer",
        "call",
        "complete",
        "conversion",
        "dialect",
        "dropped",
        "ended",
        "failure",
        "finish_reasons",
        "finished",
        "finished_ns",
        "free",
        "number",
        "outcome",
        "output",
        "overhead_us",
        "planned",
        "probes",
        "record",
        "replied",
        "request",
        "response",
        "settled_ns",
        "spare_key",
        "spoken",
        "started_ns",
        "streamed",
        "target",
        "upstream_ms",
    )

    def __init__(self, call: Call, target: Target, number: int, planned: PlannedTarget | None = None) -> None:
        self.call = call
        self.target = target
        self.planned = planned
        self.number = number
        self.dialect = dialect_of(target.account)
        self.spoken = DIALECTS.get(call.operation.door, self.dialect)
        self.conversion: Conversion | None = None
        self.streamed: StreamConversion | None = None
        self.dropped: Sequence[str] = ()
        self.record = records.new_record(call, target, number)
        self.request: UpstreamRequest | None = None
        self.answer: UpstreamAnswer | None = None
        self.outcome = 0
        self.replied = False
        self.spare_key = False
        self.probes = False
        self.failure: BaseException | None = None
        self.finished = self.complete = False
        self.ended = False
        self.output: KeptOutput | None = None
        self.free = False
        self.started_ns = perf_counter_ns()
        self.upstream_ms = 0.0
        self.overhead_us = -1
        self.finished_ns = self.settled_ns = 0
        self.response: Mapping[str, msgspec.Raw] = {}
        self.finish_reasons: list[str] = []

    def begin(self) -> None:
        """Note that the attempt begins, so that a killed process still leaves its record."""
        if self.call.plan.routed:
            health.began(self.target.model.public_name)
        state.spool.begin(self.record)

    def head_arrived(self) -> None:
        """Note how long the upstream took so far."""
        self.upstream_ms = (perf_counter_ns() - self.started_ns) / 1e6

    def reply_begins(self) -> None:
        """Note what the gateway itself took of the call so far; known of a call's first attempt only."""
        if self.number == 1 and self.overhead_us < 0:
            total_us = (perf_counter_ns() - self.call.started_ns) // 1000
            self.overhead_us = max(0, total_us - int(self.upstream_ms * 1000))

    def first_output(self) -> None:
        """Note when the first content, reasoning, tool call or audio came."""
        if self.record.ttft_us is None:
            self.record.ttft_us = (perf_counter_ns() - self.started_ns) // 1000

    @property
    def sent(self) -> bool:
        """Whether the vendor may have seen the request."""
        return self.request is not None and self.request.sent

    @property
    def seconds_without_client(self) -> float:
        """How long the attempt goes on when its client leaves now; 0: it ends at once, which stops the vendor's meter.

        A vendor that bills the whole anyway may finish, as its account says. Behind the last output only the usage is
        to come.
        """
        if self.finished or not self.sent or not self.call.operation.charges:
            return 0.0
        if self.ended and not is_metered(self.record):
            return max(self.target.account.finish_seconds, USAGE_WAIT_SECONDS)
        return self.target.account.finish_seconds

    def finish(self, error: BaseException | None) -> None:
        """Complete the record, once: what it used, cost and took goes to the spool, and the policies settle it.

        Where the vendor did not come to say what it used, that is estimated first, a moment later.
        """
        if self.finished:
            return
        self.finished = True
        record, call = self.record, self.call
        if error is None and call.client_gone:
            error = errors.ClientGone("The client left before the answer was complete.")
        self.failure = error
        self.finished_ns = perf_counter_ns()
        record.latency_us = (self.finished_ns - self.started_ns) // 1000
        if self.streamed is not None:
            metering.take(record, self.streamed.usage, self.streamed.model)
        record.bytes_in = call.body.size
        if self.answer is not None:
            self.reply_begins()
        if needs_estimate(call, record, error, self.output, sent=self.sent, ended=self.ended, free=self.free):
            state.finish_later(self._estimate(error))
        else:
            self._complete(error)

    async def _estimate(self, error: BaseException | None) -> None:
        try:
            await estimate_usage(self.call, self.record, self.target, self.output)
        finally:
            self._complete(error)

    def _complete(self, error: BaseException | None) -> None:
        free = self.free or not self.sent  # what no vendor has seen, none bills
        records.complete(self.record, self.call, self.target, error, replied=self.replied, free=free)
        state.spool.append(self.record)
        meter.attempt_ended(self.record, self.target.model.public_name, self.overhead_us)
        settle(self.call, self)
        if tracing.tracer is not None:
            self._trace(tracing.tracer)
        self.complete = True

    def _trace(self, tracer: tracing.Tracer) -> None:
        self.settled_ns = perf_counter_ns()
        trace, record = self.call.trace, self.record
        if not trace.live:
            trace.attempts.append(self)
        elif tracer.keeps(trace, failed=bool(record.error_class), took_ns=record.latency_us * 1000):
            tracer.add((trace, self.facts()))

    def facts(self) -> AttemptFacts:
        """Return what spans say of the finished attempt."""
        return AttemptFacts(
            self.record,
            self.target.model.public_name,
            self.target.model.upstream_id,
            self.target.account.url,
            self.started_ns,
            self.finished_ns,
            self.settled_ns,
            int(self.upstream_ms * 1000),
            self.overhead_us,
            {name: bytes(self.response[name]) for name in TRACED_FIELDS if name in self.response},
            self.finish_reasons,
        )
