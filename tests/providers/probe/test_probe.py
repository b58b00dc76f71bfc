"""Testing credentials: which calls are made, what their answers mean, and that the key never shows."""

import json

import pytest

from providers.probe.run import probe_account
from tests.support.scripted_provider import KEY, account_at, model, probe

# --- the calls that are made ---


@pytest.mark.parametrize(
    ("types", "path", "body"),
    [
        (["chat", "responses"], "chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}),
        (["responses", "batch"], "responses", {"input": "Hi", "max_output_tokens": 16, "store": False}),
        (["completion"], "completions", {"prompt": "Hi", "max_tokens": 1}),
        (["embedding"], "embeddings", {"input": "Hi"}),
        (["moderation"], "moderations", {"input": "Hi"}),
    ],
)
def test_the_cheapest_call_of_a_model_type(upstream, types, path, body):
    result = probe(upstream, *types, upstream_id="up-1")
    assert (result.state, result.ok, result.via, result.status) == ("works", True, "call", 200)
    assert result.model == "openai-main/gpt-4o-mini"
    assert result.detail == f"works in {result.milliseconds} ms"
    [(method, asked, headers, sent)] = upstream.asked
    assert (method, asked) == ("POST", f"/v1/{path}")
    assert sent == {"model": "up-1", **body}
    assert headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("types", [["image"], ["audio_transcription"], ["text_to_speech"], ["realtime"], ["rerank"]])
def test_others_are_looked_up_and_say_so(upstream, types):
    result = probe(upstream, *types, name="pictures", upstream_id="gpt-image-1")
    assert (result.state, result.ok, result.via) == ("works", True, "list")
    assert "no call was made" in result.detail
    assert [(method, path) for method, path, _, _ in upstream.asked] == [("GET", "/v1/models/gpt-image-1")]


def test_a_server_that_only_lists_all_models(upstream):
    result = probe(upstream, "image", upstream_id="vllm/llama")
    assert (result.state, result.call) == ("works", "GET /models")
    result = probe(upstream, "image", upstream_id="dall-e-9")
    assert (result.state, result.ok) == ("no_model", False)
    assert "'dall-e-9' is not among the 2 models" in result.detail


def test_an_account_without_models_is_tested_by_its_list(upstream):
    [result] = probe_account(account_at(upstream.url), [])
    assert (result.model, result.state, result.detail) == ("openai-main", "works", "lists 2 models for this key")


def test_reasoning_models_get_the_other_parameter(upstream):
    def answer(handler, asked):
        if "max_tokens" in asked[3]:
            message = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
            body = {"error": {"message": message, "code": "unsupported_parameter", "param": "max_tokens"}}
            return 400, "application/json", json.dumps(body).encode()
        return 200, "application/json", b'{"choices": []}'

    upstream.answers["/v1/chat/completions"] = answer
    assert probe(upstream, "chat").state == "works"
    assert upstream.asked[1][3]["max_completion_tokens"] == 16
    assert "max_tokens" not in upstream.asked[1][3]


def test_organisation_project_and_extra_headers_go_along(upstream):
    account = account_at(upstream.url, organization="org-1", project="proj_1")
    account.extra_headers = {"X-Team": "blue-team"}
    probe_account(account, [model("embedding")])
    headers = upstream.asked[0][2]
    assert (headers["openai-organization"], headers["openai-project"]) == ("org-1", "proj_1")
    assert headers["x-team"] == "blue-team"


# --- what is told apart ---

OPENAI_KEY = "Incorrect API key provided: sk-test***cdef. You can find your API key at …"
VLLM_MODEL = b'{"object":"error","message":"The model `x` does not exist.","code":404}'
OPENAI_MODEL = "The model `gpt-4o-mini` does not exist or you do not have access to it."
# status, message, code -> state
ANSWERS = [
    (401, OPENAI_KEY, "invalid_api_key", "bad_key"),
    (401, "You didn't provide an API key.", None, "bad_key"),
    (400, "API key not valid. Please pass a valid API key.", 400, "bad_key"),
    (403, "Invalid API key", "forbidden", "bad_key"),
    (404, OPENAI_MODEL, "model_not_found", "no_model"),
    (404, "The model `x` does not exist.", 404, "no_model"),
    (404, "models/x is not found for API version v1main", 404, "no_model"),
    (403, "Project `proj_1` does not have access to model `gpt-4o-mini`", "model_not_found", "no_access"),
    (403, "Country, region, or territory not supported", "unsupported_country_region_territory", "no_access"),
    (400, "Invalid model: gpt-4o-mini", 1500, "no_model"),
    (404, "Invalid URL (POST /v1/v1/chat/completions)", None, "wrong_url"),
    (404, "Not Found", None, "wrong_url"),
    (405, "Method Not Allowed", None, "wrong_url"),
    (429, "Rate limit reached for gpt-4o-mini in organization org-x (RPM)", "rate_limit_exceeded", "rate_limited"),
    (429, "You exceeded your current quota, please check your plan", "insufficient_quota", "no_quota"),
    (402, "Insufficient Balance", "invalid_request_error", "no_quota"),
    (500, "The server had an error", None, "failed"),
    (503, "Overloaded", None, "failed"),
    (400, "Could not finish the message because max_tokens or model output limit was reached.", None, "works"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "message", "code", "state"), ANSWERS)
def test_errors_in_openais_shape(upstream, status, message, code, state):
    upstream.error("/v1/chat/completions", status, message, code)
    del upstream.answers["/v1/models"]
    result = probe(upstream, "chat")
    assert result.state == state
    assert result.ok == (state in {"works", "rate_limited"})
    if not result.ok:
        assert f"{status}: " in result.detail


@pytest.mark.parametrize(
    ("status", "content_type", "body", "state"),
    [
        (200, "text/html", b"<html>Welcome</html>", "wrong_url"),
        (200, "application/json", b'{"hello": "world"}', "wrong_url"),
        (200, "application/json", b"[]", "wrong_url"),
        (200, "application/json", b'{"choices": ', "wrong_url"),
        (200, "application/json", b"", "wrong_url"),
        (404, "text/html", b"<h1>Not Found</h1>", "wrong_url"),
        (404, "application/json", b'{"detail":"Not Found"}', "wrong_url"),
        (403, "text/html", b"<h1>Forbidden</h1>", "wrong_url"),
        (400, "text/plain", b"Client sent an HTTP request to an HTTPS server.", "wrong_url"),
        (401, "text/plain", b"Unauthorized", "bad_key"),
        (400, "application/json", b'[{"error": {"code": 400, "message": "API key expired"}}]', "bad_key"),
        (404, "application/json", VLLM_MODEL, "no_model"),
        (502, "text/html", b"<h1>Bad Gateway</h1>", "failed"),
    ],
)  # fmt: skip
def test_answers_in_other_shapes(upstream, status, content_type, body, state):
    upstream.answers["/v1/chat/completions"] = (status, content_type, body)
    del upstream.answers["/v1/models"]
    assert probe(upstream, "chat").state == state


def test_a_redirect_is_named_and_not_followed(upstream):
    upstream.answers["/v1/chat/completions"] = (307, "text/plain", b"")
    upstream.headers = {"location": "https://evil.example/steal?x=1"}
    result = probe(upstream, "chat")
    assert result.state == "wrong_url"
    assert "https://evil.example;" in result.detail
    assert len(upstream.asked) == 1


def test_a_call_that_needs_more_than_text_is_looked_up_after_its_refusal(upstream):
    upstream.error("/v1/chat/completions", 400, "This model requires that input content contain audio.")
    result = probe(upstream, "chat", upstream_id="gpt-image-1")
    assert (result.state, result.ok, result.via) == ("works", True, "list")
    assert "is listed for this key; the test call itself was refused: 400: This model requires" in result.detail
    result = probe(upstream, "chat", upstream_id="unlisted")
    assert (result.state, result.ok) == ("refused", False)


def test_a_model_of_another_type_says_so(upstream):
    upstream.error("/v1/chat/completions", 404, "This is not a chat model. Did you mean to use v1/completions?")
    result = probe(upstream, "chat", upstream_id="unlisted")
    assert result.state == "refused"
    assert "check its model types" in result.detail


# --- the key never shows, and is not sent when it can't be right ---


def test_an_upstream_that_repeats_the_key_does_not_show_it(upstream):
    upstream.error("/v1/chat/completions", 401, f"bad key {KEY}\x1b[31m\nsee https://x/?k={KEY}", "invalid_api_key")
    result = probe(upstream, "chat")
    assert KEY not in json.dumps(result.as_dict())
    assert result.detail == "the upstream refuses the key (401: bad key [key] [31m see https://x/?k=[key])"


def test_without_a_key_nothing_is_sent(upstream):
    account = account_at(upstream.url)
    account.api_key = ""
    [result] = probe_account(account, [model("chat")])
    assert (result.state, result.via) == ("bad_key", "nothing")
    assert "no key is stored" in result.detail
    account.kind = "self-hosted-model"
    [result] = probe_account(account, [model("chat")])
    assert result.state == "works"
    assert "authorization" not in upstream.asked[0][2]
    assert len(upstream.asked) == 1


@pytest.mark.parametrize("key", ["sk-abc\ndef", "sk-ключ", "sk\x00"])
def test_a_key_that_no_header_can_carry(upstream, key):
    account = account_at(upstream.url)
    account.api_key = key
    [result] = probe_account(account, [model("chat")])
    assert (result.state, result.via) == ("bad_key", "nothing")
    assert upstream.asked == []
