"""Reads what an answer says it used, and turns it into a record's tokens and cost.

One shape reads every usage object of OpenAI's: chat and completions count ``prompt_tokens`` and ``completion_tokens``,
responses, images and audio ``input_tokens`` and ``output_tokens``; details are named after the side they belong to. A
transcription may be billed by ``seconds`` instead.
"""

from collections.abc import Mapping

import msgspec

from accounts.numbers import milliseconds
from usage.records import AttemptRecord


class CachedDetails(msgspec.Struct):
    """Parts of the cached tokens, as realtime sessions tell them: cached sound has a price of its own."""

    audio_tokens: int | None = None
    image_tokens: int | None = None


class InputDetails(msgspec.Struct):
    """Parts of the input tokens. All are included in their total."""

    cached_tokens: int | None = None
    cached_tokens_details: CachedDetails | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    text_tokens: int | None = None


class OutputDetails(msgspec.Struct):
    """Parts of the output tokens. All are included in their total."""

    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    text_tokens: int | None = None


class OutputItem(msgspec.Struct):
    """What an output item of a response tells about the tool that was used."""

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


class Usage(msgspec.Struct):
    """OpenAI's usage object in either naming."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    seconds: float | None = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None
    input_token_details: InputDetails | None = None
    output_token_details: OutputDetails | None = None


_NO_INPUT = InputDetails()
_NO_OUTPUT = OutputDetails()
_usage = msgspec.json.Decoder(Usage | None)
_text = msgspec.json.Decoder(str | None)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[OutputItem])
_tool_usage = msgspec.json.Decoder(ToolUsage | None)
# Output items that cost on their own, by the price list's unit.
TOOL_UNITS = {
    "web_search_call": "web_searches",
    "file_search_call": "storage_searches",
    "code_interpreter_call": "code_executions",
}
# Of a web search only the search is billed; opening a page or looking for something in it is not.
UNBILLED_ACTIONS = (b'"open_page"', b'"find_in_page"', b'"find"')


def _count(tokens: int | None) -> int:
    """Return a reported count; less than nothing is nothing: no answer may earn money."""
    return max(tokens or 0, 0)


def read_usage(record: AttemptRecord, raw: bytes | msgspec.Raw) -> bool:
    """Take the tokens of a usage object into ``record``; return whether it could be read."""
    try:
        usage = _usage.decode(raw)
    except (ValueError, RecursionError):
        return False
    if usage is None:
        return False
    inputs = usage.prompt_tokens_details or usage.input_tokens_details or usage.input_token_details or _NO_INPUT
    outputs = usage.completion_tokens_details or usage.output_tokens_details or usage.output_token_details or _NO_OUTPUT
    if usage.seconds is not None:
        spoken = milliseconds(usage.seconds)
        record.units = {**record.units, **({} if spoken is None else {"input_audio_ms": spoken})}
    record.input_tokens = _count(usage.prompt_tokens or usage.input_tokens)
    record.output_tokens = _count(usage.completion_tokens or usage.output_tokens)
    if not record.output_tokens and usage.total_tokens and usage.completion_tokens is usage.output_tokens is None:
        record.input_tokens = record.input_tokens or _count(usage.total_tokens)  # embeddings of some vendors
    record.cached_tokens = _count(inputs.cached_tokens)
    if inputs.cached_tokens_details is not None:
        record.units = {**record.units, **_cached_units(inputs.cached_tokens_details)}
    record.cache_write_tokens = _count(inputs.cache_write_tokens)
    record.audio_input_tokens = _count(inputs.audio_tokens)
    record.image_input_tokens = _count(inputs.image_tokens)
    record.reasoning_tokens = _count(outputs.reasoning_tokens)
    record.audio_output_tokens = _count(outputs.audio_tokens)
    record.image_output_tokens = _count(outputs.image_tokens)
    return True


def _cached_units(details: CachedDetails) -> dict[str, int]:
    units = {
        "cache_audio_read_tokens": details.audio_tokens or 0,
        "cache_image_read_tokens": details.image_tokens or 0,
    }
    return {name: count for name, count in units.items() if count}


def read_fields(record: AttemptRecord, fields: Mapping[str, msgspec.Raw]) -> bool:
    """Take usage and service tier of an answer's or event's top-level fields; return whether there was usage.

    The events of a responses stream carry both inside their ``response``.
    """
    if "seconds" in fields and bytes(fields.get("object", b"")) == b'"video"':
        return read_video(record, fields)
    usage = fields.get("usage")
    if usage is None and "response" in fields:
        try:
            fields = _object.decode(fields["response"])
        except (ValueError, RecursionError):
            return False
        usage = fields.get("usage")
    if usage is None:
        return False
    if bytes(fields.get("object", b"")) == b'"response"':
        record.object_id = text_of(fields.get("id"))[:200]
    read_service_tier(record, fields.get("service_tier"))
    if b'_call"' in bytes(fields.get("output", b"")):
        read_tools(record, fields)
    return read_usage(record, usage)


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

    Images are counted by quality and size, the rest by what ``TOOL_UNITS`` calls it. Searches are the vendor's own count where
    the response has one.
    """
    try:
        items = _items.decode(fields["output"])
        told = _tool_usage.decode(fields.get("tool_usage", b"null"))
    except (ValueError, RecursionError):
        return
    units = dict.fromkeys(TOOL_UNITS.values(), 0)
    for item in items:
        if item.type == "image_generation_call":
            name = ":".join(part for part in ("images", item.quality, item.size) if part)
            units[name] = units.get(name, 0) + 1
        elif item.type in TOOL_UNITS and not _unbilled(item):
            units[TOOL_UNITS[item.type]] += 1
    if told is not None and told.web_search is not None and told.web_search.num_requests is not None:
        units["web_searches"] = told.web_search.num_requests
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
    """Return a text of an answer, empty when it is missing or no text."""
    try:
        return _text.decode(raw) or "" if raw is not None else ""
    except ValueError:
        return ""
