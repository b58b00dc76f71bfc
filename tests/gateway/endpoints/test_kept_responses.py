"""Responses of providers that only have chat: converted, and kept by Gatehouse, encrypted, for their owner alone."""

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.gateway.pipeline.test_usage_records import record_of
from tests.support.calls import assert_ours
from tests.support.fixtures import InstallationMaker
from tests.support.installation import Gateway
from tests.support.manifests import chat_model, provider
from tests.support.openapi import assert_valid
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until
from tests.support.vendor_accounts import CLAUDE_PATH, GEMINI_PATH, model_of
from tests.support.vendor_upstream import CONTENT, MESSAGE, VendorUpstream, message_events

SECRET = "The word is heliotrope."


@pytest.fixture(scope="module")
def chat_only(running_gateway: Gateway, user_token: str, running_upstream: SandboxProcess) -> str:
    """A model of an account whose vendor has no responses."""
    row = {**chat_model("m", model_id="gpt-4o-mini"), "type": "integration/model/groq"}
    account = provider("chat-only", running_upstream.url, models=[row], type="provider-account/groq")
    running_gateway.installation.apply(account)
    wait_until(lambda: running_gateway.get(user_token, "/v1/models/chat-only/m").status_code == 200)
    return "chat-only/m"


@pytest.fixture
def bob(gateway: Gateway) -> Iterator[OpenAI]:
    """Another user's SDK."""
    gateway.installation.do("user", "bob@example.com")
    with gateway.sdk(gateway.token("bob-kept", user="bob@example.com")) as client:
        yield client


def sent(upstream: SandboxProcess) -> Any:
    return json.loads(upstream.requests()[-1]["body"])


def test_a_response_is_a_chat(gateway: Gateway, token: str, chat_only: str, upstream: SandboxProcess) -> None:
    body = {"model": chat_only, "instructions": "Be brief.", "input": SECRET, "max_output_tokens": 50, "store": False}
    response = gateway.post(token, "/v1/responses", body)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["output"][-1]["content"][0]["text"]
    assert (answer["status"], answer["store"], answer["provider"]) == ("completed", False, "groq")
    answer.pop("provider")
    assert_valid("Response", answer)
    assert [message["role"] for message in sent(upstream)["messages"]] == ["system", "user"]
    record = record_of(gateway, response)
    assert (record["operation"], record["endpoint"]) == ("responses", "responses")
    assert record["input_tokens"] == answer["usage"]["input_tokens"] > 0
    assert_ours(gateway.get(token, f"/v1/responses/{answer['id']}"), 404, "not_found")


def test_going_on_from_a_response(sdk: OpenAI, chat_only: str, upstream: SandboxProcess) -> None:
    first = sdk.responses.create(model=chat_only, input=SECRET)
    second = sdk.responses.create(model=chat_only, input="And then?", previous_response_id=first.id)
    third = sdk.responses.create(model=chat_only, input="And now?", previous_response_id=second.id)
    messages = sent(upstream)["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user", "assistant", "user"]
    assert messages[0]["content"] == SECRET
    assert messages[1]["content"] == first.output_text
    assert third.previous_response_id == second.id

    assert sdk.responses.retrieve(second.id).output_text == second.output_text
    items = list(sdk.responses.input_items.list(second.id, order="asc", limit=2))
    assert [getattr(item, "role", "") for item in items] == ["user", "assistant", "user"]
    newest: Any = sdk.responses.input_items.list(second.id, limit=1).data[0]
    assert newest.content[0].text == "And then?"

    sdk.responses.delete(second.id)
    for act in (sdk.responses.retrieve, sdk.responses.delete, sdk.responses.input_items.list):
        with pytest.raises(NotFoundError):
            act(second.id)
    with pytest.raises(NotFoundError):
        sdk.responses.create(model=chat_only, input="x", previous_response_id=second.id)
    assert sdk.responses.retrieve(first.id).id == first.id


def test_it_is_its_owners(sdk: OpenAI, bob: OpenAI, chat_only: str, upstream: SandboxProcess) -> None:
    made = sdk.responses.create(model=chat_only, input=SECRET)
    upstream.clear()
    for act in (bob.responses.retrieve, bob.responses.delete, bob.responses.input_items.list):
        with pytest.raises(NotFoundError):
            act(made.id)
    with pytest.raises(NotFoundError):
        bob.responses.create(model=chat_only, input="x", previous_response_id=made.id)
    assert upstream.requests() == []
    assert sdk.responses.retrieve(made.id).id == made.id


