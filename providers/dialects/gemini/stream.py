"""Reads and writes streams of Gemini: each event is a small answer, a call always comes whole."""

import time
from typing import Any

from providers.dialects import tokens
from providers.dialects.chat.stream import CUT
from providers.dialects.events import (
    Annotations,
    Event,
    Failed,
    Finish,
    MediaDelta,
    ReasoningDelta,
    RefusalDelta,
    Start,
    TextDelta,
    ToolDelta,
    ToolStart,
    UsageUpdate,
)
from providers.dialects.gemini.answer import SAID, blocked_reason, content_parts, finish_of, likely
from providers.dialects.gemini.errors import error_fields, from_fields
from providers.dialects.gemini.parts import ORIGIN, citations, read_part, write_call, write_media
from providers.dialects.neutral import Media, Reasoning, Request, Text, ToolCall, Usage, Written
from providers.dialects.wire import Fields, answer_fields, encode, lenient, listed, new_id, text_of


class StreamReader:
    """Turns the data of each server-sent event into neutral events. ``finished`` once a candidate has ended."""

    def __init__(self, written: Written | None = None) -> None:
        self._names = written.names if written else {}
        self._started = False
        self._failed = False
        self._block = -1
        self._kinds: dict[int, tuple[str, int]] = {}
        self._calls: dict[int, int] = {}
        self._seen: set[str] = set()
        self._usage: Fields = {}
        self._unsaid = False  # whether the usage changed since an event said it
        self.finished = False

    @property
    def usage(self) -> Usage | None:
        """The usage so far. Each event of Gemini's has one, so it is read when it is wanted."""
        return tokens.read_gemini(self._usage) if self._usage else None

    def feed(self, data: bytes) -> list[Event]:
        """Return what one event's data says."""
        if not data or data == b"[DONE]":
            return []
        fields = lenient(data)
        if isinstance(fields, list) and fields and isinstance(fields[0], dict):
            fields = fields[0]
        if not isinstance(fields, dict):
            fields = answer_fields(data, "an event is not a JSON object")
        if fields.get("error"):
            self._failed = True
            return [Failed(from_fields(200, fields, data))]
        events: list[Event] = []
        first = not self._started
        if first:
            self._started = True
            answer_id = text_of(fields.get("responseId")) or new_id("gen-")
            events.append(Start(answer_id, text_of(fields.get("modelVersion")), int(time.time())))
        blocked = blocked_reason(fields)
        if blocked:
            self.finished = True
            events.append(Finish(0, "content_filter", blocked))
        for candidate in listed(fields, "candidates"):
            self._candidate(candidate, events)
        self._count(fields.get("usageMetadata"), now=first or self.finished, events=events)
        return events

    def end(self) -> list[Event]:
        """Return what the end of the upstream's stream means: an error, if the answer was cut off."""
        return [] if self.finished or self._failed else [Failed(CUT)]

    def _count(self, usage: Any, *, now: bool, events: list[Event]) -> None:
        """Keep the usage, and say it at the beginning, when that of the input is known, and at the end."""
        if isinstance(usage, dict) and usage:
            self._usage, self._unsaid = usage, True
        if now and self._unsaid and (said := self.usage) is not None:
            self._unsaid = False
            events.append(UsageUpdate(said))

    def _candidate(self, candidate: Fields, events: list[Event]) -> None:
        index = candidate.get("index")
        index = index if isinstance(index, int) else 0
        logprobs = likely(candidate["logprobsResult"]) if "logprobsResult" in candidate else None
        for each in content_parts(candidate):
            part = read_part(each)
            if isinstance(part, Text):
                events.append(TextDelta(index, self._open(index, "text"), part.text, part.signature, logprobs))
                logprobs = None
            elif isinstance(part, Reasoning):
                block = self._open(index, "reasoning")
                events.append(ReasoningDelta(index, block, part.text, part.signature, origin=ORIGIN))
            elif isinstance(part, ToolCall):
                self._call(part, index, events)
            elif isinstance(part, Media):
                events.append(MediaDelta(index, self._open(index, "media", again=True), part))
        if "groundingMetadata" in candidate and (notes := citations(candidate)):
            events.append(Annotations(index, self._open(index, "text"), notes))
        reason = text_of(candidate.get("finishReason"))
        if reason:
            self.finished = True
            finish = finish_of(reason, bool(self._calls.get(index)))
            events.append(Finish(index, finish, text_of(candidate.get("finishMessage")) or reason))

    def _call(self, part: ToolCall, index: int, events: list[Event]) -> None:
        if part.id and part.id in self._seen:
            return  # some versions repeat the calls with the last event
        self._seen.add(part.id)
        call = self._calls.get(index, 0)
        self._calls[index] = call + 1
        block = self._open(index, "call", again=True)
        name = self._names.get(part.name, part.name)
        events.append(ToolStart(index, block, call, part.id or new_id("call_"), name, part.signature))
        events.append(ToolDelta(index, block, call, part.arguments))

    def _open(self, choice: int, kind: str, *, again: bool = False) -> int:
        last = self._kinds.get(choice)
        if last is not None and last[0] == kind and not again:
            return last[1]
        self._block += 1
        self._kinds[choice] = (kind, self._block)
        return self._block


