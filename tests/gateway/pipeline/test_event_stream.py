"""However a stream is cut into pieces, what goes on is what came, but for a usage chunk that no one asked for."""

import asyncio
import itertools
import json
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.caller import Caller
from gateway.call.call import Call
from gateway.call.headers import Options
from gateway.objects.operations import CHAT
from gateway.pipeline.attempt import Attempt
from gateway.pipeline.streaming import EventStream
from providers.dialects import DIALECTS
from providers.upstream.answer import LeanAnswer, Source
from providers.upstream.client import UpstreamAnswer
from providers.upstream.failures import Disconnected
from providers.vendors import VENDORS
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
        self.pieces = [piece for piece in pieces if piece]
        self.breaks = breaks

    async def next_chunk(self) -> bytes:
        if self.pieces:
            return self.pieces.pop(0)
        if self.breaks:
            raise Disconnected("It broke.")
        return b""


class FakeAttempt:
    """What a stream needs of its attempt: its call, its record, and a note of what it was finished with."""

    def __init__(self, call: Call, vendor: str = "openai") -> None:
        account = SimpleNamespace(vendor=VENDORS[vendor], secrets=(b"sk-secret-of-the-account",))
        self.call = call
        self.target = SimpleNamespace(account=account)
        self.dialect = self.spoken = DIALECTS["openai"]
        self.conversion = self.streamed = None
        self.record = AttemptRecord("1", "req_1", 0)
        self.outcome = 200
        self.finished: list[BaseException | None] = []

    def first_output(self) -> None:
        self.record.ttft_us = 1

    def finish(self, error: BaseException | None) -> None:
        self.finished.append(error)


