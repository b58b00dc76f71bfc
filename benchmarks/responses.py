"""The Responses API's shapes: a request, a whole answer, and the events of a streamed one in OpenAI's order."""

import json
from typing import Any

from benchmarks.payloads import CHAT_TEXT, CREATED, MARK, MESSAGES, PROMPT_TOKENS, UNIQUE

# Events of a stream besides its deltas.
OTHER_EVENTS = 8
# Each is once in its events, in the data line, however a server spaces the JSON.
DELTA_MARK, END_MARK = b'"response.output_text.delta"', b'"response.completed"'


def body(model: str, *, stream: bool = False) -> bytes:
    """Return a request with the same content as the chat request's."""
    system, user = MESSAGES
    request: dict[str, Any] = {
        "model": model,
        "instructions": system["content"],
        "input": user["content"],
        "temperature": 0.7,
        "max_output_tokens": 256,
    }
    if stream:
        request["stream"] = True
    return json.dumps(request).encode()


def response(unique: str, text: str | None, output_tokens: int) -> dict[str, Any]:
    """Return a response with the ids of ``unique``: completed with ``text``, or in progress when there is none."""
    done = text is not None
    usage = {
        "input_tokens": PROMPT_TOKENS,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": PROMPT_TOKENS + output_tokens,
    }
    return {
        "id": f"resp_{unique}",
        "object": "response",
        "created_at": CREATED,
        "status": "completed" if done else "in_progress",
        "background": False,
        "completed_at": CREATED + 1 if done else None,
        "error": None,
        "incomplete_details": None,
        "instructions": MESSAGES[0]["content"],
        "max_output_tokens": 256,
        "max_tool_calls": None,
        "model": "gpt-4o-mini-2024-07-18",
        "output": [_message(unique, text)] if text is not None else [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default" if done else "auto",
        "store": True,
        "temperature": 0.7,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage if done else None,
        "user": None,
        "metadata": {},
    }


def _message(unique: str, text: str | None) -> dict[str, Any]:
    content = [] if text is None else [_part(text)]
    status = "in_progress" if text is None else "completed"
    return {"id": f"msg_{unique}", "type": "message", "status": status, "content": content, "role": "assistant"}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


ANSWER = json.dumps(response(UNIQUE, CHAT_TEXT, 41))


class Events:
    """The events of one stream, numbered, as bytes. Its ids are those of ``unique``."""

    def __init__(self, unique: str) -> None:
        self._unique = unique
        self._place = {"item_id": f"msg_{unique}", "output_index": 0, "content_index": 0}
        self._text: list[str] = []
        self._number = 0
        self._delta = (
            f'event: response.output_text.delta\ndata: {{"type":"response.output_text.delta","sequence_number":%d,'
            f'"item_id":"msg_{unique}","output_index":0,"content_index":0,"delta":"%s","logprobs":[],'
            f'"obfuscation":"qV5kWnT8hYbE2m"}}\n\n'
        )

    def start(self) -> bytes:
        """Return what comes before the first delta."""
        running = response(self._unique, None, 0)
        return b"".join(
            (
                self._event("response.created", response=running),
                self._event("response.in_progress", response=running),
                self._event("response.output_item.added", output_index=0, item=_message(self._unique, None)),
                self._event("response.content_part.added", **self._place, part=_part("")),
            )
        )

    def chunk(self, number: int) -> bytes:
        """Return the next delta."""
        delta = f" {MARK.decode()}-{number % 10}"
        self._text.append(delta)
        self._number += 1
        return (self._delta % (self._number - 1, delta)).encode()

    def end(self) -> bytes:
        """Return what comes behind the last delta."""
        text = "".join(self._text)
        whole = response(self._unique, text, len(self._text))
        return b"".join(
            (
                self._event("response.output_text.done", **self._place, text=text, logprobs=[]),
                self._event("response.content_part.done", **self._place, part=_part(text)),
                self._event("response.output_item.done", output_index=0, item=_message(self._unique, text)),
                self._event("response.completed", response=whole),
            )
        )

    def _event(self, kind: str, **fields: Any) -> bytes:
        data = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return f"event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
