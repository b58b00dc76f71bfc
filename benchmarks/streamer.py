"""The streaming upstream: an ASGI application that sends a planned number of chunks, of a chat, of a response, or
of another vendor's answer, at a planned pace.

It is given the plan over its own port, so that the servers under test need no second configuration:
``GET /control/plan?chunks=500&interval_ms=10`` for the streams that start from now on (with ``&burst=1`` all that they
send leaves in one write), ``GET /control/release`` to let
all open streams end after their next chunk, ``GET /control/state`` for what happened since the plan.
"""

import asyncio
import json
import uuid
from typing import Any
from urllib.parse import parse_qs

from benchmarks import responses, vendors
from benchmarks.endpoint import ANTHROPIC, RESPONSES
from benchmarks.payloads import STREAM_DONE, STREAM_END, STREAM_START, STREAM_TOKENS, STREAM_USAGE

MOST_CHUNKS = 1_000_000


class Plan:
    """What the streams do now, and what came of it."""

    def __init__(self, chunks: int = 10, interval: float = 0.0, *, burst: bool = False) -> None:
        self.chunks, self.interval, self.burst = chunks, interval, burst
        self.released = False
        self.open = self.most_open = self.finished = self.sent = 0

    def state(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in ("open", "most_open", "finished", "sent")}


class ChatEvents:
    """The events of one streamed chat completion."""

    def __init__(self, body: bytes) -> None:
        self._usage = STREAM_USAGE if b'"include_usage":true' in body.replace(b" ", b"") else b""

    def start(self) -> bytes:
        return STREAM_START

    def chunk(self, number: int) -> bytes:
        return STREAM_TOKENS[number % len(STREAM_TOKENS)]

    def end(self) -> bytes:
        return STREAM_END + self._usage + STREAM_DONE


Events = ChatEvents | responses.Events | vendors.CannedEvents
plan = Plan()


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer the control paths with the state, and every other with a stream."""
    if scope["type"] != "http":
        raise RuntimeError(f"no {scope['type']} here")
    if scope["path"].startswith("/control/"):
        await _control(scope, send)
    else:
        await _stream(scope["path"], receive, send)


async def _control(scope: dict[str, Any], send: Any) -> None:
    global plan
    query = parse_qs(scope["query_string"].decode())
    if scope["path"] == "/control/plan":
        chunks = min(int(query["chunks"][0]), MOST_CHUNKS)
        plan = Plan(chunks, float(query["interval_ms"][0]) / 1000, burst="burst" in query)
    elif scope["path"] == "/control/release":
        plan.released = True
    body = json.dumps(plan.state()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


def _events(path: str, body: bytes) -> Events:
    if path.endswith(RESPONSES):
        return responses.Events(uuid.uuid4().hex)
    if path.startswith(ANTHROPIC):
        return vendors.MESSAGE_EVENTS
    return vendors.CONTENT_EVENTS if path.endswith(":streamGenerateContent") else ChatEvents(body)


async def _stream(path: str, receive: Any, send: Any) -> None:
    mine, body = plan, b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    events = _events(path, body)
    gone = asyncio.create_task(receive())
    mine.open += 1
    mine.most_open = max(mine.most_open, mine.open)
    try:
        await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
        if mine.burst:
            chunks = b"".join(events.chunk(number) for number in range(mine.chunks))
            await _chunk(send, events.start() + chunks + events.end())
            mine.sent += mine.chunks
        elif not await _paced(mine, events, gone, send):
            return
        await send({"type": "http.response.body", "body": b""})
        mine.finished += 1
    finally:
        gone.cancel()
        mine.open -= 1


async def _paced(mine: Plan, events: Events, gone: asyncio.Task[Any], send: Any) -> bool:
    """Send the events at the planned pace; return whether all were sent before the client left."""
    await _chunk(send, events.start())
    for number in range(mine.chunks):
        if gone.done():
            return False
        await _chunk(send, events.chunk(number))
        mine.sent += 1
        if mine.released:
            break
        await asyncio.sleep(mine.interval)
    await _chunk(send, events.end())
    return True


async def _chunk(send: Any, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-request-id", b"req_benchmark"),
]
