"""What an error inside a success is: a field ``error`` of anything but a job or response, which have their own."""

from typing import Any

import msgspec
import pytest

from gateway.body import sse
from providers.dialects import DIALECTS
from providers.dialects.reported import error_in

ERROR = {"message": "cut short", "code": 503}
MESSAGE = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "half"}]}
BESIDE: list[dict[str, Any]] = [
    {"id": "msg_1", **MESSAGE},
    {"id": "chatcmpl-1", "object": "chat.completion", "choices": []},
    {"id": "chatcmpl-1"},
    {"object": "list", "data": [{"embedding": [0.1]}], "model": "m"},
    {"created": 1, "data": [{"b64_json": "aGk="}]},
    {"candidates": [{"content": {"parts": [{"text": "half"}]}}]},
]
OF_THEIR_OWN: list[dict[str, Any]] = [
    {"id": "resp_1", "object": "response", "status": "failed", "output": []},
    {"id": "video_1", "object": "video", "status": "failed"},
]


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))
@pytest.mark.parametrize("answer", BESIDE)
def test_an_error_beside_a_result(dialect: Any, answer: dict[str, Any]) -> None:
    body = msgspec.json.encode({**answer, "error": ERROR})
    found = error_in(dialect, body, sse.fields_of(body), due=True)
    assert found is not None
    assert (found.status, found.message) == (503, "cut short")
    plain = msgspec.json.encode({**answer, "error": None})
    assert error_in(dialect, plain, sse.fields_of(plain), due=True) is None


@pytest.mark.parametrize("answer", OF_THEIR_OWN)
def test_a_job_or_response_has_an_error_of_its_own(answer: dict[str, Any]) -> None:
    body = msgspec.json.encode({**answer, "error": ERROR})
    assert error_in(DIALECTS["openai"], body, sse.fields_of(body), due=True) is None
