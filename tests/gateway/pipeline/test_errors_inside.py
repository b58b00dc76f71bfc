"""Errors inside a 200 that name none at their top: they count, and they are retried."""

import asyncio
import json
from typing import Any, cast

import pytest

from gateway.pipeline.answers import _read
from gateway.pipeline.attempt import Attempt
from providers.upstream.failures import BrokenAnswer
from tests.gateway.pipeline.test_event_stream import event, passed, stream_of

ERROR = {"code": 503, "message": "Provider returned error"}
TEXT = event({"choices": [{"index": 0, "delta": {"content": "a"}}]}, b"\n")
ENDS = [
    {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error", "error": ERROR}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]},
    {"base_resp": {"status_code": 1002, "status_msg": "rate limit"}, "choices": None},
    {"success": False, "message": "bad"},
]
DONE = b"data: [DONE]\n\n"


def read(answer: dict[str, Any]) -> tuple[int, int, str]:
    """The status that the client sees of a whole answer, the one that decides about a retry, and the error's class."""
    _, attempt = stream_of([])
    attempt.call.model_asked = "m"
    found = _read(cast(Attempt, attempt), 200, json.dumps(answer).encode())
    return found.status, found.outcome or found.status, attempt.record.error_class


@pytest.mark.parametrize("end", ENDS)
def test_a_whole_answer_without_a_result(end: dict[str, Any]) -> None:
    status, outcome, error = read(end)
    assert status == outcome >= 400
    assert error == "upstream_error"


def test_a_whole_answer_that_breaks_off() -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "half"}, "finish_reason": "error", "error": ERROR}
    assert read({"provider": "router", "choices": [choice]}) == (200, 503, "upstream_error")


@pytest.mark.parametrize("end", ENDS)
def test_an_event_behind_output(end: dict[str, Any]) -> None:
    parts, record, finished = passed([TEXT, event(end, b"\n")])
    assert (b"".join(parts), finished) == (TEXT + event(end, b"\n"), [None])
    assert (record.error_class, record.ttft_us) == ("upstream_error", 1)


@pytest.mark.parametrize("end", ENDS)
def test_the_first_event(end: dict[str, Any]) -> None:
    stream, attempt = stream_of([event(end, b"\n"), DONE])
    asyncio.run(stream.prime(until_output=False))
    assert stream.first_error is not None
    assert attempt.outcome == stream.first_error.status >= 400


@pytest.mark.parametrize("pieces", [[], [b": hi\n\n"], [DONE], [b": hi\n\n", DONE], [b": hi\n\ndata: [DONE]\n\n"]])
@pytest.mark.parametrize("until_output", [True, False])
def test_a_stream_without_an_event_may_be_retried(pieces: list[bytes], until_output: bool) -> None:
    stream, _ = stream_of(list(pieces))
    with pytest.raises(BrokenAnswer):
        asyncio.run(stream.prime(until_output=until_output))


@pytest.mark.parametrize("pieces", [[DONE], [b": hi\n\n", DONE]])
def test_an_end_alone_is_no_answer(pieces: list[bytes]) -> None:
    parts, _, finished = passed(list(pieces))
    assert DONE not in parts
    assert b'"error"' in parts[-1]
    assert finished != [None]


def test_a_stream_that_only_says_how_it_ends_is_whole() -> None:
    end = event({"choices": [{"index": 0, "delta": {"role": "assistant"}, "finish_reason": "stop"}]}, b"\n")
    stream, _ = stream_of([end, DONE])
    asyncio.run(stream.prime(until_output=True))
    assert passed([end, DONE])[2] == [None]
