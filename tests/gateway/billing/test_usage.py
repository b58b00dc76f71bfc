"""Metering: what an answer's fields say goes into the record, field by field."""

from typing import Any

import msgspec
import pytest

from gateway.billing import usage
from providers.dialects.chat import StreamReader
from providers.dialects.tokens import read_openai
from providers.dialects.usage import IMPOSSIBLE, OUTSIDE
from usage.records import AttemptRecord


def record(operation: str = "chat", served: str = "gpt-4o-mini") -> AttemptRecord:
    return AttemptRecord("1", "req_1", 0, operation=operation, model_served=served)


def raw(fields: dict[str, Any]) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}


def read(fields: dict[str, Any], semantics: str = "openai", **begun: str) -> AttemptRecord:
    made = record(**begun)
    usage.read_fields(made, raw(fields), semantics)
    return made


CHAT = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
DETAILED = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 40, "audio_tokens": 3, "image_tokens": 2},
    "output_tokens": 50,
    "output_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 1},
    "total_tokens": 150,
}


def test_tokens_of_a_chat() -> None:
    made = read({"model": "gpt-4o-mini-2024-07-18", "usage": CHAT})
    assert (made.input_tokens, made.output_tokens, made.units, made.price_gaps) == (10, 5, {}, "")
    assert made.model_served == "gpt-4o-mini", "a dated name is the same model"


@pytest.mark.parametrize(
    ("asked", "answered", "recorded"),
    [
        ("gpt-4o-search-preview", "gpt-4o-search-preview-2025-03-11", "gpt-4o-search-preview"),
        ("gemini-2.5-flash-preview-05-20", "models/gemini-2.5-flash-preview-05-20", "gemini-2.5-flash-preview-05-20"),
        ("gpt-4o-search-preview", "gpt-4o", "gpt-4o"),
        ("gpt-4o", "gpt-4o-mini-2024-07-18", "gpt-4o-mini-2024-07-18"),
    ],
)
def test_a_dated_name_is_the_same_model_and_any_other_is_recorded(asked: str, answered: str, recorded: str) -> None:
    assert read({"model": answered, "usage": CHAT}, served=asked).model_served == recorded


def test_every_detail_has_its_column() -> None:
    made = read({"usage": DETAILED})
    columns = ("input", "cached", "audio_input", "image_input", "output", "reasoning", "audio_output")
    assert [getattr(made, f"{name}_tokens") for name in columns] == [100, 40, 3, 2, 50, 20, 1]


def test_an_event_of_a_response_carries_it_inside() -> None:
    response = {"object": "response", "id": "resp_1", "model": "gpt-4o", "service_tier": "flex", "usage": DETAILED}
    made = read({"type": "response.completed", "response": response})
    assert (made.input_tokens, made.service_tier, made.object_id) == (100, "flex", "resp_1")
    assert made.model_served == "gpt-4o", "another model than the one that was asked answered"


def test_later_usage_does_not_erase_better_usage() -> None:
    made = read({"usage": DETAILED})
    usage.read_fields(made, raw({"usage": CHAT}))
    assert made.input_tokens == 100


@pytest.mark.parametrize("fields", [{}, {"usage": None}, {"usage": "none"}, {"usage": []}, {"response": 1}])
def test_what_says_nothing_changes_nothing(fields: dict[str, Any]) -> None:
    made = record()
    assert not usage.read_fields(made, raw(fields))
    assert made == record()


