"""Gemini's API of the sandbox: through Google's own SDK, and valid by Google's own description."""

import json
from typing import Any

import httpx
import pytest
from google.genai import Client, errors, types

from tests.support.sandbox_process import KEY, SandboxProcess
from tests.support.vendor_specs import assert_gemini

MODEL = "gemini-2.5-flash"
SIGNED = "gemini-3.8-flash"
WEATHER = {
    "name": "get_weather",
    "description": "Get the current weather for a city.",
    "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]},
}
WEATHER_TOOL = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="get_weather",
            description="Get the current weather for a city.",
            parameters_json_schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        )
    ]
)


def raw(
    sandbox: SandboxProcess, body: dict[str, Any], method: str = "generateContent", model: str = MODEL, **headers: str
) -> httpx.Response:
    sent = {name: value for name, value in ({"x-goog-api-key": KEY} | headers).items() if value}
    if method in ("generateContent", "streamGenerateContent?alt=sse"):
        body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]} | body
    return httpx.post(f"{sandbox.origin}/v1beta/models/{model}:{method}", json=body, headers=sent, trust_env=False)


def ask(gemini: Client, prompt: Any, model: str = MODEL, **config: Any) -> types.GenerateContentResponse:
    return gemini.models.generate_content(
        model=model, contents=prompt, config=types.GenerateContentConfig(**config) if config else None
    )


def test_an_answer(sandbox: SandboxProcess, gemini: Client) -> None:
    answer = ask(gemini, "Count from 1 to 5.", system_instruction="Be brief.")
    assert answer.text == "1 2 3 4 5"
    usage = answer.usage_metadata
    assert usage is not None
    assert usage.candidates_token_count == 5
    assert usage.thoughts_token_count == 128  # which Google counts apart
    assert usage.total_token_count == (usage.prompt_token_count or 0) + 5 + 128
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert_gemini("GenerateContentResponse", raw(sandbox, {}).json())


def test_a_stream(sandbox: SandboxProcess, gemini: Client) -> None:
    pieces = [chunk.text for chunk in gemini.models.generate_content_stream(model=MODEL, contents="Count from 1 to 3.")]
    assert [piece for piece in pieces if piece] == ["1", " 2", " 3"]
    answer = raw(sandbox, {}, "streamGenerateContent?alt=sse")
    chunks = [json.loads(event.removeprefix("data: ")) for event in answer.text.split("\r\n\r\n")[:-1]]
    for chunk in chunks:
        assert_gemini("GenerateContentResponse", chunk)
    assert [("finishReason" in chunk["candidates"][0]) for chunk in chunks][-2:] == [False, True]
    array = raw(sandbox, {"contents": [{"parts": [{"text": "hi"}]}]}, "streamGenerateContent").json()
    assert [chunk["candidates"] for chunk in array] == [chunk["candidates"] for chunk in chunks]


def test_the_end_says_why(gemini: Client) -> None:
    cut = ask(
        gemini, "Count from 1 to 9.", max_output_tokens=3, thinking_config=types.ThinkingConfig(thinking_budget=0)
    )
    assert cut.candidates is not None
    assert cut.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    assert ask(gemini, "Count from 1 to 9.", stop_sequences=["4"]).text == "1 2 3 "


def test_safety_on_demand(sandbox: SandboxProcess, gemini: Client) -> None:
    answer = ask(gemini, "x [[sandbox: refusal]]")
    assert answer.candidates is not None
    assert (answer.candidates[0].finish_reason, answer.candidates[0].content) == (types.FinishReason.SAFETY, None)
    blocked = raw(sandbox, {}, **{"x-sandbox": "blocked"}).json()
    assert_gemini("GenerateContentResponse", blocked)
    assert "candidates" not in blocked
    assert blocked["promptFeedback"]["blockReason"] == "PROHIBITED_CONTENT"


def test_parallel_calls_and_their_results(gemini: Client) -> None:
    config = types.GenerateContentConfig(
        tools=[WEATHER_TOOL], automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True)
    )
    for model in (MODEL, SIGNED):
        chat = gemini.chats.create(model=model, config=config)
        calls = chat.send_message("What's the weather in Paris and Rome?").function_calls or []
        assert [call.args for call in calls] == [{"city": "Paris"}, {"city": "Rome"}]
        assert all(bool(call.id) == (model == SIGNED) for call in calls)
        results = [
            types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"sky": "clear"}))
            for call in calls
        ]
        assert chat.send_message(results).text == "get_weather says: sky: clear. get_weather says: sky: clear."


def test_a_function_that_the_sdk_runs_itself(gemini: Client) -> None:
    def get_weather(city: str) -> str:
        """Get the current weather for a city."""
        return f"sunny in {city}"

    answer = ask(gemini, "What's the weather in Paris?", tools=[get_weather])
    assert answer.text == "get_weather says: sunny in Paris."


