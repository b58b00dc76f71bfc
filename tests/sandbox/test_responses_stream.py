"""Streams of responses: every event valid, numbered, and in OpenAI's order."""

from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

from tests.sandbox.test_responses import WEATHER
from tests.support import sse
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

MODEL = "gpt-4o-mini"
PATH = "/responses"
MESSAGE = [
    *("output_item.added", "content_part.added", "output_text.delta", "output_text.done"),
    *("content_part.done", "output_item.done"),
]
CALL = [
    *("output_item.added", "function_call_arguments.delta", "function_call_arguments.done"),
    "output_item.done",
]


def events(sandbox: SandboxProcess, text: str, **options: Any) -> list[dict[str, Any]]:
    return sse.responses(sandbox.post(PATH, {"model": MODEL, "input": text, "stream": True, **options}))


def between(found: list[dict[str, Any]]) -> list[str]:
    """The types without the two that begin and the one that ends a stream."""
    names = sse.types(found)
    assert names[:2] == ["created", "in_progress"]
    return names[2:-1]


def test_a_message(sandbox: SandboxProcess) -> None:
    found = events(sandbox, "Count from 1 to 3")

    assert between(found) == MESSAGE
    assert [event["delta"] for event in found if event["type"].endswith("text.delta")] == ["1", " 2", " 3"]
    first, last = found[0]["response"], found[-1]["response"]
    assert (first["status"], first["output"], first["usage"]) == ("in_progress", [], None)
    assert (last["status"], last["output"][0]["content"][0]["text"]) == ("completed", "1 2 3")
    assert last["id"] == first["id"]
    assert last["usage"]["output_tokens"] == 3
    assert found[-2]["item"] == last["output"][0]


def test_the_plain_answer_is_the_streams_last(sandbox: SandboxProcess) -> None:
    last = events(sandbox, "Tell me something")[-1]["response"]
    plain = sandbox.post(PATH, {"model": MODEL, "input": "Tell me something"}).json()

    def without_ids(body: dict[str, Any]) -> dict[str, Any]:
        [item] = body["output"]
        rest = {name: value for name, value in body.items() if name not in ("id", "created_at", "completed_at")}
        return {**rest, "output": [{**item, "id": ""}]}

    assert without_ids(last) == without_ids(plain)


def test_function_calls(sandbox: SandboxProcess) -> None:
    found = events(sandbox, "Weather in Paris and Rome?", tools=[WEATHER])

    assert between(found) == CALL * 2
    done = [event for event in found if event["type"] == "response.function_call_arguments.done"]
    assert [(event["name"], event["arguments"]) for event in done] == [
        ("get_weather", '{"city":"Paris"}'),
        ("get_weather", '{"city":"Rome"}'),
    ]
    pieces = [event for event in found if event["type"].endswith("arguments.delta") and event["output_index"] == 1]
    assert "".join(event["delta"] for event in pieces) == '{"city":"Rome"}'


def test_a_custom_tools_input(sandbox: SandboxProcess) -> None:
    found = events(sandbox, "use the shell", tools=[{"type": "custom", "name": "run_shell"}])
    assert between(found) == [
        *("output_item.added", "custom_tool_call_input.delta", "custom_tool_call_input.done", "output_item.done"),
    ]


def test_reasoning(sandbox: SandboxProcess) -> None:
    part = [
        *("reasoning_summary_part.added", "reasoning_summary_text.delta", "reasoning_summary_text.done"),
        "reasoning_summary_part.done",
    ]
    found = events(sandbox, "Why?", model="o4-mini", reasoning={"summary": "detailed"})
    assert between(found) == ["output_item.added", *part, *part, "output_item.done", *MESSAGE]
    assert between(events(sandbox, "Why?", model="o4-mini"))[:2] == ["output_item.added", "output_item.done"]


@pytest.mark.parametrize(
    ("tool", "text", "middle"),
    [
        (
            {"type": "web_search"},
            "news",
            ["web_search_call.in_progress", "web_search_call.searching", "web_search_call.completed"],
        ),
        (
            {"type": "file_search", "vector_store_ids": ["vs_1"]},
            "files",
            ["file_search_call.in_progress", "file_search_call.searching", "file_search_call.completed"],
        ),
        (
            {"type": "code_interpreter", "container": {"type": "auto"}},
            "python",
            [
                *("code_interpreter_call.in_progress", "code_interpreter_call_code.delta"),
                *("code_interpreter_call_code.done", "code_interpreter_call.interpreting"),
                "code_interpreter_call.completed",
            ],
        ),
        (
            {"type": "image_generation", "size": "64x64", "partial_images": 2},
            "draw",
            [
                *("image_generation_call.in_progress", "image_generation_call.generating"),
                *("image_generation_call.partial_image", "image_generation_call.partial_image"),
                "image_generation_call.completed",
            ],
        ),
    ],
)
def test_built_in_tools(sandbox: SandboxProcess, tool: dict[str, Any], text: str, middle: list[str]) -> None:
    names = between(events(sandbox, text, tools=[tool]))

    assert names[: len(middle) + 2] == ["output_item.added", *middle, "output_item.done"]
    rest = [name for name in names[len(middle) + 2 :] if name != "output_text.annotation.added"]
    assert rest == MESSAGE


