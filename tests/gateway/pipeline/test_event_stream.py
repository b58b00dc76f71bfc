"""However a stream is cut into pieces, what goes on is what came, but for a usage chunk that nobody asked for."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.caller import Caller
from gateway.call.call import Call
from gateway.call.headers import Options
from gateway.endpoints.chat import ChatCompletions
from gateway.pipeline.streaming import EventStream
from providers.upstream.client import UpstreamAnswer
from providers.upstream.failures import Disconnected
from usage.records import AttemptRecord

USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
CALLER = cast(Caller, None)


class Pieces:
    """An upstream answer that comes in the given pieces, and then ends or breaks."""

    def __init__(self, pieces: list[bytes], breaks: bool = False) -> None:
        self.pieces = pieces
        self.breaks = breaks

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece
        if self.breaks:
            raise Disconnected("It broke.")


class Finished(list[Any]):
    """What an attempt was finished with."""

    started_ns = 0

    def __call__(self, error: BaseException | None) -> None:
        self.append(error)


def passed(
    pieces: list[bytes], *, wants_usage: bool = False, breaks: bool = False
) -> tuple[list[bytes], AttemptRecord, list[Any]]:
    """What a client gets of a stream in ``pieces``, the record, and how the attempt was finished."""
    call = Call(CALLER, ChatCompletions.operation, Options(), "req_1")
    call.stream, call.wants_usage = True, wants_usage
    record = AttemptRecord("1", "req_1", 0)
    finished = Finished()
    answer = cast(UpstreamAnswer, Pieces(pieces, breaks))
    stream = EventStream(call, record, answer, finished)

    async def collect() -> list[bytes]:
        return [part async for part in stream.events()]

    return asyncio.run(collect()), record, finished


def event(data: Any, end: bytes) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + end * 2


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)
line_ends = st.sampled_from([b"\n", b"\r\n"])


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """The events of a whole stream, its usage chunk last but one; and the same cut into pieces anywhere."""
    end = draw(line_ends)
    events = [
        event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}], "usage": None}, end)
        for text in draw(st.lists(texts, max_size=6))
    ]
    for position in draw(st.lists(st.integers(0, len(events)), max_size=2)):
        events.insert(position, b": " + draw(st.sampled_from([b"", b"ping"])) + end * 2)
    events.append(event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, end))
    events.append(event({"choices": [], "usage": USAGE}, end).replace(b'"choices": []', b'"choices":[]'))
    events.append(b"data: [DONE]" + end * 2)
    whole = b"".join(events)
    cuts = sorted({0, len(whole), *draw(st.lists(st.integers(0, len(whole)), max_size=12))})
    return events, [whole[start:stop] for start, stop in itertools.pairwise(cuts)]


@settings(max_examples=150, deadline=None)
@given(streams(), st.booleans())
def test_only_the_usage_chunk_is_withheld(stream: tuple[list[bytes], list[bytes]], wants_usage: bool) -> None:
    events, pieces = stream
    parts, record, finished = passed(pieces, wants_usage=wants_usage)

    expected = b"".join(events if wants_usage else [*events[:-2], events[-1]])
    assert b"".join(parts) == expected
    assert all(part.endswith((b"\n\n", b"\r\n\r\n")) for part in parts), "an event was handed on in pieces"
    assert (record.input_tokens, record.output_tokens) == (11, 7)
    assert (record.cached_tokens, record.reasoning_tokens) == (3, 2)
    assert record.bytes_out == len(expected)
    assert finished == [None]


@settings(max_examples=50, deadline=None)
@given(streams(), st.integers(0, 400))
def test_a_stream_that_breaks_ends_in_an_error_and_without_done(
    stream: tuple[list[bytes], list[bytes]], length: int
) -> None:
    events, _ = stream
    whole = b"".join(events[:-1])
    parts, record, finished = passed([whole[:length]] if length else [], breaks=True)

    got = b"".join(parts)
    kept, mark, error = got.partition(b"event: error\ndata: ")
    assert mark
    assert b"[DONE]" not in got
    assert b"".join(events[:-2]).startswith(kept)
    assert json.loads(error)["error"]["code"] == "upstream_disconnected"
    assert record.bytes_out == len(got)
    assert isinstance(finished[0], Disconnected)


def test_a_stream_that_ends_too_early_is_said_to() -> None:
    parts, _, finished = passed([event({"choices": [{"index": 0, "delta": {"content": "a"}}]}, b"\n")])

    assert json.loads(parts[-1].partition(b"data: ")[2])["error"]["code"] == "upstream_stream_truncated"
    assert len(finished) == 1
    assert finished[0] is not None


def test_an_empty_stream_is_said_to_be_cut() -> None:
    parts, _, _ = passed([])
    assert b"upstream_stream_truncated" in parts[0]


def test_the_last_event_needs_no_blank_line() -> None:
    text = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, b"\n")
    usage = b'data: {"choices":[],"usage":' + json.dumps(USAGE).encode() + b"}\n"

    parts, record, finished = passed([text, usage])
    assert b"".join(parts) == text
    assert (record.input_tokens, record.output_tokens, record.bytes_out) == (11, 7, len(text))
    assert finished == [None]

    parts, record, _ = passed([text, usage], wants_usage=True)
    assert b"".join(parts) == text + usage
    assert record.bytes_out == len(text + usage)


def test_usage_in_a_chunk_with_choices_is_read_and_passed() -> None:
    chunk = event(
        {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}], "usage": USAGE}, b"\n"
    )
    parts, record, _ = passed([chunk])
    assert b"".join(parts) == chunk
    assert record.input_tokens == 11


def test_words_in_a_text_are_no_end_and_no_usage() -> None:
    words = 'data: [DONE] "finish_reason": "stop" "usage": {"prompt_tokens": 9}'
    parts, record, _ = passed([event({"choices": [{"index": 0, "delta": {"content": words}}]}, b"\n")])
    assert b"upstream_stream_truncated" in parts[-1]
    assert record.input_tokens == 0
