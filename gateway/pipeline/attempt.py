"""One attempt to have a call answered by one target: its request, answer, timings, error and usage record."""

from time import perf_counter_ns

from gateway.call import errors
from gateway.call.call import Call
from gateway.pipeline import records
from gateway.pipeline.unmetered import KeptOutput, estimate_usage, is_metered, needs_estimate
from gateway.policies import settle
from gateway.state import state
from providers.dialects import dialect_of
from providers.snapshot import Target
from providers.upstream.client import UpstreamAnswer, UpstreamRequest

USAGE_WAIT_SECONDS = 2.0
"""How long the vendor may take to say what a stream used whose client left behind its last output."""


class Attempt:
    """One attempt. It leaves exactly one record: :meth:`begin` notes it in the spool's journal, :meth:`finish`
    completes it.

    ``outcome`` is the status that decides about another attempt: the answer's own, or that of an error inside a 200.
    ``replied`` says that the answer's head goes to the client. ``failure`` is what ended the attempt; ``free`` says
    that there is nothing to pay, whatever was used. ``ended`` says that a stream's whole output came, ``output`` keeps
    the beginning of it.
    """

    __slots__ = (
        "answer",
        "call",
        "dialect",
        "ended",
        "failure",
        "finished",
        "free",
        "number",
        "outcome",
        "output",
        "record",
        "replied",
        "request",
        "started_ns",
        "target",
        "upstream_ms",
    )

    def __init__(self, call: Call, target: Target, number: int) -> None:
        self.call = call
        self.target = target
        self.number = number
        self.dialect = dialect_of(target.account)
        self.record = records.new_record(call, target, number)
        self.request: UpstreamRequest | None = None
        self.answer: UpstreamAnswer | None = None
        self.outcome = 0
        self.replied = False
        self.failure: BaseException | None = None
        self.finished = False
        self.ended = False
        self.output: KeptOutput | None = None
        self.free = False
        self.started_ns = perf_counter_ns()
        self.upstream_ms = 0.0

    def begin(self) -> None:
        """Note that the attempt begins, so that a killed process still leaves its record."""
        state.spool.begin(self.record)

    def head_arrived(self) -> None:
        """Note how long the upstream took so far."""
        self.upstream_ms = (perf_counter_ns() - self.started_ns) / 1e6

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
        record.latency_us = (perf_counter_ns() - self.started_ns) // 1000
        record.bytes_in = call.body.size
        if needs_estimate(call, record, error, sent=self.sent, ended=self.ended, free=self.free):
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
        settle(self.call, self)
