"""An upstream's stream on its way to the client: server-sent events as they come, or the bytes of a file.

Events go on as they came, as soon as they are whole. They are split once; what is read in them, for usage, errors, the
first output, the end and new objects' ids, is decoded at most once. A stream that breaks, or ends before it is complete
and without an error of the vendor's own, gets an ``error`` event and no ``[DONE]`` of ours.
"""

import re
from collections.abc import AsyncIterator, Iterable, Iterator

from gateway.billing import usage as metering
from gateway.billing.audio_length import AudioMeter
from gateway.body import sse
from gateway.call import doors, errors
from gateway.call.operation import SPOKEN
from gateway.call.reply import Sink
from gateway.objects.recording import ID, StreamRecorder
from gateway.pipeline.answers import note_error
from gateway.pipeline.attempt import Attempt
from gateway.pipeline.cleaning import cleaned
from gateway.pipeline.convert import keep_response
from gateway.pipeline.stream_end import DONE, end_check
from gateway.pipeline.unmetered import KeptOutput
from providers.dialects.base import ReportedError
from providers.dialects.chat.stream import CUT
from providers.dialects.conversion import StreamConversion
from providers.dialects.conversions import RESPONSES
from providers.dialects.failures import DialectError
from providers.dialects.openai import USAGE_OPERATIONS, only_usage
from providers.dialects.reported import error_in
from providers.dialects.responses import StreamWriter as ResponseWriter
from providers.redaction import TURN_BYTES, redactor
from providers.upstream.client import UpstreamAnswer
from providers.upstream.failures import BrokenAnswer, UpstreamFailure

ERROR_WORDS = (b"rror", b'"detail"', b'"message"')
"""An event of which :func:`error_in` says that it is an error has one of these."""
IDLE = frozenset({b"ping", b"keepalive", b"keep-alive", b"heartbeat"})
"""Names of events that only keep a connection open."""
LINES_END = (b"\n\n", b"\r\n\r\n")
FINISH_REASON = re.compile(rb'"finish_reason": ?"([a-z_]{1,40})"')


