"""Assistants, threads, messages and runs through the SDK, polled and streamed."""

import json
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.sandbox.test_tools import WEATHER
from tests.support.openapi import assert_valid
from tests.support.sandbox_process import SandboxProcess

# The SDK says of each call that OpenAI retires it.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def shape(raw: Any, schema: str) -> Any:
    """The parsed answer, after validating what came over the wire."""
    assert_valid(schema, raw.http_response.json())
    return raw.parse()


@pytest.fixture
def assistant(quick_client: OpenAI) -> Any:
    raw = quick_client.beta.assistants.with_raw_response.create(
        model="gpt-4o-mini", name="Helper", instructions="Be brief.", metadata={"a": "b"}
    )
    return shape(raw, "AssistantObject")


def test_the_life_of_an_assistant(quick_client: OpenAI, assistant: Any) -> None:
    assistants = quick_client.beta.assistants
    assert (assistant.name, assistant.tools, assistant.metadata) == ("Helper", [], {"a": "b"})
    assert assistants.retrieve(assistant.id) == assistant
    assert assistants.update(assistant.id, model="gpt-4o", name="Other").model == "gpt-4o"
    assert assistant.id in [item.id for item in assistants.list(limit=1)]
    assert shape(assistants.with_raw_response.delete(assistant.id), "DeleteAssistantResponse").deleted
    with pytest.raises(NotFoundError):
        assistants.retrieve(assistant.id)


def test_threads_and_messages(quick_client: OpenAI) -> None:
    threads = quick_client.beta.threads
    first: Any = {"role": "user", "content": "One"}
    thread = shape(threads.with_raw_response.create(messages=[first]), "ThreadObject")
    assert threads.update(thread.id, metadata={"x": "y"}).metadata == {"x": "y"}
    parts: Any = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]
    message = shape(threads.messages.with_raw_response.create(thread.id, role="user", content=parts), "MessageObject")
    assert message.content[0].text.value == "Look"
    assert next(item.id for item in threads.messages.list(thread.id, limit=1)) == message.id
    assert len(list(threads.messages.list(thread.id, order="asc"))) == 2
    assert threads.messages.update(message.id, thread_id=thread.id, metadata={"k": "v"}).metadata == {"k": "v"}
    assert threads.messages.retrieve(message.id, thread_id=thread.id).metadata == {"k": "v"}
    assert threads.messages.delete(message.id, thread_id=thread.id).deleted
    assert shape(threads.with_raw_response.delete(thread.id), "DeleteThreadResponse").deleted
    with pytest.raises(NotFoundError):
        threads.messages.list(thread.id)
    assert threads.create().metadata == {}


def test_a_run_answers_the_thread(quick_client: OpenAI, assistant: Any) -> None:
    threads = quick_client.beta.threads
    thread = threads.create(messages=[{"role": "user", "content": "What is 6*7?"}])
    raw = threads.runs.with_raw_response.create(thread.id, assistant_id=assistant.id)
    run = shape(raw, "RunObject")
    assert (run.status, run.instructions, run.model) == ("queued", "Be brief.", "gpt-4o-mini")

    run = threads.runs.poll(run.id, thread_id=thread.id)
    assert run.status == "completed"
    assert run.usage is not None
    assert run.usage.total_tokens > 0
    answer = threads.messages.list(thread.id).data[0]
    assert_valid("MessageObject", json.loads(answer.to_json()))
    assert (answer.role, answer.run_id, answer.assistant_id) == ("assistant", run.id, assistant.id)
    assert answer.content[0].text.value == "42"  # type: ignore[union-attr]
    [step] = threads.runs.steps.list(run.id, thread_id=thread.id)
    assert (step.type, step.status) == ("message_creation", "completed")
    raw_step = threads.runs.steps.with_raw_response.retrieve(step.id, run_id=run.id, thread_id=thread.id)
    assert_valid("RunStepObject", raw_step.http_response.json())
    assert [item.id for item in threads.runs.list(thread.id)] == [run.id]
    assert threads.runs.update(run.id, thread_id=thread.id, metadata={"a": "b"}).metadata == {"a": "b"}