def test_a_signature_has_to_come_back(sandbox: SandboxProcess) -> None:
    question = {"role": "user", "parts": [{"text": "What's the weather in Paris?"}]}
    tools = [{"functionDeclarations": [WEATHER]}]
    first = raw(sandbox, {"contents": [question], "tools": tools}, model=SIGNED).json()
    turn = first["candidates"][0]["content"]
    [part] = turn["parts"]
    result = {"role": "user", "parts": [{"functionResponse": {"name": "get_weather", "response": {"sky": "clear"}}}]}

    def go_on(call: dict[str, Any], **fields: Any) -> httpx.Response:
        contents = [question, {"role": "model", "parts": [call]}, result]
        return raw(sandbox, {"contents": contents, "tools": tools}, model=fields.get("model", SIGNED))

    bare = {"functionCall": part["functionCall"]}
    assert go_on(part).status_code == 200
    assert go_on({**bare, "thoughtSignature": "skip_thought_signature_validator"}).status_code == 200
    assert "missing a thought_signature" in go_on(bare).text
    assert "not valid" in go_on({**bare, "thoughtSignature": "Zm9yZ2Vk"}).text
    assert go_on(bare, model=MODEL).status_code == 200


def test_a_tool_can_be_forced_and_forbidden(gemini: Client) -> None:
    def mode(name: str, *names: str) -> types.ToolConfig:
        calling = types.FunctionCallingConfig(
            mode=types.FunctionCallingConfigMode(name), allowed_function_names=list(names) or None
        )
        return types.ToolConfig(function_calling_config=calling)

    assert ask(gemini, "Hello", tools=[WEATHER_TOOL], tool_config=mode("ANY", "get_weather")).function_calls
    asked = "What's the weather in Paris?"
    assert not ask(gemini, asked, tools=[WEATHER_TOOL], tool_config=mode("NONE")).function_calls


def test_thoughts_are_shown_when_asked(gemini: Client) -> None:
    config = types.ThinkingConfig(include_thoughts=True, thinking_level=types.ThinkingLevel.HIGH)
    answer = ask(gemini, "Why?", SIGNED, thinking_config=config)
    assert answer.candidates is not None
    assert answer.candidates[0].content is not None
    thought, text = answer.candidates[0].content.parts or []
    assert thought.thought
    assert text.thought_signature
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.thoughts_token_count == 256
    off = ask(gemini, "Why?", thinking_config=types.ThinkingConfig(thinking_budget=0)).usage_metadata
    assert off is not None
    assert not off.thoughts_token_count


@pytest.mark.parametrize("own", [True, False])
def test_json_by_a_schema(gemini: Client, own: bool) -> None:
    google = {"type": "OBJECT", "properties": {"city": {"type": "STRING", "nullable": False}}, "required": ["city"]}
    plain = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    schema: dict[str, Any] = {"response_schema": google} if own else {"response_json_schema": plain}
    answer = ask(gemini, "I live in Rome.", response_mime_type="application/json", **schema)
    assert json.loads(answer.text or "") == {"city": "Rome"}


def test_long_prompts_are_cached(gemini: Client) -> None:
    prompt = "The history of the sea, at length. " * 200
    first, second = (ask(gemini, prompt).usage_metadata for _ in range(2))
    assert first is not None
    assert second is not None
    assert not first.cached_content_token_count
    assert (second.cached_content_token_count or 0) > 1024


def test_tokens_are_counted_as_they_are_charged(sandbox: SandboxProcess, gemini: Client) -> None:
    used = ask(gemini, "How are you?").usage_metadata
    assert used is not None
    assert gemini.models.count_tokens(model=MODEL, contents="How are you?").total_tokens == used.prompt_token_count
    request = {"model": f"models/{MODEL}", "contents": [{"role": "user", "parts": [{"text": "How are you?"}]}]}
    counted = raw(sandbox, {"generateContentRequest": request}, "countTokens").json()
    assert_gemini("CountTokensResponse", counted)
    assert counted["totalTokens"] == used.prompt_token_count


def test_embeddings(sandbox: SandboxProcess, gemini: Client) -> None:
    config = types.EmbedContentConfig(output_dimensionality=8, task_type="RETRIEVAL_QUERY")
    several = gemini.models.embed_content(model="gemini-embedding-001", contents=["a cat", "a dog"], config=config)
    vectors = [each.values for each in several.embeddings or []]
    assert [len(vector or ()) for vector in vectors] == [8, 8]
    body = {"content": {"parts": [{"text": "a cat"}]}, "outputDimensionality": 8}
    one = raw(sandbox, body, "embedContent", "gemini-embedding-001").json()
    assert_gemini("EmbedContentResponse", one)
    assert one["embedding"]["values"] == pytest.approx(vectors[0])
    batch = {"requests": [{"model": "models/gemini-embedding-001", **body}]}
    assert_gemini(
        "BatchEmbedContentsResponse", raw(sandbox, batch, "batchEmbedContents", "gemini-embedding-001").json()
    )


