"""Writes neutral events as a stream of a message: blocks open with their first delta, and close when another begins."""

from providers.dialects import media as medias
from providers.dialects import tokens
from providers.dialects.anthropic.answer import SAID, stop_details
from providers.dialects.anthropic.blocks import ORIGIN
from providers.dialects.anthropic.errors import error_fields
from providers.dialects.events import (
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
from providers.dialects.neutral import Request, Usage
from providers.dialects.signatures import seal
from providers.dialects.wire import Fields, encode, lenient


def sse(name: str, fields: Fields) -> bytes:
    """Return a server-sent event with its name."""
    return b"event: " + name.encode() + b"\ndata: " + encode({"type": name, **fields}) + b"\n\n"


_TEXT = (
    b"%bevent: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":%d,"delta":{"type":"text_delta","text":%b}}\n\n'
)
"""A delta of text: what comes before it, the number of its block, and the text as JSON."""


class StreamWriter:
    """Writes the first choice of a stream; ``end`` closes it with stop reason and usage."""

    def __init__(self, request: Request) -> None:
        self._usage = Usage()
        self._start: Start | None = None
        self._finish = Finish(0, "stop")
        self._refusal = ""
        self._index = -1
        self._open: tuple[int, str] | None = None  # the neutral block that is open, and what it holds
        self._failed = False
        self._begun = False
        self._arguments: list[str] = []  # of the call that is open
        self._held: list[Event] = []  # what came before the open call's arguments were whole

    def write(self, event: Event) -> bytes:
        """Return the bytes that an event becomes; empty for those that wait."""
        if getattr(event, "choice", 0) != 0:
            return b""
        kind = type(event)
        if self._open is not None and self._open[1] == "call" and self._must_wait(event):
            self._held.append(event)
            return b""
        if kind is TextDelta or kind is ToolDelta:
            return self._frequent(event)  # type: ignore[arg-type]
        if isinstance(event, Start):
            self._start = event
            return b""
        if isinstance(event, UsageUpdate):
            self._usage = event.usage
            return b""
        if isinstance(event, Finish):
            self._finish = event
            return b""
        if isinstance(event, Failed):
            self._failed = True
            fields = error_fields(event.failure)
            return b"event: error\ndata: " + encode(fields) + b"\n\n"
        return self._rare(event)

    def end(self) -> bytes:
        """Return what closes the stream. Nothing after an error."""
        if self._failed:
            return b""
        head = self._begin() + self._release()
        reason = SAID[self._finish.reason]
        if reason == "stop_sequence" and not self._finish.sequence:
            reason = "end_turn"
        delta = {
            "stop_reason": reason,
            "stop_sequence": self._finish.sequence or None,
            "stop_details": stop_details(self._finish.reason, self._finish.detail, self._refusal),
            "container": None,
        }
        usage = tokens.write_anthropic(self._usage)
        for name in ("cache_creation", "inference_geo", "service_tier"):
            del usage[name]
        return head + self._close() + sse("message_delta", {"delta": delta, "usage": usage}) + sse("message_stop", {})

    def _begin(self) -> bytes:
        """Return the first event, which waits for the first content: only then is the input's usage known, if ever
        early.
        """
        if self._begun:
            return b""
        self._begun = True
        start = self._start or Start("", "", 0)
        message: Fields = {
            "id": start.id if start.id.startswith("msg_") else f"msg_{start.id}",
            "type": "message",
            "role": "assistant",
            "model": start.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
            "container": None,
            "usage": tokens.write_anthropic(self._usage),
        }
        return sse("message_start", {"message": message})

    def _must_wait(self, event: Event) -> bool:
        """Whether an event belongs to another block than the open call, whose arguments are not whole yet.

        A message's blocks follow each other, while chat servers may begin several calls before they go on with the
        first.
        """
        block = getattr(event, "block", None)
        if block is None or self._open is None or block == self._open[0]:
            return False
        return bool(self._held) or lenient("".join(self._arguments).encode()) is None

    def _release(self) -> bytes:
        """Return what waited, block by block."""
        held, self._held = sorted(self._held, key=lambda event: getattr(event, "block", 0)), []
        found = b""
        for event in held:
            if isinstance(event, ToolStart):
                found += self._close()
            found += self.write(event)
        return found

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return sse("content_block_stop", {"index": self._index})

    def _opened(self, block: int, kind: str, content: Fields) -> bytes:
        """Return what opens a block of a kind, if it is not the one that is open."""
        if self._open == (block, kind):
            return b""
        head = self._begin() + self._close()
        self._index += 1
        self._open = (block, kind)
        return head + sse("content_block_start", {"index": self._index, "content_block": content})

    def _frequent(self, event: TextDelta | ToolDelta) -> bytes:
        if isinstance(event, TextDelta):
            head = b""
            if self._open != (event.block, "text"):
                head = self._opened(event.block, "text", {"type": "text", "text": "", "citations": None})
            return _TEXT % (head, self._index, encode(event.text))
        self._arguments.append(event.arguments)
        return self._piece({"type": "input_json_delta", "partial_json": event.arguments})

    def _piece(self, delta: Fields) -> bytes:
        return sse("content_block_delta", {"index": self._index, "delta": delta})

    def _rare(self, event: Event) -> bytes:
        if isinstance(event, ReasoningDelta):
            return self._reasoning(event)
        if isinstance(event, ToolStart):
            return self._call(event)
        if isinstance(event, RefusalDelta):
            self._refusal += event.text
            head = self._opened(event.block, "text", {"type": "text", "text": "", "citations": None})
            return head + self._piece({"type": "text_delta", "text": event.text})
        if isinstance(event, MediaDelta):
            head = self._opened(event.block, "text", {"type": "text", "text": "", "citations": None})
            text = f"![{event.media.kind}]({medias.data_uri(event.media)})"
            return head + self._piece({"type": "text_delta", "text": text})
        return b""

    def _reasoning(self, event: ReasoningDelta) -> bytes:
        if event.redacted:
            data = seal(event.origin, event.redacted, ORIGIN)
            return self._opened(event.block, "redacted", {"type": "redacted_thinking", "data": data})
        head = self._opened(event.block, "thinking", {"type": "thinking", "thinking": "", "signature": ""})
        if event.text:
            head += self._piece({"type": "thinking_delta", "thinking": event.text})
        return head + self._signature(event.origin, event.signature)

    def _signature(self, origin: str, signature: str) -> bytes:
        return (
            self._piece({"type": "signature_delta", "signature": seal(origin, signature, ORIGIN)}) if signature else b""
        )

    def _call(self, event: ToolStart) -> bytes:
        """Return what opens a call; its proof of thinking ends the thinking before it, or has a block of its own."""
        head = b""
        if event.signature:
            if self._open is None or self._open[1] != "thinking":
                head = self._opened(-1, "thinking", {"type": "thinking", "thinking": "", "signature": ""})
            head += self._signature("gemini", event.signature)
        self._arguments = []
        content = {
            "type": "tool_use",
            "id": event.id,
            "name": event.name,
            "input": {},
            "caller": {"type": "direct"},
        }
        return head + self._opened(event.block, "call", content)
