"""Requests of Anthropic's, Google's and the Responses API's own clients, for any provider."""

import json

import pytest

from providers.dialects import anthropic, chat, gemini, responses
from providers.dialects.failures import DialectError
from providers.dialects.neutral import Settings
from tests.support.dialect_cases import PNG, to_anthropic, to_chat, to_gemini, to_responses
from tests.support.openapi import assert_valid
from tests.support.vendor_specs import assert_anthropic, assert_gemini

AGENT = {
    "model": "claude-opus-5-5",
    "max_tokens": 32000,
    "system": [{"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "metadata": {"user_id": "user_abc"},
    "thinking": {"type": "enabled", "budget_tokens": 9000},
    "context_management": {"edits": []},
    "stream": True,
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "tools": [
        {
            "name": "Bash",
            "description": "Runs a command.",
            "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}},
        }
    ],
    "messages": [
        {"role": "user", "content": "List files."},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "ls.", "signature": "S=="},
                {"type": "text", "text": "Sure."},
                {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}},
                {"type": "tool_use", "id": "toolu_2", "name": "Bash", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [
                        {"type": "text", "text": "a.txt"},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                    ],
                },
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "no", "is_error": True},
                {
                    "type": "text",
                    "text": "<system-reminder>x</system-reminder>",
                    "cache_control": {"type": "ephemeral"},
                },
            ],
        },
    ],
}


def test_an_agents_messages_for_a_chat_model():
    request = anthropic.read_request(AGENT)
    body = to_chat(request, "gpt-5.4", vendor="openai")
    assert_valid("CreateChatCompletionRequest", body)
    assert [message["role"] for message in body["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
        "user",
        "user",
    ]
    assert body["messages"][3]["content"] == "a.txt"
    assert body["messages"][4]["content"] == "Error: no"
    assert body["messages"][5]["content"][1]["type"] == "image_url"  # tool messages take text only
    assert (body["reasoning_effort"], body["max_completion_tokens"]) == ("high", 32000)
    assert (body["parallel_tool_calls"], body["user"]) == (False, "user_abc")
    assert body["stream_options"] == {"include_usage": True}


def test_an_agents_messages_for_gemini_and_responses():
    request = anthropic.read_request(AGENT)
    body = to_gemini(request)
    assert_gemini("GenerateContentRequest", body)
    calls = body["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in calls] == [None, "skip_thought_signature_validator", None]
    kinds = [next(iter(part)) for part in body["contents"][2]["parts"]]
    assert kinds == ["functionResponse", "functionResponse", "inlineData", "text"]
    assert_valid("CreateResponse", to_responses(request))


def test_anthropics_own_words_come_back():
    """Through the neutral form and back: as a retry on another account would send it, with other names for tools."""
    body = to_anthropic(anthropic.read_request(AGENT), "claude-opus-4-6")
    assert_anthropic("CreateMessageParams", body)
    assert body["messages"][1]["content"] == AGENT["messages"][1]["content"]
    assert body["system"] == AGENT["system"]
    assert body["tool_choice"] == AGENT["tool_choice"]
    assert body["metadata"] == AGENT["metadata"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "messages[0].content[0].type"),
        ({"tools": [{"type": "computer_20251124", "name": "computer"}]}, "tools[0].type"),
        ({"tool_choice": {"type": "maybe"}}, "tool_choice.type"),
        ({"thinking": {"type": "maybe"}}, "thinking.type"),
        ({"stop_sequences": "x", "temperature": []}, "temperature"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
    ],
)
def test_a_wrong_field_of_messages_is_named(fields, param):
    with pytest.raises(DialectError) as refused:
        anthropic.read_request({"messages": [{"role": "user", "content": "hi"}], **fields})
    assert refused.value.param == param


GOOGLE = {
    "system_instruction": {"parts": [{"text": "Be kind."}]},
    "contents": [
        {"role": "user", "parts": [{"text": "hi"}, {"inline_data": {"mime_type": "image/png", "data": PNG}}]},
        {
            "role": "model",
            "parts": [
                {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "U0lH"},
                {"functionCall": {"name": "f", "args": {"a": 2}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "f", "response": {"result": "one"}}},
                {"functionResponse": {"name": "f", "response": {"deep": {"x": 1}}}},
            ],
        },
    ],
    "tools": [
        {
            "functionDeclarations": [
                {
                    "name": "f",
                    "description": "d",
                    "parameters": {
                        "type": "OBJECT",
                        "properties": {"a": {"type": "INTEGER", "nullable": True}, "type": {"type": "STRING"}},
                    },
                }
            ]
        }
    ],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    "generationConfig": {
        "temperature": 0.5,
        "maxOutputTokens": 100,
        "stopSequences": ["x"],
        "thinkingConfig": {"thinkingBudget": 0},
        "responseMimeType": "application/json",
        "responseSchema": {"type": "OBJECT", "properties": {"n": {"type": "NUMBER"}}},
    },
}


def test_a_google_client_for_every_provider():
    request = gemini.read_request(GOOGLE, "m")
    body = to_chat(request)
    assert_valid("CreateChatCompletionRequest", body)
    calls = body["messages"][2]["tool_calls"]
    assert [call["id"] for call in calls] == [message["tool_call_id"] for message in body["messages"][3:]]
    assert [message["content"] for message in body["messages"][3:]] == ["one", '{"deep":{"x":1}}']
    schema = body["tools"][0]["function"]["parameters"]
    assert schema["properties"] == {"a": {"type": ["integer", "null"]}, "type": {"type": "string"}}
    assert body["response_format"]["json_schema"]["schema"]["properties"] == {"n": {"type": "number"}}
    request.format = None
    assert_anthropic("CreateMessageParams", to_anthropic(request))
    again = to_gemini(gemini.read_request(GOOGLE, "m"))
    assert_gemini("GenerateContentRequest", again)
    assert again["contents"][1]["parts"][0]["thoughtSignature"] == "U0lH"
    counted = gemini.read_request({"generateContentRequest": {"model": "models/m", **GOOGLE}})
    assert len(counted.messages) == 3


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"contents": []}, "contents"),
        ({"contents": [{"role": "cook", "parts": []}]}, "contents[0].role"),
        ({"tools": [{"codeExecution": {}}]}, "tools[0].codeExecution"),
        ({"generationConfig": {"temperature": "hot"}}, "generationConfig.temperature"),
        ({"generationConfig": {"max_output_tokens": "x"}}, "generationConfig.maxOutputTokens"),
    ],
)
def test_a_wrong_field_of_googles_is_named(fields, param):
    with pytest.raises(DialectError) as refused:
        gemini.read_request({"contents": [{"parts": [{"text": "hi"}]}], **fields})
    assert refused.value.param == param


