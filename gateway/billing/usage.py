"""Reads what an answer says it used into a record: tokens, tools, seconds, the service tier and the model that served.

What a vendor means by its usage object is in ``providers.dialects.usage``. A transcription may be billed by seconds
instead.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from accounts.numbers import milliseconds
from providers.dialects import tokens, usage
from providers.dialects.neutral import Usage
from providers.dialects.reported import object_of
from usage.records import AttemptRecord

GROQ = "x_groq"
"""Where Groq has the usage of a stream that was not asked for it."""
REPORTED = "reported"
"""The price version of a cost that the vendor itself reports."""
TRANSCRIBING = frozenset({"transcription", "translation"})
DATED = re.compile(r"(?:[-@](?:20\d\d-\d\d-\d\d|20\d{6}|\d{4}|0\d\d|latest|preview|exp))+\Z")
# The record's fields, by the names of the counts.
TOKENS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cached": "cached_tokens",
    "cache_write": "cache_write_tokens",
    "reasoning": "reasoning_tokens",
    "audio_input": "audio_input_tokens",
    "audio_output": "audio_output_tokens",
    "image_input": "image_input_tokens",
    "image_output": "image_output_tokens",
}
_COUNTED = tuple(TOKENS.items())


class OutputItem(msgspec.Struct):
    """What an output item of a response says about the tool that was used."""

    type: str | None = None
    action: msgspec.Raw = msgspec.Raw(b"null")
    quality: str | None = None
    size: str | None = None


class WebSearchUsage(msgspec.Struct):
    """Web searches that the vendor bills."""

    num_requests: int | None = None


class ToolUsage(msgspec.Struct):
    """What a response says its built-in tools used, where it says so."""

    web_search: WebSearchUsage | None = None


# Vendors' own dialects: the field with the usage, the one with the model, and what reads it.
NATIVE: dict[str, tuple[str, str, Callable[[Any], Usage | None]]] = {
    "anthropic": ("usage", "model", tokens.read_anthropic),
    "gemini": ("usageMetadata", "modelVersion", tokens.read_gemini),
}
_any = msgspec.json.Decoder()
_text = msgspec.json.Decoder(str | None)
_number = msgspec.json.Decoder(float | str)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[OutputItem])
_tool_usage = msgspec.json.Decoder(ToolUsage | None)
# Operations whose answer says which model took a call that named none.
UNNAMED = frozenset(
    {"responses", "background_response", "video.edits.create", "video.extensions.create", "video.remix.create"}
)
# Output items that cost on their own, by the price list's unit.
TOOL_UNITS = {
    "web_search_call": "web_searches",
    "file_search_call": "storage_searches",
    "code_interpreter_call": "code_executions",
}
# Of a web search only the search is billed; opening a page or looking for something in it is not.
UNBILLED_ACTIONS = (b'"open_page"', b'"find_in_page"', b'"find"')


def read_usage(record: AttemptRecord, raw: bytes | msgspec.Raw, semantics: str = "openai") -> bool:
    """Take the tokens of a usage object into ``record``, as a vendor of these ``semantics`` means them.

    Return whether it could be read. Usage that comes again, and says less than what is known, changes nothing.
    """
    counts = usage.read(raw, semantics)
    if counts is None:
        return False
    if counts.units:
        record.units = {**record.units, **counts.units}
    if counts.input + counts.output < record.input_tokens + record.output_tokens:
        return True
    for name, field in _COUNTED:
        setattr(record, field, getattr(counts, name))
    record.price_gaps = counts.gap
    if counts.cost_pico is not None:
        record.cost_pico, record.price_version = counts.cost_pico, REPORTED
    return True


def read_fields(record: AttemptRecord, fields: Mapping[str, msgspec.Raw], semantics: str = "openai") -> bool:
    """Take usage and service tier of an answer's or event's top-level fields; return whether there was usage.

    The events of a responses stream carry both inside their ``response``. A transcription may report its ``duration``
    only.
    """
    if "seconds" in fields and bytes(fields.get("object", b"")) == b'"video"':
        read_served_model(record, fields)
        return read_video(record, fields)
    if semantics in NATIVE:
        return _read_native(record, fields, semantics)
    raw = fields.get("usage")
    if raw is None and "response" in fields:
        try:
            fields = _object.decode(fields["response"])
        except (ValueError, RecursionError):
            return False
        raw = fields.get("usage")
    if GROQ in fields and (raw is None or bytes(raw) == b"null"):
        raw = object_of(fields[GROQ]).get("usage")
    if bytes(fields.get("object", b"")) == b'"response"':
        record.object_id = text_of(fields.get("id"))[:200]
    if raw is None or bytes(raw) == b"null":
        return read_duration(record, fields)
    read_served_model(record, fields)
    read_service_tier(record, fields.get("service_tier"))
    if b'_call"' in bytes(fields.get("output", b"")):
        read_tools(record, fields)
    return read_usage(record, raw, semantics)


def _read_native(record: AttemptRecord, fields: Mapping[str, msgspec.Raw], semantics: str) -> bool:
    """Take the usage of an answer or event in a vendor's own dialect; return whether there was any."""
    if "message" in fields:  # the first event of Anthropic's streams
        try:
            fields = _object.decode(fields["message"])
        except (ValueError, RecursionError):
            return False
    name, served, read = NATIVE[semantics]
    try:
        found = read(_any.decode(fields.get(name, b"null")))
    except (ValueError, RecursionError):
        return False
    if found is None:
        return False
    take(record, found, text_of(fields.get(served)))
    return True


