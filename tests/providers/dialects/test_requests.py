"""What vendors get: each known bug of translation, the body valid by the vendor's own description."""

import json

import pytest

from providers.dialects import anthropic, chat, gemini, responses
from providers.dialects.failures import DialectError
from providers.dialects.neutral import Cache, Media, Settings
from tests.support.dialect_cases import (
    PNG,
    WEATHER,
    ask,
    called,
    to_anthropic,
    to_chat,
    to_gemini,
    to_responses,
)
from tests.support.openapi import assert_valid
from tests.support.vendor_specs import assert_anthropic, assert_gemini

TALK = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/jpg;base64,{PNG}", "detail": "low"}}]},
    called(("call_1", "get_weather", '{"city":"Rome"}'), ("call_2", "get_weather", "")),
    {"role": "tool", "tool_call_id": "call_2", "content": "rain"},
    {"role": "tool", "tool_call_id": "call_1", "content": '{"sky": "clear"}'},
    {"role": "user", "content": "And now?"},
]  # fmt: skip


@pytest.mark.parametrize(
    "model", ["claude-3-haiku-20240307", "claude-sonnet-4-5", "claude-opus-4-6", "claude-opus-5-5"]
)
def test_anthropic_gets_a_valid_conversation(model):
    body = to_anthropic(ask(messages=TALK, tools=[WEATHER], stop=["END"], user="u1", stream=True), model)
    assert_anthropic("CreateMessageParams", body)
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    results = body["messages"][2]["content"]
    assert [block["type"] for block in results] == ["tool_result", "tool_result", "text"]
    assert [block["tool_use_id"] for block in results[:2]] == ["call_1", "call_2"]  # in the order of the calls
    assert [block["input"] for block in body["messages"][1]["content"]] == [{"city": "Rome"}, {}]  # "" is {}
    assert body["messages"][0]["content"][1]["source"]["media_type"] == "image/png"  # what the bytes say, not the label
    assert body["system"] == [{"type": "text", "text": "Be kind."}]


@pytest.mark.parametrize("model", ["gemini-1.5-pro", "gemini-2.5-flash", "gemini-3.8-flash", "gemma-3-27b-it"])
def test_gemini_gets_a_valid_conversation(model):
    body = to_gemini(ask(messages=TALK, tools=[WEATHER], stop="END", seed=3, max_tokens=9), model)
    assert_gemini("GenerateContentRequest", body)
    assert [turn["role"] for turn in body["contents"]] == ["user", "model", "user"]
    answers = [part["functionResponse"] for part in body["contents"][2]["parts"] if "functionResponse" in part]
    assert [answer["response"] for answer in answers] == [
        {"sky": "clear"},
        {"output": "rain"},
    ]  # one turn, the calls' order
    assert body["generationConfig"]["mediaResolution"] == "MEDIA_RESOLUTION_LOW"


def test_chat_and_responses_servers_get_a_valid_conversation():
    request = ask(messages=TALK, tools=[WEATHER], max_tokens=50)
    assert_valid("CreateChatCompletionRequest", to_chat(request))
    assert_valid("CreateResponse", to_responses(request))


def test_counting_sends_the_same_conversation():
    request = ask(messages=TALK, tools=[WEATHER])
    assert_anthropic(
        "CountMessageTokensParams",
        json.loads(anthropic.write_count_request(request, Settings(model="claude-opus-5")).body),
    )
    counted = json.loads(gemini.write_count_request(request, Settings(model="gemini-3.8-flash")).body)
    assert_gemini("CountTokensRequest", counted)
    assert counted["generateContentRequest"]["tools"]


@pytest.mark.parametrize(
    ("fields", "choice"),
    [
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": "auto"}, {"type": "auto"}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
            {"type": "tool", "name": "get_weather"},
        ),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
    ],
)
def test_a_tool_choice_for_anthropic(fields, choice):
    body = to_anthropic(ask(tools=[WEATHER], **fields))
    assert body["tool_choice"] == choice
    assert_anthropic("CreateMessageParams", body)


