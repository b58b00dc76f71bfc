"""Requests, answers and server-sent events: the small vocabulary that every resource speaks."""

from __future__ import annotations

import urllib.parse
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from itertools import repeat
from typing import Any, Protocol

import msgspec

from sandbox.errors import ApiError
from sandbox.misbehaviour.faults import NO_FAULTS, Faults, in_text
from sandbox.state import State
from sandbox.wire.forms import Form, parse_form
from sandbox.wire.recorder import Recorder, Stats

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = dict[str, Any]
Headers = list[tuple[bytes, bytes]]

JSON = b"application/json"
EVENT_STREAM = b"text/event-stream; charset=utf-8"
DONE = b"data: [DONE]\n\n"

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

NOT_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP "
    "library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON. If you "
    "have trouble figuring out how to fix this, please contact us through our help center at help.openai.com.)"
)


class Host(Protocol):
    """The application as everything below `app.py` sees it."""

    state: State
    stats: Stats
    recorder: Recorder | None
    keys: frozenset[bytes]
    max_body: int
    job_seconds: float

    async def answer(self, request: Request) -> Answer:
        """The answer to a request whose `body` is complete; never raises ApiError."""

    def counted(self, faults: Faults) -> Faults:
        """The directives that hold for this request, by `times`."""


class Request:
    """One HTTP request, also made by hand when a batch runs its lines.

    `headers` are as the server gave them, names in lower case; `params` are the path's parameters; `body` is
    the whole body, or empty when the route is `streamed`.
    """

    __slots__ = ("_receive", "app", "body", "faults", "headers", "max_body", "method", "params", "path", "query_string")

    def __init__(
        self,
        app: Host,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        headers: Mapping[bytes, bytes] | None = None,
        query_string: bytes = b"",
        receive: Receive | None = None,
    ) -> None:
        self.app = app
        self.method = method
        self.path = path
        self.body = body
        self.headers: Mapping[bytes, bytes] = headers or {}
        self.query_string = query_string
        self.params: dict[str, str] = {}
        self.faults: Faults = NO_FAULTS
        self._receive = receive
        self.max_body = app.max_body

    def header(self, name: str) -> str:
        return self.headers.get(name.encode(), b"").decode("latin-1")

    def query(self) -> dict[str, str]:
        return dict(urllib.parse.parse_qsl(self.query_string.decode("latin-1"), keep_blank_values=True))

    def json(self, problem: str = NOT_JSON) -> dict[str, Any]:
        """The body as an object; raises ApiError 400 with `problem` for anything else, or another content type."""
        content_type = self.headers.get(b"content-type", JSON)
        if not content_type.startswith(JSON):
            raise ApiError(
                f"Unsupported content type: '{content_type.decode('latin-1')}'. This API method only accepts "
                "'application/json' requests. Please try again with a supported content type.",
                code="unsupported_content_type",
            )
        try:
            decoded = _decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ApiError(problem) from error
        if not isinstance(decoded, dict):
            raise ApiError(problem)
        return decoded

    async def stream(self) -> AsyncIterator[bytes]:
        """The body in pieces as they arrive; raises ApiError 413 above the limit."""
        if self._receive is None:
            yield self.body
            return
        total = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            piece = message.get("body", b"")
            total += len(piece)
            if total > self.max_body:
                raise too_large(self.max_body)
            if piece:
                yield piece
            if not message.get("more_body", False):
                return

    async def form(self) -> Form:
        """The multipart body, files spooled to disk above 1 MB; raises ApiError 400 for another body."""
        return await parse_form(self.header("content-type"), self.stream())

    def read_directives(self, text: str) -> None:
        """Takes the directives in a form's text, unless the header gave some; they hold for the answer's delivery."""
        if self.faults is NO_FAULTS:
            self.faults = self.app.counted(in_text(text))


class ClientGone(Exception):
    """The client left before its request was complete."""


class Response:
    """A whole answer."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self, body: bytes, *, status: int = 200, content_type: bytes = JSON, headers: Headers | None = None
    ) -> None:
        self.body = body
        self.status = status
        self.content_type = content_type
        self.headers = headers


class Stream:
    """An answer in chunks. For server-sent events a chunk is one event, so that faults can count them.

    `error` writes the event of an error that comes instead of chunk number N.
    """

    __slots__ = ("chunks", "content_type", "error", "headers", "status")

    def __init__(
        self,
        chunks: Iterable[bytes] | AsyncIterable[bytes],
        *,
        content_type: bytes = EVENT_STREAM,
        headers: Headers | None = None,
        error: Callable[[ApiError, int], bytes] | None = None,
    ) -> None:
        self.chunks = chunks
        self.status = 200
        self.error = error or error_event
        self.content_type = content_type
        self.headers = headers


Answer = Response | Stream


def json_response(value: Any, status: int = 200, headers: Headers | None = None) -> Response:
    return Response(encode(value), status=status, headers=headers)


def endless_body() -> Stream:
    """JSON that never begins: spaces until the client leaves."""
    return Stream(repeat(b" " * 1024), content_type=JSON)


def error_response(error: ApiError, body: Any = None) -> Response:
    """The answer that an error is, with a vendor's own `body` or else OpenAI's."""
    headers = [(name.encode(), value.encode()) for name, value in error.headers.items()]
    return json_response(error.body() if body is None else body, error.status, headers)


def too_large(limit: int) -> ApiError:
    return ApiError(f"Maximum request body size is {limit} bytes.", status=413, code="request_too_large")


def event(value: Any) -> bytes:
    """One server-sent event, as chat and completions send them."""
    return b"data: " + encode(value) + b"\n\n"


def error_event(error: ApiError, number: int) -> bytes:
    """An error amid a stream, as most endpoints send it; `number` is that of the chunk that it replaces."""
    return event(error.body())


def named_event(value: dict[str, Any]) -> bytes:
    """One server-sent event under its own `type`, as responses, images and audio send them."""
    return b"event: " + value["type"].encode() + b"\ndata: " + encode(value) + b"\n\n"