def test_tokens_beyond_both_sides_are_a_gap() -> None:
    made = read({"usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 40}})
    assert (made.output_tokens, made.price_gaps) == (5, OUTSIDE)


def test_a_cost_of_the_vendors_own_stays() -> None:
    made = read({"usage": {**CHAT, "cost": 0.00014}}, "openrouter")
    assert (made.cost_pico, made.price_version) == (140_000_000, usage.REPORTED)


@pytest.mark.parametrize("duration", [12.5, "12.5"])
@pytest.mark.parametrize("operation", ["transcription", "translation"])
def test_a_transcripts_duration(duration: Any, operation: str) -> None:
    assert read({"text": "hi", "duration": duration}, operation=operation).units == {"input_audio_ms": 12_500}


@pytest.mark.parametrize("duration", [None, "long", [], {}, -1, 0])
def test_a_duration_that_is_none(duration: Any) -> None:
    assert read({"text": "hi", "duration": duration}, operation="transcription").units == {}


def test_a_duration_elsewhere_means_something_else() -> None:
    assert read({"duration": 12.5}).units == {}


def test_seconds_of_a_transcripts_usage_come_before_its_duration() -> None:
    made = read({"duration": 9, "usage": {"type": "duration", "seconds": 13}}, operation="transcription")
    assert made.units == {"input_audio_ms": 13_000}


def test_tools_of_a_response() -> None:
    output = [
        {"type": "web_search_call", "action": {"type": "search"}},
        {"type": "web_search_call", "action": {"type": "open_page"}},
        {"type": "file_search_call"},
        {"type": "code_interpreter_call"},
        {"type": "image_generation_call", "quality": "low", "size": "1024x1024"},
        {"type": "message"},
    ]
    made = read({"output": output, "usage": DETAILED})
    assert made.units == {
        "web_searches": 1,
        "storage_searches": 1,
        "code_executions": 1,
        "images:low:1024x1024": 1,
    }


def test_a_video() -> None:
    made = read({"object": "video", "seconds": "8", "size": "1280x720"})
    assert made.units == {"video_seconds:1280x720": 8}


@pytest.mark.parametrize(
    ("semantics", "fields", "tokens"),
    [
        ("openai", {"usage": {"prompt_tokens": -1, "completion_tokens": 5}}, (0, 5)),
        ("openai", {"usage": {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 900}}}, (10, 0)),
        ("openai", {"usage": {"prompt_tokens": 10, "completion_tokens_details": {"audio_tokens": 9}}}, (10, 0)),
        ("openai", {"usage": {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": -2}}}, (10, 0)),
        ("openai", {"usage": {"prompt_tokens": 10**30, "completion_tokens": 5}}, (0, 5)),
        ("openai", {"usage": {"prompt_tokens": 2**31, "completion_tokens": 5}}, (0, 5)),
        ("openai", {"usage": {"prompt_tokens": "9" * 30, "completion_tokens": 5}}, (0, 5)),
        ("openai", {"usage": {"prompt_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 1e30}}}, (9, 0)),
        ("anthropic", {"usage": {"input_tokens": 10**30, "output_tokens": 5}}, (0, 5)),
        ("gemini", {"usageMetadata": {"promptTokenCount": 10**30, "candidatesTokenCount": 5}}, (0, 5)),
        ("anthropic", {"usage": {"input_tokens": -1, "output_tokens": 5}}, (0, 5)),
        ("gemini", {"usageMetadata": {"promptTokenCount": 10, "cachedContentTokenCount": 900}}, (10, 0)),
        ("gemini", {"usageMetadata": {"promptTokenCount": -10, "candidatesTokenCount": 5}}, (0, 5)),
    ],
)
def test_counts_that_can_not_be_are_a_gap(semantics: str, fields: dict[str, Any], tokens: tuple[int, int]) -> None:
    made = read(fields, semantics)
    assert (made.input_tokens, made.output_tokens, made.price_gaps) == (*tokens, IMPOSSIBLE)


@pytest.mark.parametrize(
    ("semantics", "fields"),
    [
        ("openai", {"usage": {"prompt_tokens": "11", "completion_tokens": "7"}}),
        ("anthropic", {"usage": {"input_tokens": "11", "output_tokens": "7"}}),
        ("gemini", {"usageMetadata": {"promptTokenCount": "11", "candidatesTokenCount": "7"}}),
    ],
)
def test_a_count_in_a_string_is_a_count(semantics: str, fields: dict[str, Any]) -> None:
    made = read(fields, semantics)
    assert (made.input_tokens, made.output_tokens, made.price_gaps) == (11, 7, "")


def test_the_gap_of_converted_usage_stays() -> None:
    made = record()
    usage.take(made, read_openai({"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 900}}))
    assert made.price_gaps == IMPOSSIBLE


def test_the_largest_count_is_one() -> None:
    made = read({"usage": {"prompt_tokens": 2**31 - 1, "completion_tokens": 5}})
    assert (made.input_tokens, made.price_gaps) == (2**31 - 1, "")


@pytest.mark.parametrize(
    ("cost", "pico"),
    [
        (0.5, 5 * 10**11),
        ("0.5", 5 * 10**11),
        ("1e-3", 10**9),
        ("2", 2 * 10**12),
        *(
            (text, None)
            for text in ("-1", "nan", "inf", "1e99", "1e999999999", "1_0", " 1", "\u0661", "", "x", 1e300, -1)
        ),
    ],
)
def test_the_cost_that_a_vendor_reports(cost: Any, pico: int | None) -> None:
    made = read({"usage": {"prompt_tokens": 10, "completion_tokens": 5, "cost": cost}}, "openrouter")
    assert (made.input_tokens, made.cost_pico, made.price_gaps) == (10, pico, "")


@pytest.mark.parametrize("beside", [{}, {"usage": None}])
def test_groqs_own_usage_of_a_stream(beside: dict[str, Any]) -> None:
    said = {"prompt_tokens": 10, "completion_tokens": 5}
    made = read({"choices": [{"delta": {}, "finish_reason": "stop"}], "x_groq": {"id": "1", "usage": said}, **beside})
    assert (made.input_tokens, made.output_tokens) == (10, 5)
    assert read({"choices": [], "x_groq": {"id": "1"}}).input_tokens == 0
    reader = StreamReader()
    reader.feed(msgspec.json.encode({"id": "1", "choices": [], "x_groq": {"usage": said}, **beside}))
    assert reader.usage is not None
    assert (reader.usage.input, reader.usage.output) == (10, 5)
