"""Writes neutral events as a stream of a response, in OpenAI's order: each item is added, grows and is done."""

import time
from collections.abc import Mapping
from typing import Any

from providers.dialects import tokens
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
from providers.dialects.neutral import Failure, Reasoning, Request, ToolCall, Usage
from providers.dialects.responses.answer import finished, image_item, message_item, sealed_wanted, skeleton
from providers.dialects.responses.items import flat, reasoning_item, text_part
from providers.dialects.responses.tools import CUSTOM, FUNCTION, PREFIXES, call_item, call_type, free_text
from providers.dialects.wire import Fields, encode, lenient, new_id

_ERROR_CODES = {429: "rate_limit_exceeded", 400: "invalid_prompt"}


class _Open:
    """An item that grows: where it is, what it is, and its text so far."""

    __slots__ = ("annotations", "block", "call", "id", "index", "kind", "pieces", "proof")

    def __init__(self, kind: str, block: int, index: int, item_id: str) -> None:
        self.kind, self.block, self.index, self.id = kind, block, index, item_id
        self.pieces: list[str] = []
        self.annotations: list[Fields] = []
        self.call: ToolStart | None = None
        self.proof = Reasoning()


class StreamWriter:
    """Writes the first choice of a stream.

    ``response`` is the response so far, to be stored at the end.
    """

    def __init__(self, request: Request, fields: Mapping[str, Any], response_id: str = "") -> None:
        self._fields = fields
        self._tools = {tool.name: tool for tool in request.tools}
        self._sealed = sealed_wanted(fields)
        self._id = response_id or new_id("resp_")
        self._number = 0
        self._open: _Open | None = None
        self._calls: dict[int, _Open] = {}  # block: a call that is not done, as several may grow at once
        self._output: list[Fields | None] = []
        self._finish = Finish(0, "stop")
        self._usage: Usage | None = None
        self._failed = False
        self.response: Fields = {}

    def write(self, event: Event) -> bytes:
        """Return the bytes that an event becomes; empty for those that wait."""
        if getattr(event, "choice", 0) != 0:
            return b""
        if isinstance(event, TextDelta):
            head = self._item("text", event.block)
            assert self._open is not None
            self._open.pieces.append(event.text)
            where = {"item_id": self._open.id, "output_index": self._open.index, "content_index": 0}
            return head + self._event(
                "response.output_text.delta", {**where, "delta": event.text, "logprobs": event.logprobs or []}
            )
        if isinstance(event, ToolDelta):
            return self._arguments(event)
        if isinstance(event, Start):
            return self._start(event)
        if isinstance(event, UsageUpdate):
            self._usage = event.usage
            return b""
        if isinstance(event, Finish):
            self._finish = event
            return b""
        return self._rare(event)

    def end(self) -> bytes:
        """Return what closes the stream: items that are open, then the finished response. Nothing after an error."""
        if self._failed:
            return b""
        head = self._close() + self._close_calls(everything=True)
        usage = None if self._usage is None else tokens.write_responses(self._usage)
        output = [item for item in self._output if item is not None]
        self.response = finished(self.response, self._finish.reason, output, usage, int(time.time()))
        return head + self._event(f"response.{self.response['status']}", {"response": self.response})

    def _event(self, kind: str, fields: Fields) -> bytes:
        number, self._number = self._number, self._number + 1
        data = encode({"type": kind, "sequence_number": number, **fields})
        return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"

    def _start(self, event: Start) -> bytes:
        self.response = skeleton(self._id, event.model, event.created, self._fields)
        created = self._event("response.created", {"response": self.response})
        return created + self._event("response.in_progress", {"response": self.response})

    def _rare(self, event: Event) -> bytes:
        if isinstance(event, ReasoningDelta):
            return self._reasoning(event)
        if isinstance(event, RefusalDelta):
            head = self._item("refusal", event.block)
            assert self._open is not None
            self._open.pieces.append(event.text)
            where = {"item_id": self._open.id, "output_index": self._open.index, "content_index": 0}
            return head + self._event("response.refusal.delta", {**where, "delta": event.text})
        if isinstance(event, ToolStart):
            return self._call(event)
        if isinstance(event, Annotations):
            return self._annotations(event)
        if isinstance(event, MediaDelta):
            return self._image(event) if event.media.kind == "image" else b""
        if isinstance(event, Failed):
            return self._fail(event.failure)
        return b""

    def _add(self, item: Fields) -> tuple[int, bytes]:
        index = len(self._output)
        self._output.append(None)
        return index, self._event("response.output_item.added", {"output_index": index, "item": item})

    def _done(self, index: int, item: Fields) -> bytes:
        self._output[index] = item
        return self._event("response.output_item.done", {"output_index": index, "item": item})

    def _item(self, kind: str, block: int) -> bytes:
        """Return what opens a message, a refusal or a thought, if it is not the one that is open."""
        if self._open is not None and self._open.kind == kind and self._open.block == block:
            return b""
        head = self._close()
        item_id = new_id("rs_" if kind == "reasoning" else "msg_")
        if kind == "reasoning":
            index, added = self._add({"id": item_id, "type": "reasoning", "summary": []})
            self._open = _Open(kind, block, index, item_id)
            return head + added
        index, added = self._add(message_item(item_id, [], "in_progress"))
        self._open = _Open(kind, block, index, item_id)
        part = text_part("") if kind == "text" else {"type": "refusal", "refusal": ""}
        where = {"item_id": item_id, "output_index": index, "content_index": 0}
        return head + added + self._event("response.content_part.added", {**where, "part": part})

    def _close(self) -> bytes:
        """Return what ends the open item, and the calls whose arguments are whole."""
        item, self._open = self._open, None
        if item is None:
            return self._close_calls() if self._calls else b""
        text = "".join(item.pieces)
        if item.kind == "reasoning":
            return self._close_reasoning(item, text)
        where = {"item_id": item.id, "output_index": item.index, "content_index": 0}
        if item.kind == "refusal":
            part: Fields = {"type": "refusal", "refusal": text}
            done = self._event("response.refusal.done", {**where, "refusal": text})
        else:
            part = text_part(text, item.annotations)
            done = self._event("response.output_text.done", {**where, "text": text, "logprobs": []})
        done += self._event("response.content_part.done", {**where, "part": part})
        return done + self._done(item.index, message_item(item.id, [part]))

    def _reasoning(self, event: ReasoningDelta) -> bytes:
        block = event.block
        if self._open is not None and self._open.kind == "reasoning" and not event.text:
            block = self._open.block  # the proof of the thought that is open
        head = self._item("reasoning", block)
        assert self._open is not None
        here = self._open
        here.proof.origin = event.origin or here.proof.origin
        here.proof.signature = event.signature or here.proof.signature
        here.proof.redacted = event.redacted or here.proof.redacted
        if not event.text:
            return head
        where = {"item_id": here.id, "output_index": here.index, "summary_index": 0}
        if not here.pieces:
            part = {"type": "summary_text", "text": ""}
            head += self._event("response.reasoning_summary_part.added", {**where, "part": part})
        here.pieces.append(event.text)
        return head + self._event("response.reasoning_summary_text.delta", {**where, "delta": event.text})

    def _close_reasoning(self, item: _Open, text: str) -> bytes:
        found = b""
        where = {"item_id": item.id, "output_index": item.index, "summary_index": 0}
        if item.pieces:
            found = self._event("response.reasoning_summary_text.done", {**where, "text": text})
            part = {"type": "summary_text", "text": text}
            found += self._event("response.reasoning_summary_part.done", {**where, "part": part})
        item.proof.text = text
        return found + self._done(item.index, reasoning_item(item.proof, item.id, sealed=self._sealed))

    def _call(self, event: ToolStart) -> bytes:
        """Return what opens a call; its proof of thinking goes with the thought before it, or one of its own."""
        head = b""
        if event.signature and self._sealed:
            head = self._reasoning(ReasoningDelta(0, -1, signature=event.signature, origin="gemini"))
        head += self._close()
        tool = self._tools.get(event.name)
        kind = call_type(tool)
        item_id = new_id(PREFIXES[kind])
        item = call_item(ToolCall(event.id, event.name, ""), item_id, tool, "in_progress")
        if kind in (FUNCTION, CUSTOM):
            item["arguments" if kind == FUNCTION else "input"] = ""
        index, added = self._add(item)
        opened = _Open(kind, event.block, index, item_id)
        opened.call = event
        self._calls[event.block] = opened
        return head + added

    def _arguments(self, event: ToolDelta) -> bytes:
        item = self._calls.get(event.block)
        if item is None:
            return b""
        item.pieces.append(event.arguments)
        if item.kind != FUNCTION:
            return b""  # free text is inside of JSON, which has to be whole; others only have their item
        where = {"item_id": item.id, "output_index": item.index}
        return self._event("response.function_call_arguments.delta", {**where, "delta": event.arguments})

    def _close_calls(self, *, everything: bool = False) -> bytes:
        found = b""
        for block, item in list(self._calls.items()):
            assert item.call is not None
            arguments = "".join(item.pieces)
            if not everything and lenient(arguments.encode("utf-8", "replace")) is None:
                continue  # the server goes on with it later
            del self._calls[block]
            arguments = arguments or "{}"
            where = {"item_id": item.id, "output_index": item.index}
            tool = self._tools.get(item.call.name)
            done = call_item(ToolCall(item.call.id, item.call.name, arguments), item.id, tool)
            if item.kind == CUSTOM:
                text = free_text(arguments)
                found += self._event("response.custom_tool_call_input.delta", {**where, "delta": text})
                found += self._event("response.custom_tool_call_input.done", {**where, "input": text})
            elif item.kind == FUNCTION:
                fields = {**where, "name": done["name"], "arguments": arguments}
                found += self._event("response.function_call_arguments.done", fields)
            found += self._done(item.index, done)
        return found

    def _annotations(self, event: Annotations) -> bytes:
        item = self._open
        if item is None or item.kind != "text":
            return b""
        found = b""
        for note in event.annotations:
            index = len(item.annotations)
            item.annotations.append(note)
            where = {"item_id": item.id, "output_index": item.index, "content_index": 0, "annotation_index": index}
            found += self._event("response.output_text.annotation.added", {**where, "annotation": flat(note)})
        return found

    def _image(self, event: MediaDelta) -> bytes:
        head = self._close()
        item = image_item(event.media, new_id("ig_"))
        index, added = self._add({**item, "status": "in_progress", "result": None})
        where = {"item_id": item["id"], "output_index": index}
        steps = b"".join(
            self._event(f"response.image_generation_call.{step}", where)
            for step in ("in_progress", "generating", "completed")
        )
        return head + added + steps + self._done(index, item)

    def _fail(self, failure: Failure) -> bytes:
        """Return the failed response, or a bare error before there is one."""
        self._failed = True
        if not self.response:
            fields = {"code": failure.code, "message": failure.message, "param": failure.param}
            return self._event("error", fields)
        code = _ERROR_CODES.get(failure.status, "server_error")
        output = [item for item in self._output if item is not None]
        error = {"code": code, "message": failure.message}
        self.response = {**self.response, "status": "failed", "error": error, "output": output}
        return self._event("response.failed", {"response": self.response})