class EventStream:
    """The events of one attempt's answer. :meth:`prime` reads the first ones ahead, :meth:`events` yields all."""

    def __init__(self, attempt: Attempt, answer: UpstreamAnswer, first: bytes = b"") -> None:
        self._attempt = attempt
        self._record = attempt.record
        self._call = attempt.call
        self._splitter = sse.Splitter()
        self._conversion = attempt.streamed = None if attempt.conversion is None else attempt.conversion.stream()
        self._answer = answer
        self._end = end_check(attempt)
        self._output = attempt.output = KeptOutput()
        self._clean = redactor(attempt.target.account.secrets)
        # Of converted answers only responses are kept: here, as the provider keeps none.
        self._keeps = attempt.conversion is not None and attempt.call.operation.path == RESPONSES
        creates = attempt.call.operation.creates is not None and (attempt.conversion is None or self._keeps)
        self._recorder = StreamRecorder(attempt.call, self._end) if creates else None
        self._ready: list[sse.Events] = []
        self._fault: Exception | None = None
        self._last: sse.Events | None = None
        self._over = False
        self._closed = False
        ends = attempt.call.operation.ends
        self._begun = ends is None or not ends.done or self._conversion is not None
        self._sink: Sink | None = None
        self._first = first
        self.first_error: ReportedError | None = None

    async def prime(self, *, until_output: bool) -> None:
        """Read ahead to the first event that is more than a comment, or to the first output.

        An error as the first event sets ``first_error`` and the attempt's outcome. Raises ``UpstreamFailure``, also for
        a stream without any event.
        """
        heard = False
        while not self._over:
            events = await self._next()
            if events is None:
                break
            self._ready.append(events)
            for event in events:
                if not event.data or event.data == DONE:
                    continue
                heard = True
                self.first_error = self._error_in(event)
                if self.first_error is not None:
                    self._note_error(self.first_error)
                if self.first_error is not None or not until_output:
                    return
            if until_output and self._sees_output(events):
                return
        if not heard and not self._end.complete and not self._splitter.rest:
            raise BrokenAnswer("The upstream answered with a success and an empty stream.")

    async def prime_once(self) -> None:
        """Read the first events ahead, of a stream that is converted: an error among them sets ``first_error``."""
        assert self._conversion is not None
        events = await self._read()
        if events is None:
            return
        converted = self._convert(events)
        if converted is not None:
            self._ready.append(converted)
        failure = self._conversion.failure
        if failure is not None and not self._conversion.spoke:
            self.first_error = ReportedError(failure.status, failure.message)
            self._note_error(self.first_error)

    async def events(self) -> AsyncIterator[bytes]:
        """Yield what goes to the client, and complete the attempt at the end."""
        fault: Exception | None = None
        try:
            for events in self._ready:
                if passed := await self._take(events):
                    yield passed
            while (following := await self._next()) is not None:
                if passed := await self._take(following):
                    yield passed
            rest = self._splitter.rest if self._conversion is None else b""
            if rest and (passed := await self._take(sse.Events(rest), whole=False)):
                yield passed
            if self._end.may_reopen:
                self._end.settle(self._output.kept)
            if not self._end.complete and self._last is not None:
                self._read_errors(self._last)
            if not self._end.complete:
                fault = errors.TruncatedStream("The upstream ended the stream before it was complete.")
        except UpstreamFailure as error:
            fault = error
        if fault is not None:
            event = doors.render_event(fault, self._call.operation.door, self._call.request_id)
            self._record.bytes_out += len(event)
            yield event
        self._attempt.finish(fault)

    async def _next(self) -> sse.Events | None:
        """Return the next events in the client's dialect; ``None`` at the end of the stream."""
        if self._conversion is None:
            return await self._read()
        while (events := await self._read()) is not None:
            if (converted := self._convert(events)) is not None:
                return converted
        return await self._close()

    def _convert(self, events: sse.Events) -> sse.Events | None:
        """Return what events become for the client; ``None`` when nothing does yet. Raises ``BrokenAnswer``."""
        assert self._conversion is not None
        try:
            written = b"".join([self._converted(self._conversion, event) for event in events])
        except DialectError as error:
            raise BrokenAnswer(error.message) from None
        if self._conversion.failure is not None:
            written = doors.with_request_id(written, self._call.request_id)
        return sse.Events(written) if written else None

    def _converted(self, conversion: StreamConversion, event: sse.Event) -> bytes:
        """Return what an event becomes. An error is recognised here, in whatever form, and ends what is converted."""
        if conversion.failure is not None:
            return b""
        if not conversion.spoke or b"rror" in event.raw:
            found = error_in(self._attempt.dialect, event.data, event.fields, event.name, due=True)
            if found is not None and self._attempt.conversion is not None:
                failed = self._attempt.conversion.failed(found.status, event.data)
                return conversion.fail(failed.failure or CUT)
        return conversion.feed(event.data)

    async def _close(self) -> sse.Events | None:
        """Return what ends a converted stream, once; its last event may lack the blank line."""
        if self._conversion is None or self._closed:
            return None
        self._closed = True
        rest = self._splitter.rest
        last = self._convert(sse.Events(rest)) if rest else None
        closing = self._conversion.close()
        written = (last.raw if last is not None else b"") + closing
        writer = self._conversion.writer
        if self._keeps and closing and isinstance(writer, ResponseWriter):
            await keep_response(self._call, self._attempt.target, writer.response)
        return sse.Events(written) if written else None

    async def _read(self) -> sse.Events | None:
        """Return the next whole events as they come; ``None`` at the end of the stream."""
        try:
            if self._first:
                first, self._first = self._first, b""
                if (events := self._splitter.feed(first)) is not None:
                    return events
            while chunk := await self._answer.next_chunk():
                events = self._splitter.feed(chunk)
                if events is not None:
                    return events
        except sse.EventTooLarge:
            raise UpstreamFailure("The upstream sent an event larger than 16 MB.") from None
        self._over = True
        return self._splitter.bare()

    def pass_into(self, sink: Sink) -> None:
        """Let events go to ``sink`` as they arrive, while :meth:`events` waits for more: a turn of the event loop for
        each costs more than all that is done to it. What needs one, or comes while the client is slow, goes the
        other way."""
        self._sink = sink
        self._answer.take_with(self._pass)

    def _pass(self, chunk: bytes) -> bool:
        """Pass whole events on at once; return whether that could be done, or nothing was."""
        sink = self._sink
        if sink is None or not sink.ready or self._record.ttft_us is None:
            return False
        if len(chunk) > TURN_BYTES or not chunk.endswith(LINES_END) or self._splitter.has_rest:
            return False
        if self._recorder is not None and chunk.find(ID) >= 0:
            return False
        events = sse.Events(chunk) if self._conversion is None else self._converted_alone(self._conversion, chunk)
        if events is None:
            return False
        if not events.raw:
            return True
        clean = self._clean.whole(self._hear(events))
        self._record.bytes_out += len(clean)
        if clean:
            sink.put(clean)
        return True

    def _converted_alone(self, conversion: StreamConversion, chunk: bytes) -> sse.Events | None:
        """Return what a single event becomes; ``None`` leaves it to the task: several at once, errors, and what
        can't be converted, for which the client gets an error there."""
        if conversion.failure is not None or self._recorder is not None or chunk.find(b"rror") >= 0:
            return None
        if all(chunk.find(end) + len(end) != len(chunk) for end in LINES_END):  # more than one
            return None
        try:
            return sse.Events(conversion.feed(sse.Event(chunk).data))
        except DialectError:
            return None

    async def _take(self, events: sse.Events, *, whole: bool = True) -> bytes:
        """Return what the client gets of ``events``, after reading what they say.

        The last ones may lack their blank line.
        """
        passed = self._hear(events)
        if not whole and not self._end.complete:
            return b""  # half an event: the client gets our error instead
        # What is small, as events are, needs no turns for others, and so no two coroutines.
        small = len(passed) <= TURN_BYTES
        clean = self._clean.whole(passed) if small else await cleaned(self._attempt.target.account, passed)
        if self._recorder is not None:
            await self._recorder.hear(events if clean == passed else sse.Events(clean))
        self._record.bytes_out += len(clean)
        return clean

    def _hear(self, events: sse.Events) -> bytes:
        """Read what ``events`` say into the attempt and its record; return what of them is for the client."""
        raw = events.raw
        record = self._record
        self._last = events
        ended = self._end.complete
        early = record.ttft_us is None  # all is read that comes before the first output
        if early and self._sees_output(events):
            self._attempt.first_output()
            self._attempt.response = next((event.fields for event in events if event.data), {})
        if early and not self._begun:
            self._begun = any((event.data or event.name) and event.data != DONE for event in events)
            if not self._begun:  # [DONE] does not complete a stream in which nothing came
                return b"" if raw.find(DONE) >= 0 else raw
        self._output.keep(raw)
        if not ended:
            self._end.see(events)
            self._attempt.ended = self._end.complete
            if self._end.complete:
                self._attempt.finish_reasons = [reason.decode() for reason in FINISH_REASON.findall(raw)]
        elif self._end.may_reopen:
            self._end.see_more(events)
        if (early or raw.find(b"rror") >= 0) and not record.error_class:
            self._read_errors(self._suspects(events, early=early))
        return self._read_usage(events, ended) if raw.find(b'"usage') >= 0 and self._conversion is None else raw

    def _sees_output(self, events: sse.Events) -> bool:
        if self._conversion is not None:
            return self._conversion.spoke
        return any(map(self._shows_output, events))

    def _shows_output(self, event: sse.Event) -> bool:
        if not event.data or event.data == DONE or event.name in IDLE:
            return False
        # Only an event that looks like output is examined for an error.
        return self._attempt.spoken.is_output(event.fields) and self._found(event) is None

    def _found(self, event: sse.Event) -> ReportedError | None:
        return error_in(self._attempt.spoken, event.data, event.fields, event.name, due=True)

    def _error_in(self, event: sse.Event) -> ReportedError | None:
        """Return the error that an event reports, of a converted one with the status that the provider's had."""
        found = self._found(event)
        failure = self._conversion.failure if self._conversion is not None else None
        return ReportedError(failure.status, failure.message) if found is not None and failure is not None else found

    def _suspects(self, events: sse.Events, *, early: bool) -> Iterator[sse.Event]:
        """Yield the events that may report an error: all up to the first output, those behind it with an error's word.

        ``early`` says that no output came before.
        """
        worded = any(events.raw.find(word) >= 0 for word in ERROR_WORDS)
        for event in events:
            if not (early or worded):
                return
            if early or any(event.raw.find(word) >= 0 for word in ERROR_WORDS):
                yield event
            early = early and not self._shows_output(event)

    def _read_errors(self, events: Iterable[sse.Event]) -> None:
        """Note the vendor's own end of the stream: nothing is added to it."""
        for event in events:
            error = self._error_in(event)
            if error is not None:
                self._note_error(error)

    def _note_error(self, error: ReportedError) -> None:
        self._end.close()
        self._attempt.outcome = error.status
        note_error(self._attempt, error)

    def _read_usage(self, events: sse.Events, ended: bool) -> bytes:
        """Meter events with usage; return what is left without the chunk that only carries usage no one asked for.

        ``ended``: the stream's end came before; then a chunk that has but a role says nothing either.
        """
        passed: list[bytes] = []
        unasked = self._call.operation.path in USAGE_OPERATIONS and not self._call.wants_usage
        for event in events:
            metered = b'"usage' in event.raw and metering.read_fields(self._record, event.fields, self._semantics)
            if metered and unasked and only_usage(event.fields, but_role=ended or _finishes(passed, event)):
                continue
            passed.append(event.raw)
        return b"".join(passed)

    @property
    def _semantics(self) -> str:
        return self._attempt.target.account.vendor.usage


def _finishes(before: list[bytes], event: sse.Event) -> bool:
    """Whether one of the events ``before`` an event with a role has a choice's end."""
    return b'"role"' in event.raw and any(FINISH_REASON.search(raw) for raw in before)


async def raw_bytes(attempt: Attempt, answer: UpstreamAnswer, start: bytes = b"") -> AsyncIterator[bytes]:
    """Yield an answer that is neither JSON nor events, as it comes, after the ``start`` of it that was read: audio,
    images, files.

    A break in the middle is raised: the client sees an incomplete body, as it would without us.
    """
    clean = redactor(attempt.target.account.secrets).pieces()
    record, call = attempt.record, attempt.call
    meter = AudioMeter() if call.operation.audio == SPOKEN else None
    call.audio = meter or call.audio
    try:
        chunk = start or await answer.next_chunk()
        while chunk:
            attempt.first_output()
            if meter is not None:
                meter.feed(chunk)
            if passed := clean.feed(chunk):
                record.bytes_out += len(passed)
                yield passed
            chunk = await answer.next_chunk()
    except UpstreamFailure as error:
        attempt.finish(error)
        raise
    if left := clean.end():
        record.bytes_out += len(left)
        yield left
    attempt.finish(None)