def test_a_tool_choice_for_gemini():
    named = {"type": "function", "function": {"name": "get_weather"}}
    modes = {"none": "NONE", "auto": "AUTO", "required": "ANY"}
    for choice, mode in modes.items():
        config = to_gemini(ask(tools=[WEATHER], tool_choice=choice))["toolConfig"]["functionCallingConfig"]
        assert config == {"mode": mode}
    config = to_gemini(ask(tools=[WEATHER], tool_choice=named))["toolConfig"]["functionCallingConfig"]
    assert config == {"mode": "ANY", "allowedFunctionNames": ["get_weather"]}


def test_a_forced_tool_and_thinking_exclude_each_other():
    request = ask(tools=[WEATHER], tool_choice="required", reasoning_effort="high")
    written = anthropic.write_request(request, Settings(model="claude-sonnet-4-5"))
    assert "thinking" not in json.loads(written.body)
    assert written.dropped == ["reasoning_effort"]
    with pytest.raises(DialectError) as refused:
        anthropic.write_request(request, Settings(model="claude-sonnet-4-5", strict=True))
    assert refused.value.param == "reasoning_effort"
    # Where a model thinks unasked, it is told not to; where it cannot stop, the tool is not forced.
    assert to_anthropic(request, "claude-opus-5")["thinking"] == {"type": "disabled"}
    always = anthropic.write_request(request, Settings(model="claude-opus-5-5"))
    assert json.loads(always.body)["tool_choice"] == {"type": "auto"}
    assert always.dropped == ["tool_choice"]