class Arriving(LeanAnswer):
    """An upstream answer whose pieces arrive when :meth:`arrive` is called, as a connection has it."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop(), cast(Source, None))
        self.connection = None

    def arrive(self, piece: bytes) -> None:
        if piece:
            self.parts.append(piece)
            self.size += len(piece)
            self.wake()

    def end(self) -> None:
        self.complete = True
        self.wake()


class FakeSink:
    """A client that takes pieces at once as long as it is ``ready``."""

    def __init__(self, parts: list[bytes]) -> None:
        self.parts = parts
        self.ready = True
        self.count = 0

    def put(self, piece: bytes) -> None:
        assert self.ready
        self.parts.append(piece)
        self.count += 1


def stream_of(
    pieces: list[bytes] | LeanAnswer,
    *,
    wants_usage: bool = False,
    breaks: bool = False,
    n: int = 1,
    vendor: str = "openai",
) -> tuple[EventStream, FakeAttempt]:
    """Return the stream of an attempt whose answer comes in ``pieces``, or is given."""
    call = Call(CALLER, CHAT, Options(), "req_1")
    call.stream, call.wants_usage = True, wants_usage
    call.body.fields["n"] = msgspec.Raw(str(n).encode())
    attempt = FakeAttempt(call, vendor)
    answer = Pieces(pieces, breaks) if isinstance(pieces, list) else pieces
    return EventStream(cast(Attempt, attempt), cast(UpstreamAnswer, answer)), attempt


def passed(pieces: list[bytes], **options: Any) -> tuple[list[bytes], AttemptRecord, list[BaseException | None]]:
    """What a client gets of a stream in ``pieces``, the record, and how the attempt was finished."""
    stream, attempt = stream_of(pieces, **options)

    async def collect() -> list[bytes]:
        return [part async for part in stream.events()]

    return asyncio.run(collect()), attempt.record, attempt.finished


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


@settings(max_examples=150, deadline=None)
@given(streams(), st.booleans(), st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=1, max_size=8))
def test_whatever_goes_at_once_or_waits_its_turn_arrives_in_order(
    stream: tuple[list[bytes], list[bytes]], wants_usage: bool, turns: list[tuple[bool, int]]
) -> None:
    events, pieces = stream
    expected = b"".join(events if wants_usage else [*events[:-2], events[-1]])

    async def run() -> None:
        answer = Arriving()
        events, attempt = stream_of(answer, wants_usage=wants_usage)
        parts = (await received(events, answer, pieces, turns)).parts
        assert b"".join(parts) == expected
        assert all(part.endswith((b"\n\n", b"\r\n\r\n")) for part in parts), "an event was handed on in pieces"
        assert (attempt.record.input_tokens, attempt.record.bytes_out) == (11, len(expected))
        assert attempt.finished == [None]

    asyncio.run(run())


async def received(
    stream: EventStream, answer: Arriving, pieces: list[bytes], turns: list[tuple[bool, int]]
) -> FakeSink:
    """Return the client, with all that it got of ``pieces``. Before each one it is made ready or not, and the event
    loop has some turns."""
    parts = list[bytes]()
    sink = FakeSink(parts)
    stream.pass_into(sink)
    reader = asyncio.create_task(collect(stream, parts))
    for piece, (ready, rounds) in zip(pieces, itertools.cycle(turns), strict=False):
        sink.ready = ready
        for _ in range(rounds):
            await asyncio.sleep(0)
        answer.arrive(piece)
    answer.end()
    await reader
    return sink


async def collect(stream: EventStream, parts: list[bytes]) -> None:
    async for part in stream.events():
        parts.append(part)


async def waiting(answer: Arriving) -> None:
    """Wait until the reader waits for the next piece."""
    async with asyncio.timeout(5):
        while answer.waiter is None or answer.waiter.done():
            await asyncio.sleep(0)


async def test_an_event_behind_the_first_output_goes_at_once() -> None:
    answer, parts = Arriving(), list[bytes]()
    stream, _ = stream_of(answer)
    sink = FakeSink(parts)
    stream.pass_into(sink)
    reader = asyncio.create_task(collect(stream, parts))
    text = event({"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}, b"\n")

    await waiting(answer)
    answer.arrive(text)
    assert sink.count == 0, "before the first output more is read of an event"
    await waiting(answer)
    answer.arrive(text)
    assert (sink.count, parts) == (1, [text, text])
    sink.ready = False
    answer.arrive(text)
    assert sink.count == 1
    await waiting(answer)
    sink.ready = True
    answer.arrive(text[:9])
    await waiting(answer)
    answer.arrive(text[9:])
    await waiting(answer)
    assert (sink.count, parts) == (1, [text] * 4), "what came in halves waits for its turn"
    answer.arrive(b"data: [DONE]\n\n")
    assert sink.count == 2
    answer.end()
    await reader
    answer.close()
    assert answer.taker is None, "nothing is left for the collector of cycles"


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


# --- errors inside a 200 ---------------------------------------------------------------------------------------------
ERRORS: list[tuple[bytes, int]] = [
    (b'data: {"error":"upstream refused Bearer sk-secret-of-the-account"}\n\n', 502),
    (b'data: {"object":"error","message":"bad","code":400}\n\n', 400),
    (b'data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n', 503),
    (b'data: {"id":"x","error":{"code":429,"message":"slow"},"choices":[{"index":0,"delta":{}}]}\n\n', 429),
    (b'event: error\ndata: {"message":"broke"}\n\n', 502),
    (b'data: {"error":{"message":"no","type":"invalid_request_error"}}\n\n', 400),
    (b'\xef\xbb\xbfdata: {"error":{"message":"no","code":429}}\n\n', 429),
    (b'data: [{"error":{"message":"no","code":429}}]\n\n', 429),
    (b'data: {"errors":[{"message":"no","code":7003}],"success":false,"result":null}\n\n', 502),
    (b'data: {"detail":"Not authenticated"}\n\n', 502),
    (b"event: error\ndata: out of memory\n\n", 502),
    (b'{"error":{"message":"no","code":429}}', 429),
]


@pytest.mark.parametrize(("error", "status"), ERRORS)
def test_an_error_in_the_stream_is_the_vendors_end(error: bytes, status: int) -> None:
    parts, record, finished = passed([error])
    assert record.error_class == "upstream_error"
    assert b"upstream_stream_truncated" not in b"".join(parts)
    assert b"sk-secret" not in b"".join(parts)
    assert "sk-secret" not in record.error_message
    assert record.error_message
    assert record.ttft_us is None
    assert finished == [None]


@pytest.mark.parametrize("error", [b'data: {"detail":"too long"}\n\n', b'data: {"errors":["too long"]}\n\n'])
def test_an_error_behind_output_is_the_vendors_end(error: bytes) -> None:
    text = event({"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}, b"\n")
    parts, record, finished = passed([text, error])
    assert b"".join(parts) == text + error
    assert (record.error_message, finished) == ("too long", [None])


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_a_byte_order_mark_is_no_part_of_the_first_event(size: int) -> None:
    whole = b'\xef\xbb\xbfdata: {"choices":[],"usage":{"prompt_tokens":3}}\n\ndata: [DONE]\n\n'
    parts, record, finished = passed([whole[start : start + size] for start in range(0, len(whole), size)])
    assert b"".join(parts) == b"data: [DONE]\n\n"
    assert (record.input_tokens, record.ttft_us, finished) == (3, None, [None])


@pytest.mark.parametrize(("error", "status"), ERRORS)
def test_an_error_as_the_first_event_has_the_status_that_it_should_have_had(error: bytes, status: int) -> None:
    stream, attempt = stream_of([error])
    asyncio.run(stream.prime(until_output=False))
    assert attempt.outcome == status
    assert stream.first_error is not None


def test_a_field_that_says_error_is_none() -> None:
    chunk = event(
        {"choices": [{"index": 0, "delta": {"content": "error"}, "finish_reason": "stop"}], "error": None}, b"\n"
    )
    parts, record, _ = passed([chunk])
    assert b"".join(parts) == chunk
    assert record.error_class == ""


@pytest.mark.parametrize("size", [1, 7, 24, 1000])
def test_a_secret_does_not_go_out_however_it_is_cut_and_written(size: int) -> None:
    escaped = "".join(f"\\u00{ord(sign):02x}" for sign in "sk-secret-of-the-account").encode()
    whole = b'data: {"choices":[{"index":0,"delta":{"content":"sk-secret-of-the-account"},"finish_reason":"stop"}]}\n\n'
    whole += b'data: {"note":"' + escaped + b'"}\n\ndata: [DONE]\n\n'
    parts, _, _ = passed([whole[start : start + size] for start in range(0, len(whole), size)])
    assert b"".join(parts).count(b"[redacted]") == 2
    assert b"secret" not in b"".join(parts)


# --- where a stream ends ---------------------------------------------------------------------------------------------
def test_an_empty_finish_reason_is_no_end() -> None:
    chunk = event({"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": ""}]}, b"\n")
    parts, _, finished = passed([chunk, chunk])
    assert b"upstream_stream_truncated" in parts[-1]
    assert finished[0] is not None


def test_every_choice_needs_its_own_end() -> None:
    first = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, b"\n")
    second = event({"choices": [{"index": 1, "delta": {"content": "b"}, "finish_reason": None}]}, b"\n")
    end = event({"choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]}, b"\n")
    assert b"upstream_stream_truncated" in passed([second, first], n=2)[0][-1]
    assert passed([second, first, end], n=2)[2] == [None]


def choice(index: int, reason: str | None, text: str = "a") -> bytes:
    return event({"choices": [{"index": index, "delta": {"content": text}, "finish_reason": reason}]}, b"\n")


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        ([choice(0, None), choice(0, "stop"), choice(1, "stop"), choice(2, None)], False),
        ([choice(0, None), choice(2, None), choice(1, "stop"), choice(0, "stop")], False),
        ([choice(0, None) + choice(2, None) + choice(0, "stop") + choice(1, "stop")], False),
        ([choice(0, None), choice(2, None), choice(0, "stop"), choice(1, "stop"), choice(2, "stop")], True),
        ([choice(0, None), choice(2, None), choice(2, "stop"), choice(1, "stop"), choice(0, "stop")], True),
        ([choice(0, None, "a" * 70_000), choice(1, "stop"), choice(0, "stop"), choice(2, None)], False),
        ([choice(0, None), choice(2, None, "a" * 70_000), choice(1, "stop"), choice(0, "stop"), choice(2, "x")], True),
        ([choice(0, None), choice(0, "stop"), choice(1, "stop"), choice(2, None), b"data: [DONE]\n\n"], True),
        ([choice(0, "stop"), choice(1, "stop"), event({"choices": [], "usage": USAGE}, b"\n")], True),
    ],
)
def test_every_choice_that_came_needs_its_own_end(pieces: list[bytes], whole: bool, n: int) -> None:
    assert (passed(list(pieces), n=n)[2] == [None]) is whole


def test_a_usage_chunk_without_choices_is_withheld_in_every_form() -> None:
    text = event({"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}, b"\n")
    nothing = (
        b"",
        b'"choices":[],',
        b'"choices":null,',
        b'"choices":[ ],',
        b'"choices":{},',
        b'"choices":[{"delta":{}}],',
    )
    for choices in (*nothing, b'"choices":[{"index":0,"delta":{"content":""},"finish_reason":null}],'):
        usage = b'data: {"id":"c",' + choices + b'"usage":' + json.dumps(USAGE).encode() + b"}\n\n"
        parts, record, _ = passed([text, usage])
        assert b"".join(parts) == text
        assert record.input_tokens == 11


@pytest.mark.parametrize(
    "fields",
    [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [{"index": 0, "delta": {}, "content_filter_results": {"hate": {"filtered": False}}}]},
        {"citations": ["https://example.com"]},
    ],
)
def test_a_chunk_that_says_more_than_usage_passes(fields: dict[str, Any]) -> None:
    chunk = event({"id": "c", **fields, "usage": USAGE}, b"\n")
    parts, record, _ = passed([chunk, b"data: [DONE]\n\n"])
    assert parts[0] == chunk
    assert record.input_tokens == 11


def test_later_usage_that_says_less_erases_nothing() -> None:
    text = event({"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}], "usage": USAGE}, b"\n")
    poor = event({"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0}}, b"\n")
    _, record, _ = passed([text, poor])
    assert (record.input_tokens, record.output_tokens, record.cached_tokens) == (11, 7, 3)


# --- the first token ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("delta", "is_output"),
    [
        ({"role": "assistant", "content": ""}, False),
        ({"role": "assistant"}, False),
        ({"content": "a"}, True),
        ({"reasoning_content": "hm"}, True),
        ({"tool_calls": [{"index": 0}]}, True),
        ({"audio": {"data": "AA"}}, True),
        ({"audio": {"id": "audio_1"}}, False),
        ({"audio": {"id": "audio_1", "data": ""}}, False),
        ({"content": [{"type": "text", "text": ""}]}, False),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}, True),
    ],
)
def test_the_first_token_is_the_first_output(delta: dict[str, Any], is_output: bool) -> None:
    chunk = event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}, b"\n")
    _, record, _ = passed([b": ping\n\n", chunk])
    assert (record.ttft_us is not None) is is_output


@pytest.mark.parametrize(
    "raw",
    [
        b'data: {"error": {"message": "overloaded", "type": "server_error"}}\n\n',
        b'event: error\ndata: {"message": "overloaded", "type": "server_error"}\n\n',
        b'event: error\ndata: {"error": "overloaded"}\n\n',
        b'data: {"type": "error", "message": "overloaded"}\n\n',
    ],
)
def test_an_error_is_no_first_token(raw: bytes) -> None:
    _, record, _ = passed([b": ping\n\n", raw])
    assert record.ttft_us is None
    assert record.error_class


@pytest.mark.parametrize(
    ("raw", "is_output"),
    [
        (b"data: {}\n\n", False),
        (b"event: ping\ndata: {}\n\n", False),
        (b'event: ping\ndata: {"at": 1}\n\n', False),
        (b'data: {"type": "keepalive"}\n\n', False),
        (b'data: {"id": "1", "usage": {"prompt_tokens": 1}}\n\n', False),
        (b'data: {"type": "response.output_text.delta", "delta": ""}\n\n', False),
        (b'data: {"type": "response.output_text.delta", "delta": "a"}\n\n', True),
        (b'data: {"object": "thread.message.delta", "delta": {"content": [{}]}}\n\n', True),
        (b'data: {"token": "a"}\n\n', True),
    ],
)
def test_what_keeps_a_stream_open_is_no_first_token(raw: bytes, is_output: bool) -> None:
    assert (passed([raw])[1].ttft_us is not None) is is_output


@pytest.mark.parametrize(
    ("dialect", "fields", "is_output"),
    [
        ("anthropic", {"type": "message_start", "message": {}}, False),
        ("anthropic", {"type": "ping"}, False),
        ("anthropic", {"type": "content_block_start", "content_block": {"type": "text", "text": ""}}, False),
        ("anthropic", {"type": "content_block_start", "content_block": {"type": "thinking", "thinking": ""}}, False),
        ("anthropic", {"type": "content_block_start", "content_block": {"type": "text", "text": "a"}}, True),
        ("anthropic", {"type": "content_block_start", "content_block": {"type": "tool_use", "name": "f"}}, True),
        ("anthropic", {"type": "content_block_start", "content_block": {"type": "redacted_thinking"}}, False),
        ("anthropic", {"type": "content_block_start"}, False),
        ("anthropic", {"type": "content_block_delta", "delta": {"type": "text_delta", "text": ""}}, False),
        ("anthropic", {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}}, True),
        ("anthropic", {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "a"}}, True),
        ("gemini", {"candidates": [{"content": {"parts": [{"text": ""}]}}]}, False),
        ("gemini", {"candidates": [{"content": {"parts": [{"text": "", "thoughtSignature": "AA"}]}}]}, False),
        ("gemini", {"candidates": [{"content": {"parts": [{"text": "a", "thought": True}]}}]}, True),
        ("gemini", {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}]}}]}, True),
        ("gemini", {"usageMetadata": {"promptTokenCount": 1}}, False),
    ],
)
def test_empty_blocks_and_parts_are_no_first_token(dialect: str, fields: dict[str, Any], is_output: bool) -> None:
    raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}
    assert DIALECTS[dialect].is_output(raw) is is_output
