"""A call's way from its front door to a provider of another dialect, and its answer's way back.

A :class:`Door` is what callers speak, a :class:`Side` what a provider does; any door reaches any side through the
neutral form. ``conversions`` has the table of those that there are. Pure: no Django, no client.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from providers.dialects.events import (
    Event,
    Failed,
    MediaDelta,
    ReasoningDelta,
    RefusalDelta,
    Start,
    TextDelta,
    ToolDelta,
    ToolStart,
)
from providers.dialects.neutral import Answer, Failure, Request, Settings, Usage, Written
from providers.dialects.wire import Fields

OUTPUT = frozenset({TextDelta, ReasoningDelta, RefusalDelta, ToolStart, ToolDelta, MediaDelta})
JSON = "application/json"


class Ask(msgspec.Struct, kw_only=True):
    """What a caller asks for: the body's top-level ``fields`` (values may be JSON bytes), the ``model`` as it was
    named, and whether a stream is wanted.

    ``history`` are the items of earlier responses, the oldest first; ``thinking_in_content`` shows thinking blocks in a
    chat message's content.
    """

    fields: Mapping[str, Any]
    model: str = ""
    stream: bool = False
    history: Sequence[Fields] = ()
    thinking_in_content: bool = False


class Upstream(msgspec.Struct):
    """What is sent: the ``path`` below the account's address, with its query, and the body.

    ``cut`` is the end of the account's address that the path, which begins with a slash then, takes the place of.
    """

    path: str
    body: bytes
    cut: str = ""


class Converted(msgspec.Struct, kw_only=True):
    """An answer as the caller gets it.

    ``failure`` is set for an error, ``usage`` for an answer that reports one; ``model`` is the one that served it.
    """

    status: int
    body: bytes
    media_type: str = JSON
    usage: Usage | None = None
    model: str = ""
    failure: Failure | None = None
    answer: Answer | None = None


class StreamReader(Protocol):
    """Reads the data of a provider's events. ``finished``: the answer came to its end. ``usage`` is what it said so far
    that it used.
    """

    finished: bool

    @property
    def usage(self) -> Usage | None: ...

    def feed(self, data: bytes) -> list[Event]: ...

    def end(self) -> list[Event]: ...


class StreamWriter(Protocol):
    """Writes events as a door's callers know them."""

    def write(self, event: Event) -> bytes: ...

    def end(self) -> bytes: ...


class Door(msgspec.Struct, frozen=True):
    """A front door: how its requests are read, and answers, streams and errors written for its callers."""

    read: Callable[[Ask], Request]
    write: Callable[[Answer, Request, Ask], bytes]
    writer: Callable[[Request, Ask], StreamWriter]
    error: Callable[[Failure], bytes]


class Side(msgspec.Struct, frozen=True):
    """A provider's dialect: how requests are written for it, and its answers, streams and errors read.

    ``path`` makes the path of the settings' model, for a stream or not; ``urls`` are those that must be fetched first;
    ``read`` and ``reader`` are given the usage semantics of the vendor.
    """

    path: Callable[[Settings, bool], str]
    write: Callable[[Request, Settings], Written]
    read: Callable[[bytes, Written, str], Answer]
    reader: Callable[[Written, str], StreamReader]
    error: Callable[[int, bytes], Failure]
    urls: Callable[[Request, Settings], list[str]]


class Conversion(Protocol):
    """One attempt's conversion. All of it may raise ``DialectError``, but for what turns errors."""

    @property
    def dropped(self) -> list[str]:
        """What could not be sent as it was asked for, in the caller's words."""

    def urls(self, settings: Settings) -> list[str]:
        """Return the URLs whose content must be in ``settings.media`` before the request can be written."""

    def write(self, settings: Settings) -> Upstream:
        """Return the upstream request."""

    def answer(self, body: bytes) -> Converted:
        """Return a good answer as the caller gets it."""

    def failed(self, status: int, body: bytes) -> Converted:
        """Return an error of the provider's as the caller gets it, with the status that it means."""

    def refused(self, failure: Failure) -> bytes:
        """Return the body of an error."""

    def stream(self) -> "StreamConversion":
        """Return what converts the events of a stream."""


class StreamConversion:
    """Converts one stream: :meth:`feed` takes the data of its events, :meth:`close` ends it.

    ``usage``, ``model`` and ``failure`` are what the stream said so far; ``spoke``: there was output.
    """

    __slots__ = ("_reader", "_writer", "failure", "model", "spoke")

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.failure: Failure | None = None
        self.model = ""
        self.spoke = False

    def feed(self, data: bytes) -> bytes:
        """Return what an event's data becomes; empty for what waits. Raises ``DialectError``."""
        found = b""
        write = self._writer.write
        for event in self._reader.feed(data):
            kind = type(event)
            if kind in OUTPUT:
                self.spoke = True
            elif isinstance(event, Start):
                self.model = event.model
            elif isinstance(event, Failed):
                self.failure = event.failure
            found += write(event)
        return found

    @property
    def usage(self) -> Usage | None:
        """What the stream said so far that it used."""
        return self._reader.usage

    def fail(self, failure: Failure) -> bytes:
        """Return what an error of the provider's becomes, which ends the stream."""
        self.failure = failure
        return self._writer.write(Failed(failure))

    def close(self) -> bytes:
        """Return what closes the stream; nothing for one that was cut off, which is not whole."""
        return b"" if self.failure is not None or self._reader.end() else self._writer.end()

    @property
    def writer(self) -> StreamWriter:
        """What wrote the stream."""
        return self._writer


class ChatConversion:
    """A chat of one door's callers with another dialect's model."""

    def __init__(self, door: Door, side: Side, ask: Ask) -> None:
        self._door, self._side, self._ask = door, side, ask
        self._written = Written(b"", [])
        self._semantics = ""
        self.request = door.read(ask)

    @property
    def dropped(self) -> list[str]:
        """What could not be sent as it was asked for."""
        return self._written.dropped

    def urls(self, settings: Settings) -> list[str]:
        """Return the URLs that the provider does not fetch itself."""
        return self._side.urls(self.request, settings)

    def write(self, settings: Settings) -> Upstream:
        """Return the upstream request."""
        self._written = self._side.write(self.request, settings)
        self._semantics = settings.usage
        return Upstream(self._side.path(settings, self.request.stream), self._written.body)

    def answer(self, body: bytes) -> Converted:
        """Return a good answer as the caller gets it."""
        answer = self._side.read(body, self._written, self._semantics)
        written = self._door.write(answer, self.request, self._ask)
        return Converted(status=200, body=written, usage=answer.usage, model=answer.model, answer=answer)

    def failed(self, status: int, body: bytes) -> Converted:
        """Return an error of the provider's as the caller gets it."""
        failure = self._side.error(status, body)
        return Converted(status=failure.status, body=self.refused(failure), failure=failure)

    def refused(self, failure: Failure) -> bytes:
        """Return the body of an error."""
        return self._door.error(failure)

    def stream(self) -> StreamConversion:
        """Return what converts the events of a stream."""
        reader = self._side.reader(self._written, self._semantics)
        return StreamConversion(reader, self._door.writer(self.request, self._ask))
