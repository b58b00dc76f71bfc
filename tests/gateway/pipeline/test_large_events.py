"""Large events cost what their bytes cost, once; every line ending ends an event."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.body.sse import split
from tests.gateway.pipeline.test_event_stream import passed

IMAGE = b'event: image_edit.completed\ndata: {"b64_json":"' + b"A" * 4_000_000 + b'","usage": {"input_tokens": 1}}\n\n'
SECONDS = 1.5
LINES = (b"\n", b"\r\n", b"\r")
BLANK_LINES = tuple(first + second for first in LINES for second in LINES if first + second != b"\r\n")


@pytest.mark.parametrize("size", [1024, 2**16, len(IMAGE)])
def test_a_large_event_is_not_copied_again_and_again(size: int) -> None:
    pieces = [IMAGE[start : start + size] for start in range(0, len(IMAGE), size)]
    started = time.process_time()
    got, record, _ = passed(pieces)
    assert time.process_time() - started < SECONDS
    assert b"".join(got).startswith(IMAGE)
    assert record.input_tokens == 1


@pytest.mark.parametrize("line", BLANK_LINES)
def test_an_event_goes_on_at_its_blank_line_in_any_line_ending(line: bytes) -> None:
    event = b'data: {"a":1}' + line
    for cut in range(1, len(event)):
        got, _, _ = passed([event[:cut], event[cut:], b"data: rest"])
        # Behind two CRs an LF may come that belongs to the second: the event does not wait for it.
        assert got[0] in (event, event.removesuffix(b"\n") if line in (b"\r\r\n", b"\n\r\n") else event)


@given(st.lists(st.sampled_from([b"data: a", b"\n", b"\r\n", b"\r", b": x", b"\n\n"]), max_size=12).map(b"".join))
def test_splitting_loses_and_adds_nothing(events: bytes) -> None:
    parts = split(events)
    assert b"".join(parts) == events
    assert all(part.endswith(BLANK_LINES) for part in parts[:-1])
