"""A response from its making to its end: what it looks like at any moment, and its events."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from sandbox.errors import ApiError
from sandbox.responses.events import Event, of_item
from sandbox.responses.items import Item
from sandbox.state import State
from sandbox.wire.messages import encode

# How long a waiting stream sleeps at most, so that a test may move the clock.
_NAP = 0.02
STREAMABLE = 300  # seconds after its creation that a background response can be streamed again


@dataclass(slots=True)
class ModelResponse:
    """One response. `base` has the fields that never change; times are the sandbox's clock.

    `ending` is completed, incomplete or failed. A response in the background is queued until `starts`, and in
    progress until `ends`; any other is in progress until its stream has been sent. `context` is all that the next
    turn builds on: the input, what came before it, and the output.
    """

    id: str
    base: dict[str, Any]
    items: list[Item]
    input: list[Item]
    usage: dict[str, Any] | None
    include: frozenset[str]
    created: float
    starts: float
    ends: float
    ending: str = "completed"
    error: dict[str, str] | None = None
    background: bool = False
    streamed: bool = False
    endless: bool = False
    obfuscated: bool = False
    sketches: dict[str, list[str]] = field(default_factory=dict)
    finished: bool = False
    cancelled: bool = False

    def status(self, now: float) -> str:
        if self.cancelled:
            return "cancelled"
        if self.finished:
            return self.ending
        if not self.background:
            return "in_progress"
        if now < self.starts:
            return "queued"
        if now < self.ends:
            return "in_progress"
        self.finished = True
        return self.ending

    def is_over(self, now: float) -> bool:
        return self.status(now) not in ("queued", "in_progress")

    def body(self, status: str, include: frozenset[str] | None = None) -> dict[str, Any]:
        """The response object, as it is with `status`; `include` names what to add, as in the API."""
        over = status in ("completed", "incomplete")
        shown = self.include if include is None else self.include | include
        return {
            "id": self.id,
            "object": "response",
            "created_at": int(self.created),
            "status": status,
            "background": self.background,
            "completed_at": int(max(self.ends, self.created)) if status == "completed" else None,
            "error": self.error if status == "failed" else None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "conversation": None,
            **self.base,
            "output": [visible(item, shown) for item in self.items] if over else [],
            "usage": self.usage if over else None,
        }

    def context(self) -> list[Item]:
        return [*self.input, *self.items]


def visible(item: Item, include: frozenset[str]) -> Item:
    """The item without what only `include` shows."""
    kind = item["type"]
    if kind == "reasoning" and "reasoning.encrypted_content" not in include:
        return {name: value for name, value in item.items() if name != "encrypted_content"}
    if kind == "file_search_call" and "file_search_call.results" not in include:
        return {**item, "results": None}
    if kind == "code_interpreter_call" and "code_interpreter_call.outputs" not in include:
        return {**item, "outputs": None}
    if kind == "web_search_call" and "web_search_call.action.sources" not in include:
        action = item.get("action") or {}
        return {**item, "action": {name: value for name, value in action.items() if name != "sources"}}
    if kind == "message" and item["role"] != "assistant" and "message.input_image.image_url" not in include:
        return {**item, "content": [_without_url(part) for part in item["content"]]}
    return item


def _without_url(part: Item) -> Item:
    return {**part, "image_url": None} if part["type"] == "input_image" else part


def events(response: ModelResponse) -> Iterator[Event]:
    """All events of a response, numbered from 0."""
    for number, event in enumerate(_events(response)):
        event["sequence_number"] = number
        if response.obfuscated and event["type"].endswith(".delta"):
            event["obfuscation"] = _PADDING[: 16 - len(event["delta"]) % 16]
        yield event


_PADDING = "abcdefghijklmnop"


def _events(response: ModelResponse) -> Iterator[Event]:
    yield {"type": "response.created", "response": response.body("queued" if response.background else "in_progress")}
    if response.background:
        yield {"type": "response.queued", "response": response.body("queued")}
    yield {"type": "response.in_progress", "response": response.body("in_progress")}
    if response.ending == "failed":
        yield from _half(response)
    else:
        for index, item in enumerate(response.items):
            sketches = response.sketches.get(item["id"], [])
            yield from of_item(visible(item, response.include), index, sketches=sketches, endless=response.endless)
    yield {"type": f"response.{response.ending}", "response": response.body(response.ending)}


def _half(response: ModelResponse) -> Iterator[Event]:
    """The events of the last item, up to the middle."""
    if response.items:
        found = list(of_item(visible(response.items[-1], response.include), 0))
        yield from found[: len(found) // 2]


def sse(event: Event) -> bytes:
    """One event on the wire."""
    return b"event: %s\ndata: %s\n\n" % (event["type"].encode(), encode(event))


def error_event(error: ApiError, number: int) -> bytes:
    """An error amid the stream of a response."""
    shown = {"code": error.code or error.type, "message": error.message, "param": error.param}
    return sse({"type": "error", **shown, "sequence_number": number})


def stream(response: ModelResponse) -> Iterator[bytes]:
    """The stream of a response that is made while the client waits; it is over when all of it was sent."""
    try:
        last: Event = {}
        for event in events(response):
            if last:
                yield sse(last)
            last = event
        # A client that reads the last event may ask for the response at once.
        response.finished = True
        yield sse(last)
    finally:
        if not response.finished:
            response.cancelled = True


async def replay(response: ModelResponse, state: State, after: int = -1) -> AsyncIterator[bytes]:
    """The stream of a background response behind event number `after`, each event at its time.

    Ends early when the response is cancelled.
    """
    timed = list(events(response))
    count = len(timed) - 3
    for event in timed:
        number = event["sequence_number"]
        if number <= after:
            continue
        # created and queued come at once, in_progress at the start, the rest spread over the work.
        if number == 2:
            due = response.starts
        else:
            due = (
                response.starts + (response.ends - response.starts) * (number - 2) / count
                if number > 2
                else response.created
            )
        while state.now() < due and not response.cancelled:
            await asyncio.sleep(min(_NAP, max(due - state.now(), 0)))
        if response.cancelled:
            return
        yield sse(event)
