"""The usage records of a session: one for itself, one for each response, one for each transcribed item."""

from collections import deque
from time import perf_counter_ns

from gateway.billing import pricing
from gateway.call import errors
from gateway.call.call import Call
from gateway.pipeline import records as pipeline_records
from gateway.state import state
from providers.snapshot import Target
from usage.records import AttemptRecord

REMEMBERED = 1000


class AttemptTimer:
    """An attempt that has begun: its record is in the spool's journal, so that a killed process still leaves it."""

    __slots__ = ("record", "started_ns", "target")

    def __init__(self, record: AttemptRecord, target: Target) -> None:
        self.record = record
        self.target = target
        self.started_ns = perf_counter_ns()
        record.status = record.upstream_status = 101
        state.spool.begin(record)

    def first_output(self) -> None:
        """Note when the first piece of the answer came."""
        if self.record.ttft_us is None:
            self.record.ttft_us = (perf_counter_ns() - self.started_ns) // 1000

    def finish(self, error: BaseException | None, *, client_gone: bool = False) -> None:
        """Write the record down, with its cost: unknown when the vendor did not tell what it used."""
        pricing.price(self.record, self.target)
        self.close(error, client_gone=client_gone)

    def close(self, error: BaseException | None, *, client_gone: bool = False) -> None:
        """Write the record down as it is."""
        record = self.record
        record.latency_us = (perf_counter_ns() - self.started_ns) // 1000
        record.client_gone = client_gone
        if error is not None and not record.error_class:
            record.error_class = errors.code_of(error)
        state.spool.append(record)


class Records:
    """The records of one session."""

    def __init__(self, call: Call, target: Target, name: str) -> None:
        self.call = call
        self.name = name
        self.responses: dict[str, AttemptTimer] = {}
        self._done: deque[str] = deque(maxlen=REMEMBERED)
        self.session = AttemptTimer(self._record(target, f"{name}_session"), target)

    def begin(self, response_id: str, target: Target) -> AttemptTimer | None:
        """Begin the record of a response; ``None`` when it has one already."""
        if not response_id or response_id in self.responses or response_id in self._done:
            return None
        record = self._record(target, self.name)
        record.object_id = response_id[:200]
        running = self.responses[response_id] = AttemptTimer(record, target)
        return running

    def take(self, response_id: str, target: Target) -> AttemptTimer | None:
        """Return the record of a response that is over; ``None`` when it was written before, or has no id."""
        running = self.responses.pop(response_id, None)
        if running is None:
            running = self.begin(response_id, target)
            self.responses.pop(response_id, None)
        if running is not None:
            self._done.append(response_id)
        return running

    def transcription(self, item_id: str, target: Target) -> AttemptTimer | None:
        """Begin the record of an item's transcription; ``None`` when it was written before."""
        if item_id in self._done:
            return None
        self._done.append(item_id)
        record = self._record(target, f"{self.name}_transcription")
        record.object_id = item_id[:200]
        return AttemptTimer(record, target)

    def end(self, error: BaseException | None, cut: BaseException, *, client_gone: bool, billed: bool) -> None:
        """Write down what is still open, and the session itself with its duration.

        ``cut`` is what ended the open ones. ``billed`` sessions are paid for by the minute of sound; of the others only their responses cost.
        """
        for running in self.responses.values():
            running.finish(cut, client_gone=client_gone)
        self.responses.clear()
        session = self.session
        duration = (perf_counter_ns() - session.started_ns) // 1_000_000
        if billed:
            pricing.price(session.record, session.target)
        else:
            session.record.cost_pico = 0
        session.record.units = {**session.record.units, "session_ms": duration}
        session.close(error, client_gone=isinstance(error, errors.ClientGone))

    def _record(self, target: Target, operation: str) -> AttemptRecord:
        record = pipeline_records.new_record(self.call, target, 1)
        record.operation = operation
        record.stream = True
        if target.model.name or not self.call.model_asked:
            record.model_asked = target.model.public_name
        return record
