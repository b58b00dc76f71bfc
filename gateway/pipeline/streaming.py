"""From an upstream's answer to the reply: JSON with the provider's name added, or server-sent events as they come."""

import re
from collections.abc import AsyncIterator
from time import perf_counter_ns
from typing import Protocol

import msgspec

from gateway.billing import usage as metering
from gateway.body.sse import TAIL_BYTES, _last_event_end, event_data, split_events
from gateway.call import errors
from gateway.call.call import Call
from providers.snapshot import Target
from providers.upstream.client import UpstreamAnswer
from providers.upstream.failures import BrokenAnswer, UpstreamFailure
from usage.records import AttemptRecord

MAX_EVENT_BYTES = 16 * 2**20
_is_error = re.compile(rb'^(?:event: ?error\b|data: ?\{\s*"error":\s*\{)', re.MULTILINE).search
_has_usage = re.compile(rb'"usage":\s*\{').search
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


class Finish(Protocol):
    """Completes an attempt, once, with what ended it. ``started_ns`` is when the attempt began."""

    started_ns: int

    def __call__(self, error: BaseException | None) -> None:
        """Write the attempt's record down."""


def read_answer(record: AttemptRecord, body: bytes, target: Target) -> bytes:
    """Meter a whole JSON answer and return it with ``"provider"`` added at its end, otherwise byte for byte.

    An answer that is no JSON object, or that names a provider itself, is returned as it came. Raises ``BrokenAnswer`` when
    it is no JSON at all.
    """
    try:
        fields = _fields.decode(body)
    except msgspec.ValidationError:
        return body
    except (ValueError, RecursionError):
        if not body.strip():
            return body
        raise BrokenAnswer("The upstream's answer is not valid JSON.") from None
    metering.read_fields(record, fields)
    if "provider" in fields:
        return body
    end = body.rindex(b"}")
    comma = b"," if fields else b""
    return b"".join((body[:end], comma, b'"provider":', _encode(target.account.provider), body[end:]))


class EventStream:
    """An upstream's server-sent events on their way to the client.

    Events go on as they came, as soon as they are whole. The usage in them is read; a chunk that only carries it is withheld
    from a client that did not ask for it. A stream that breaks, or ends before it is complete and without an error of the
    vendor's, gets an ``error`` event and no ``[DONE]`` of ours.
    """

    def __init__(self, call: Call, record: AttemptRecord, answer: UpstreamAnswer, finish: Finish) -> None:
        self._call = call
        self._record = record
        self._answer = answer
        self._finish = finish
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._tail = b""
        self._ends = call.operation.ends

    async def events(self, first: bytes = b"") -> AsyncIterator[bytes]:
        """Yield what goes to the client. ``first`` are bytes of the stream that were already read."""
        record = self._record
        try:
            if first:
                passed = self._take(first)
                if passed:
                    yield passed
            async for chunk in self._answer.chunks():
                if record.ttft_us is None:
                    record.ttft_us = (perf_counter_ns() - self._finish.started_ns) // 1000
                passed = self._take(chunk)
                if passed:
                    yield passed
            if self._complete():
                fault: Exception | None = None
                passed = self._metered(b"".join(self._rest))
                if passed:
                    yield passed
            else:
                fault = errors.TruncatedStream("The upstream ended the stream before it was complete.")
        except UpstreamFailure as error:
            fault = error
        if fault is not None:
            event = errors.render_sse(fault)
            record.bytes_out += len(event)
            yield event
        self._finish(fault)

    def _take(self, chunk: bytes) -> bytes:
        """Return what the client gets of the events that are whole by now; keep the rest."""
        if not self._rest:
            end = _last_event_end(chunk)
            if end == len(chunk):
                return self._metered(chunk)
        else:  # what is kept holds no blank line: only the new bytes are searched, however large the event gets
            end = max(0, _last_event_end(self._tail + chunk) - len(self._tail))
        events = b"".join((*self._rest, chunk[:end])) if end else b""
        self._keep(chunk[end:], first=bool(end))
        return self._metered(events) if events else b""

    def _keep(self, rest: bytes, *, first: bool) -> None:
        if first:
            self._rest, self._rest_bytes, self._tail = [], 0, b""
        if rest:
            self._rest.append(rest)
            self._rest_bytes += len(rest)
            self._tail = (self._tail + rest[-TAIL_BYTES:])[-TAIL_BYTES:]
        if self._rest_bytes > MAX_EVENT_BYTES:
            raise UpstreamFailure("The upstream sent an event larger than 16 MB.")

    def _metered(self, events: bytes) -> bytes:
        """Return what the client gets of whole events, after reading what they tell."""
        if _has_usage(events):
            events = self._read_usage(events)
        if self._ends is not None and self._ends.search(events):
            self._ends = None
        if b"error" in events and _is_error(events):
            events = self._end_in_error(events)
        self._record.bytes_out += len(events)
        return events

    def _end_in_error(self, events: bytes) -> bytes:
        """Note the vendor's own end of the stream: nothing is added to it. Return its events without the account's secrets."""
        self._ends = None
        self._record.error_class = "upstream_error"
        target = self._call.target
        return target.account.without_secrets(events) if target is not None else events

    def _read_usage(self, events: bytes) -> bytes:
        passed = []
        for event in split_events(events):
            if _has_usage(event) and not self._read_event(event):
                continue
            passed.append(event)
        return b"".join(passed)

    def _read_event(self, event: bytes) -> bool:
        """Meter one event; return whether the client gets it."""
        try:
            fields = _fields.decode(event_data(event))
        except (ValueError, RecursionError):
            return True
        if not metering.read_fields(self._record, fields):
            return True
        return self._call.wants_usage or bytes(fields.get("choices", b"")) != b"[]"

    def _complete(self) -> bool:
        """Whether the stream came to the end that its operation has."""
        rest = b"".join(self._rest)
        return self._ends is None or self._ends.search(rest) is not None or _is_error(rest) is not None


async def raw_bytes(record: AttemptRecord, answer: UpstreamAnswer, finish: Finish) -> AsyncIterator[bytes]:
    """Yield an answer that is neither JSON nor events, as it comes: audio, images, files.

    A break in the middle is raised: the client sees an incomplete body, as it would without us.
    """
    try:
        async for chunk in answer.chunks():
            if record.ttft_us is None:
                record.ttft_us = (perf_counter_ns() - finish.started_ns) // 1000
            record.bytes_out += len(chunk)
            yield chunk
    except UpstreamFailure as error:
        finish(error)
        raise
    finish(None)
