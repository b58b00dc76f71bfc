"""Responses through the SDK: what may be sent, what comes back, and what is refused."""

import base64
import json
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI
from pydantic import BaseModel

from tests.support.openapi import assert_valid, properties
from tests.support.sandbox_process import SandboxProcess

MODEL = "gpt-4o-mini"
PIXEL = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(200)).decode()
WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the current weather for a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


def ask(client: OpenAI, question: Any, **options: Any) -> Any:
    """The parsed response, after validating what came over the wire."""
    raw = client.responses.with_raw_response.create(**{"model": MODEL, "input": question, **options})
    assert_valid("Response", raw.http_response.json())
    return raw.parse()


def refused(client: OpenAI, question: Any, **options: Any) -> Any:
    with pytest.raises(BadRequestError) as caught:
        ask(client, question, **options)
    return caught.value


def user(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


class TestPlain:
    def test_every_field_is_there(self, client: OpenAI) -> None:
        answer = ask(client, "Hello, how are you?", instructions="Be kind.", metadata={"a": "b"}, user="u1")

        assert answer.output_text == "Hello! How can I assist you today?"
        assert (answer.object, answer.status, answer.error) == ("response", "completed", None)
        assert answer.id.startswith("resp_")
        assert answer.output[0].id.startswith("msg_")
        assert answer.model == "gpt-4o-mini-2024-07-18"
        assert (answer.instructions, answer.metadata, answer.user) == ("Be kind.", {"a": "b"}, "u1")
        assert (answer.service_tier, answer.truncation, answer.tool_choice) == ("default", "disabled", "auto")
        assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
        assert answer.usage.input_tokens_details.cached_tokens == 0

    def test_every_field_of_the_description_is_there(self, sandbox: SandboxProcess) -> None:
        answer = sandbox.post("/responses", {"model": MODEL, "input": "hi"}).json()
        # The description says of this one that only the SDKs add it.
        assert properties("Response") - {"output_text"} <= set(answer)

    def test_what_codex_adds_is_accepted(self, sandbox: SandboxProcess) -> None:
        body = {"model": MODEL, "input": "hi", "client_metadata": {"x-codex-installation-id": "1"}}
        assert sandbox.post("/responses", body).status_code == 200

    async def test_the_async_sdk_works_too(self, running_sandbox: SandboxProcess) -> None:
        client: AsyncOpenAI = running_sandbox.async_client()
        async with client:
            answer = await client.responses.create(model=MODEL, input="Count from 1 to 3")
            assert answer.output_text == "1 2 3"

    def test_items_with_roles(self, client: OpenAI) -> None:
        items = [
            {"role": "system", "content": "You are terse."},
            {"role": "developer", "content": [{"type": "input_text", "text": "Very terse."}]},
            {"role": "user", "content": "Count from 1 to 2"},
            {"role": "assistant", "content": "1 2"},
            {"type": "message", "role": "user", "content": "Count from 3 to 4"},
        ]
        assert ask(client, items).output_text == "3 4"

    def test_a_limit_makes_it_incomplete(self, client: OpenAI) -> None:
        answer = ask(client, "Count from 1 to 40", max_output_tokens=16)

        assert answer.status == "incomplete"
        assert answer.incomplete_details.reason == "max_output_tokens"
        assert answer.output[0].status == "incomplete"
        assert answer.usage.output_tokens == 16

    def test_a_refusal(self, client: OpenAI) -> None:
        answer = ask(client, "x [[sandbox: refusal]]")
        assert answer.output[0].content[0].refusal.startswith("I'm sorry")

    def test_a_failure(self, client: OpenAI) -> None:
        answer = ask(client, "x [[sandbox: fail code=rate_limit_exceeded message=Too_fast]]")

        assert (answer.status, answer.output) == ("failed", [])
        assert (answer.error.code, answer.error.message) == ("rate_limit_exceeded", "Too fast")

    def test_log_probabilities_when_included(self, client: OpenAI) -> None:
        answer = ask(client, "Count from 1 to 3", include=["message.output_text.logprobs"], top_logprobs=2)

        listed = answer.output[0].content[0].logprobs
        assert "".join(item.token for item in listed) == "1 2 3"
        assert [len(item.top_logprobs) for item in listed] == [2, 2, 2]

    def test_caching_by_key(self, client: OpenAI) -> None:
        first, second = (
            ask(client, "What should I check?", prompt_cache_key="responses-key", instructions="Check. " * 30)
            for _ in range(2)
        )
        assert first.usage.input_tokens_details.cached_tokens == 0
        assert 0 < second.usage.input_tokens_details.cached_tokens <= second.usage.input_tokens
        assert second.prompt_cache_key == "responses-key"

    def test_usage_as_wished(self, client: OpenAI) -> None:
        usage = ask(client, "x [[sandbox: input_tokens=7 cached_tokens=3 reasoning_tokens=2]]").usage
        assert (usage.input_tokens, usage.input_tokens_details.cached_tokens) == (7, 3)
        assert usage.total_tokens == 7 + usage.output_tokens
        assert ask(client, "x [[sandbox: no-usage]]").usage is None

    def test_a_prompt_template_stands_in_for_input(self, client: OpenAI) -> None:
        raw = client.responses.with_raw_response.create(prompt={"id": "pmpt_1", "variables": {"city": "Rome"}})
        assert "Prompt pmpt_1: city=Rome" in raw.parse().output_text

    def test_the_models_are_those_of_this_endpoint(self, client: OpenAI) -> None:
        assert refused(client, "x", model="nope").code == "model_not_found"
        assert ask(client, "x", model="o1-pro").status == "completed"
        assert refused(client, "x", model="text-embedding-3-small").status_code == 400


class TestAttachments:
    def test_a_picture(self, client: OpenAI) -> None:
        text, image = {"type": "input_text", "text": "What is this?"}, {"type": "input_image", "image_url": PIXEL}
        answer = ask(client, user(text, image))

        assert "an image (image/png, 208 bytes)" in answer.output_text
        low = ask(client, user(text, {**image, "detail": "low"}))
        assert answer.usage.input_tokens - low.usage.input_tokens == 680

    def test_a_file(self, client: OpenAI) -> None:
        data = "data:application/pdf;base64," + base64.b64encode(b"%PDF-1.4 " + bytes(91)).decode()
        answer = ask(client, user({"type": "input_file", "filename": "a.pdf", "file_data": data}))
        assert "a file (a.pdf, application/pdf, 100 bytes)" in answer.output_text

    def test_by_address(self, client: OpenAI) -> None:
        answer = ask(
            client,
            user(
                {"type": "input_image", "image_url": "https://example.com/a.jpg"},
                {"type": "input_file", "file_url": "https://example.com/a.pdf"},
            ),
        )
        assert "https://example.com/a.jpg" in answer.output_text
        assert "https://example.com/a.pdf" in answer.output_text

    @pytest.mark.parametrize(
        ("part", "param"),
        [
            ({"type": "text", "text": "x"}, "input[0].content[0]"),
            ({"type": "input_text"}, "input[0].content[0].text"),
            ({"type": "input_image"}, "input[0].content[0].image_url"),
            ({"type": "input_image", "image_url": "ftp://x"}, "input[0].content[0].image_url"),
            ({"type": "input_image", "image_url": "data:image/png;base64,%%%"}, "input[0].content[0].image_url"),
            ({"type": "input_file"}, "input[0].content[0].file_id"),
            ({"type": "input_file", "file_data": "eA=="}, "input[0].content[0].filename"),
        ],
    )
    def test_bad_parts_are_refused(self, client: OpenAI, part: dict[str, Any], param: str) -> None:
        assert refused(client, user(part)).param == param


class TestFormats:
    def test_a_schema_is_satisfied(self, client: OpenAI) -> None:
        class Person(BaseModel):
            name: str
            age: int
            hobbies: list[str]

        parsed = client.responses.parse(model=MODEL, input="Invent a person of 31", text_format=Person)
        assert parsed.output_parsed is not None
        assert parsed.output_parsed.age == 31

    def test_any_json(self, client: OpenAI) -> None:
        answer = ask(client, "Answer in JSON", text={"format": {"type": "json_object"}})
        assert isinstance(json.loads(answer.output_text), dict)
        assert "'json'" in refused(client, "Answer", text={"format": {"type": "json_object"}}).message

    @pytest.mark.parametrize(
        ("form", "param"),
        [
            ({"type": "xml"}, "text.format.type"),
            ({"type": "json_schema", "schema": {}}, "text.format.name"),
            ({"type": "json_schema", "name": "x"}, "text.format.schema"),
            (
                {"type": "json_schema", "name": "x", "strict": True, "schema": {"type": "object", "properties": {}}},
                "text.format.schema",
            ),
        ],
    )
    def test_bad_formats_are_refused(self, client: OpenAI, form: dict[str, Any], param: str) -> None:
        assert refused(client, "json", text={"format": form}).param == param


class TestReasoning:
    def test_it_thinks_in_an_item_of_its_own(self, client: OpenAI) -> None:
        answer = ask(client, "A bat and ball cost $1.10. How much is the ball?", model="o4-mini")

        assert [item.type for item in answer.output] == ["reasoning", "message"]
        assert (answer.output[0].summary, answer.output[0].encrypted_content) == ([], None)
        assert answer.usage.output_tokens_details.reasoning_tokens == 128
        assert answer.reasoning.effort == "medium"

    @pytest.mark.parametrize(("summary", "parts"), [("auto", 1), ("concise", 1), ("detailed", 2)])
    def test_a_summary_on_request(self, client: OpenAI, summary: Any, parts: int) -> None:
        answer = ask(client, "Why?", model="gpt-5", reasoning={"summary": summary, "effort": "low"})
        assert len(answer.output[0].summary) == parts
        assert "Why?" in answer.output[0].summary[0].text

    def test_encrypted_content_on_request(self, client: OpenAI) -> None:
        answer = ask(client, "x", model="gpt-5", include=["reasoning.encrypted_content"], store=False)
        assert answer.output[0].encrypted_content
        again: list[Any] = [
            {"role": "user", "content": "x"},
            *answer.output,
            {"role": "user", "content": "What is 1+1?"},
        ]
        assert ask(client, again, model="gpt-5", store=False).output_text == "2"

    def test_effort_none_thinks_nothing(self, client: OpenAI) -> None:
        answer = ask(client, "x", model="gpt-5.1", reasoning={"effort": "none"})
        assert [item.type for item in answer.output] == ["message"]

    def test_a_small_limit_is_spent_on_thinking(self, client: OpenAI) -> None:
        answer = ask(client, "x", model="o3", max_output_tokens=50)
        assert answer.status == "incomplete"
        assert [item.type for item in answer.output] == ["reasoning"]

    @pytest.mark.parametrize(
        ("model", "options", "param"),
        [
            ("o3", {"temperature": 0.2}, "temperature"),
            ("o3", {"top_p": 0.2}, "top_p"),
            ("o3", {"top_logprobs": 2}, "top_logprobs"),
            ("gpt-4o", {"reasoning": {"effort": "low"}}, "reasoning.effort"),
            ("o3", {"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ],
    )
    def test_what_does_not_fit_is_refused(
        self, client: OpenAI, model: str, options: dict[str, Any], param: str
    ) -> None:
        assert refused(client, "x", model=model, **options).param == param


class TestFunctions:
    def test_a_call_and_its_answer(self, client: OpenAI) -> None:
        first = ask(client, "What's the weather in Bengaluru right now?", tools=[WEATHER])
        [call] = first.output
        assert (call.type, call.name, json.loads(call.arguments)) == (
            "function_call",
            "get_weather",
            {"city": "Bengaluru"},
        )
        result = {"type": "function_call_output", "call_id": call.call_id, "output": '{"temp_c": 28}'}
        second = ask(client, [result], previous_response_id=first.id, tools=[WEATHER])
        assert second.output_text == "get_weather says: temp_c: 28."

    def test_without_state_the_call_is_sent_back(self, client: OpenAI) -> None:
        items: list[Any] = [{"role": "user", "content": "What's the weather in Rome?"}]
        items += ask(client, items, tools=[WEATHER], store=False).output
        items.append({"type": "function_call_output", "call_id": items[-1].call_id, "output": "sunny"})
        assert ask(client, items, tools=[WEATHER], store=False).output_text == "get_weather says: sunny."

    @pytest.mark.parametrize(("parallel", "count"), [(True, 2), (False, 1)])
    def test_parallel_calls(self, client: OpenAI, parallel: bool, count: int) -> None:
        answer = ask(client, "Weather in Paris and Oslo?", tools=[WEATHER], parallel_tool_calls=parallel)
        assert len({item.call_id for item in answer.output}) == count

    def test_a_custom_tool_gets_text(self, client: OpenAI) -> None:
        tool = {"type": "custom", "name": "run_shell", "description": "Runs a shell command."}
        [call] = ask(client, "list files with the shell", tools=[tool]).output
        assert (call.type, call.input) == ("custom_tool_call", "list files with the shell")
        result = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "a.txt"}
        items = [{"role": "user", "content": "x"}, call, result]
        assert ask(client, items, tools=[tool]).output_text == "run_shell says: a.txt."

    @pytest.mark.parametrize(
        ("choice", "kinds"),
        [
            ("none", ["message"]),
            ("required", ["function_call"]),
            ({"type": "function", "name": "get_weather"}, ["function_call"]),
            ({"type": "web_search_preview"}, ["web_search_call", "message"]),
            (
                {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "get_weather"}]},
                ["function_call"],
            ),
            ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search_preview"}]}, ["message"]),
        ],
    )
    def test_tool_choice(self, client: OpenAI, choice: Any, kinds: list[str]) -> None:
        tools = [WEATHER, {"type": "web_search_preview"}]
        answer = ask(client, "Tell me a joke", tools=tools, tool_choice=choice)
        assert [item.type for item in answer.output] == kinds

    @pytest.mark.parametrize(
        ("options", "param"),
        [
            ({"tools": [{"type": "function", "function": {"name": "x"}}]}, "tools[0].name"),
            ({"tools": [{"type": "telepathy"}]}, "tools[0].type"),
            ({"tools": [{"type": "file_search"}]}, "tools[0].vector_store_ids"),
            ({"tools": [{"type": "code_interpreter"}]}, "tools[0].container"),
            ({"tools": [{**WEATHER, "parameters": {"type": "object", "properties": {}}}]}, "tools[0].parameters"),
            ({"tools": [WEATHER], "tool_choice": "sometimes"}, "tool_choice"),
            ({"tools": [WEATHER], "tool_choice": {"type": "function", "name": "nope"}}, "tool_choice"),
            ({"tools": [WEATHER], "tool_choice": {"type": "file_search"}}, "tool_choice"),
            ({"tool_choice": "required"}, "tool_choice"),
        ],
    )
    def test_bad_tools_are_refused(self, client: OpenAI, options: dict[str, Any], param: str) -> None:
        assert refused(client, "hi", **options).param == param

    def test_calls_and_outputs_must_match(self, client: OpenAI) -> None:
        output = {"type": "function_call_output", "call_id": "call_9", "output": "x"}
        call = {"type": "function_call", "call_id": "call_8", "name": "f", "arguments": "{}"}
        assert "No tool call found for function call output with call_id call_9" in refused(client, [output]).message
        assert "No tool output found for function call call_8" in refused(client, [call]).message


class TestBuiltInTools:
    def test_web_search_cites_its_source(self, client: OpenAI) -> None:
        answer = ask(client, "Search the web for cats", tools=[{"type": "web_search"}])

        assert [item.type for item in answer.output] == ["web_search_call", "message"]
        content = answer.output[1].content[0]
        [citation] = content.annotations
        assert citation.url in content.text[citation.start_index : citation.end_index]
        assert answer.output[0].action.sources is None

    def test_results_when_included(self, client: OpenAI) -> None:
        tools = [
            {"type": "web_search"},
            {"type": "file_search", "vector_store_ids": ["vs_1"]},
            {"type": "code_interpreter", "container": {"type": "auto"}},
        ]
        question = "Search my files, compute 6*7"
        hidden = ask(client, question, tools=tools).output
        assert (hidden[1].results, hidden[2].outputs) == (None, None)
        assert hidden[2].code == "print(6 * 7)"
        include = ["web_search_call.action.sources", "file_search_call.results", "code_interpreter_call.outputs"]
        web, files, code, _ = ask(client, question, tools=[{"type": "web_search"}, *tools[1:]], include=include).output
        assert web.action.sources[0].url.startswith("https://example.com/")
        assert "vs_1" in files.results[0].text
        assert code.outputs[0].logs == "42\n"

    def test_the_code_interpreters_container_is_there(self, client: OpenAI, sandbox: SandboxProcess) -> None:
        file = client.files.create(file=("a.csv", b"1,2"), purpose="assistants").id
        tool = {"type": "code_interpreter", "container": {"type": "auto", "file_ids": [file], "memory_limit": "4g"}}
        used = ask(client, "compute 6*7", tools=[tool]).output[0].container_id
        container = sandbox.get(f"/containers/{used}").json()
        assert_valid("ContainerResource", container)
        assert (container["id"], container["status"], container["memory_limit"]) == (used, "running", "4g")
        assert [file.path for file in client.containers.files.list(used)] == ["/mnt/data/a.csv"]
        again = ask(client, "compute 6*7", tools=[{"type": "code_interpreter", "container": used}]).output[0]
        assert again.container_id == used

    def test_a_picture_is_drawn(self, client: OpenAI) -> None:
        tools = [{"type": "image_generation", "size": "64x48"}]
        call, _ = ask(client, "Draw a cat", tools=tools).output
        assert base64.b64decode(call.result).startswith(b"\x89PNG")
        assert call.size == "64x48"

    def test_mcp_asks_before_it_calls(self, client: OpenAI) -> None:
        tool = {"type": "mcp", "server_label": "dice", "server_url": "https://dice.example/", "allowed_tools": ["roll"]}
        first = ask(client, "Roll 2d4 on the server", tools=[tool])
        assert [item.type for item in first.output] == ["mcp_list_tools", "mcp_approval_request"]

        yes = {"type": "mcp_approval_response", "approval_request_id": first.output[1].id, "approve": True}
        second = ask(client, [yes], previous_response_id=first.id, tools=[tool])
        assert [item.type for item in second.output] == ["mcp_call", "message"]
        assert second.output[0].name == "roll"
        assert ask(client, "Roll 2d4", tools=[{**tool, "require_approval": "never"}]).output[1].type == "mcp_call"

    def test_a_computer_is_looked_at(self, client: OpenAI) -> None:
        tool = {"type": "computer_use_preview", "environment": "linux", "display_width": 640, "display_height": 480}
        answer = ask(client, "Open the browser", model="computer-use-preview", tools=[tool])
        assert answer.output[-1].type == "computer_call"

    def test_a_limit_on_their_calls(self, client: OpenAI) -> None:
        tools = [{"type": "web_search"}, {"type": "file_search", "vector_store_ids": ["vs_1"]}]
        answer = ask(client, "Search for cats", tools=tools, max_tool_calls=1)
        assert [item.type for item in answer.output] == ["web_search_call", "message"]


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"max_output_tokens": 5}, "max_output_tokens"),
        ({"include": ["everything"]}, "include[0]"),
        ({"extra_body": {"include": 5}}, "include"),
        ({"input": [{"type": ["message"]}]}, "input[0].type"),
        ({"input": [{"type": "reasoning", "summary": ["x"]}]}, "input[0].summary[0]"),
        ({"input": [{"type": "function_call", "call_id": {}}]}, "input[0].call_id"),
        ({"truncation": "maybe"}, "truncation"),
        ({"extra_body": {"messages": []}}, "messages"),
        ({"stream_options": {"include_obfuscation": True}}, "stream_options"),
        ({"background": True, "store": False}, "store"),
        ({"input": [{"type": "telepathy"}]}, "input[0]"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": 7}, "input"),
        ({"metadata": {"a": "x" * 513}}, "metadata"),
        ({"previous_response_id": "resp_0", "conversation": "conv_0"}, "previous_response_id"),
    ],
)
def test_bad_requests_are_refused(client: OpenAI, options: dict[str, Any], param: str) -> None:
    assert refused(client, options.pop("input", "hi"), **options).param == param


def test_a_file_must_exist(client: OpenAI) -> None:
    with pytest.raises(NotFoundError, match="file-unknown"):
        ask(client, user({"type": "input_file", "file_id": "file-unknown"}))
    made = client.files.create(file=("note.txt", b"Hello"), purpose="user_data")
    answer = ask(client, user({"type": "input_file", "file_id": made.id}, {"type": "input_text", "text": "Read"}))
    assert "note.txt" in answer.output_text