def test_models_are_listed_by_page(sandbox: SandboxProcess, gemini: Client) -> None:
    listed = [model.name for model in gemini.models.list(config=types.ListModelsConfig(page_size=4))]
    assert len(listed) == len(set(listed)) > 8
    assert gemini.models.get(model=MODEL).display_name == "Gemini 2.5 Flash"
    page = httpx.get(f"{sandbox.origin}/v1beta/models?key={KEY}", trust_env=False).json()
    assert_gemini("ListModelsResponse", page)


def test_candidates(gemini: Client) -> None:
    answer = ask(gemini, "Hello", candidate_count=2)
    assert [candidate.index for candidate in answer.candidates or []] == [0, 1]


def test_log_probabilities(sandbox: SandboxProcess) -> None:
    config = {"responseLogprobs": True, "logprobs": 2}
    answer = raw(sandbox, {"generationConfig": config}).json()
    assert_gemini("GenerateContentResponse", answer)
    assert answer["candidates"][0]["logprobsResult"]["chosenCandidates"]


def part(**fields: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [fields]}]}


CALL = {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]}
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown field": ({"temperature": 1}, 'Unknown name "temperature"'),
    "no contents": ({"contents": []}, "contents is not specified"),
    "an empty part": (part(), "required oneof field"),
    "a bad role": ({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}, "valid role: user, model"),
    "a bad type": (part(text=5), "Invalid value at"),
    "a bad number": ({"generationConfig": {"temperature": 3}}, "must be in the range"),
    "a schema with more": (
        {
            "tools": [
                {
                    "functionDeclarations": [
                        {"name": "f", "parameters": {"type": "OBJECT", "additionalProperties": False}}
                    ]
                }
            ]
        },
        'Unknown name "additionalProperties"',
    ),
    "no properties": (
        {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "properties": {}}}]}]},
        "should be non-empty for OBJECT type",
    ),
    "a bad name": ({"tools": [{"functionDeclarations": [{"name": "1 f"}]}]}, "Invalid function name"),
    "JSON and tools": (
        {"tools": [{"functionDeclarations": [WEATHER]}], "generationConfig": {"responseMimeType": "application/json"}},
        "is unsupported",
    ),
    "no thinking": ({"generationConfig": {"thinkingConfig": {"thinkingLevel": "HIGH"}}}, "not supported"),
    "names without ANY": ({"toolConfig": {"functionCallingConfig": {"allowedFunctionNames": ["f"]}}}, "mode is ANY"),
    "a call first": ({"contents": [CALL]}, "comes immediately after a user turn"),
    "a result without call": (
        part(functionResponse={"name": "f", "response": {}}),
        "immediately after a function call turn",
    ),
    "a call without result": (
        {"contents": [{"parts": [{"text": "x"}]}, CALL, {"parts": [{"text": "x"}]}]},
        "equal to the number of function call parts",
    ),
    "a media type": (part(inlineData={"mimeType": "image/bmp", "data": "AAAA"}), "Unsupported MIME type"),
    "bad base64": (part(inlineData={"mimeType": "image/png", "data": "?"}), "Base64 decoding failed"),
    "a file by http": (
        part(fileData={"mimeType": "image/png", "fileUri": "http://example.com/a.png"}),
        "file URI type",
    ),
    "sound from a text model": ({"generationConfig": {"responseModalities": ["AUDIO"]}}, "modalities"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_google_refuses(sandbox: SandboxProcess, case: str) -> None:
    body, message = BAD[case]
    answer = raw(sandbox, body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert message in error["message"]


def test_keys(sandbox: SandboxProcess) -> None:
    bearer = {"x-goog-api-key": "", "authorization": f"Bearer {KEY}"}
    assert raw(sandbox, {}, **bearer).status_code == 200
    wrong = raw(sandbox, {}, **{"x-goog-api-key": "no"})
    assert (wrong.status_code, wrong.json()["error"]["details"][0]["reason"]) == (400, "API_KEY_INVALID")
    assert raw(sandbox, {}, **{"x-goog-api-key": ""}).json()["error"]["status"] == "PERMISSION_DENIED"
    assert raw(sandbox, {}, **(bearer | {"authorization": "Bearer no"})).json()["error"]["status"] == "UNAUTHENTICATED"


def test_errors_on_demand(sandbox: SandboxProcess, gemini: Client) -> None:
    with pytest.raises(errors.ClientError, match="not found for API version") as missing:
        ask(gemini, "hi", "gemini-9")
    assert missing.value.code == 404
    with pytest.raises(errors.ClientError) as limited:
        ask(gemini, "hi [[sandbox: status=429 retry-after=7]]")
    assert (limited.value.code, limited.value.status) == (429, "RESOURCE_EXHAUSTED")
    assert limited.value.details["error"]["details"][0]["retryDelay"] == "7s"
    with pytest.raises(errors.ServerError, match="overloaded"):
        ask(gemini, "hi [[sandbox: status=503]]")
    stream = raw(sandbox, {}, "streamGenerateContent?alt=sse", **{"x-sandbox": "error-after=2"})
    assert json.loads(stream.text.split("\r\n\r\n")[2].removeprefix("data: "))["error"]["status"] == "UNAVAILABLE"
