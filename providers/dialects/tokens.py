"""Tokens in the neutral form: from each dialect's usage, and into each front door's.

What OpenAI-compatible vendors mean by their numbers is in ``usage``. Anthropic's input leaves cached tokens out, and
Gemini's candidates leave thoughts out.
"""

from typing import Any

from providers.dialects import usage as usages
from providers.dialects.neutral import Usage
from providers.dialects.wire import Fields, count, encode, listed, text_of


def read_openai(usage: Any, semantics: str = "openai") -> Usage | None:
    """Return the usage of a chat, completions, embeddings or Responses answer; ``None`` where there is none."""
    counts = usages.read(encode(usage), semantics) if isinstance(usage, dict) else None
    if counts is None:
        return None
    return Usage(
        input=counts.input,
        output=counts.output,
        cached=counts.cached,
        cache_write_5m=counts.cache_write,
        reasoning=counts.reasoning,
        audio_input=counts.audio_input,
        audio_output=counts.audio_output,
        image_input=counts.image_input,
        image_output=counts.image_output,
        gap=counts.gap,
    )


def read_anthropic(usage: Any) -> Usage | None:
    """Return the usage of a message. Its ``input_tokens`` are those neither read from the cache nor written to it."""
    if not isinstance(usage, dict):
        return None
    read, written = count(usage, "cache_read_input_tokens"), count(usage, "cache_creation_input_tokens")
    creation = usage.get("cache_creation")
    hour = count(creation, "ephemeral_1h_input_tokens")
    five = count(creation, "ephemeral_5m_input_tokens") or max(written - hour, 0)
    return Usage(
        input=count(usage, "input_tokens") + read + five + hour,
        output=count(usage, "output_tokens"),
        cached=read,
        cache_write_5m=five,
        cache_write_1h=hour,
        reasoning=count(usage.get("output_tokens_details"), "thinking_tokens"),
        searches=count(usage.get("server_tool_use"), "web_search_requests"),
        service_tier=text_of(usage.get("service_tier")),
        gap=usages.IMPOSSIBLE if usages.has_impossible(usage) else "",
    )


def read_gemini(usage: Any) -> Usage | None:
    """Return the usage of a Gemini answer: the prompt includes what was cached, candidates leave out the thoughts."""
    if not isinstance(usage, dict):
        return None
    thoughts = count(usage, "thoughtsTokenCount")
    inputs, outputs = _modalities(usage, "promptTokensDetails"), _modalities(usage, "candidatesTokensDetails")
    found = Usage(
        input=count(usage, "promptTokenCount") + count(usage, "toolUsePromptTokenCount"),
        output=(count(usage, "candidatesTokenCount") or count(usage, "responseTokenCount")) + thoughts,
        cached=count(usage, "cachedContentTokenCount"),
        reasoning=thoughts,
        audio_input=inputs.get("AUDIO", 0),
        audio_output=outputs.get("AUDIO", 0),
        image_input=inputs.get("IMAGE", 0),
        image_output=outputs.get("IMAGE", 0),
        video_input=inputs.get("VIDEO", 0),
        service_tier=text_of(usage.get("serviceTier")),
    )
    if usages.has_impossible(usage) or not usages.parts_fit(found):
        found.gap = usages.IMPOSSIBLE
    return found


def _modalities(usage: Fields, name: str) -> dict[str, int]:
    return {text_of(each.get("modality")): count(each, "tokenCount") for each in listed(usage, name)}


def write_chat(usage: Usage) -> Fields:
    """Return usage in chat's form. ``cache_write_tokens`` only appears where something was written."""
    inputs = {"cached_tokens": usage.cached, "audio_tokens": usage.audio_input}
    if usage.cache_write:
        inputs["cache_write_tokens"] = usage.cache_write
    if usage.image_input:
        inputs["image_tokens"] = usage.image_input
    outputs = {
        "reasoning_tokens": usage.reasoning,
        "audio_tokens": usage.audio_output,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    }
    if usage.image_output:
        outputs["image_tokens"] = usage.image_output
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": inputs,
        "completion_tokens_details": outputs,
    }


def write_responses(usage: Usage) -> Fields:
    """Return usage in the form of the Responses API."""
    inputs = {"cached_tokens": usage.cached}
    if usage.cache_write:
        inputs["cache_write_tokens"] = usage.cache_write
    return {
        "input_tokens": usage.input,
        "input_tokens_details": inputs,
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }


def write_anthropic(usage: Usage) -> Fields:
    """Return usage in Anthropic's form, every field of it, whose input leaves out what the cache read and wrote."""
    return {
        "input_tokens": max(usage.input - usage.cached - usage.cache_write, 0),
        "output_tokens": usage.output,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "output_tokens_details": None,
        "inference_geo": None,
        "server_tool_use": None,
        "service_tier": usage.service_tier if usage.service_tier in ("standard", "priority", "batch") else "standard",
    }


def write_gemini(usage: Usage) -> Fields:
    """Return usage in Gemini's form."""
    found: Fields = {
        "promptTokenCount": usage.input,
        "candidatesTokenCount": max(usage.output - usage.reasoning, 0),
        "totalTokenCount": usage.input + usage.output,
    }
    if usage.reasoning:
        found["thoughtsTokenCount"] = usage.reasoning
    if usage.cached:
        found["cachedContentTokenCount"] = usage.cached
    return found
