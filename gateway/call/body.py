"""What a call carries: a body that was read whole, or one that streams through."""

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

import msgspec

from gateway.billing.audio_length import AudioMeter
from gateway.call.shortened import Shortened

JSON = "application/json"


class Upload(Protocol):
    """A body that streams through: sent once, with the model's upstream name in it."""

    content_type: str
    fault: Exception | None
    sent: int
    audio: AudioMeter | None

    @property
    def values(self) -> dict[str, str]:
        """The wanted string parts that have been seen so far."""

    @property
    def references(self) -> list[tuple[str, str]]:
        """The ids of other objects that the parts seen so far mention, with the field that did."""

    @property
    def wants_stream(self) -> bool:
        """Whether the parts seen so far ask for a stream."""

    def length(self, upstream_model: str) -> int | None:
        """Return the length of what :meth:`body` yields, or ``None`` when the client did not say."""

    def body(self, upstream_model: str) -> AsyncIterator[bytes]:
        """Yield the body for the upstream."""


class Body:
    """A call's body: ``raw`` bytes with the top-level ``fields`` of a JSON object, or an ``upload`` that streams
    through. ``short`` is a large JSON body without its long base64.
    """

    __slots__ = ("content_type", "fields", "raw", "short", "upload")

    def __init__(
        self,
        raw: bytes = b"",
        fields: Mapping[str, msgspec.Raw] | None = None,
        content_type: str = JSON,
        upload: Upload | None = None,
        short: Shortened | None = None,
    ) -> None:
        self.raw = raw
        self.fields: dict[str, msgspec.Raw] = dict(fields) if fields else {}
        self.content_type = content_type
        self.upload = upload
        self.short = short

    def copy(self) -> "Body":
        """Return a body that changes on its own. An upload is the same: it streams through once."""
        return Body(self.raw, self.fields, self.content_type, self.upload, self.short)

    def replace(self, fields: Mapping[str, msgspec.Raw]) -> None:
        """Take other fields, which a check returned, where they are not the body's own: they are what is sent."""
        if fields is not self.fields:
            self.fields = dict(fields)
            self.raw = msgspec.json.encode(self.fields)
            self.short = None

    @property
    def seen(self) -> bytes:
        """The body for those who look for words in it, which no long base64 has: that is left out."""
        return self.raw if self.short is None else self.short.text

    @property
    def seen_fields(self) -> dict[str, msgspec.Raw]:
        """The fields of :attr:`seen`."""
        return self.fields if self.short is None else self.short.fields

    @property
    def fault(self) -> Exception | None:
        """What was wrong with the body while it streamed through."""
        return None if self.upload is None else self.upload.fault

    @property
    def size(self) -> int:
        """How many bytes came so far: of an upload those that were sent on."""
        return len(self.raw) if self.upload is None else self.upload.sent
