"""Reads a stream of a response."""

import time
from typing import Any

from providers.dialects import tokens
from providers.dialects.chat.errors import from_fields
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
from providers.dialects.neutral import Media, Usage, Written
from providers.dialects.responses.answer import finish_of, nested
from providers.dialects.responses.items import ORIGIN
from providers.dialects.wire import Fields, answer_fields, encode, new_id, text_of

_TEXTS = {
    "response.reasoning_summary_text.delta": ReasoningDelta,
    "response.reasoning_text.delta": ReasoningDelta,
    "response.refusal.delta": RefusalDelta,
}


class StreamReader:
    """Turns the data of each server-sent event into neutral events. ``finished`` once the response has ended."""

    def __init__(self, written: Written | None = None) -> None:
        self._names = written.names if written else {}
        self._started = False
        self._failed = False
        self._calls: dict[int, tuple[int, bool]] = {}  # output index: the call's number, and whether it takes free text
        self._inputs: dict[int, list[str]] = {}  # output index: a custom call's text so far
        self.usage: Usage | None = None
        self.finished = False

    def feed(self, data: bytes) -> list[Event]:
        """Return what one event's data says."""
        if not data or data == b"[DONE]":
            return []
        fields = answer_fields(data, "an event is not a JSON object")
        kind = text_of(fields.get("type"))
        place = fields.get("output_index")
        place = place if isinstance(place, int) else 0
        if kind == "response.output_text.delta":
            text = text_of(fields.get("delta"))
            return [TextDelta(0, self._block(place, fields), text)] if text else []
        if kind == "response.function_call_arguments.delta":
            call = self._calls.get(place)
            piece = text_of(fields.get("delta"))
            return [ToolDelta(0, place * 64, call[0], piece)] if call and piece else []
        if kind in _TEXTS:
            text = text_of(fields.get("delta"))
            return [_TEXTS[kind](0, self._block(place, fields), text)] if text else []
        return self._rare(kind, place, fields)

    def end(self) -> list[Event]:
        """Return what the end of the upstream's stream means: an error, if the answer was cut off."""
        return [] if self.finished or self._failed else [Failed(CUT)]

    @staticmethod
    def _block(place: int, fields: Fields) -> int:
        """Return the block of a part: parts of an item that follow each other are blocks of their own."""
        index = fields.get("content_index", fields.get("summary_index"))
        return place * 64 + (min(index, 63) if isinstance(index, int) and index >= 0 else 0)

    def _rare(self, kind: str, place: int, fields: Fields) -> list[Event]:
        if kind in ("response.created", "response.in_progress"):
            return self._start(fields.get("response"))
        if kind == "response.output_item.added":
            return self._added(place, fields.get("item"))
        if kind == "response.custom_tool_call_input.delta":
            self._inputs.setdefault(place, []).append(text_of(fields.get("delta")))
            return []
        if kind == "response.output_item.done":
            return self._done(place, fields.get("item"))
        if kind == "response.output_text.annotation.added":
            note = fields.get("annotation")
            if isinstance(note, dict) and note.get("type") == "url_citation":
                return [Annotations(0, self._block(place, fields), [nested(note)])]
            return []
        if kind in ("response.completed", "response.incomplete"):
            return self._end(fields.get("response"))
        if kind in ("response.failed", "error"):
            self._failed = True
            response = fields.get("response")
            inner = response if isinstance(response, dict) else fields
            return [Failed(from_fields(200, inner))]
        return []

    def _start(self, response: Any) -> list[Event]:
        if self._started:
            return []
        self._started = True
        response = response if isinstance(response, dict) else {}
        created = response.get("created_at")
        return [
            Start(
                text_of(response.get("id")) or new_id("resp_"),
                text_of(response.get("model")),
                int(created) if isinstance(created, (int, float)) else int(time.time()),
            )
        ]

    def _added(self, place: int, item: Any) -> list[Event]:
        item = item if isinstance(item, dict) else {}
        kind = item.get("type")
        if kind not in ("function_call", "custom_tool_call"):
            return []
        call = len(self._calls)
        self._calls[place] = (call, kind == "custom_tool_call")
        name = text_of(item.get("name"))
        call_id = text_of(item.get("call_id")) or new_id("call_")
        return [ToolStart(0, place * 64, call, call_id, self._names.get(name, name))]

    def _done(self, place: int, item: Any) -> list[Event]:
        """Return what an item says only at its end: a custom call's text, encrypted reasoning, a generated image."""
        item = item if isinstance(item, dict) else {}
        call = self._calls.get(place)
        if call is not None and call[1]:
            text = text_of(item.get("input")) or "".join(self._inputs.get(place, []))
            return [ToolDelta(0, place * 64, call[0], encode({"input": text}).decode())]
        if item.get("type") == "reasoning" and text_of(item.get("encrypted_content")):
            return [ReasoningDelta(0, place * 64 + 63, redacted=item["encrypted_content"], origin=ORIGIN)]
        if item.get("type") == "image_generation_call" and text_of(item.get("result")):
            mime = f"image/{text_of(item.get('output_format')) or 'png'}"
            return [MediaDelta(0, place * 64, Media("image", data=item["result"], mime=mime))]
        return []

    def _end(self, response: Any) -> list[Event]:
        self.finished = True
        response = response if isinstance(response, dict) else {}
        found: list[Event] = [Finish(0, finish_of(response, bool(self._calls)))]
        self.usage = tokens.read_openai(response.get("usage"))
        return found if self.usage is None else [*found, UsageUpdate(self.usage)]
