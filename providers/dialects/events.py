"""A stream's events in the neutral form.

Deltas carry the choice and a block number: a new number is a new part of the answer.
"""

from typing import Any

import msgspec

from providers.dialects.neutral import Failure, FinishReason, Media, Usage


class Start(msgspec.Struct):
    """The first event of a stream."""

    id: str
    model: str
    created: int


class TextDelta(msgspec.Struct):
    choice: int
    block: int
    text: str
    signature: str = ""
    logprobs: list[dict[str, Any]] | None = None


class ReasoningDelta(msgspec.Struct):
    choice: int
    block: int
    text: str = ""
    signature: str = ""
    redacted: str = ""
    origin: str = ""


class RefusalDelta(msgspec.Struct):
    choice: int
    block: int
    text: str


class ToolStart(msgspec.Struct):
    """A call begins. ``call`` counts the tool calls of its choice from 0."""

    choice: int
    block: int
    call: int
    id: str
    name: str
    signature: str = ""


class ToolDelta(msgspec.Struct):
    """More of a call's arguments, as JSON text."""

    choice: int
    block: int
    call: int
    arguments: str


class MediaDelta(msgspec.Struct):
    """A whole image, or a piece of audio."""

    choice: int
    block: int
    media: Media


class Annotations(msgspec.Struct):
    """Sources of what was said, each in the form of OpenAI's ``url_citation``."""

    choice: int
    block: int
    annotations: list[dict[str, Any]]


class Finish(msgspec.Struct):
    choice: int
    reason: FinishReason
    detail: str = ""
    sequence: str = ""


class UsageUpdate(msgspec.Struct):
    """The usage so far: it replaces what came before."""

    usage: Usage


class Failed(msgspec.Struct):
    """The stream ends with an error."""

    failure: Failure


Event = (
    Start
    | TextDelta
    | ReasoningDelta
    | RefusalDelta
    | ToolStart
    | ToolDelta
    | MediaDelta
    | Annotations
    | Finish
    | UsageUpdate
    | Failed
)
