"""Reads and writes streams of chat completion chunks."""

import time

from providers.dialects import media as medias
from providers.dialects import tokens
from providers.dialects.chat.answer import FINISH, SAID, image_url
from providers.dialects.chat.errors import error_fields, from_fields
from providers.dialects.chat.parts import read_reasoning, reasoning_details, signature_fields, signature_of
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
from providers.dialects.failures import unreadable
from providers.dialects.neutral import Failure, Reasoning, Request, Usage, Written
from providers.dialects.wire import Fields, answer_fields, encode, listed, new_id, text_of

CUT = Failure(502, "The provider's stream ended before the answer was complete.", "server_error", "stream_interrupted")


class StreamReader:
    """Turns the data of each server-sent event into neutral events. ``finished`` once a choice has ended."""

    def __init__(self, written: Written | None = None, semantics: str = "openai") -> None:
        self._names = written.names if written else {}
        self._semantics = semantics
        self._started = False
        self._failed = False
        self._block = -1
        self._kinds: dict[int, tuple[str, int]] = {}  # choice: what its last block holds, and the block's number
        self._calls: dict[tuple[int, int], tuple[int, int, str]] = {}  # (choice, index): call, block, id
        self._counts: dict[int, int] = {}  # choice: how many calls it has
        self.usage: Usage | None = None
        self.finished = False

    def feed(self, data: bytes) -> list[Event]:
        """Return what one event's data says; ``[DONE]`` says nothing more."""
        if not data or data == b"[DONE]":
            return []
        fields = answer_fields(data, "an event is not a JSON object")
        if fields.get("error"):
            self._failed = True
            return [Failed(from_fields(200, fields, data))]
        events: list[Event] = []
        if not self._started:
            if not (fields.get("choices") or fields.get("id") or fields.get("usage")):
                return []  # what Azure's filters say of the prompt comes first, without id and model
            self._started = True
            created = fields.get("created")
            events.append(
                Start(
                    text_of(fields.get("id")) or new_id("chatcmpl-"),
                    text_of(fields.get("model")),
                    created if isinstance(created, int) and created else int(time.time()),
                )
            )
        for choice in listed(fields, "choices"):
            index = choice.get("index")
            self._choice(choice, index if isinstance(index, int) else 0, events)
        usage = fields.get("usage")
        if usage is None and isinstance(fields.get("x_groq"), dict):
            usage = fields["x_groq"].get("usage")
        if usage is not None and (found := tokens.read_openai(usage, self._semantics)) is not None:
            self.usage = found
            events.append(UsageUpdate(found))
        return events

    def end(self) -> list[Event]:
        """Return what the end of the upstream's stream means: an error, if the answer was cut off."""
        return [] if self.finished or self._failed else [Failed(CUT)]

    def _choice(self, choice: Fields, index: int, events: list[Event]) -> None:
        delta = choice.get("delta")
        if isinstance(delta, dict):
            content = delta.get("content")
            if len(delta) > 1 or content is None:
                self._rare(delta, index, events)
            if content and isinstance(content, str):
                logprobs = choice.get("logprobs")
                likely = listed(logprobs, "content") if isinstance(logprobs, dict) else None
                events.append(TextDelta(index, self._open(index, "text"), content, signature_of(delta), likely))
            for call in listed(delta, "tool_calls") if "tool_calls" in delta else ():
                self._call(call, index, events)
        reason = choice.get("finish_reason")
        if reason:
            self.finished = True
            finish = FINISH.get(text_of(reason), "stop")
            events.append(Finish(index, "tool_calls" if finish == "stop" and self._counts.get(index) else finish))

    def _rare(self, delta: Fields, index: int, events: list[Event]) -> None:
        for part in read_reasoning(delta):
            if isinstance(part, Reasoning):
                block = self._open(index, "reasoning")
                events.append(ReasoningDelta(index, block, part.text, part.signature, part.redacted, part.origin))
        if text_of(delta.get("refusal")):
            events.append(RefusalDelta(index, self._open(index, "refusal"), delta["refusal"]))
        for image in listed(delta, "images"):
            if url := image_url(image):
                events.append(MediaDelta(index, self._open(index, "image", again=True), medias.from_url(url)))
        if notes := listed(delta, "annotations"):
            events.append(Annotations(index, self._open(index, "text"), notes))

    def _call(self, call: Fields, index: int, events: list[Event]) -> None:
        """Servers number calls wrongly or not at all: a new id is a new call, whatever its number."""
        number, call_id = call.get("index"), text_of(call.get("id"))
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        place = (index, number if isinstance(number, int) else 0)
        known = self._calls.get(place)
        if known is None or (call_id and call_id != known[2] and text_of(function.get("name"))):
            count = self._counts.get(index, 0)
            self._counts[index] = count + 1
            block = self._open(index, "call", again=True)
            call_id = call_id or new_id("call_")
            known = self._calls[place] = (count, block, call_id)
            name = text_of(function.get("name"))
            events.append(ToolStart(index, block, count, call_id, self._names.get(name, name), signature_of(call)))
        arguments = text_of(function.get("arguments"))
        if arguments:
            events.append(ToolDelta(index, known[1], known[0], arguments))

    def _open(self, choice: int, kind: str, *, again: bool = False) -> int:
        """Return the number of the choice's block of a kind: the last one, or a new one."""
        last = self._kinds.get(choice)
        if last is not None and last[0] == kind and not again:
            return last[1]
        self._block += 1
        self._kinds[choice] = (kind, self._block)
        return self._block