def take(record: AttemptRecord, found: Usage | None, served: str = "") -> None:
    """Take usage in the neutral form into the record, and the model that served it.

    Counts of a stream are sums so far, and an event may leave some out: one never becomes smaller.
    """
    if served:
        note_served_model(record, served)
    if found is None:
        return
    for name, field in TOKENS.items():
        setattr(record, field, max(getattr(record, field), getattr(found, name)))
    record.price_gaps = found.gap or record.price_gaps
    units = {
        "cache_write_1h_tokens": found.cache_write_1h,
        "input_video_tokens": found.video_input,
        "web_searches": found.searches,
        "requests": found.requests,
    }
    record.units = {**record.units, **{name: count for name, count in units.items() if count}}
    record.service_tier = found.service_tier or record.service_tier


def read_duration(record: AttemptRecord, fields: Mapping[str, msgspec.Raw]) -> bool:
    """Take the length of what was transcribed, in seconds, where that is all that a vendor reports."""
    if "duration" not in fields or record.operation not in TRANSCRIBING:
        return False
    try:
        heard = milliseconds(float(_number.decode(fields["duration"])))
    except (ValueError, RecursionError):
        return False
    if not heard:
        return False
    record.units = {"input_audio_ms": heard, **record.units}
    return True


def read_served_model(record: AttemptRecord, fields: Mapping[str, msgspec.Raw]) -> None:
    """Note the model that answered, where it is another than the one that was asked: it decides about the price."""
    note_served_model(record, text_of(fields.get("model")))


def note_served_model(record: AttemptRecord, served: str) -> None:
    """Note the model that answered, where it is another than the one that was asked, or none was."""
    served, asked = served[:300], record.model_served
    if served and (_stem(served) != _stem(asked) if asked else record.operation in UNNAMED):
        record.model_served = served


@lru_cache(maxsize=2048)
def _stem(name: str) -> str:
    """Return a model's name without a path before it, a tag or a date behind it."""
    return DATED.sub("", name.rpartition("/")[2].partition(":")[0].lower())


def read_video(record: AttemptRecord, fields: Mapping[str, msgspec.Raw]) -> bool:
    """Take the seconds and the size of a video into ``record.units``; return whether they could be read."""
    try:
        shown = milliseconds(float(_text.decode(fields["seconds"]) or 0))
        size = _text.decode(fields.get("size", b"null"))
    except ValueError:
        return False
    if shown is None:
        return False
    record.units = {**record.units, ":".join(part for part in ("video_seconds", size) if part): round(shown / 1000)}
    return True


def read_tools(record: AttemptRecord, fields: Mapping[str, msgspec.Raw]) -> None:
    """Take the tool calls among a response's output items into ``record.units``.

    Images are counted by quality and size, the rest by what ``TOOL_UNITS`` calls it. Searches are the vendor's own
    count where the response has one.
    """
    try:
        items = _items.decode(fields["output"])
        tool_usage = _tool_usage.decode(fields.get("tool_usage", b"null"))
    except (ValueError, RecursionError):
        return
    units = dict.fromkeys(TOOL_UNITS.values(), 0)
    for item in items:
        if item.type == "image_generation_call":
            name = ":".join(part for part in ("images", item.quality, item.size) if part)
            units[name] = units.get(name, 0) + 1
        elif item.type in TOOL_UNITS and not _unbilled(item):
            units[TOOL_UNITS[item.type]] += 1
    if tool_usage is not None and tool_usage.web_search is not None and tool_usage.web_search.num_requests is not None:
        units["web_searches"] = tool_usage.web_search.num_requests
    record.units = {**record.units, **{name: count for name, count in units.items() if count}}


def tool_calls(fields: Mapping[str, msgspec.Raw]) -> list[dict[str, object]]:
    """Return a response's tool calls, no more of each than :func:`read_tools` reads."""
    try:
        items = _items.decode(fields.get("output", b"[]"))
    except (ValueError, RecursionError):
        return []
    calls = [item for item in items if item.type and item.type.endswith("_call")]
    found: list[dict[str, object]] = msgspec.json.decode(msgspec.json.encode(calls))
    return found


def _unbilled(item: OutputItem) -> bool:
    action = bytes(item.action)
    return (
        item.type == "web_search_call"
        and b'"search"' not in action
        and any(kind in action for kind in UNBILLED_ACTIONS)
    )


def read_service_tier(record: AttemptRecord, raw: bytes | msgspec.Raw | None) -> None:
    """Take the service tier that the vendor says it used into ``record``."""
    if raw is not None:
        record.service_tier = text_of(raw)


def text_of(raw: bytes | msgspec.Raw | None) -> str:
    """Return a string of an answer, empty when it is missing or not a string."""
    try:
        return _text.decode(raw) or "" if raw is not None else ""
    except ValueError:
        return ""