def test_it_is_encrypted(gateway: Gateway, sdk: OpenAI, chat_only: str) -> None:
    made = sdk.responses.create(model=chat_only, input=SECRET)
    with sqlite3.connect(gateway.installation.data / "gatehouse.sqlite3") as database:
        rows = database.execute("SELECT content FROM gateway_keptresponse WHERE object_id = ?", (made.id,)).fetchall()
    assert len(rows) == 1
    assert "heliotrope" not in str(rows)
    for file in gateway.installation.data.rglob("*.sqlite3*"):
        assert b"heliotrope" not in file.read_bytes()


def test_it_goes_with_its_owner(make_installation: InstallationMaker, running_upstream: SandboxProcess) -> None:
    row = {**chat_model("m", model_id="gpt-4o-mini"), "type": "integration/model/groq"}
    installation = make_installation(seeded=False)
    installation.apply(provider("chat-only", running_upstream.url, models=[row], type="provider-account/groq"))
    gateway = installation.gateway()
    with gateway.sdk(gateway.token("ada", user="ada@example.com")) as client:
        old = client.responses.create(model="chat-only/m", input=SECRET)
        assert installation.do("age_kept_responses", 61 * 86_400) == 1
        young = client.responses.create(model="chat-only/m", input=SECRET)
        installation.do("manage", "prune_objects")
        assert client.responses.retrieve(young.id).id == young.id
        with pytest.raises(NotFoundError):
            client.responses.retrieve(old.id)
        with pytest.raises(BadRequestError) as gone:
            client.responses.create(model="chat-only/m", input="x", previous_response_id=old.id)
        assert gone.value.code == "previous_response_not_found"


def test_a_stream_has_openais_order(sdk: OpenAI, chat_only: str) -> None:
    tools: Any = [{"type": "function", "name": "get_weather", "parameters": {"type": "object"}, "strict": False}]
    events = list(sdk.responses.create(model=chat_only, input="Count from 1 to 3.", tools=tools, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = list(dict.fromkeys(event.type for event in events))
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    last: Any = events[-1]
    assert sdk.responses.retrieve(last.response.id).output_text == last.response.output_text
    again = sdk.responses.create(model=chat_only, input="x", previous_response_id=last.response.id)
    assert again.status == "completed"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("background", True),
        ("conversation", "conv_1"),
        ("prompt", {"id": "pmpt_1"}),
        ("tools", [{"type": "code_interpreter", "container": {"type": "auto"}}]),
    ],
)
def test_what_is_not_supported_is_named(
    gateway: Gateway, token: str, chat_only: str, upstream: SandboxProcess, field: str, value: Any
) -> None:
    refused = gateway.post(token, "/v1/responses", {"model": chat_only, "input": "x", field: value})
    assert refused.status_code in (400, 404), refused.text
    assert refused.json()["error"]["param"].startswith(field)
    assert upstream.requests() == []


def test_thinking_goes_on_in_the_next_turn(sdk: OpenAI, vendor: VendorUpstream) -> None:
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "proof"}
    called = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Rome"}}
    vendor.answer(CLAUDE_PATH, {**MESSAGE, "content": [thinking, called], "stop_reason": "tool_use"})
    tools: Any = [{"type": "function", "name": "get_weather", "parameters": {"type": "object"}, "strict": False}]
    model = model_of("anthropic")
    reasoning: Any = {"effort": "low", "summary": "auto"}
    first = sdk.responses.create(model=model, input="The weather in Rome?", tools=tools, reasoning=reasoning)
    assert [item.type for item in first.output] == ["reasoning", "function_call"]
    vendor.answer(CLAUDE_PATH, MESSAGE)
    result: Any = [{"type": "function_call_output", "call_id": "toolu_1", "output": "sunny"}]
    sdk.responses.create(model=model, input=result, tools=tools, previous_response_id=first.id, reasoning=reasoning)
    assistant, user = vendor.body["messages"][-2:]
    assert assistant["content"] == [thinking, called]
    assert user["content"][0]["tool_use_id"] == "toolu_1"


def test_gemini_and_claude_answer_responses(sdk: OpenAI, vendor: VendorUpstream) -> None:
    vendor.answer(GEMINI_PATH, CONTENT)
    assert sdk.responses.create(model=model_of("google-gemini"), input="Hi").output_text == "Hello from Gemini."
    vendor.answer(CLAUDE_PATH, message_events("Hello ", "there."))
    with sdk.responses.stream(model=model_of("anthropic"), input="Hi") as stream:
        assert stream.get_final_response().output_text == "Hello there."


def test_only_in_the_background_may_be_cancelled(sdk: OpenAI, chat_only: str) -> None:
    made = sdk.responses.create(model=chat_only, input="x")
    with pytest.raises(BadRequestError):
        sdk.responses.cancel(made.id)
    with pytest.raises(BadRequestError):
        list(sdk.responses.retrieve(made.id, stream=True))