class StreamWriter:
    """Writes neutral events as server-sent events of chat chunks. ``end`` closes the stream."""

    def __init__(self, request: Request, *, thinking_in_content: bool = False) -> None:
        self._usage: Usage | None = None
        self._include_usage = request.include_usage
        self._head = b""
        self._spoken: set[int] = set()
        self._failed = False

    def write(self, event: Event) -> bytes:
        """Return the bytes that an event becomes; empty for those that wait or have no place here."""
        kind = type(event)
        if kind is TextDelta:
            return self._text(event)  # type: ignore[arg-type]
        if kind is ToolDelta:
            call = {"index": event.call, "function": {"arguments": event.arguments}}  # type: ignore[union-attr]
            return self._delta(event.choice, {"tool_calls": [call]})  # type: ignore[union-attr]
        if isinstance(event, Start):
            self._start(event)
            return b""
        if isinstance(event, UsageUpdate):
            self._usage = event.usage
            return b""
        if isinstance(event, Failed):
            self._failed = True
            return b"data: " + encode({"error": error_fields(event.failure)}) + b"\n\n"
        return self._rare(event)

    def end(self) -> bytes:
        """Return what closes the stream: the usage, if it was asked for, and the end mark. Nothing after an error."""
        if self._failed:
            return b""
        usage = b""
        if self._include_usage and self._usage is not None:
            usage = self._head + b'[],"usage":' + encode(tokens.write_chat(self._usage)) + b"}\n\n"
        return usage + b"data: [DONE]\n\n"

    def _start(self, event: Start) -> None:
        chunk_id = event.id if event.id.startswith("chatcmpl-") else f"chatcmpl-{event.id}"
        head = {"id": chunk_id, "object": "chat.completion.chunk", "created": event.created, "model": event.model}
        self._head = b"data: " + encode(head)[:-1] + b',"choices":'

    def _text(self, event: TextDelta) -> bytes:
        choice = event.choice
        if not event.signature and event.logprobs is None and choice in self._spoken:  # as nearly all are
            return b'%b[{"index":%d,"delta":{"content":%b},"logprobs":null,"finish_reason":null}]}\n\n' % (
                self._head,
                choice,
                encode(event.text),
            )
        fields: Fields = {"content": event.text}
        if event.signature:
            fields.update(signature_fields(event.signature))
        likely = None if event.logprobs is None else {"content": event.logprobs, "refusal": None}
        return self._delta(event.choice, fields, logprobs=likely)

    def _rare(self, event: Event) -> bytes:
        if isinstance(event, ReasoningDelta):
            return self._reasoning(event)
        if isinstance(event, ToolStart):
            call = {
                "index": event.call,
                "id": event.id,
                "type": "function",
                "function": {"name": event.name, "arguments": ""},
                **signature_fields(event.signature),
            }
            return self._delta(event.choice, {"tool_calls": [call]})
        if isinstance(event, RefusalDelta):
            return self._delta(event.choice, {"refusal": event.text})
        if isinstance(event, Annotations):
            return self._delta(event.choice, {"annotations": event.annotations})
        if isinstance(event, MediaDelta):
            return self._media(event)
        if isinstance(event, Finish):
            return self._delta(event.choice, {}, finish=SAID[event.reason])
        raise unreadable(f"an event of the unknown kind {type(event).__name__}")

    def _reasoning(self, event: ReasoningDelta) -> bytes:
        fields: Fields = {"reasoning_content": event.text} if event.text else {}
        if event.origin:
            part = Reasoning(event.text, event.signature, event.redacted, event.origin)
            fields["reasoning_details"] = reasoning_details([part], event.block)
        return self._delta(event.choice, fields) if fields else b""

    def _media(self, event: MediaDelta) -> bytes:
        if event.media.kind == "image":
            image = {"type": "image_url", "image_url": {"url": medias.data_uri(event.media)}}
            return self._delta(event.choice, {"images": [image]})
        return self._delta(event.choice, {"audio": {"data": event.media.data}})

    def _delta(self, choice: int, fields: Fields, finish: str | None = None, logprobs: Fields | None = None) -> bytes:
        if choice not in self._spoken:
            self._spoken.add(choice)
            fields = {"role": "assistant", "content": "" if not finish and "content" not in fields else None} | fields
        item = {"index": choice, "delta": fields, "logprobs": logprobs, "finish_reason": finish}
        return self._head + b"[" + encode(item) + b"]}\n\n"
