"""The examples of OpenAI's and TrueFoundry's guides, run by the unmodified SDK in every way it offers."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import AsyncOpenAI, Omit, OpenAI
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from tests.support.chat_examples import BY_NAME, EXAMPLES, WEATHER_TOOL, Example, arguments, said, user
from tests.support.fixtures import ACCOUNT, CHAT
from tests.support.installation import Gateway

COUNT = {"model": CHAT, "messages": user("Count from 1 to 5.")}
BASE_PATHS = (
    "/v1",
    "/v1/",
    "/api/llm",
    "/api/llm/v1",
    "/api/llm/api/inference/openai",
    "/api/llm/api/inference/openai/v1",
)
every_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name.replace(" ", "-"))


class Person(BaseModel):
    name: str
    age: int
    hobbies: list[str]


def joined(chunks: list[ChatCompletionChunk]) -> list[dict[str, Any]]:
    """What a stream said, by choice: text, refusal, tool arguments and the reason it ended."""
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            seen = choices.setdefault(choice.index, {"text": "", "refusal": "", "tools": {}, "end": None})
            seen["text"] += choice.delta.content or ""
            seen["refusal"] += choice.delta.refusal or ""
            for call in choice.delta.tool_calls or []:
                name, sent = seen["tools"].get(call.index, ("", ""))
                function = call.function
                seen["tools"][call.index] = (
                    name + (function.name or "" if function else ""),
                    sent + (function.arguments or "" if function else ""),
                )
            seen["end"] = choice.finish_reason or seen["end"]
    return [choices[index] for index in sorted(choices)]


def as_stream(answer: ChatCompletion) -> list[dict[str, Any]]:
    """What ``joined`` gives for a stream that says the same as a whole answer."""
    return [
        {
            "text": choice.message.content or "",
            "refusal": choice.message.refusal or "",
            "tools": {
                index: (call.function.name, call.function.arguments)
                for index, call in enumerate(choice.message.tool_calls or [])
                if call.type == "function"
            },
            "end": choice.finish_reason,
        }
        for choice in answer.choices
    ]


# --- every chat example, in every way -----------------------------------------------------------------------


@every_example
def test_example(sdk: OpenAI, example: Example) -> None:
    answer = sdk.chat.completions.create(**arguments(example))

    assert example.check(answer)
    assert answer.object == "chat.completion"
    assert answer.model_extra == {"provider": "openai"}
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@every_example
async def test_example_async_and_streamed(async_sdk: AsyncOpenAI, example: Example) -> None:
    whole = await async_sdk.chat.completions.create(**arguments(example))
    stream = await async_sdk.chat.completions.create(**arguments(example), stream=True)
    chunks = [chunk async for chunk in stream]

    assert example.check(whole)
    assert joined(chunks) == as_stream(whole)
    assert all(chunk.object == "chat.completion.chunk" for chunk in chunks)
    assert all(chunk.choices for chunk in chunks), "a chunk without choices came to a client that asked for no usage"


@every_example
def test_example_as_raw_and_as_streaming_response(sdk: OpenAI, example: Example) -> None:
    raw = sdk.chat.completions.with_raw_response.create(**arguments(example))
    assert example.check(raw.parse())
    assert raw.headers["x-tfy-resolved-model"] == arguments(example)["model"]
    assert raw.request_id is not None
    assert raw.request_id.startswith("req_")

    with sdk.chat.completions.with_streaming_response.create(**arguments(example)) as response:
        assert response.headers["content-type"] == "application/json"
        assert example.check(response.parse())


# --- streams ------------------------------------------------------------------------------------------------


def test_the_streaming_example(sdk: OpenAI) -> None:
    pieces = []
    for chunk in sdk.chat.completions.create(**COUNT, stream=True):
        if chunk.choices and len(chunk.choices) > 0 and chunk.choices[0].delta.content is not None:
            pieces.append(chunk.choices[0].delta.content)
    assert "".join(pieces) == "1 2 3 4 5"
    assert len(pieces) > 3


def test_a_stream_with_usage(sdk: OpenAI) -> None:
    chunks = list(sdk.chat.completions.create(**COUNT, stream=True, stream_options={"include_usage": True}))

    assert chunks[-1].choices == []
    assert isinstance(chunks[-1].usage, CompletionUsage)
    assert chunks[-1].usage == sdk.chat.completions.create(**COUNT).usage


def test_lines_of_a_streaming_response(sdk: OpenAI) -> None:
    with sdk.chat.completions.with_streaming_response.create(**COUNT, stream=True) as response:
        lines = [line for line in response.iter_lines() if line]
    assert response.headers["content-type"].startswith("text/event-stream")
    assert lines[-1] == "data: [DONE]"
    assert all(line.startswith("data: {") for line in lines[:-1])


async def test_lines_of_an_async_streaming_response(async_sdk: AsyncOpenAI) -> None:
    async with async_sdk.chat.completions.with_streaming_response.create(**COUNT, stream=True) as response:
        lines = [line async for line in response.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"


def test_a_raw_response_of_a_stream(sdk: OpenAI) -> None:
    raw = sdk.chat.completions.with_raw_response.create(**COUNT, stream=True)
    assert joined(list(raw.parse()))[0]["text"] == "1 2 3 4 5"


def test_the_stream_helper(sdk: OpenAI) -> None:
    with sdk.chat.completions.stream(**COUNT) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= set(kinds)
    assert final.choices[0].message.content == "1 2 3 4 5"


async def test_the_async_stream_helper_parses(async_sdk: AsyncOpenAI) -> None:
    call = {"model": CHAT, "messages": user("Make up a person."), "response_format": Person}
    async with async_sdk.beta.chat.completions.stream(**call) as stream:
        final = await stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, Person)


def test_the_stream_helper_assembles_tool_calls(sdk: OpenAI) -> None:
    with sdk.chat.completions.stream(**arguments(BY_NAME["a forced tool"])) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
    assert [event.name for event in done] == ["get_weather"]


# --- parsing ------------------------------------------------------------------------------------------------


def parsers(sdk: OpenAI) -> Iterator[Any]:
    yield sdk.chat.completions.parse
    yield sdk.beta.chat.completions.parse


def test_parse_gives_an_object(sdk: OpenAI) -> None:
    both = list(parsers(sdk))
    assert len(both) == 2
    for parse in both:
        answer = parse(model=CHAT, messages=user("Make up a person."), response_format=Person)
        assert isinstance(answer.choices[0].message.parsed, Person)


async def test_async_parse_gives_an_object(async_sdk: AsyncOpenAI) -> None:
    answer = await async_sdk.chat.completions.parse(
        model=CHAT, messages=user("Make up a person."), response_format=Person
    )
    assert isinstance(answer.choices[0].message.parsed, Person)


# --- longer conversations -----------------------------------------------------------------------------------


def test_a_round_trip_with_a_tool(sdk: OpenAI) -> None:
    messages: list[Any] = user("What's the weather in Bengaluru right now?")
    first = sdk.chat.completions.create(
        model=CHAT,
        messages=messages,
        tools=[WEATHER_TOOL],
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
    )
    asked = (first.choices[0].message.tool_calls or [])[0]
    assert json.loads(asked.function.arguments)["city"] == "Bengaluru"

    weather = json.dumps({"city": "Bengaluru", "temp_c": 28, "summary": "partly cloudy"})
    messages += [first.choices[0].message, {"role": "tool", "tool_call_id": asked.id, "content": weather}]
    second = sdk.chat.completions.create(model=CHAT, messages=messages)

    assert "partly cloudy" in said(second)


def test_cached_tokens_are_reported(sdk: OpenAI) -> None:
    call = {
        "model": CHAT,
        "messages": [{"role": "system", "content": "You are a senior cloud architect. " * 40}, *user("Review this.")],
        "prompt_cache_key": "seeds-cache",
    }
    cached = []
    for _ in range(2):
        usage = sdk.chat.completions.create(**call).usage
        assert usage is not None
        details = usage.prompt_tokens_details
        assert details is not None
        cached.append(details.cached_tokens or 0)
    assert cached[0] == 0
    assert cached[1] > 0


# --- addresses and credentials ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", BASE_PATHS)
def test_every_base_address(gateway: Gateway, token: str, path: str) -> None:
    with gateway.sdk(token, path) as client:
        assert said(client.chat.completions.create(**COUNT)) == "1 2 3 4 5"
        assert joined(list(client.chat.completions.create(**COUNT, stream=True)))[0]["text"] == "1 2 3 4 5"
        assert client.embeddings.create(model=f"{ACCOUNT}/text-embedding-3-small", input="a").data
        assert client.moderations.create(model=f"{ACCOUNT}/omni-moderation-latest", input="a").results
        assert CHAT in {model.id for model in client.models.list()}


def test_the_token_in_the_header_of_azure_clients(gateway: Gateway, token: str) -> None:
    with gateway.sdk("unused", default_headers={"api-key": token}) as client:
        answer = client.chat.completions.create(**COUNT, extra_headers={"Authorization": Omit()})
    assert said(answer) == "1 2 3 4 5"


def test_a_bare_model_name_with_the_provider_header(gateway: Gateway, token: str) -> None:
    with gateway.sdk(token, default_headers={"x-tfy-provider-name": ACCOUNT}) as client:
        raw = client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=user("hi"))
    assert raw.headers["x-tfy-resolved-model"] == CHAT


# --- completions, embeddings, moderations -------------------------------------------------------------------

INSTRUCT = f"{ACCOUNT}/gpt-3.5-turbo-instruct"


def test_a_legacy_completion(sdk: OpenAI) -> None:
    whole = sdk.completions.create(model=INSTRUCT, prompt="Count from 1 to 5.")
    chunks = list(sdk.completions.create(model=INSTRUCT, prompt="Count from 1 to 5.", stream=True))

    assert whole.choices[0].text == "".join(chunk.choices[0].text for chunk in chunks)
    assert whole.object == "text_completion"
    assert whole.usage is not None
    assert whole.usage.completion_tokens > 0


async def test_legacy_completions_of_several_prompts(async_sdk: AsyncOpenAI) -> None:
    answer = await async_sdk.completions.create(
        model=INSTRUCT, prompt=["Say hi in French.", "hi"], max_tokens=20, echo=True
    )
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.choices[0].text.startswith("Say hi in French.")


@pytest.mark.parametrize(
    ("model", "dimension"),
    [("text-embedding-3-small", 1536), ("text-embedding-3-large", 3072), ("text-embedding-ada-002", 1536)],
)
def test_embeddings_of_texts(sdk: OpenAI, model: str, dimension: int) -> None:
    texts = ["Gatehouse is a gateway.", "Teams deploy models with it."]
    answer = sdk.embeddings.create(model=f"{ACCOUNT}/{model}", input=texts)
    assert [len(item.embedding) for item in answer.data] == [dimension, dimension]
    assert answer.data[0].embedding != answer.data[1].embedding


async def test_embeddings_of_one_text(async_sdk: AsyncOpenAI) -> None:
    model = f"{ACCOUNT}/text-embedding-3-small"
    small = await async_sdk.embeddings.create(model=model, input="a", dimensions=64)
    plain = await async_sdk.embeddings.create(model=model, input="a", dimensions=64, encoding_format="float")
    assert small.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)
    assert len(small.data[0].embedding) == 64


def test_embeddings_as_raw_response(sdk: OpenAI) -> None:
    raw = sdk.embeddings.with_raw_response.create(model=f"{ACCOUNT}/text-embedding-3-small", input="a")
    assert raw.headers["x-tfy-resolved-model"] == f"{ACCOUNT}/text-embedding-3-small"
    with sdk.embeddings.with_streaming_response.create(
        model=f"{ACCOUNT}/text-embedding-3-small", input="a"
    ) as response:
        assert response.parse().data[0].embedding == raw.parse().data[0].embedding


def test_moderation(sdk: OpenAI) -> None:
    model = f"{ACCOUNT}/omni-moderation-latest"
    good = sdk.moderations.create(model=model, input="I want to help my community thrive.").results[0]
    bad = sdk.moderations.create(model=model, input=["hello", "I want to kill them all."]).results

    assert not good.flagged
    assert [name for name, value in good.categories.model_dump().items() if value] == []
    assert [result.flagged for result in bad] == [False, True]


async def test_moderation_of_an_image(async_sdk: AsyncOpenAI) -> None:
    content = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "https://pictures.example/a.png"}},
    ]
    answer = await async_sdk.moderations.create(model=f"{ACCOUNT}/omni-moderation-latest", input=content)
    assert len(answer.results) == 1
