"""Errors of every vendor in OpenAI's words, and in each front door's."""

import json

import pytest

from providers.dialects import anthropic, chat, gemini, responses
from tests.support.openapi import assert_valid
from tests.support.vendor_specs import assert_anthropic, assert_gemini


def claude(kind, message):
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def google(code, message, status, reason=None):
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}] if reason else []
    return {"error": {"code": code, "message": message, "status": status, "details": details}}


def openai(message, kind=None, code=None):
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


QUOTA_PER_MINUTE = (
    "You exceeded your current quota, please check your plan and billing details. * Quota exceeded for metric: "
    "generate_content_requests, limit: 5. Please retry in 31s."
)
CASES = [
    (anthropic, 400, claude("invalid_request_error", "messages: field required"), 400, "invalid_request_error", None),
    (
        anthropic,
        400,
        claude("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
        400,
        "invalid_request_error",
        "context_length_exceeded",
    ),
    (
        anthropic,
        400,
        claude("invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
        429,
        "insufficient_quota",
        "insufficient_quota",
    ),
    (
        anthropic,
        401,
        claude("authentication_error", "invalid x-api-key"),
        401,
        "authentication_error",
        "invalid_api_key",
    ),
    (anthropic, 403, claude("permission_error", "Not allowed"), 403, "permission_error", "permission_denied"),
    (anthropic, 404, claude("not_found_error", "model: claude-nine"), 404, "invalid_request_error", "model_not_found"),
    (
        anthropic,
        413,
        claude("request_too_large", "Request exceeds the maximum size"),
        413,
        "invalid_request_error",
        "request_too_large",
    ),
    (
        anthropic,
        429,
        claude("rate_limit_error", "This request would exceed your limit of input tokens per minute"),
        429,
        "rate_limit_error",
        "rate_limit_exceeded",
    ),
    (anthropic, 500, claude("api_error", "Internal server error"), 500, "server_error", "server_error"),
    (anthropic, 529, claude("overloaded_error", "Overloaded"), 503, "overloaded_error", "overloaded"),
    (
        gemini,
        400,
        google(400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT", "API_KEY_INVALID"),
        401,
        "authentication_error",
        "invalid_api_key",
    ),
    (
        gemini,
        400,
        google(
            400,
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            "INVALID_ARGUMENT",
        ),
        400,
        "invalid_request_error",
        "context_length_exceeded",
    ),
    (
        gemini,
        403,
        google(403, "Permission denied on resource project", "PERMISSION_DENIED"),
        403,
        "permission_error",
        "permission_denied",
    ),
    (
        gemini,
        404,
        google(404, "models/gemini-9 is not found for API version v1beta", "NOT_FOUND"),
        404,
        "invalid_request_error",
        "model_not_found",
    ),
    (gemini, 429, google(429, QUOTA_PER_MINUTE, "RESOURCE_EXHAUSTED"), 429, "rate_limit_error", "rate_limit_exceeded"),
    (
        gemini,
        429,
        google(429, "Your prepayment credits are depleted. Please check your billing.", "RESOURCE_EXHAUSTED"),
        429,
        "insufficient_quota",
        "insufficient_quota",
    ),
    (
        gemini,
        503,
        google(503, "The model is overloaded. Please try again later.", "UNAVAILABLE"),
        503,
        "overloaded_error",
        "overloaded",
    ),
    (gemini, 504, google(504, "Deadline exceeded", "DEADLINE_EXCEEDED"), 504, "timeout_error", "timeout"),
    (
        chat,
        400,
        openai(
            "This model's maximum context length is 8192 tokens.", "invalid_request_error", "context_length_exceeded"
        ),
        400,
        "invalid_request_error",
        "context_length_exceeded",
    ),
    (
        chat,
        429,
        openai("You exceeded your current quota", "insufficient_quota", "insufficient_quota"),
        429,
        "insufficient_quota",
        "insufficient_quota",
    ),
    (
        chat,
        402,
        {"error": {"message": "Insufficient Balance", "type": "unknown_error"}},
        429,
        "insufficient_quota",
        "insufficient_quota",
    ),
    (
        chat,
        400,
        openai("The response was filtered due to Azure OpenAI's content management policy.", None, "content_filter"),
        400,
        "invalid_request_error",
        "content_filter",
    ),
    (
        chat,
        422,
        {"object": "error", "message": {"detail": [{"loc": ["body"]}]}, "type": "invalid_request_error"},
        422,
        "invalid_request_error",
        None,
    ),
    (
        chat,
        400,
        openai("Unknown value", "invalid_request_error", "invalid_value"),
        400,
        "invalid_request_error",
        "invalid_value",
    ),
    (
        chat,
        404,
        openai("The model `gpt-9` does not exist", "invalid_request_error", "model_not_found"),
        404,
        "invalid_request_error",
        "model_not_found",
    ),
    (chat, 502, "<html>Bad gateway</html>", 502, "server_error", "bad_gateway"),
    (
        responses,
        429,
        openai("Rate limit reached for gpt-5 on tokens per min (TPM)", "tokens", "rate_limit_exceeded"),
        429,
        "rate_limit_error",
        "rate_limit_exceeded",
    ),
]


@pytest.mark.parametrize(("dialect", "status", "body", "expected", "kind", "code"), CASES)
def test_an_error_keeps_its_meaning(dialect, status, body, expected, kind, code):
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    failure = dialect.read_error(status, raw)
    assert (failure.status, failure.type, failure.code) == (expected, kind, code)
    assert failure.message
    assert_valid("ErrorResponse", json.loads(chat.write_error(failure)))
    assert_anthropic("ErrorResponse", json.loads(anthropic.write_error(failure)))
    shown = json.loads(gemini.write_error(failure))["error"]
    assert_gemini("Status", {"code": shown["code"], "message": shown["message"]})
    assert shown["code"] == failure.status


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
    ],
)
def test_a_status_has_anthropics_name(status, kind):
    failure = chat.read_error(status, b'{"error": {"message": "no"}}')
    assert json.loads(anthropic.write_error(failure))["error"]["type"] == kind


def test_google_says_when_to_come_back_in_the_body():
    body = {"error": {"code": 429, "details": [{"@type": "x"}, {"retryDelay": "31.5s"}]}}
    assert gemini.read_error(429, json.dumps(body).encode()).retry_after == 31.5
    assert all(gemini.read_error(429, each).retry_after is None for each in (b"{}", b"[]", b"\xff"))


@pytest.mark.parametrize("dialect", [chat, anthropic, gemini, responses])
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"[1]", b"null", b'{"error": "plain words"}', b'{"error": []}', b"[" * 3000]
)
@pytest.mark.parametrize("status", [200, 400, 500, 999])
def test_reading_an_error_never_fails(dialect, body, status):
    failure = dialect.read_error(status, body)
    assert 400 <= failure.status <= 599
    assert failure.message
