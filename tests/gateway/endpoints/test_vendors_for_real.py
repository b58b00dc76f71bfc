"""Anthropic's and Google's models, as the sandbox has them, through Gatehouse: with all SDKs, and media by URL."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from anthropic import Anthropic
from google import genai
from google.genai import types
from openai import BadRequestError, OpenAI
from PIL import Image

from tests.support.installation import Gateway, Installation
from tests.support.manifests import provider
from tests.support.sandbox_process import SandboxProcess

CLAUDE, THINKER = "claude/claude-sonnet-4-5", "claude/claude-opus-4-6"
GEMINI, OLD_GEMINI = "internal-google/gemini-3.5-flash", "internal-google/gemini-2-0-flash"
CHAT_MODELS = {
    "claude": ("anthropic", {"claude-sonnet-4-5": "", "claude-opus-4-6": "", "claude-opus-5-5": ""}),
    "internal-google": ("google-gemini", {"gemini-3.5-flash": "", "gemini-2-0-flash": "gemini-2.0-flash"}),
}
MODELS = (CLAUDE, THINKER, "claude/claude-opus-5-5", GEMINI, OLD_GEMINI)
WORDS = "Hello from a recording."
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
every_model = pytest.mark.parametrize("model", MODELS)


@dataclass
class Vendors:
    """A gateway with accounts of both vendors on a sandbox, a server with media, and the three SDKs of a user."""

    gateway: Gateway
    sandbox: SandboxProcess
    files: str
    openai: OpenAI
    anthropic: Anthropic
    google: genai.Client


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def account(name: str, origin: str) -> dict[str, Any]:
    kind, models = CHAT_MODELS[name]
    base = f"{origin}/v1" if kind == "anthropic" else f"{origin}/v1beta"
    rows = [
        {
            "name": each,
            "type": f"integration/model/{kind}",
            "model_types": ["chat"],
            **({"model_id": as_} if as_ else {}),
        }
        for each, as_ in models.items()
    ]
    return provider(name, base, models=rows, type=f"provider-account/{kind}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an image."""
    made = tmp_path_factory.mktemp("files")
    Image.new("RGB", (16, 16), "teal").save(made / "dogs.jpeg")
    return made


