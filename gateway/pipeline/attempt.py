"""One attempt to have a call answered by one target: its request, answer, timings, error and usage record."""

from time import perf_counter_ns

from gateway.call.call import Call
from gateway.pipeline import records
from gateway.policies import settle
from gateway.state import state
from providers.dialects import dialect_of
from providers.snapshot import Target
from providers.upstream.client import UpstreamAnswer


class Attempt:
    """One attempt. It leaves exactly one record: :meth:`begin` notes it in the spool's journal, :meth:`finish`
    completes it.

    ``outcome`` is the status that decides about another attempt: the answer's own, or that of an error inside a 200.
    ``replied`` says that the answer's head goes to the client. ``failure`` is what ended the attempt; ``free`` says
    that there is nothing to pay, whatever was used.
    """

    __slots__ = (
        "answer",
        "call",
        "dialect",
        "failure",
        "finished",
        "free",
        "number",
        "outcome",
        "record",
        "replied",
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
        self.answer: UpstreamAnswer | None = None
        self.outcome = 0
        self.replied = False
        self.failure: BaseException | None = None
        self.finished = False
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

    def finish(self, error: BaseException | None) -> None:
        """Complete the record, once: what it used, cost and took goes to the spool, and the policies settle it."""
        if self.finished:
            return
        self.finished = True
        self.failure = error
        record, call = self.record, self.call
        record.latency_us = (perf_counter_ns() - self.started_ns) // 1000
        record.bytes_in = call.body.size
        records.complete(record, call, self.target, error, replied=self.replied, free=self.free)
        state.spool.append(record)
        settle(call, self)
