"""The usage records of a session: one for itself, one for each response, one for each transcribed item."""

from collections import deque
from time import perf_counter_ns

from gateway.call import errors
from gateway.call.call import Call
from gateway.pipeline.attempt import Attempt
from providers.snapshot import Target

REMEMBERED = 1000
SWITCHED_PROTOCOLS = 101


class AttemptTimer(Attempt):
    """An attempt that a socket carries: a session, a response in it, or a transcribed item.

    It begins when it is made.
    """

    __slots__ = ()

    def __init__(self, call: Call, target: Target, operation: str) -> None:
        super().__init__(call, target, 1)
        record = self.record
        record.operation = operation
        record.stream = True
        record.status = record.upstream_status = SWITCHED_PROTOCOLS
        self.replied = True  # an error of the session does not change what the handshake answered
        self.begin()

    @property
    def sent(self) -> bool:
        """A socket's attempts begin when their event goes up."""
        return True

    def end(self, error: BaseException | None, *, client_gone: bool = False) -> None:
        """Complete the record, with its cost: unknown when the vendor did not report what it used."""
        self.record.client_gone = client_gone
        self.finish(error)


class Records:
    """The records of one session: ``name`` is the operation of its responses, ``session`` that of itself."""

    def __init__(self, call: Call, target: Target, name: str, session: str) -> None:
        self.call = call
        self.name = name
        self.responses: dict[str, AttemptTimer] = {}
        self._done: deque[str] = deque(maxlen=REMEMBERED)
        self.session = self._timer(target, session)

    def begin(self, response_id: str, target: Target) -> AttemptTimer | None:
        """Begin the record of a response; ``None`` when it has one already."""
        if not response_id or response_id in self.responses or response_id in self._done:
            return None
        running = self.responses[response_id] = self._timer(target, self.name)
        running.record.object_id = response_id[:200]
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
        running = self._timer(target, f"{self.name}_transcription")
        running.record.object_id = item_id[:200]
        return running

    def end(self, error: BaseException | None, cut: BaseException, *, client_gone: bool, billed: bool) -> None:
        """Complete what is still open, and the session itself with its duration.

        ``cut`` is what ended the open ones. ``billed`` sessions are paid for by the minute of audio; of the others only
        their responses cost.
        """
        for running in self.responses.values():
            running.end(cut, client_gone=client_gone)
        self.responses.clear()
        session = self.session
        duration = (perf_counter_ns() - session.started_ns) // 1_000_000
        session.free = not billed
        session.record.units = {**session.record.units, "session_ms": duration}
        session.end(error, client_gone=isinstance(error, errors.ClientGone))

    def _timer(self, target: Target, operation: str) -> AttemptTimer:
        timer = AttemptTimer(self.call, target, operation)
        if target.model.name or not self.call.model_asked:
            timer.record.model_asked = target.model.public_name
        return timer
