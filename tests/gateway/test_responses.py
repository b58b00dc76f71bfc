"""Responses and conversations through the unmodified SDK: every method in every form, the guides' examples, streams."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import AsyncOpenAI, NotFoundError, OpenAI

from tests.fixtures import ACCOUNT, CHAT, USER
from tests.gateway.calls import assert_ours, stream_error
from tests.gateway.manifests import provider
from tests.gateway.response_calls import COUNT, METHODS, PROVIDER, SUM, Method, Person, World, find, make_world
from tests.gateway.scripted import ScriptedUpstream
from tests.gateway.server import Gateway
from tests.sandbox.server import SandboxProcess
from tests.servers import wait_until

every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.path)


@pytest.fixture
def world(sdk: OpenAI) -> World:
    return make_world(sdk)


# --- every method in every form -----------------------------------------------------------------------------------------


@every_method
def test_method(sdk: OpenAI, world: World, method: Method) -> None:
    answer = find(sdk, method.path)(**method.arguments(world))
    assert method.right(answer, world)


@every_method
async def test_method_async(async_sdk: AsyncOpenAI, world: World, method: Method) -> None:
    answer = await find(async_sdk, method.path)(**method.arguments(world))
    assert method.right(answer, world)


@every_method
def test_method_with_raw_response(sdk: OpenAI, world: World, method: Method) -> None:
    raw = find(sdk, method.path, "with_raw_response")(**method.arguments(world))
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.headers["x-upstream-request-id"] != raw.headers["x-request-id"]
    assert method.right(raw.parse(), world)


# The SDK has no parse in this form.
@pytest.mark.parametrize(
    "method", [method for method in METHODS if method.path != "responses.parse"], ids=lambda method: method.path
)
async def test_method_with_streaming_response(async_sdk: AsyncOpenAI, world: World, method: Method) -> None:
    async with find(async_sdk, method.path, "with_streaming_response")(**method.arguments(world)) as response:
        assert response.headers["content-type"] == "application/json"
        assert method.right(await response.parse(), world)


# --- the guides' examples -----------------------------------------------------------------------------------------------


def test_the_first_guide(gateway: Gateway, token: str) -> None:
    with gateway.sdk(token, "/api/llm", default_headers=PROVIDER) as client:
        response = client.responses.create(model=CHAT, input=[{"role": "user", "content": "Your prompt here"}])
        seen = client.responses.create(
            model=f"{ACCOUNT}/gpt-4o",
            input=[
                {"role": "user", "content": "Your prompt here"},
                {
                    "role": "user",
                    "content": [{"type": "input_image", "image_url": "https://example.com/a.png", "detail": "auto"}],
                },
            ],
        )
        fetched = client.responses.retrieve(response_id=seen.id)
        assert client.responses.delete(response_id=seen.id) is None
        with pytest.raises(NotFoundError):
            client.responses.retrieve(response_id=seen.id)

    expected = (
        "id created_at error incomplete_details instructions metadata model object output parallel_tool_calls temperature "
        "tool_choice tools top_p max_output_tokens previous_response_id reasoning status text truncation usage user "
        "background service_tier store provider"
    )
    for answer in (response, fetched):
        body = json.loads(answer.to_json())
        assert not set(expected.split()) - set(body)
        assert (body["object"], body["status"], body["provider"]) == ("response", "completed", "openai")
        assert body["usage"]["total_tokens"] == body["usage"]["input_tokens"] + body["usage"]["output_tokens"]


def test_the_second_guide(gateway: Gateway, token: str) -> None:
    header: Any = {"extra_headers": PROVIDER}
    client = gateway.sdk(token, "/api/llm/api/inference/openai")
    messages: Any = [
        {"role": "system", "content": "You are a helpful assistant specializing in Python programming."},
        {"role": "user", "content": "How do I read a JSON file in Python?"},
    ]
    response = client.responses.create(model="gpt-4o-mini", input=messages, **header)
    fetched = client.responses.retrieve(response_id=response.id, **header)
    follow_up = client.responses.create(
        model="gpt-4o-mini",
        input=[{"role": "user", "content": "What was my last question?"}],
        previous_response_id=response.id,
        **header,
    )
    items = client.responses.input_items.list(response_id=follow_up.id, **header)
    stream = client.responses.create(model="gpt-4o-mini", input=messages, stream=True, **header)
    kinds = [event.type for event in stream]
    client.responses.delete(response_id=response.id, **header)

    assert fetched.output_text == response.output_text
    assert "How do I read a JSON file" in follow_up.output_text
    assert "How do I read a JSON file" in str(items.data)
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")


def test_the_guides_function_call(sdk: OpenAI) -> None:
    weather: Any = {
        "type": "function",
        "name": "get_weather",
        "description": "Get current weather in a location",
        "strict": False,
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string"}, "file_id": {"type": "string", "default": "file-any"}},
            "required": ["location"],
        },
    }
    asked: Any = [{"role": "user", "content": "What's the weather like in New York?"}]
    called = sdk.responses.create(model=CHAT, input=asked, tools=[weather])
    call = called.output[0]
    assert call.type == "function_call"
    assert "location" in json.loads(call.arguments)

    result = {"type": "function_call_output", "call_id": call.call_id, "output": "12 degrees"}
    stateful = sdk.responses.create(model=CHAT, previous_response_id=called.id, input=[result], tools=[weather])  # type: ignore[list-item]
    echoed = [*asked, *(item.to_dict() for item in called.output), result]
    stateless = sdk.responses.create(model=CHAT, input=echoed, tools=[weather], store=False)
    assert "12 degrees" in stateful.output_text
    assert stateless.output_text == stateful.output_text


def test_the_third_guide(gateway: Gateway, token: str) -> None:
    with gateway.sdk(token, default_headers=PROVIDER) as client:
        created = client.responses.create(
            model=CHAT, input=[{"role": "user", "content": "Give me a two-word tagline."}]
        )
        fetched = client.responses.retrieve(created.id)
    assert created.output_text
    assert fetched.output_text == created.output_text


# --- streams ------------------------------------------------------------------------------------------------------------


def test_streams_of_every_form(sdk: OpenAI) -> None:
    plain = list(sdk.responses.create(model=CHAT, input=COUNT, stream=True))
    raw = sdk.responses.with_raw_response.create(model=CHAT, input=COUNT, stream=True)
    with sdk.responses.with_streaming_response.create(model=CHAT, input=COUNT, stream=True) as response:
        lines = [line for line in response.iter_lines() if line.startswith("data: ")]
    with sdk.responses.stream(model=CHAT, input=COUNT) as manager:
        helped = [event.type for event in manager]
        final = manager.get_final_response()

    assert [event.sequence_number for event in plain] == list(range(len(plain)))
    assert "".join(event.delta for event in plain if event.type == "response.output_text.delta") == SUM
    assert raw.headers["content-type"].startswith("text/event-stream")
    assert [event.type for event in raw.parse()] == [event.type for event in plain] == helped
    assert [json.loads(line[6:])["type"] for line in lines] == helped
    assert final.output_text == SUM


async def test_streams_async(async_sdk: AsyncOpenAI) -> None:
    stream = await async_sdk.responses.create(model=CHAT, input=COUNT, stream=True)
    kinds = [event.type async for event in stream]
    async with async_sdk.responses.stream(model=CHAT, input="Jane is 54 years old.", text_format=Person) as manager:
        final = await manager.get_final_response()
    assert kinds[-1] == "response.completed"
    assert isinstance(final.output_parsed, Person)


def test_a_stream_carries_the_upstreams_own_events(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    body = {"model": CHAT, "input": "Search the web, then draw a picture.", "stream": True}
    body["tools"] = [{"type": "web_search"}, {"type": "image_generation", "partial_images": 2}]
    plain = upstream.post("/responses", {**body, "model": "gpt-4o-mini"}).text
    governed = gateway.post(token, "/v1/responses", body).text

    def shape(stream: str) -> list[tuple[str, list[str]]]:
        return [
            (json.loads(line[6:])["type"], sorted(json.loads(line[6:])))
            for line in stream.splitlines()
            if line[:6] == "data: "
        ]

    assert shape(governed) == shape(plain)
    assert "response.image_generation_call.partial_image" in governed
    assert '"provider"' not in governed


def test_a_background_stream_is_taken_up_again(sdk: OpenAI) -> None:
    stream = sdk.responses.create(
        model=CHAT, input=f"{COUNT} [[sandbox: queued=1 working=200]]", background=True, stream=True
    )
    events = list(stream)
    first: Any = events[0]
    again = list(sdk.responses.retrieve(first.response.id, stream=True, starting_after=events[3].sequence_number))
    with sdk.responses.stream(response_id=first.response.id) as manager:
        final = manager.get_final_response()

    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in again] == [event.type for event in events[4:]]
    assert final.output_text == SUM


SCRIPT = (
    b": hello\r\n\r\nevent: response.created\r\ndata: "
    b'{"type":"response.created","response":{"id":"resp_script","object":"response","output":[]},"sequence_number":0}\r\n\r\n'
    b'event: response.brand_new\ndata: {"type": "response.brand_new",  "x": [1, 2.0, 3e5], "x": 1}\n\n'
    b'id: 7\nretry: 10\nevent: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"\\u00e4"}\n\n'
    b"data: not JSON at all\n\n"
)
SCRIPT_END = (
    b'event: response.completed\ndata: {"type":"response.completed","response":{"id":"resp_script","object":"response",'
    b'"output":[],"usage":{"input_tokens":10,"output_tokens":20,"total_tokens":30}}}\n\n'
)
EVENTS_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


@pytest.fixture(scope="module")
def scripted(running_gateway: Gateway) -> Iterator[tuple[ScriptedUpstream, str]]:
    """An upstream that says what a test gives it, and the token of its only user."""
    with ScriptedUpstream() as upstream:
        url = f"{upstream.origin}/v1"
        model = {"name": "m", "model_types": ["responses"]}
        manifest = provider("scripted-responses", url, models=[model], access=["user:script@example.com"])
        running_gateway.house.do("user", "script@example.com")
        running_gateway.house.apply(manifest)
        token = running_gateway.token("script", user="script@example.com")
        path = "/v1/models/scripted-responses/m"
        wait_until(lambda: running_gateway.get(token, path).status_code == 200)
        yield upstream, token


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_events_go_on_as_they_come(gateway: Gateway, scripted: tuple[ScriptedUpstream, str], size: int) -> None:
    upstream, token = scripted
    told = SCRIPT + SCRIPT_END
    upstream.answer(EVENTS_HEAD, *(told[start : start + size] for start in range(0, len(told), size)))
    got = gateway.post(token, "/v1/responses", {"model": "scripted-responses/m", "input": "hi", "stream": True})
    assert got.content == told
    row = gateway.house.records(1, request_id=got.headers["x-request-id"])[0]
    assert (row["input_tokens"], row["output_tokens"], row["error_class"]) == (10, 20, "")


def test_a_stream_that_ends_early_is_said_to_be_broken(
    gateway: Gateway, scripted: tuple[ScriptedUpstream, str]
) -> None:
    upstream, token = scripted
    upstream.answer(EVENTS_HEAD, SCRIPT)
    got = gateway.post(token, "/v1/responses", {"model": "scripted-responses/m", "input": "hi", "stream": True})
    assert got.content.startswith(SCRIPT)
    assert stream_error(got.content)["error"]["code"] == "upstream_stream_truncated"


# --- paging, and what passes through ------------------------------------------------------------------------------------


def test_input_items_page_by_page(sdk: OpenAI) -> None:
    texts = [f"message {number}" for number in range(7)]
    given: Any = [{"role": "user", "content": text} for text in texts]
    response = sdk.responses.create(model=CHAT, input=given)
    paged: Any = list(sdk.responses.input_items.list(response.id, limit=3, order="asc"))
    assert [item.content[0].text for item in paged] == texts


async def test_conversation_items_page_by_page(async_sdk: AsyncOpenAI) -> None:
    conversation = await async_sdk.conversations.create(extra_headers=PROVIDER)
    given: Any = [{"type": "message", "role": "user", "content": f"message {number}"} for number in range(5)]
    await async_sdk.conversations.items.create(conversation.id, items=given)
    pages = async_sdk.conversations.items.list(conversation.id, limit=2, order="asc")
    assert [item.content[0].text async for item in pages] == [f"message {number}" for number in range(5)]  # type: ignore[union-attr]


def test_a_conversation_remembers(sdk: OpenAI) -> None:
    conversation = sdk.conversations.create(extra_headers=PROVIDER)
    sdk.responses.create(model=CHAT, input="My favourite colour is teal.", conversation=conversation.id)
    answer = sdk.responses.create(
        model=CHAT, input="What is my favourite colour?", conversation={"id": conversation.id}
    )
    assert "teal" in answer.output_text
    said = [item.role for item in sdk.conversations.items.list(conversation.id, order="asc") if item.type == "message"]
    assert said == ["user", "assistant", "user", "assistant"]


def test_queries_and_unknown_fields_pass_through(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    made = gateway.post(token, "/v1/responses", {"model": CHAT, "input": "hi", "x_new_field": {"a": [1.0, 2e5]}})
    # The sandbox refuses what it does not know, as OpenAI does; the words are the upstream's.
    assert made.status_code == 400
    assert made.headers["x-gatehouse-error-origin"] == "upstream"
    sent = json.loads(upstream.requests("/v1/responses")[-1]["body"])
    assert sent == {"model": "gpt-4o-mini", "input": "hi", "x_new_field": {"a": [1.0, 2e5]}}

    query = "include%5B%5D=reasoning.encrypted_content&x=%20y"
    answer = gateway.post(token, "/v1/responses", {"model": CHAT, "input": "hi"}).json()
    gateway.get(token, f"/v1/responses/{answer['id']}?{query}")
    assert upstream.requests()[-1]["query"] == query


# --- which account ------------------------------------------------------------------------------------------------------


def test_the_header_is_needed_nowhere_that_an_id_tells(gateway: Gateway, token: str, sdk: OpenAI) -> None:
    world = make_world(sdk)
    bare = {"model": "gpt-4o-mini", "input": "hi"}
    for body in (
        {**bare, "previous_response_id": world.response},
        {**bare, "conversation": world.conversation},
        {**bare, "input": [{"type": "item_reference", "id": world.item}]},
    ):
        answer = gateway.post(token, "/v1/responses", body)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-tfy-resolved-model"] == CHAT
    counted = gateway.post(token, "/v1/responses/input_tokens", {"previous_response_id": world.response})
    assert counted.json()["input_tokens"] > 0


@pytest.mark.parametrize("header", ["foreign", "nowhere"])
def test_the_models_prefix_knows_better_than_the_header(gateway: Gateway, token: str, header: str) -> None:
    answer = gateway.post(
        token, "/v1/responses", {"model": CHAT, "input": "hi"}, headers={"x-tfy-provider-name": header}
    )
    assert answer.status_code == 200
    assert answer.headers["x-tfy-resolved-model"] == CHAT


def test_an_account_that_is_not_ours_is_none(gateway: Gateway, token: str, sdk: OpenAI) -> None:
    response = sdk.responses.create(model=CHAT, input="hi")
    for header in ("foreign", "nowhere"):
        answer = gateway.http.get(
            f"{gateway.origin}/v1/responses/{response.id}",
            headers={"authorization": f"Bearer {token}", "x-tfy-provider-name": header},
        )
        error = assert_ours(answer, 404, "provider_account_not_found", "x-tfy-provider-name")
        assert header in error["message"]


def test_a_model_without_the_capability_is_refused(gateway: Gateway, token: str) -> None:
    for path in ("", "/input_tokens", "/compact"):
        answer = gateway.post(token, f"/v1/responses{path}", {"model": f"{ACCOUNT}/whisper-1", "input": "hi"})
        error = assert_ours(answer, 400, "unsupported_model_type", "model")
        assert error["message"] == "responses is not supported for the model"


# --- what it costs ------------------------------------------------------------------------------------------------------


def test_tokens_are_charged(gateway: Gateway, token: str) -> None:
    prompt = "hi [[sandbox: input_tokens=1000 cached_tokens=400 output_tokens=200 reasoning_tokens=50]]"
    for stream in (False, True):
        sent = gateway.post(token, "/v1/responses", {"model": CHAT, "input": prompt, "stream": stream})
        row = gateway.house.records(1, request_id=sent.headers["x-request-id"])[0]
        names = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")
        assert [row[name] for name in names] == [1000, 400, 200, 50]
        # gpt-4o-mini: 0.15, 0.075 and 0.60 dollars a million
        assert row["cost_pico"] == 600 * 150_000 + 400 * 75_000 + 200 * 600_000
        assert (row["operation"], row["stream"], row["subject_name"]) == ("responses", stream, USER)


@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls_are_charged(gateway: Gateway, token: str, stream: bool) -> None:
    house = gateway.house
    store = f"vs_{'s' if stream else 'p'}"
    house.do("own", store, "vector_store", ACCOUNT, USER)
    body = {
        "model": CHAT,
        "input": "Search the web and the documents, then run code. [[sandbox: input_tokens=0 output_tokens=0]]",
        "stream": stream,
        "tools": [
            {"type": "web_search"},
            {"type": "file_search", "vector_store_ids": [store]},
            {"type": "code_interpreter", "container": {"type": "auto"}},
        ],
    }
    sent = gateway.post(token, "/v1/responses", body)
    row = house.records(1, request_id=sent.headers["x-request-id"])[0]
    assert row["units"] == {"web_searches": 1, "storage_searches": 1, "code_executions": 1}
    # a cent for the web, a quarter of one for the files; the list has no price for code, which is told
    assert row["cost_pico"] == 10_000_000_000 + 2_500_000_000
    assert row["price_gaps"] == "code_executions"


def test_looks_are_free(gateway: Gateway, token: str, sdk: OpenAI) -> None:
    world = make_world(sdk)
    looks = [
        gateway.get(token, f"/v1/responses/{world.response}"),
        gateway.get(token, f"/v1/responses/{world.response}/input_items"),
        gateway.post(token, "/v1/responses/input_tokens", {"model": CHAT, "input": "hi"}),
        gateway.post(token, f"/v1/responses/{world.background}/cancel", content=b""),
        gateway.get(token, f"/v1/conversations/{world.conversation}/items"),
    ]
    for look in looks:
        assert look.status_code == 200, look.text
        row = gateway.house.records(1, request_id=look.headers["x-request-id"])[0]
        assert (row["input_tokens"], row["output_tokens"], row["cost_pico"]) == (0, 0, 0)
