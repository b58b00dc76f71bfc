"""Gemini's dialect on the wire: addresses and headers, and what the pipeline looks for in answers that pass
through.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from multidict import CIMultiDict

from providers.dialects.base import Asked, Fields, ReportedError, address, passing_body, upstream_headers
from providers.dialects.failures import DialectError
from providers.dialects.gemini import vertex as vertex_ai
from providers.dialects.gemini.answer import content_parts
from providers.dialects.gemini.errors import from_fields
from providers.dialects.reported import EMPTY, reported
from providers.dialects.wire import encode, encode_fields, lenient_fields, listed, plain
from providers.snapshot import AccountSnapshot, Target
from providers.upstream.client import UpstreamRequest
from providers.upstream.pieces import Pieces

# What is done with a model, where the model's name is in the address.
ACTIONS = frozenset({"generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents"})

# Fields of a part that describe its content, and are not content themselves.
MARKS = frozenset({"thought", "thoughtSignature"})


def model_path(model: str, action: str, *, vertex: bool = False) -> str:
    """Return the path of what is done with a model; a tuned one has its own collection in its name. On ``vertex``, it
    is a publisher's.

    Raises ``DialectError`` for a name that would lead elsewhere.
    """
    name = quote(model, safe="/@._-")
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise DialectError(f"{model[:100]!r} is not a model's name.", param="model", code="model_not_found", status=404)
    place = vertex_ai.resource(name) if vertex else name if "/" in name else f"models/{name}"
    return f"{place}:{action}"


class Gemini:
    """The dialect of Google's Generative Language API, and of Vertex AI."""

    name = "gemini"

    def url(self, target: Target, path: str, query: str = "", base_url: str = "") -> str:
        """Return the upstream address of an operation's path."""
        return address(target, path, query, base_url)

    def headers(self, account: AccountSnapshot, forwarded: Iterable[tuple[str, str]] = ()) -> CIMultiDict[str]:
        """Return the upstream headers: what is forwarded from the client, and over it what the account sets."""
        return upstream_headers(account, forwarded)

    def request(self, asked: Asked, target: Target) -> UpstreamRequest:
        """Return the request: the client's bytes, with the model's upstream name in the address and wherever the body
        repeats it.
        """
        headers = self.headers(target.account, asked.forwarded)
        path = asked.path
        body: bytes | Pieces | None = passing_body(asked, headers)
        if asked.path in ACTIONS:
            action = "streamGenerateContent" if asked.stream else asked.path
            vertex = target.account.vendor.vertex
            path = model_path(target.model.upstream_id, action, vertex=vertex)
            body = _unnamed(asked) if vertex else _named(asked, target.model.upstream_id)
            headers["content-type"] = "application/json"
        return UpstreamRequest(asked.method, self.url(target, path, asked.query, asked.base_url), headers, body)

    def error(self, fields: Fields, event: bytes = b"") -> ReportedError | None:
        """Return the error that an answer or an event reports."""
        if bytes(fields.get("error", b"")) in EMPTY:
            return reported(fields, event)
        failure = from_fields(200, lenient_fields(fields))
        return ReportedError(failure.status, failure.message, failure.type)

    def error_body(self, account: AccountSnapshot, status: int, body: bytes) -> bytes:
        """Return an error's body as it came."""
        return body

    def is_output(self, fields: Fields) -> bool:
        """Whether an event has a part of an answer that is not empty."""
        return any(_says(part) for candidate in _candidates(fields) for part in content_parts(candidate))

    def choices_ended(self, fields: Fields) -> Mapping[int, bool]:
        """Return the candidates that an event shows; a prompt that was blocked has an ended one."""
        if b"blockReason" in bytes(fields.get("promptFeedback", b"")):
            return {0: True}
        ended = {}
        for candidate in _candidates(fields):
            index = candidate.get("index")
            ended[index if isinstance(index, int) else 0] = bool(candidate.get("finishReason"))
        return ended


def _named(asked: Asked, model: str) -> bytes | Pieces:
    """Return the body with the model's upstream name where Google wants it again: in each request of several."""
    fields = asked.body.fields
    name = model if "/" in model else f"models/{model}"
    if asked.path == "batchEmbedContents" and "requests" in fields:
        requests = plain({"requests": fields["requests"]})["requests"]
        return encode({**fields, "requests": [{**each, "model": name} for each in requests]})
    if asked.path == "countTokens" and "generateContentRequest" in fields:
        inner = plain({"inner": fields["generateContentRequest"]})["inner"]
        return encode({**fields, "generateContentRequest": {**inner, "model": name}})
    return encode_fields({**fields, "model": name}, len(asked.body.raw)) if "model" in fields else asked.body.raw


def _unnamed(asked: Asked) -> bytes:
    """Return the body as Vertex AI takes it, where the model's name is in the address alone."""
    write = vertex_ai.count_body if asked.path == "countTokens" else vertex_ai.generate_body
    return write(asked.body.fields, asked.body.raw)


def _says(part: dict[str, Any]) -> bool:
    """Whether a part has anything but marks of thinking and an empty text."""
    return any(value not in ("", None) for name, value in part.items() if name not in MARKS)


def _candidates(fields: Fields) -> list[dict[str, Any]]:
    raw = fields.get("candidates")
    return [] if raw is None else listed(lenient_fields({"candidates": raw}), "candidates")