CODEX = {
    "model": "m",
    "instructions": "You are a coding agent.",
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "k",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "text": {"verbosity": "low"},
    "tools": [
        {
            "type": "function",
            "name": "shell",
            "strict": False,
            "parameters": {"type": "object", "properties": {"command": {"type": "array", "items": {"type": "string"}}}},
        },
        {
            "type": "custom",
            "name": "apply_patch",
            "description": "Edits files.",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"},
        },
        {
            "type": "namespace",
            "name": "mcp",
            "description": "d",
            "tools": [{"type": "function", "name": "look", "parameters": {}, "strict": False}],
        },
        {"type": "web_search"},
    ],
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "<permissions>"}]},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "fix it"},
                {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"},
            ],
        },
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "Hm."}],
            "encrypted_content": "gatehouse.anthropic.S==",
        },
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Looking."}]},
        {"type": "function_call", "call_id": "c1", "name": "shell", "arguments": '{"command":["ls"]}'},
        {"type": "custom_tool_call", "call_id": "c2", "name": "apply_patch", "input": "*** Begin"},
        {"type": "function_call", "call_id": "c3", "name": "look", "namespace": "mcp", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "a.txt"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "Done"},
        {"type": "function_call_output", "call_id": "c3", "output": [{"type": "input_text", "text": "x"}]},
    ],
}


def test_a_coding_agents_responses_for_claude():
    request = responses.read_request(CODEX)
    body = to_anthropic(request)
    assert_anthropic("CreateMessageParams", body)
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    blocks = body["messages"][1]["content"]
    assert blocks[0] == {"type": "thinking", "thinking": "Hm.", "signature": "S=="}
    assert [block["type"] for block in blocks] == ["thinking", "text", "tool_use", "tool_use", "tool_use"]
    assert (blocks[3]["input"], blocks[4]["name"]) == ({"input": "*** Begin"}, "mcp__look")
    assert [tool["name"] for tool in body["tools"]] == ["shell", "apply_patch", "mcp__look", "web_search"]
    assert "lark" in body["tools"][1]["description"]
    assert [block["text"] for block in body["system"]] == ["You are a coding agent.", "<permissions>"]


def test_a_coding_agents_responses_for_gemini_and_chat():
    request = responses.read_request(CODEX)
    body = to_gemini(request)
    assert_gemini("GenerateContentRequest", body)
    assert body["tools"][1] == {"googleSearch": {}}
    written = json.loads(json.dumps(to_chat(request)))
    assert_valid("CreateChatCompletionRequest", written)
    assert [tool["function"]["name"] for tool in written["tools"]] == ["shell", "apply_patch", "mcp__look"]
    assert_valid("CreateResponse", to_responses(request))


def test_history_goes_before_the_input():
    earlier = [
        {"role": "user", "content": "one"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "two"}]},
    ]
    body = to_chat(responses.read_request({"input": "three", "previous_response_id": "resp_1"}, earlier))
    assert [message["content"] for message in body["messages"]] == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": [{"type": "computer_call"}]}, "input[0].type"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}, "tools[0].type"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"reasoning": {"effort": "much"}}, "reasoning.effort"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
    ],
)
def test_a_wrong_field_of_responses_is_named(fields, param):
    with pytest.raises(DialectError) as refused:
        responses.read_request({"input": "hi", **fields})
    assert refused.value.param == param


def test_a_chat_server_drops_what_it_does_not_know_and_says_so():
    request = responses.read_request({"input": "hi", "tools": [{"type": "web_search"}], "metadata": {"a": "b"}})
    written = chat.write_request(request, Settings(model="llama", vendor="together-ai"))
    assert sorted(written.dropped) == ["metadata", "tools[0]"]
