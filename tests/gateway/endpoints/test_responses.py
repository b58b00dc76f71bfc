"""Responses and conversations through the unmodified SDK: every method in every form, the guides' examples, streams."""

import json
from typing import Any

import pytest
from openai import AsyncOpenAI, NotFoundError, OpenAI

from tests.support.calls import assert_ours
from tests.support.fixtures import ACCOUNT, CHAT, USER
from tests.support.installation import Gateway
from tests.support.response_calls import METHODS, PROVIDER, Method, World, find, make_world
from tests.support.sandbox_process import SandboxProcess

every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.path)


@pytest.fixture
def world(sdk: OpenAI) -> World:
    return make_world(sdk)


# --- every method in every form -----------------------------------------------------------------------------


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


# --- the guides' examples -----------------------------------------------------------------------------------


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
        "id created_at error incomplete_details instructions metadata model object output parallel_tool_calls "
        "temperature "
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

    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "12 degrees"}
    stateful = sdk.responses.create(model=CHAT, previous_response_id=called.id, input=[result], tools=[weather])
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


# --- paging, and what passes through ------------------------------------------------------------------------


def test_input_items_page_by_page(sdk: OpenAI) -> None:
    texts = [f"message {number}" for number in range(7)]
    given: Any = [{"role": "user", "content": text} for text in texts]
    response = sdk.responses.create(model=CHAT, input=given)
    paged: Any = list(sdk.responses.input_items.list(response.id, limit=3, order="asc"))
    assert [item.content[0].text for item in paged] == texts


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
    assert upstream.requests(f"/v1/responses/{answer['id']}")[-1]["query"] == query


# --- which account ------------------------------------------------------------------------------------------


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


# --- what it costs ------------------------------------------------------------------------------------------


def test_tokens_are_charged(gateway: Gateway, token: str) -> None:
    prompt = "hi [[sandbox: input_tokens=1000 cached_tokens=400 output_tokens=200 reasoning_tokens=50]]"
    for stream in (False, True):
        sent = gateway.post(token, "/v1/responses", {"model": CHAT, "input": prompt, "stream": stream})
        row = gateway.installation.records(1, request_id=sent.headers["x-request-id"])[0]
        names = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")
        assert [row[name] for name in names] == [1000, 400, 200, 50]
        # gpt-4o-mini: 0.15, 0.075 and 0.60 dollars a million
        assert row["cost_pico"] == 600 * 150_000 + 400 * 75_000 + 200 * 600_000
        assert (row["operation"], row["stream"], row["subject_name"]) == ("responses", stream, USER)
        assert row["object_id"].startswith("resp_")


@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls_are_charged(gateway: Gateway, token: str, stream: bool) -> None:
    installation = gateway.installation
    store = f"vs_{'s' if stream else 'p'}"
    installation.do("own", store, "vector_store", ACCOUNT, USER)
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
    row = installation.records(1, request_id=sent.headers["x-request-id"])[0]
    assert row["units"] == {"web_searches": 1, "storage_searches": 1, "code_executions": 1}
    # a cent for the web, a quarter of one for the files; the list has no price for code, which is reported
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
        row = gateway.installation.records(1, request_id=look.headers["x-request-id"])[0]
        assert (row["input_tokens"], row["output_tokens"], row["cost_pico"]) == (0, 0, 0)
