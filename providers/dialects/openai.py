"""OpenAI's own wire dialect: the body goes on as it came, with the model's upstream name. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from multidict import CIMultiDict

from providers.dialects.azure_errors import azure_error
from providers.dialects.base import Asked, Fields, ReportedError, address, passing_body, upstream_headers
from providers.dialects.failures import unsupported
from providers.dialects.history import clean
from providers.dialects.params import fit
from providers.dialects.reported import EMPTY, decoded, object_of, read_error, reported
from providers.dialects.wire import encode_fields
from providers.snapshot import AccountSnapshot, Target
from providers.upstream.client import UpstreamRequest
from providers.upstream.pieces import Pieces

STREAM_OPTIONS = msgspec.Raw(b'{"include_usage":true}')
CHAT = "chat/completions"
USAGE_OPERATIONS = frozenset({"chat/completions", "completions"})
CHOICE_OUTPUT = frozenset(
    {"content", "reasoning_content", "reasoning", "tool_calls", "function_call", "audio", "refusal", "images"}
)
NAMING = frozenset({"type", "id", "index", "expires_at"})
"""Fields of a part of a content, or of audio, that say nothing yet."""

# The fields of every chunk of a stream.
CHUNK = frozenset({"id", "object", "created", "model", "provider", "service_tier", "system_fingerprint", "usage"})


class Choice(msgspec.Struct):
    """What is read of a choice in a stream."""

    index: int | None = None
    finish_reason: str | None = None
    text: str | None = None
    delta: dict[str, msgspec.Raw] | None = None


_encode = msgspec.json.Encoder().encode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_bare_choices = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_choices = msgspec.json.Decoder(list[Choice] | None)
_string = msgspec.json.Decoder(str)
FAILED_EVENT = b'"response.failed"'


class OpenAI:
    """The dialect of OpenAI, and of every server that calls itself compatible."""

    name = "openai"

    def url(self, target: Target, path: str, query: str = "", base_url: str = "") -> str:
        """Return the upstream address of an operation's path."""
        return address(target, path, query, base_url)

    def headers(self, account: AccountSnapshot, forwarded: Iterable[tuple[str, str]] = ()) -> CIMultiDict[str]:
        """Return the upstream headers: what is forwarded from the client, and over it what the account sets."""
        return upstream_headers(account, forwarded)

    def request(self, asked: Asked, target: Target) -> UpstreamRequest:
        """Return the request: the client's bytes, but for ``model`` and, in a stream, the request for usage."""
        headers = self.headers(target.account, asked.forwarded)
        dropped: list[str] = []
        if asked.model_asked and asked.body.fields:
            headers["content-type"] = "application/json"
            fields: Mapping[str, msgspec.Raw] = asked.body.fields
            if asked.path == CHAT:
                fields, dropped = chat_fields(asked, target)
            changed = sent_fields(target, asked.path, fields, asks_usage=asked.asks_usage)
            body: bytes | Pieces | None = encode_fields(changed, len(asked.body.raw))
        else:
            body = passing_body(asked, headers)
        url = self.url(target, asked.path, asked.query, asked.base_url)
        return UpstreamRequest(asked.method, url, headers, body, dropped=dropped)

    def error(self, fields: Fields, event: bytes = b"") -> ReportedError | None:
        """Return the error that an answer, or an event of the name ``event``, reports; ``None`` for any other."""
        if bytes(fields.get("type", b"")) == FAILED_EVENT:
            return failed_response(object_of(fields.get("response")))
        return reported(fields, event)

    def error_body(self, account: AccountSnapshot, status: int, body: bytes) -> bytes:
        """Return an error's body as it came, but for Azure's, whose words are not all OpenAI's."""
        return azure_error(status, body) if account.vendor.deployments else body

    def is_output(self, fields: Fields) -> bool:
        """Whether an event has the first content, reasoning, tool call or audio of an answer."""
        if "choices" in fields:
            return any(_has_output(choice) for choice in _choices_of(fields))
        kind = _text(fields.get("type")) or _text(fields.get("object"))
        if not kind:  # passed as output, if it says anything
            return any(bytes(raw) not in EMPTY for name, raw in fields.items() if name not in CHUNK)
        # An event of another API: its first delta, partial image or part of a message.
        if ".delta" in kind:
            return bytes(fields.get("delta", b"true")) not in EMPTY
        return ".partial_image" in kind or kind.endswith((".completed", ".done"))

    def choices_ended(self, fields: Fields) -> Mapping[int, bool]:
        """Return the choices that an event shows, by index, each with whether it has come to its finish reason."""
        return {choice.index or 0: bool(choice.finish_reason) for choice in _choices_of(fields)}


