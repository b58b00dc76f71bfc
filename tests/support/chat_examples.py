"""The chat calls that OpenAI's and TrueFoundry's guides show, a row each: the arguments of the SDK's ``create``, and a
check.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from openai.types.chat import ChatCompletion

from tests.support.fixtures import ACCOUNT, CHAT

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(200))).decode()
PDF = base64.b64encode(b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n").decode()
WAV = base64.b64encode(b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(64)).decode()

WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Look up the weather of a city as it is now.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Name of the city, like Pune"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city"],
        },
    },
}
PERSON_SCHEMA = {
    "name": "person",
    "strict": True,
    "schema": {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "age": {"type": "integer"},
            "hobbies": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["name", "age", "hobbies"],
        "additionalProperties": False,
    },
}


@dataclass(frozen=True)
class Example:
    """A call and what its answer must show."""

    name: str
    call: dict[str, Any]
    check: Callable[[ChatCompletion], bool]


def user(*content: Any) -> list[dict[str, Any]]:
    """Return the messages of one user turn: a text, or content parts."""
    return [{"role": "user", "content": content[0] if len(content) == 1 else list(content)}]


def text(words: str) -> dict[str, str]:
    """Return a text part."""
    return {"type": "text", "text": words}


def image(url: str, **more: Any) -> dict[str, Any]:
    """Return an ``image_url`` part."""
    return {"type": "image_url", "image_url": {"url": url, **more}}


def said(answer: ChatCompletion) -> str:
    """Return the first choice's text."""
    return answer.choices[0].message.content or ""


def _person(answer: ChatCompletion) -> bool:
    person = json.loads(said(answer))
    return set(person) == {"name", "age", "hobbies"} and isinstance(person["age"], int)


def _called(answer: ChatCompletion) -> bool:
    call = (answer.choices[0].message.tool_calls or [])[0]
    return (
        call.type == "function"
        and call.function.name == "get_weather"
        and "city" in json.loads(call.function.arguments)
    )


def _reasoned(answer: ChatCompletion) -> bool:
    details = answer.usage.completion_tokens_details if answer.usage else None
    return "0.05" in said(answer) and details is not None and (details.reasoning_tokens or 0) > 0


EXAMPLES = (
    Example("hello", {"messages": user("Hello, how are you?")}, lambda answer: "Hello" in said(answer)),
    Example(
        "system prompt",
        {
            "messages": [
                {"role": "system", "content": "You help with Python and nothing else."},
                *user("What is 6*7?"),
            ]
        },
        lambda answer: said(answer) == "42",
    ),
    Example(
        "sampling parameters",
        {
            "messages": [{"role": "system", "content": "Tell tiny stories."}, *user("Count from 1 to 9.")],
            "temperature": 0.9,
            "max_tokens": 100,
            "top_p": 0.95,
            "frequency_penalty": 0.5,
            "presence_penalty": 0.3,
            "stop": [" 6", "\n\n"],
        },
        lambda answer: said(answer) == "1 2 3 4 5" and answer.choices[0].finish_reason == "stop",
    ),
    Example(
        "a short answer",
        {"messages": user("Count from 1 to 9."), "max_tokens": 3},
        lambda answer: answer.choices[0].finish_reason == "length",
    ),
    Example("tools", {"messages": user("What's the weather in Pune?"), "tools": [WEATHER_TOOL]}, _called),
    Example(
        "a forced tool",
        {
            "messages": user("How is it outside in Bengaluru?"),
            "tools": [WEATHER_TOOL],
            "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        },
        _called,
    ),
    Example(
        "an image by address",
        {"messages": user(text("One sentence on this picture."), image("https://pictures.example/boardwalk.jpg"))},
        lambda answer: "boardwalk.jpg" in said(answer),
    ),
    Example(
        "an image inline",
        {"model": f"{ACCOUNT}/gpt-4o", "messages": user(text("What is this?"), image(f"data:image/png;base64,{PNG}"))},
        lambda answer: "image/png, 208 bytes" in said(answer),
    ),
    Example(
        "audio by address, as Gemini takes it",
        {"messages": user(text("Transcribe."), image("https://sounds.example/hal.wav", mime_type="audio/mp3"))},
        lambda answer: "hal.wav" in said(answer),
    ),
    Example(
        "audio inline, as Gemini takes it",
        {"messages": user(text("Transcribe."), image(f"data:audio/wav;base64,{WAV}"))},
        lambda answer: "audio/wav" in said(answer),
    ),
    Example(
        "a video by address, as Gemini takes it",
        {"messages": user(text("What happens?"), image("https://video.example/watch?v=1", mime_type="video/mp4"))},
        lambda answer: "watch?v=1" in said(answer),
    ),
    Example(
        "a PDF",
        {
            "messages": user(
                text("Which words are in this PDF?"),
                {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}},
            )
        },
        lambda answer: "a.pdf" in said(answer) and "application/pdf" in said(answer),
    ),
    Example(
        "a JSON object",
        {
            "messages": [{"role": "system", "content": "Answer in JSON."}, *user("Name three languages.")],
            "response_format": {"type": "json_object"},
        },
        lambda answer: isinstance(json.loads(said(answer)), dict),
    ),
    Example(
        "a JSON schema",
        {
            "messages": user("Make up a person."),
            "response_format": {"type": "json_schema", "json_schema": PERSON_SCHEMA},
        },
        _person,
    ),
    Example(
        "reasoning",
        {
            "model": f"{ACCOUNT}/o4-mini",
            "messages": user(
                "A bat and ball cost $1.10, the bat a dollar more than the ball. What does the ball cost?"
            ),
        },
        _reasoned,
    ),
    Example(
        "a prompt cache key",
        {"messages": [{"role": "system", "content": "You review Helm charts."}, *user("hi")], "prompt_cache_key": "k1"},
        lambda answer: answer.usage is not None and answer.usage.prompt_tokens_details is not None,
    ),
    Example(
        "several choices",
        {"messages": user("Name a colour"), "n": 3},
        lambda answer: [choice.index for choice in answer.choices] == [0, 1, 2],
    ),
    Example(
        "log probabilities",
        {"messages": user("hi"), "logprobs": True, "top_logprobs": 2},
        lambda answer: bool(answer.choices[0].logprobs and answer.choices[0].logprobs.content),
    ),
    Example(
        "a refusal",
        {"messages": user("Something bad. [[sandbox: refusal]]")},
        lambda answer: bool(answer.choices[0].message.refusal),
    ),
)
BY_NAME = {example.name: example for example in EXAMPLES}


def arguments(example: Example) -> dict[str, Any]:
    """Return the arguments of ``create``, with the usual model where the example names none."""
    return {"model": CHAT, **example.call}
