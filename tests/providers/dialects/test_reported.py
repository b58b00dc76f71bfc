"""What an error inside a success is: a field ``error`` of anything but a job or response, which have their own."""

from typing import Any

import msgspec
import pytest

from gateway.body import sse
from providers.dialects import DIALECTS
from providers.dialects.chat.errors import read_error
from providers.dialects.reported import error_in, has_result

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


INSIDE: list[tuple[dict[str, Any], int, str]] = [
    ({"choices": [{"message": {"content": ""}, "finish_reason": "error", "error": ERROR}]}, 503, "cut short"),
    ({"choices": [{"delta": {"content": ""}, "error": {"message": "cut short"}}]}, 502, "cut short"),
    ({"choices": [{"delta": {}, "finish_reason": "error"}]}, 502, "finish reason 'error'"),
    ({"base_resp": {"status_code": 1002, "status_msg": "rate limit"}, "choices": None}, 429, "rate limit"),
    ({"base_resp": {"status_code": 9999}, "choices": None}, 502, "9999"),
    ({"success": False, "message": "bad"}, 502, "bad"),
    ({"success": False, "msg": "bad", "data": None, "trace": "x"}, 502, "bad"),
]


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))
@pytest.mark.parametrize(("answer", "status", "said"), INSIDE)
def test_an_error_in_a_choice_or_beside_no_success(
    dialect: Any, answer: dict[str, Any], status: int, said: str
) -> None:
    body = msgspec.json.encode(answer)
    fields = sse.fields_of(body)
    found = error_in(dialect, body, fields, due=True)
    assert found is not None
    assert found.status == status
    assert said in found.message
    assert not has_result(fields)
    if "success" not in answer:
        assert said in read_error(200, body).message  # as a translated answer says it


@pytest.mark.parametrize(
    "answer",
    [
        {"base_resp": {"status_code": 0, "status_msg": ""}, "choices": [{"message": {"content": "a"}}]},
        {"base_resp": None, "choices": []},
        {"success": True, "choices": [{"message": {"content": "a"}}]},
        {"success": False, "choices": [{"message": {"content": "a"}}]},
        {"choices": [{"message": {"content": 'say "error"'}, "finish_reason": "stop", "error": None}]},
        {"choices": [{"message": {"content": "a", "error": ""}}, 1, None]},
    ],
)
def test_a_success_is_no_error(answer: dict[str, Any]) -> None:
    body = msgspec.json.encode(answer)
    assert error_in(DIALECTS["openai"], body, sse.fields_of(body), due=True) is None


def test_what_a_choice_said_before_its_error_is_a_result() -> None:
    choice = {"message": {"role": "assistant", "content": "half"}, "finish_reason": "error", "error": ERROR}
    assert has_result(sse.fields_of(msgspec.json.encode({"choices": [choice]})))