def chat_fields(asked: Asked, target: Target) -> tuple[Mapping[str, msgspec.Raw], list[str]]:
    """Return a chat's fields as the vendor and the model take them, and what was dropped."""
    vendor, model = target.account.vendor, target.model.upstream_id
    fields, dropped = fit(asked.body.fields, vendor=vendor.kind, model=model, strict=asked.options.strict)
    cleaned, marks = clean(fields, vendor)
    if marks and asked.options.strict:
        raise unsupported(marks[0], f"is not supported by the model '{model}'.")
    return cleaned, dropped + marks


def sent_fields(
    target: Target, path: str, fields: Mapping[str, msgspec.Raw], *, asks_usage: bool
) -> dict[str, msgspec.Raw]:
    """Return the upstream body: ``fields`` untouched but for ``model`` and, in a stream, the request for usage.

    ``fields`` is the client's body, decoded at its top level only, so every nested byte is sent as it came.
    """
    changed = dict(fields)
    changed["model"] = msgspec.Raw(_encode(target.model.upstream_id))
    if asks_usage and path in USAGE_OPERATIONS:
        changed["stream_options"] = _with_usage(fields.get("stream_options"))
    return changed


def _with_usage(options: msgspec.Raw | None) -> msgspec.Raw:
    if options is None or bytes(options) == b"null":
        return STREAM_OPTIONS
    try:
        given = _object.decode(options)
    except msgspec.DecodeError:
        return options  # not an object: the upstream says so better than we can
    given["include_usage"] = msgspec.Raw(b"true")
    return msgspec.Raw(_encode(given))


def failed_response(response: Fields) -> ReportedError | None:
    """Return the error of a response that was created and failed; ``None`` for any other."""
    said = bytes(response.get("error", b"null"))
    failed = bytes(response.get("status", b"")) == b'"failed"' and said not in EMPTY
    return read_error(decoded(said)) if failed else None


def only_usage(fields: Fields, *, but_role: bool = False) -> bool:
    """Whether a chunk of a chat's stream, which has usage, says nothing else; ``but_role``, nothing but a role."""
    raw = fields.get("choices")
    if raw is None:
        return fields.keys() <= CHUNK
    if bytes(raw).replace(b" ", b"") in EMPTY:
        return True
    try:
        return not any(_says(choice, but_role) for choice in _bare_choices.decode(raw))
    except (ValueError, RecursionError):
        return False


def _says(choice: Mapping[str, msgspec.Raw], but_role: bool) -> bool:
    """Whether a choice has anything but its number and an empty delta, or one with a role."""
    delta = object_of(choice.get("delta"))
    given = {name for name, raw in choice.items() if bytes(raw) not in EMPTY}
    return bool(given - {"index", "delta"}) or any(
        bytes(raw) not in EMPTY for name, raw in delta.items() if not (but_role and name == "role")
    )


def _choices_of(fields: Fields) -> list[Choice]:
    try:
        return _choices.decode(fields.get("choices", b"[]")) or []
    except (ValueError, RecursionError):
        return []


def _has_output(choice: Choice) -> bool:
    if choice.text:
        return True
    return choice.delta is not None and any(
        bytes(raw) not in EMPTY and (name not in ("audio", "content") or _is_said(decoded(bytes(raw))))
        for name, raw in choice.delta.items()
        if name in CHOICE_OUTPUT
    )


def _is_said(value: Any) -> bool:
    """Whether a text, or any part of a content or of audio, is not empty."""
    if isinstance(value, dict):
        return any(_is_said(inner) for name, inner in value.items() if name not in NAMING)
    return any(map(_is_said, value)) if isinstance(value, list) else bool(value)


def _text(raw: msgspec.Raw | None) -> str:
    try:
        return _string.decode(raw) if raw is not None else ""
    except (ValueError, RecursionError):
        return ""