def test_annotations_come_before_the_text_is_done(sandbox: SandboxProcess) -> None:
    names = between(events(sandbox, "news", tools=[{"type": "web_search"}]))
    assert names[names.index("output_text.annotation.added") + 1] == "output_text.done"


def test_mcp(sandbox: SandboxProcess) -> None:
    tool = {"type": "mcp", "server_label": "dice", "server_url": "https://dice.example/", "require_approval": "never"}
    assert between(events(sandbox, "roll", tools=[tool]))[:10] == [
        *("output_item.added", "mcp_list_tools.in_progress", "mcp_list_tools.completed", "output_item.done"),
        *("output_item.added", "mcp_call.in_progress", "mcp_call_arguments.delta", "mcp_call_arguments.done"),
        *("mcp_call.completed", "output_item.done"),
    ]


def test_a_refusal(sandbox: SandboxProcess) -> None:
    names = between(events(sandbox, "x [[sandbox: refusal]]"))
    assert names == [name.replace("output_text", "refusal") for name in MESSAGE]


def test_it_ends_incomplete(sandbox: SandboxProcess) -> None:
    found = events(sandbox, "Count from 1 to 40", max_output_tokens=16)
    assert found[-1]["type"] == "response.incomplete"
    assert found[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_it_fails_on_the_way(sandbox: SandboxProcess) -> None:
    found = events(sandbox, "Count from 1 to 9 [[sandbox: fail]]")

    assert "response.output_text.delta" in [event["type"] for event in found]
    assert found[-1]["type"] == "response.failed"
    assert found[-1]["response"]["error"]["code"] == "server_error"


def test_an_error_event_instead_of_an_end(sandbox: SandboxProcess) -> None:
    found = events(sandbox, "Count from 1 to 9 [[sandbox: error-after=4 code=rate_limit_exceeded]]")

    assert len(found) == 5
    assert (found[-1]["type"], found[-1]["code"]) == ("error", "rate_limit_exceeded")


def test_log_probabilities(sandbox: SandboxProcess) -> None:
    found = events(sandbox, "Count from 1 to 2", include=["message.output_text.logprobs"])
    deltas = [event for event in found if event["type"].endswith("text.delta")]
    assert [[item["token"] for item in event["logprobs"]] for event in deltas] == [["1"], [" 2"]]


def test_obfuscation_only_when_asked(sandbox: SandboxProcess) -> None:
    with_it = events(sandbox, "Hi", stream_options={"include_obfuscation": True})
    assert all(("obfuscation" in event) == event["type"].endswith(".delta") for event in with_it)
    assert not any("obfuscation" in event for event in events(sandbox, "Hi"))


def test_the_sdk_assembles_it(client: OpenAI) -> None:
    with client.responses.stream(model=MODEL, input="Count from 1 to 5", tools=[]) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_response()
    assert final.output_text == "1 2 3 4 5"
    assert "response.output_text.delta" in kinds


async def test_the_async_sdk_streams_too(running_sandbox: SandboxProcess) -> None:
    client: AsyncOpenAI = running_sandbox.async_client()
    async with client:
        stream = await client.responses.create(model=MODEL, input="Count from 1 to 3", stream=True)
        text = "".join([event.delta async for event in stream if event.type == "response.output_text.delta"])
    assert text == "1 2 3"


def test_it_can_be_fetched_while_it_runs_and_after_its_client_left(sandbox: SandboxProcess, client: OpenAI) -> None:
    stream = client.responses.create(model=MODEL, input="Go on [[sandbox: endless token-delay=1]]", stream=True)
    first = next(iter(stream))
    assert first.type == "response.created"
    assert client.responses.retrieve(first.response.id).status == "in_progress"

    stream.close()
    wait_until(lambda: client.responses.retrieve(first.response.id).status == "cancelled")
    wait_until(lambda: sandbox.stats()["active_streams"] == 0)
