"""Which calls are estimated: those that ended before their vendor said what it used, and are billed."""

from typing import Any, cast

import msgspec
import pytest

from accounts.caller import Caller
from gateway.call import errors
from gateway.call.call import Call
from gateway.call.headers import Options
from gateway.objects.operations import CHAT
from gateway.pipeline.unmetered import Estimated, KeptOutput, _take, needs_estimate
from providers.snapshot import Target
from usage.records import AttemptRecord

TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
ERRORS = (b'data: {"error":"text"}\n\n', b'data: {"error":{"message":"overloaded"}}\n\n')


def call() -> Call:
    made = Call(cast(Caller, None), CHAT, Options(), "req_1")
    made.body.fields["messages"] = msgspec.Raw(b"[]")
    return made


def failed(**fields: Any) -> AttemptRecord:
    """The record of a stream that its vendor ended with an error behind the first output."""
    shown = {"stream": True, "ttft_us": 1, "error_class": "upstream_error", "upstream_status": 200, **fields}
    record = AttemptRecord("1", "req_1", 0)
    for name, value in shown.items():
        setattr(record, name, value)
    return record


def output(*events: bytes) -> KeptOutput:
    kept = KeptOutput()
    for event in events:
        kept.keep(event)
    return kept


@pytest.mark.parametrize("end", [(), (b"data: [DONE]\n\n",)], ids=["closed", "done"])
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("left", [None, errors.ClientGone("It left.")])
def test_an_error_behind_output_is_estimated(error: bytes, end: tuple[bytes, ...], left: Exception | None) -> None:
    kept = output(TEXT, error, *end)
    assert needs_estimate(call(), failed(), left, kept, sent=True, ended=False, free=False)


@pytest.mark.parametrize("fields", [{"ttft_us": None}, {"stream": False}, {"upstream_status": 500}])
def test_an_error_before_output_is_not(fields: dict[str, Any]) -> None:
    kept = output(TEXT, ERRORS[0])
    assert not needs_estimate(call(), failed(**fields), None, kept, sent=True, ended=False, free=False)


@pytest.mark.parametrize(("made", "estimated"), [(5, False), (50, True)])
def test_usage_beside_an_error_is_no_estimate(made: int, estimated: bool) -> None:
    record = failed(input_tokens=9, output_tokens=5)
    _take(call(), record, cast(Target, None), Estimated(9, made, 0, 0))
    assert (record.output_tokens, record.estimated) == (made, estimated)
