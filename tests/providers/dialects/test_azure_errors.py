"""Azure's errors in OpenAI's words."""

import json
from typing import Any

import pytest

from providers.dialects.azure_errors import azure_error

INNER = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"filtered": True}}}
GONE = "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, "
LIMITED = "Requests to the Embeddings_Create Operation have exceeded call rate limit. Please retry after 7 seconds."


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (404, {"code": "DeploymentNotFound", "message": GONE}, ("invalid_request_error", "model_not_found", "model")),
        (429, {"code": "429", "message": LIMITED}, ("rate_limit_error", "rate_limit_exceeded", None)),
        (401, {"code": "401", "message": "Access denied."}, ("authentication_error", "invalid_api_key", None)),
        (404, {"code": "404", "message": "Resource not found"}, ("invalid_request_error", "not_found", None)),
        (500, {"code": "InternalServerError", "message": "Oh."}, ("server_error", "server_error", None)),
        (
            400,
            {"code": "content_filter", "message": "content management policy", "type": None, "param": "prompt",
             "status": 400, "innererror": INNER},
            ("invalid_request_error", "content_filter", "prompt"),
        ),
    ],
)  # fmt: skip
def test_a_resources_own(status: int, error: Any, expected: tuple[str, str, str | None]) -> None:
    made = json.loads(azure_error(status, json.dumps({"error": error}).encode()))["error"]
    assert (made["type"], made["code"], made["param"]) == expected
    assert made["message"] == error["message"]
    assert made.get("innererror") == error.get("innererror")


def test_a_proxys_own() -> None:
    body = json.dumps({"statusCode": 401, "message": "Access denied due to missing subscription key."}).encode()
    assert json.loads(azure_error(401, body))["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize(
    "body",
    [
        b'{ "error": {"message": "No.", "type": "invalid_request_error", "param": null, "code": null} }',
        b"<html>Bad gateway</html>",
        b"",
        b"[]",
        b"{}",
    ],
)
def test_others_pass_as_they_came(body: bytes) -> None:
    assert azure_error(400, body) is body