@pytest.fixture(scope="module")
def vendors(tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, folder: Path) -> Iterator[Vendors]:
    data = tmp_path_factory.mktemp("vendors") / "data"
    env = {"GATEHOUSE_MEDIA_ALLOW": "127.0.0.1", "GATEHOUSE_MEDIA_MAX_MB": "1"}
    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *given: Quiet(*given, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    with SandboxProcess() as sandbox, Installation(data, migrated_data, env) as installation:
        spoken = sandbox.client().audio.speech.create(
            model="gpt-4o-mini-tts", voice="alloy", input=WORDS, response_format="wav"
        )
        (folder / "hal-9000.wav").write_bytes(spoken.content)
        (folder / "large.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(2**20))
        installation.apply(*(account(name, sandbox.origin) for name in CHAT_MODELS))
        token = installation.do("token", "ada", user="ada@example.com")
        gateway = installation.gateway()
        options = types.HttpOptions(base_url=gateway.origin)
        with (
            gateway.sdk(token) as openai,
            Anthropic(base_url=gateway.origin, api_key=token, max_retries=0) as claude,
            genai.Client(api_key=token, http_options=options) as google,
        ):
            files = f"http://127.0.0.1:{server.server_address[1]}"
            yield Vendors(gateway, sandbox, files, openai, claude, google)
    server.shutdown()


def ask(vendors: Vendors, model: str, *parts: Any, **more: Any) -> str:
    """Return what a model says to a text and the media behind it."""
    content = [{"type": "text", "text": parts[0]}, *parts[1:]]
    messages: Any = [{"role": "user", "content": content}]
    return (
        vendors.openai.chat.completions.create(model=model, messages=messages, **more).choices[0].message.content or ""
    )


def linked(url: str, **more: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def data_uri(path: Path, mime: str) -> str:
    return f"data:{mime};base64,{base64.b64encode(path.read_bytes()).decode()}"


# --- seed 003 -----------------------------------------------------------------------------------------------


def test_an_image_by_url_and_inline(vendors: Vendors, folder: Path) -> None:
    for model in (CLAUDE, GEMINI, OLD_GEMINI):
        inline = linked(data_uri(folder / "dogs.jpeg", "image/jpeg"))
        assert "image" in ask(vendors, model, "What's in this image?", inline).lower()
    by_url = ask(vendors, OLD_GEMINI, "What's in this image?", linked(f"{vendors.files}/dogs.jpeg"))
    assert "image" in by_url.lower()


def test_audio_by_url_with_its_type(vendors: Vendors) -> None:
    part = linked(f"{vendors.files}/hal-9000.wav", mime_type="audio/mp3")
    assert WORDS in ask(vendors, OLD_GEMINI, "Transcribe this audio", part)


def test_audio_inline(vendors: Vendors, folder: Path) -> None:
    path = folder / "hal-9000.wav"
    assert WORDS in ask(vendors, OLD_GEMINI, "Transcribe this audio", linked(data_uri(path, "audio/wav")))
    sound = {"data": base64.b64encode(path.read_bytes()).decode(), "format": "wav"}
    assert WORDS in ask(vendors, GEMINI, "Transcribe this audio", {"type": "input_audio", "input_audio": sound})


def test_video_on_youtube_and_inline(vendors: Vendors) -> None:
    part = linked("https://www.youtube.com/watch?v=fxqE27gIZcc", mime_type="video/mp4")
    assert "video" in ask(vendors, OLD_GEMINI, "Describe what's happening in this video", part).lower()
    film = base64.b64encode(b"\0\0\0\x18ftypmp42" + bytes(64)).decode()
    nested = {
        "type": "image_url",
        "image_url": {"image_url": f"data:image/jpeg;base64,{film}", "mime_type": "video/mp4"},
    }
    assert "video" in ask(vendors, OLD_GEMINI, "Describe what's happening in this video", nested).lower()


def test_media_that_can_not_be_fetched(vendors: Vendors) -> None:
    for url, why in (
        (f"{vendors.files}/missing.png", "answered 404"),
        (f"{vendors.files}/large.png", "larger than"),
        ("http://10.0.0.1/a.png", "Only public https"),
    ):
        with pytest.raises(BadRequestError, match=why) as refused:
            ask(vendors, OLD_GEMINI, "What's in this image?", linked(url))
        assert refused.value.code == "invalid_image_url"
        assert refused.value.param is not None
        assert refused.value.param.endswith(".image_url.url")


# --- chats, by OpenAI's SDK ---------------------------------------------------------------------------------


@every_model
def test_plain_and_streamed(vendors: Vendors, model: str) -> None:
    sdk = vendors.openai
    messages: Any = [{"role": "user", "content": "Count from 1 to 5."}]
    whole = sdk.chat.completions.create(model=model, messages=messages)
    assert whole.choices[0].message.content
    assert whole.usage is not None
    options: Any = {"include_usage": True}
    chunks = list(sdk.chat.completions.create(model=model, messages=messages, stream=True, stream_options=options))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


@every_model
@pytest.mark.parametrize("stream", [False, True])
def test_a_turn_with_tools(vendors: Vendors, model: str, stream: bool) -> None:
    sdk = vendors.openai
    messages: list[Any] = [{"role": "user", "content": "Use get_weather for Paris, please."}]
    asked: dict[str, Any] = {"model": model, "tools": [WEATHER], "reasoning_effort": "low"}
    if stream:
        with sdk.chat.completions.stream(messages=messages, **asked) as events:
            for _ in events:
                continue
            message: Any = events.get_final_completion().choices[0].message
    else:
        message = sdk.chat.completions.create(messages=messages, **asked).choices[0].message
    assert message.tool_calls, message
    (call,) = message.tool_calls
    assert call.function.name == "get_weather"
    assert "city" in json.loads(call.function.arguments)
    messages += [
        {key: value for key, value in message.to_dict().items() if key != "parsed" and value is not None},
        {"role": "tool", "tool_call_id": call.id, "content": "sunny, 21 degrees"},
    ]
    for entry in messages[1].get("tool_calls", ()):
        entry["function"].pop("parsed_arguments", None)
    last = sdk.chat.completions.create(messages=messages, **asked).choices[0]
    assert last.finish_reason == "stop"
    assert last.message.content


@every_model
def test_json_by_a_schema(vendors: Vendors, model: str) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "people": {"type": "integer"}}}
    schema |= {"required": ["city", "people"], "additionalProperties": False}
    form: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema, "strict": True}}
    said = json.loads(ask(vendors, model, "Tell me about Rome.", response_format=form))
    assert isinstance(said["city"], str)
    assert isinstance(said["people"], int)


