"""Reads a stream of a message."""

import time
from typing import Any

from providers.dialects import tokens
from providers.dialects.anthropic.answer import FINISH, citations, refused
from providers.dialects.anthropic.blocks import ORIGIN
from providers.dialects.anthropic.errors import from_fields
from providers.dialects.chat.stream import CUT
from providers.dialects.events import (
    Annotations,
    Event,
    Failed,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    Start,
    TextDelta,
    ToolDelta,
    ToolStart,
    UsageUpdate,
)
from providers.dialects.neutral import Usage, Written
from providers.dialects.wire import Fields, answer_fields, encode, new_id, text_of


class StreamReader:
    """Turns the data of each server-sent event into neutral events. ``finished`` once the message has ended."""

    def __init__(self, written: Written | None = None) -> None:
        self._names = written.names if written else {}
        self._json_tool = written.json_tool if written else ""
        self._counts: Fields = {}
        self.usage: Usage | None = None
        self._blocks: dict[int, tuple[str, int]] = {}  # index: what a delta of it is, and the call's number
        self._calls = 0
        self._failed = False
        self._last = 0
        self.finished = False

    def feed(self, data: bytes) -> list[Event]:
        """Return what one event's data says; pings say nothing."""
        if not data or data == b"[DONE]":
            return []
        fields = answer_fields(data, "an event is not a JSON object")
        kind = fields.get("type")
        if kind == "content_block_delta":
            return self._delta(fields)
        if kind == "content_block_start":
            return self._block(fields)
        if kind == "message_start":
            return self._start(fields.get("message"))
        if kind == "message_delta":
            return self._finish(fields)
        if kind == "message_stop":
            self.finished = True
        if kind == "error":
            self._failed = True
            return [Failed(from_fields(200, fields, data))]
        return []

    def end(self) -> list[Event]:
        """Return what the end of the upstream's stream means: an error, if the answer was cut off."""
        return [] if self.finished or self._failed else [Failed(CUT)]

    def _start(self, message: Any) -> list[Event]:
        message = message if isinstance(message, dict) else {}
        start = Start(text_of(message.get("id")) or new_id("msg_"), text_of(message.get("model")), int(time.time()))
        return [start, *self._count(message.get("usage"))]

    def _count(self, usage: Any) -> list[Event]:
        """Counts in a stream are sums so far: a later one replaces what came before, and what it leaves out stays."""
        if not isinstance(usage, dict):
            return []
        self._counts.update({name: value for name, value in usage.items() if value is not None})
        self.usage = tokens.read_anthropic(self._counts)
        return [] if self.usage is None else [UsageUpdate(self.usage)]

    def _block(self, fields: Fields) -> list[Event]:
        index, block = fields.get("index"), fields.get("content_block")
        if not isinstance(index, int) or not isinstance(block, dict):
            return []
        kind = text_of(block.get("type"))
        name = text_of(block.get("name"))
        self._last = index
        if kind == "tool_use" and not (self._json_tool and name == self._json_tool):
            call, self._calls = self._calls, self._calls + 1
            self._blocks[index] = ("call", call)
            call_id = text_of(block.get("id")) or new_id("toolu_")
            started: list[Event] = [ToolStart(0, index, call, call_id, self._names.get(name, name))]
            if block.get("input"):
                started.append(ToolDelta(0, index, call, encode(block["input"]).decode()))
            return started
        if kind == "tool_use":
            self._blocks[index] = ("json", 0)
            return [TextDelta(0, index, encode(block["input"]).decode())] if block.get("input") else []
        self._blocks[index] = (kind, 0)
        if kind == "redacted_thinking":
            return [ReasoningDelta(0, index, redacted=text_of(block.get("data")), origin=ORIGIN)]
        if kind == "text" and text_of(block.get("text")):
            return [TextDelta(0, index, block["text"])]
        if kind == "thinking" and text_of(block.get("thinking")):
            return [ReasoningDelta(0, index, block["thinking"], origin=ORIGIN)]
        return []

    def _delta(self, fields: Fields) -> list[Event]:
        index, delta = fields.get("index"), fields.get("delta")
        if not isinstance(index, int) or not isinstance(delta, dict):
            return []
        kind = delta.get("type")
        if kind == "text_delta":
            text = text_of(delta.get("text"))
            return [TextDelta(0, index, text)] if text else []
        if kind == "input_json_delta":
            held, call = self._blocks.get(index, ("", 0))
            piece = text_of(delta.get("partial_json"))
            if held == "call" and piece:
                return [ToolDelta(0, index, call, piece)]
            return [TextDelta(0, index, piece)] if held == "json" and piece else []
        if kind == "thinking_delta":
            text = text_of(delta.get("thinking"))
            return [ReasoningDelta(0, index, text, origin=ORIGIN)] if text else []
        if kind == "signature_delta":
            return [ReasoningDelta(0, index, signature=text_of(delta.get("signature")), origin=ORIGIN)]
        if kind == "citations_delta" and isinstance(delta.get("citation"), dict):
            notes = citations([delta["citation"]], "")
            return [Annotations(0, index, notes)] if notes else []
        return []

    def _finish(self, fields: Fields) -> list[Event]:
        found = self._count(fields.get("usage"))
        delta = fields.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        reason = text_of(delta.get("stop_reason"))
        if not reason:
            return found
        finish = FINISH.get(reason, "stop")
        if finish == "tool_calls" and not self._calls:
            finish = "stop"
        detail, refusal = refused(delta.get("stop_details"))
        if refusal and finish == "content_filter":
            found.append(RefusalDelta(0, self._last + 1, refusal))
        self.finished = True
        return [*found, Finish(0, finish, detail, text_of(delta.get("stop_sequence")))]
