"""Misbehaviour on request: the directives of the `x-sandbox` header or of `[[sandbox: ...]]` in a prompt.

Directives are `name` or `name=value`, separated by `;`, `,` or whitespace:

    x-sandbox: latency=200; token-delay=20
    [[sandbox: status=429 retry-after=7]]

A prompt's directives count only in the last user text, so that a conversation's history does not fire twice.
What each does is said beside its field below; `delivery.py` carries out those that concern the wire.
"""

import re
from dataclasses import dataclass, field, fields
from typing import Any

import msgspec

from sandbox.errors import ApiError

MARKER = b"[[sandbox:"
_IN_TEXT = re.compile(r"\[\[sandbox:(.*?)\]\]", re.DOTALL)
_SEPARATORS = re.compile(r"[;,\s]+")

USAGE_NAMES = frozenset(
    {
        *("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens"),
        *("cache_write_tokens", "reasoning_tokens", "input_tokens", "output_tokens"),
        *("audio_input_tokens", "audio_output_tokens", "text_tokens", "image_tokens"),
    }
)


@dataclass(slots=True, frozen=True)
class Faults:
    """What the client asked to go wrong. Field names are the directives, with `_` for `-`."""

    latency: float = 0.0  # milliseconds before the answer's first byte
    token_delay: float = 0.0  # milliseconds before each streamed chunk
    status: int = 0  # answer this status with an OpenAI-shaped error
    retry_after: str = ""  # with status: the retry-after header
    code: str = ""  # with status: the error's code
    message: str = ""  # with status: the error's message, spaces written as _
    times: int = 0  # the other directives apply to the first N requests of `key` only
    key: str = ""  # names the counter of `times`
    cut: bool = False  # close before the headers
    cut_after: int = -1  # close after N streamed chunks, without the final one
    reset: bool = False  # the close of cut and cut-after is a TCP reset; alone it means cut
    hang: bool = False  # never answer
    hang_after: int = -1  # fall silent after N streamed chunks, connection open
    error_after: int = -1  # after N streamed chunks send an error event, then end without [DONE]
    garbage: bool = False  # invalid JSON, or an invalid event amid a stream
    html: bool = False  # an HTML page instead of JSON, with `status` if given
    redirect: str = ""  # a 302 to this URL
    split: int = 0  # write a stream in pieces of N bytes, wherever the events end
    crlf: bool = False  # end the stream's lines with CR LF
    comments: bool = False  # an SSE comment line before each event
    endless: bool = False  # a stream that ends when the client leaves
    no_usage: bool = False  # leave usage out of the answer
    no_done: bool = False  # end a stream properly but without [DONE]
    tokens: int = -1  # the answer's length in tokens
    big: int = 0  # the answer's length in bytes
    call: str = ""  # the model calls these of its tools (names with + between them), unless it has their results
    refusal: bool = False  # the model refuses
    blocked: bool = False  # Gemini blocks the prompt: an answer without candidates
    fail: bool = False  # a response ends as failed, with `code` and `message` if given
    queued: float = 100  # milliseconds that a background response stays queued
    working: float = 300  # milliseconds that it then stays in progress
    max_file: int = 0  # refuse an uploaded file of more than N bytes, as OpenAI does above 25 MB
    usage: dict[str, int] = field(default_factory=dict)  # overrides: prompt_tokens=..., cached_tokens=...

    @property
    def closes_first(self) -> bool:
        return self.cut or (self.reset and self.cut_after < 0)


NO_FAULTS = Faults()
_TYPES: dict[str, type] = {f.name: type(f.default) for f in fields(Faults) if f.name != "usage"}


def parse(text: str) -> Faults:
    """The directives in `text`; raises ApiError 400 for one that does not exist or has a bad value."""
    values: dict[str, Any] = {}
    usage: dict[str, int] = {}
    for item in _SEPARATORS.split(text.strip()):
        if not item:
            continue
        name, has_value, raw = item.partition("=")
        name = name.strip().lower().replace("-", "_")
        try:
            if name in USAGE_NAMES:
                usage[name] = int(raw)
            elif _TYPES[name] is bool:
                values[name] = not has_value or raw.lower() in ("1", "true", "yes", "on")
            else:
                values[name] = _TYPES[name](raw) if has_value else _default_when_bare(name)
        except (KeyError, ValueError) as error:
            raise ApiError(
                f"The sandbox knows no directive '{item}'. See sandbox/misbehaviour/faults.py.",
                param="x-sandbox",
                code="unknown_sandbox_directive",
            ) from error
    return Faults(**values, usage=usage)


def _default_when_bare(name: str) -> Any:
    """The meaning of a directive written without a value; raises KeyError when it needs one."""
    return {"redirect": "http://elsewhere.invalid/v1", "endless": True}[name]


def from_body(body: bytes) -> Faults:
    """The directives in the last user text of a request body; NO_FAULTS when there are none."""
    return in_text(_last_user_text(body)) if MARKER in body else NO_FAULTS


def in_text(text: str) -> Faults:
    """The directives in `text`; NO_FAULTS when there are none."""
    found = _IN_TEXT.findall(text)
    return parse(" ".join(found)) if found else NO_FAULTS


def strip(text: str) -> str:
    """`text` without its directives, for answers that repeat the prompt."""
    return _IN_TEXT.sub("", text).strip() if "[[sandbox:" in text else text


# Where OpenAI's, Anthropic's and Google's requests hold what the user says.
_PROMPTS = ("messages", "input", "prompt", "contents", "content", "requests", "instances")


def _last_user_text(body: bytes) -> str:
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # A multipart form, or JSON that the resource will refuse: take all of it.
        return body.decode("utf-8", "replace")
    if not isinstance(decoded, dict):
        return ""
    for name in _PROMPTS:
        value = decoded.get(name)
        if isinstance(value, list):
            value = _last_of_user(value)
        if value is not None:
            return value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return ""


def _last_of_user(items: list[Any]) -> Any:
    """The last item that is the user's: a message with that role, or plain text."""
    for item in reversed(items):
        if not isinstance(item, dict) or item.get("role", "user") == "user":
            return item
    return None