def test_empty_text_never_reaches_anthropic():
    body = to_anthropic(ask(messages=[
        {"role": "system", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": " "}]},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "go"},
        called(("c", "f", "null")),
        {"role": "tool", "tool_call_id": "c", "content": ""},
    ]))  # fmt: skip
    assert_anthropic("CreateMessageParams", body)
    assert body["messages"][0] == {"role": "user", "content": [{"type": "text", "text": "go"}]}
    assert body["messages"][2]["content"][0]["content"] == "(empty)"
    assert body["messages"][1]["content"][0]["input"] == {}
    assert "system" not in body
    only = to_anthropic(ask(messages=[{"role": "user", "content": ""}]))
    assert only["messages"] == [{"role": "user", "content": [{"type": "text", "text": "(empty)"}]}]


def test_system_messages_keep_their_place():
    messages = [
        {"role": "developer", "content": "one"},
        {"role": "user", "content": "a"},
        {"role": "system", "content": "two"},
        {"role": "user", "content": "b"},
    ]
    body = to_anthropic(ask(messages=messages))
    assert [block["text"] for block in body["system"]] == ["one"]
    assert [block["text"] for block in body["messages"][0]["content"]] == ["a", "two", "b"]
    google = to_gemini(ask(messages=messages))
    assert google["systemInstruction"] == {"parts": [{"text": "one"}]}
    assert [part["text"] for part in google["contents"][0]["parts"]] == ["a", "two", "b"]


def test_names_of_tools_are_legal_distinct_and_mapped_back():
    long = "a" * 200
    tools = [{"type": "function", "function": {"name": name}} for name in ("a.b", "a/b", "1st", long, long + "x")]
    for dialect, model, spec in (
        (anthropic, "claude-sonnet-4-5", 128),
        (gemini, "gemini-3.8-flash", 64),
        (chat, "m", 64),
    ):
        written = dialect.write_request(ask(tools=tools), Settings(model=model))
        body = json.loads(written.body)
        sent = [
            tool.get("name") or tool["function"]["name"]
            for tool in (body["tools"][0]["functionDeclarations"] if dialect is gemini else body["tools"])
        ]
        assert len(set(sent)) == 5
        assert all(len(name) <= spec and name.replace("_", "").replace("-", "").isalnum() for name in sent)
        assert {written.names.get(name, name) for name in sent} == {"a.b", "a/b", "1st", long, long + "x"}


def test_ids_that_anthropic_refuses_stay_pairs():
    body = to_anthropic(ask(messages=[
        {"role": "user", "content": "go"},
        called(("a:b", "f", "{}"), ("a.b", "f", "{}")),
        {"role": "tool", "tool_call_id": "a:b", "content": "1"},
        {"role": "tool", "tool_call_id": "a.b", "content": "2"},
    ]))  # fmt: skip
    assert_anthropic("CreateMessageParams", body)
    used = [block["id"] for block in body["messages"][1]["content"]]
    assert [block["tool_use_id"] for block in body["messages"][2]["content"]] == used
    assert len(set(used)) == 2


@pytest.mark.parametrize(
    ("model", "effort", "thinking", "config"),
    [
        ("claude-3-5-sonnet-20241022", "high", None, None),
        ("claude-sonnet-4-5", "low", {"type": "enabled", "budget_tokens": 1024}, None),
        ("claude-sonnet-4-5", "medium", {"type": "enabled", "budget_tokens": 8192}, None),
        ("claude-opus-4-6", "high", {"type": "adaptive", "display": "summarized"}, {"effort": "high"}),
        ("claude-opus-4-6", "xhigh", {"type": "adaptive", "display": "summarized"}, {"effort": "max"}),
        ("claude-opus-4-8", "minimal", {"type": "adaptive", "display": "summarized"}, {"effort": "low"}),
        ("claude-opus-4-8", "none", None, None),
        ("claude-sonnet-5", "none", {"type": "disabled"}, None),
        ("claude-fable-5-2", "none", None, {"effort": "low"}),
        ("us.anthropic.claude-opus-4.5", "low", {"type": "enabled", "budget_tokens": 1024}, None),
        ("claude-opus-9", "high", {"type": "adaptive", "display": "summarized"}, {"effort": "high"}),
    ],
)
def test_an_effort_for_each_claude(model, effort, thinking, config):
    body = to_anthropic(ask(reasoning_effort=effort), model)
    assert body.get("thinking") == thinking
    assert body.get("output_config") == config
    assert_anthropic("CreateMessageParams", body)


@pytest.mark.parametrize(
    ("limit", "budget", "max_tokens", "sent"),
    [(500, 4000, 5024, 4000), (2000, 63000, 64000, 62976), (10_000, 500, 10_000, 1024), (100_000, 2000, 100_000, 2000)],
)
def test_a_budget_leaves_room_for_the_answer(limit, budget, max_tokens, sent):
    body = to_anthropic(ask(max_tokens=limit, thinking={"type": "enabled", "budget_tokens": budget}))
    assert body["max_tokens"] == max_tokens
    assert body["thinking"] == {"type": "enabled", "budget_tokens": sent}


@pytest.mark.parametrize(
    ("model", "fields", "sent", "dropped"),
    [
        ("claude-sonnet-4", {"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5, "top_p": 0.9}, []),
        ("claude-sonnet-4-5", {"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5}, ["top_p"]),
        ("claude-sonnet-4-5", {"temperature": 1.7}, {"temperature": 1.0}, ["temperature"]),
        (
            "claude-sonnet-4-5",
            {"temperature": 0.5, "top_k": 5, "reasoning_effort": "low"},
            {},
            ["temperature", "top_k"],
        ),
        ("claude-opus-4-8", {"temperature": 0.5, "top_k": 5}, {}, ["temperature", "top_k"]),
        ("claude-opus-4-8", {"temperature": 1}, {}, []),
    ],
)
def test_sampling_for_each_claude(model, fields, sent, dropped):
    written = anthropic.write_request(ask(**fields), Settings(model=model))
    body = json.loads(written.body)
    assert {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body} == sent
    assert written.dropped == dropped


def test_the_default_limit_is_the_models_own():
    assert to_anthropic(ask(), "claude-opus-4-8")["max_tokens"] == 128_000
    assert to_anthropic(ask(), "claude-3-haiku-20240307")["max_tokens"] == 4096
    assert to_anthropic(ask(), "claude-opus-4-8", max_output=9000)["max_tokens"] == 9000
    assert to_anthropic(ask(max_completion_tokens=7), "claude-opus-4-8")["max_tokens"] == 7
    assert "maxOutputTokens" not in to_gemini(ask()).get("generationConfig", {})


def test_thinking_goes_back_first_and_as_it_came():
    history = [
        {"role": "user", "content": "go"},
        {**called(("c", "f", "{}")), "reasoning_content": "Hm.", "reasoning_details": [
            {"type": "reasoning.text", "text": "H", "format": "anthropic-claude-v1", "index": 0},
            {"type": "reasoning.text", "text": "m.", "signature": "S==", "format": "anthropic-claude-v1", "index": 0},
            {"type": "reasoning.encrypted", "data": "R==", "format": "anthropic-claude-v1", "index": 1}]},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ]  # fmt: skip
    body = to_anthropic(ask(messages=history, reasoning_effort="low"))
    assert body["messages"][1]["content"][:2] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "S=="},
        {"type": "redacted_thinking", "data": "R=="},
    ]
    assert body["thinking"]["type"] == "enabled"
    for form in ("thinking_blocks", None):
        blocks = [
            {"type": "thinking", "thinking": "Hm.", "signature": "S=="},
            {"type": "redacted_thinking", "data": "R=="},
        ]
        other = dict(called(("c", "f", "{}")), **({form: blocks} if form else {"content": blocks}))
        again = to_anthropic(ask(messages=[history[0], other, history[2]], reasoning_effort="low"))
        assert again["messages"][1] == body["messages"][1]
    # Lost thinking: an older Claude would refuse, so it does not think in this call; a newer one does not mind.
    lost = [history[0], called(("c", "f", "{}")), history[2]]
    written = anthropic.write_request(ask(messages=lost, reasoning_effort="low"), Settings(model="claude-sonnet-4-5"))
    assert ("thinking" in json.loads(written.body), written.dropped) == (False, ["reasoning_effort"])
    assert to_anthropic(ask(messages=lost, reasoning_effort="low"), "claude-opus-4-8")["thinking"]["type"] == "adaptive"
    # Google's and OpenAI's proofs are not Anthropic's.
    foreign = dict(
        called(("c", "f", "{}")),
        reasoning_details=[{"type": "reasoning.text", "text": "x", "signature": "g", "format": "google-gemini-v1"}],
    )
    assert (
        to_anthropic(ask(messages=[history[0], foreign, history[2]]))["messages"][1]["content"][0]["type"] == "tool_use"
    )


def test_thought_signatures_go_back_to_gemini():
    call = called(("a", "f", "{}"), ("b", "f", "{}"))
    call["tool_calls"][0]["extra_content"] = {"google": {"thought_signature": "U0lH"}}
    history = [{"role": "user", "content": "go"}, call, {"role": "tool", "tool_call_id": "a", "content": "1"}]
    parts = to_gemini(ask(messages=history))["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == ["U0lH", None]
    del call["tool_calls"][0]["extra_content"]
    parts = to_gemini(ask(messages=history))["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == ["skip_thought_signature_validator", None]
    older = to_gemini(ask(messages=history), "gemini-2.5-flash")["contents"][1]["parts"]
    assert all("thoughtSignature" not in part and "id" not in part["functionCall"] for part in older)
    said = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": "ok", "extra_content": {"google": {"thought_signature": "VEVY"}}},
        {"role": "user", "content": "on"},
    ]
    assert to_gemini(ask(messages=said))["contents"][1]["parts"] == [{"text": "ok", "thoughtSignature": "VEVY"}]


@pytest.mark.parametrize(
    ("model", "fields", "config", "dropped"),
    [
        ("gemini-3.8-flash", {"reasoning_effort": "minimal"}, {"thinkingLevel": "LOW", "includeThoughts": True}, []),
        (
            "gemini-3.7-flash",
            {"reasoning_effort": "minimal"},
            {"thinkingLevel": "MINIMAL", "includeThoughts": True},
            [],
        ),
        ("gemini-3.7-flash", {"reasoning_effort": "none"}, {"thinkingLevel": "MINIMAL", "includeThoughts": False}, []),
        (
            "gemini-3-pro-preview",
            {"reasoning_effort": "medium"},
            {"thinkingLevel": "HIGH", "includeThoughts": True},
            [],
        ),
        (
            "gemini-3-pro-preview",
            {"reasoning_effort": "none"},
            {"thinkingLevel": "LOW", "includeThoughts": False},
            ["reasoning_effort"],
        ),
        ("gemini-2.5-flash", {"reasoning_effort": "none"}, {"thinkingBudget": 0, "includeThoughts": False}, []),
        (
            "gemini-2.5-pro",
            {"reasoning_effort": "none"},
            {"thinkingBudget": 128, "includeThoughts": False},
            ["reasoning_effort"],
        ),
        ("gemini-2.5-pro", {"reasoning_effort": "high"}, {"thinkingBudget": 24576, "includeThoughts": True}, []),
        (
            "gemini-2.5-flash",
            {"extra_body": {"google": {"thinking_config": {"thinking_budget": -1, "include_thoughts": False}}}},
            {"thinkingBudget": -1, "includeThoughts": False},
            [],
        ),
        ("gemini-2.0-flash", {"reasoning_effort": "high"}, None, ["reasoning_effort"]),
    ],
)
def test_an_effort_for_each_gemini(model, fields, config, dropped):
    written = gemini.write_request(ask(**fields), Settings(model=model))
    body = json.loads(written.body)
    assert body.get("generationConfig", {}).get("thinkingConfig") == config
    assert written.dropped == dropped
    assert_gemini("GenerateContentRequest", body)


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
FORM = {"type": "json_schema", "json_schema": {"name": "out", "schema": SCHEMA, "strict": True}}


def test_structured_output_reaches_every_vendor():
    body = to_anthropic(ask(response_format=FORM))
    assert body["output_config"]["format"]["schema"] == {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    assert_anthropic("CreateMessageParams", body)
    old = anthropic.write_request(ask(response_format=FORM), Settings(model="claude-3-5-haiku-latest"))
    assert json.loads(old.body)["tool_choice"] == {"type": "tool", "name": old.json_tool}
    assert "JSON" in to_anthropic(ask(response_format={"type": "json_object"}))["system"][-1]["text"]
    google = to_gemini(ask(response_format=FORM, tools=[WEATHER]))["generationConfig"]
    assert (google["responseMimeType"], google["responseJsonSchema"]["required"]) == ("application/json", ["n"])
    assert to_chat(ask(response_format=FORM))["response_format"] == FORM
    assert to_responses(ask(response_format=FORM))["text"]["format"] == {"type": "json_schema", **FORM["json_schema"]}
    for write, model in ((to_gemini, "gemini-2.5-flash"), (to_anthropic, "claude-3-haiku")):
        with pytest.raises(DialectError) as refused:
            write(ask(response_format=FORM, tools=[WEATHER]), model)
        assert refused.value.param == "response_format"


def marked(text, ttl=None):
    return {"type": "text", "text": text, "cache_control": {"type": "ephemeral", **({"ttl": ttl} if ttl else {})}}


def test_cache_marks_are_kept_counted_and_ordered():
    messages = [{"role": "user", "content": [marked(f"part {number}") for number in range(6)]}]
    blocks = to_anthropic(ask(messages=messages))["messages"][0]["content"]
    assert [("cache_control" in block) for block in blocks] == [False, False, True, True, True, True]
    mixed = [
        {"role": "system", "content": [marked("rules", "5m")]},
        {"role": "user", "content": [marked("question", "1h")]},
    ]
    body = to_anthropic(ask(messages=mixed, tools=[{**WEATHER, "cache_control": {"type": "ephemeral"}}]))
    assert body["tools"][0]["cache_control"]["ttl"] == body["system"][0]["cache_control"]["ttl"] == "1h"
    assert_anthropic("CreateMessageParams", body)
    automatic = to_anthropic(ask(messages=TALK, tools=[WEATHER]), cache=Cache("1h"))
    ends = [automatic["tools"][-1], automatic["system"][-1], automatic["messages"][-1]["content"][-1]]
    assert [end["cache_control"] for end in ends] == [{"type": "ephemeral", "ttl": "1h"}] * 3
    assert "cache_control" not in json.dumps(to_chat(ask(messages=mixed)))
    assert "cache_control" in json.dumps(to_chat(ask(messages=mixed), vendor="openrouter"))


def test_what_a_vendor_does_not_take_is_named_or_refused():
    fields = {"seed": 1, "logit_bias": {"1": 2}, "presence_penalty": 0.5, "metadata": {"a": "b"}, "n": 1}
    written = anthropic.write_request(ask(**fields), Settings(model="claude-sonnet-4-5"))
    assert sorted(written.dropped) == ["logit_bias", "metadata", "presence_penalty", "seed"]
    for dialect, model in ((anthropic, "claude-sonnet-4-5"), (gemini, "gemini-3.8-flash"), (responses, "gpt-5.4")):
        with pytest.raises(DialectError) as refused:
            dialect.write_request(ask(**fields), Settings(model=model, strict=True))
        assert (refused.value.status, refused.value.code) == (400, "unsupported_parameter")


def test_media_through_image_url():
    video = "https://www.youtube.com/watch?v=fxqE27gIZcc"
    sound = "https://example.com/hal.wav"
    wav = "UklGRiQAAABXQVZFZm10IBAAAAABAAEA"
    parts = [
        {"type": "image_url", "image_url": {"url": video, "mime_type": "video/mp4"}},
        {"type": "image_url", "image_url": {"url": sound, "mime_type": "audio/mp3"}},
        {
            "type": "image_url",
            "image_url": {"image_url": "data:image/jpeg;base64,AAAAIGZ0eXBpc29t", "mime_type": "video/mp4"},
        },
        {"type": "image_url", "image_url": {"url": f"data:audio/wav;base64,{wav}"}},
        {"type": "input_audio", "input_audio": {"data": wav, "format": "mp3"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQK"}},
        {"type": "image_url", "image_url": PNG},
    ]
    request = ask(messages=[{"role": "user", "content": parts}])
    settings = Settings(model="gemini-3.8-flash")
    assert gemini.media_needed(request, settings) == [sound]
    settings.media = {sound: Media("audio", data=wav, mime="application/octet-stream")}
    body = json.loads(gemini.write_request(request, settings).body)
    assert_gemini("GenerateContentRequest", body)
    sent = body["contents"][0]["parts"]
    assert sent[0] == {"fileData": {"mimeType": "video/mp4", "fileUri": video}}
    types = [part["inlineData"]["mimeType"] for part in sent[1:]]
    assert types == ["audio/wav", "video/mp4", "audio/wav", "audio/wav", "application/pdf", "image/png"]
    for wrong, kind in ((parts[3], "audio"), (parts[2], "video")):
        with pytest.raises(DialectError, match=kind):
            to_anthropic(ask(messages=[{"role": "user", "content": [wrong]}]))


def test_urls_that_gemini_fetches_itself():
    link = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    request = ask(messages=[{"role": "user", "content": [link]}])
    handed = Settings(model="gemini-3.8-flash", hand_over_urls=True)
    assert gemini.media_needed(request, handed) == []
    assert "fileData" in gemini.write_request(request, handed).body.decode()
    assert gemini.media_needed(request, Settings(model="gemini-3.8-flash")) == ["https://example.com/a.png"]
    assert to_anthropic(request)["messages"][0]["content"][0]["source"] == {
        "type": "url",
        "url": "https://example.com/a.png",
    }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "cook", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "messages[0].content[0].type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x y"}}]}]},
            "messages[0].content[0].image_url.url",
        ),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": True}, "max_tokens"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"reasoning_effort": "much"}, "reasoning_effort"),
        ({"response_format": {"type": "yaml"}}, "response_format.type"),
        ({"functions": [{"name": "f"}]}, "functions"),
    ],
)
def test_a_wrong_field_is_named(fields, param):
    with pytest.raises(DialectError) as refused:
        ask(**fields)
    assert (refused.value.status, refused.value.param) == (400, param)