class StreamWriter:
    """Writes neutral events as a Gemini stream: server-sent events, or (``sse=False``) one JSON array."""

    def __init__(self, request: Request, *, sse: bool = True) -> None:
        self._sse = sse
        self._tail = b"}"
        self._usage: Usage | None = None
        self._calls: dict[tuple[int, int], tuple[ToolStart, list[str]]] = {}
        self._finishes: list[Finish] = []
        self._sent = False
        self._failed = False

    def write(self, event: Event) -> bytes:
        """Return the bytes that an event becomes; calls wait until they are whole, the finish for the usage."""
        if isinstance(event, TextDelta):
            part: Fields = {"text": event.text}
            if event.signature:
                part["thoughtSignature"] = event.signature
            return self._part(event.choice, part)
        if isinstance(event, ToolDelta):
            held = self._calls.get((event.choice, event.block))
            if held is not None:
                held[1].append(event.arguments)
            return b""
        if isinstance(event, ToolStart):
            released = self._release()
            self._calls[(event.choice, event.block)] = (event, [])
            return released
        if isinstance(event, Start):
            self._tail = b"," + encode({"modelVersion": event.model, "responseId": event.id})[1:]
            return b""
        if isinstance(event, UsageUpdate):
            self._usage = event.usage
            return b""
        return self._rare(event)

    def end(self) -> bytes:
        """Return what closes the stream: finish reasons and usage. Nothing after an error but the array's end."""
        closing = b"" if self._sse else b"]" if self._sent else b"[]"
        if self._failed:
            return closing
        found = self._release(everything=True)
        candidates = [
            {
                "content": {"role": "model", "parts": [{"text": ""}]},
                "finishReason": SAID[each.reason],
                "index": each.choice,
            }
            for each in self._finishes or [Finish(0, "stop")]
        ]
        usage = b"" if self._usage is None else b',"usageMetadata":' + encode(tokens.write_gemini(self._usage))
        found += self._frame(b'{"candidates":' + encode(candidates) + usage + self._tail)
        return found + (b"]" if not self._sse else b"")

    def _rare(self, event: Event) -> bytes:
        if isinstance(event, ReasoningDelta):
            return self._part(event.choice, {"text": event.text, "thought": True}) if event.text else b""
        if isinstance(event, RefusalDelta):
            return self._part(event.choice, {"text": event.text})
        if isinstance(event, MediaDelta):
            return self._part(event.choice, write_media(event.media))
        if isinstance(event, Finish):
            self._finishes.append(event)
            return b""
        if isinstance(event, Failed):
            self._failed = True
            return self._frame(encode(error_fields(event.failure)))
        return b""

    def _release(self, *, everything: bool = False) -> bytes:
        """Return the calls whose arguments are whole, from the first on; at the end, all of them."""
        found = b""
        for key in list(self._calls):
            start, pieces = self._calls[key]
            arguments = "".join(pieces)
            if not everything and lenient(arguments.encode("utf-8", "replace")) is None:
                break
            del self._calls[key]
            call = ToolCall(start.id, start.name, arguments or "{}", start.signature)
            found += self._part(start.choice, write_call(call, call.name, with_id=True))
        return found

    def _part(self, choice: int, part: Fields) -> bytes:
        candidate = {"content": {"role": "model", "parts": [part]}, "index": choice}
        return self._frame(b'{"candidates":[' + encode(candidate) + b"]" + self._tail)

    def _frame(self, body: bytes) -> bytes:
        if self._sse:
            return b"data: " + body + b"\r\n\r\n"
        head, self._sent = b",\r\n" if self._sent else b"[", True
        return head + body