def test_a_run_waits_for_its_tools(quick_client: OpenAI, assistant: Any) -> None:
    runs = quick_client.beta.threads.runs
    tools: Any = [WEATHER]
    run = quick_client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id,
        tools=tools,
        thread={"messages": [{"role": "user", "content": "What's the weather in Paris?"}]},
    )
    assert run.status == "requires_action"
    assert_valid("RunObject", json.loads(run.to_json()))
    assert run.required_action is not None
    [call] = run.required_action.submit_tool_outputs.tool_calls
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    with pytest.raises(BadRequestError, match="Expected tool outputs for call_ids"):
        runs.submit_tool_outputs(run.id, thread_id=run.thread_id, tool_outputs=[])

    outputs: Any = [{"tool_call_id": call.id, "output": '{"temp": 20}'}]
    run = runs.submit_tool_outputs_and_poll(run_id=run.id, thread_id=run.thread_id, tool_outputs=outputs)
    assert run.status == "completed"
    answer = quick_client.beta.threads.messages.list(run.thread_id).data[0]
    assert answer.content[0].text.value == "get_weather says: temp: 20."  # type: ignore[union-attr]
    assert [step.type for step in runs.steps.list(run.id, thread_id=run.thread_id, order="asc")] == [
        "tool_calls",
        "message_creation",
    ]
    with pytest.raises(BadRequestError, match="do not accept tool outputs"):
        runs.submit_tool_outputs(run.id, thread_id=run.thread_id, tool_outputs=outputs)


def test_a_run_streams_its_story(quick_client: OpenAI, quick_sandbox: SandboxProcess, assistant: Any) -> None:
    thread = quick_client.beta.threads.create(messages=[{"role": "user", "content": "Count from 1 to 3."}])
    with quick_client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id) as stream:
        assert "".join(stream.text_deltas) == "1 2 3"
        contents = [message.content[0] for message in stream.get_final_messages()]
        assert [content.text.value for content in contents] == ["1 2 3"]  # type: ignore[union-attr]

    answer = quick_sandbox.post(
        "/threads/runs",
        {"assistant_id": assistant.id, "stream": True, "thread": {"messages": [{"role": "user", "content": "Hi"}]}},
    )
    events = [block.split("\n") for block in answer.text.strip().split("\n\n")]
    names = [lines[0].removeprefix("event: ") for lines in events]
    assert names[:4] == ["thread.created", "thread.run.created", "thread.run.queued", "thread.run.in_progress"]
    assert names[-4:] == ["thread.message.completed", "thread.run.step.completed", "thread.run.completed", "done"]
    assert events[-1][1] == "data: [DONE]"
    for name, data in events[:-1]:
        told = {"event": name.removeprefix("event: "), "data": json.loads(data.removeprefix("data: "))}
        assert_valid("AssistantStreamEvent", told)


def test_streamed_tool_calls(quick_client: OpenAI, assistant: Any) -> None:
    tools: Any = [WEATHER]
    thread = quick_client.beta.threads.create(messages=[{"role": "user", "content": "The weather in Rome?"}])
    with quick_client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id, tools=tools) as stream:
        names = [event.event for event in stream]
        run = stream.current_run
    assert names[-1] == "thread.run.requires_action"
    assert run is not None
    assert run.required_action is not None
    call = run.required_action.submit_tool_outputs.tool_calls[0]
    with quick_client.beta.threads.runs.submit_tool_outputs_stream(
        run_id=run.id, thread_id=thread.id, tool_outputs=[{"tool_call_id": call.id, "output": "sunny"}]
    ) as stream:
        assert "".join(stream.text_deltas) == "get_weather says: sunny."


def test_a_run_can_be_cancelled(client: OpenAI) -> None:
    assistant = client.beta.assistants.create(model="gpt-4o-mini")
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
    run = client.beta.threads.runs.create(thread.id, assistant_id=assistant.id)
    assert client.beta.threads.runs.cancel(run.id, thread_id=thread.id).status == "cancelling"
    assert client.beta.threads.runs.retrieve(run.id, thread_id=thread.id).status == "cancelled"
    with pytest.raises(BadRequestError, match="Cannot cancel run"):
        client.beta.threads.runs.cancel(run.id, thread_id=thread.id)


def test_a_run_fails_on_request(quick_client: OpenAI, assistant: Any) -> None:
    run = quick_client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id,
        thread={"messages": [{"role": "user", "content": "Hi [[sandbox: status=429]]"}]},
    )
    assert run.status == "failed"
    assert run.last_error is not None
    assert run.last_error.code == "rate_limit_exceeded"