def test_prompt_caching(vendors: Vendors) -> None:
    long = " ".join(f"Fact {number}: this is worth remembering." for number in range(400))
    system = [{"type": "text", "text": long, "cache_control": {"type": "ephemeral"}}]
    messages: Any = [{"role": "system", "content": system}, {"role": "user", "content": "Hi"}]
    first, second = (vendors.openai.chat.completions.create(model=CLAUDE, messages=messages).usage for _ in range(2))
    assert first is not None
    assert second is not None
    assert second.prompt_tokens_details is not None
    assert (second.prompt_tokens_details.cached_tokens or 0) > 1000
    written = first.to_dict()["prompt_tokens_details"]["cache_write_tokens"]  # type: ignore[index]
    assert written > 1000
    (record,) = vendors.gateway.installation.records(1, model_asked=CLAUDE, cached_tokens__gt=1000)
    assert record["cost_pico"] > 0


# --- the other doors, and responses -------------------------------------------------------------------------


@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
def test_the_anthropic_sdk(vendors: Vendors, model: str) -> None:
    asked: Any = {"model": model, "max_tokens": 4000, "messages": [{"role": "user", "content": "Count from 1 to 5."}]}
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    whole: Any = vendors.anthropic.messages.create(**asked, thinking=thinking)
    assert [block.type for block in whole.content][-1] == "text"
    with vendors.anthropic.messages.stream(**asked) as stream:
        streamed: Any = stream.get_final_message()
    assert streamed.content[-1].text == whole.content[-1].text
    counted = vendors.anthropic.messages.count_tokens(model=model, messages=asked["messages"])
    assert counted.input_tokens > 3


@pytest.mark.parametrize("model", [CLAUDE, GEMINI])
def test_the_google_sdk(vendors: Vendors, model: str) -> None:
    whole = vendors.google.models.generate_content(model=model, contents="Count from 1 to 5.")
    assert whole.text
    chunks = list(vendors.google.models.generate_content_stream(model=model, contents="Count from 1 to 5."))
    assert "".join(chunk.text or "" for chunk in chunks) == whole.text
    assert (vendors.google.models.count_tokens(model=model, contents="Count from 1 to 5.").total_tokens or 0) > 3


@every_model
def test_responses_remember(vendors: Vendors, model: str) -> None:
    sdk = vendors.openai
    first = sdk.responses.create(model=model, input="My name is Ada.")
    second = sdk.responses.create(model=model, input="What is my name?", previous_response_id=first.id)
    assert second.output_text
    assert b"My name is Ada." in vendors.sandbox.requests()[-1]["body"]
    with sdk.responses.stream(model=model, input="Sure?", previous_response_id=second.id) as stream:
        assert stream.get_final_response().output_text
    sent = vendors.sandbox.requests()[-1]["body"]
    assert all(said in sent for said in (b"My name is Ada.", b"What is my name?", b"Sure?"))


def test_agents_turns_over_responses(vendors: Vendors) -> None:
    """What Codex sends: no storing, encrypted reasoning sent back, free-text tools, namespaces."""
    tools: Any = [
        {"type": "function", "name": "get_weather", "parameters": WEATHER["function"]["parameters"], "strict": False},
        {"type": "custom", "name": "apply_patch", "description": "Apply a patch.", "format": {"type": "text"}},
    ]
    for model in (THINKER, GEMINI):
        items: list[Any] = [{"role": "user", "content": "Use get_weather for Paris, please."}]
        asked: dict[str, Any] = {
            "model": model,
            "instructions": "You are an agent.",
            "tools": tools,
            "store": False,
            "include": ["reasoning.encrypted_content"],
            "reasoning": {"effort": "low", "summary": "auto"},
        }
        with vendors.openai.responses.stream(input=items, **asked) as stream:
            first = stream.get_final_response()
        (call,) = [item for item in first.output if item.type == "function_call"]
        items += [item.to_dict() for item in first.output]
        for item in items:
            item.pop("parsed_arguments", None)
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": "sunny"})
        assert vendors.openai.responses.create(input=items, **asked).output_text
