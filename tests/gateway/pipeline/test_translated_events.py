"""A translated stream is the same however its events come: one by one and at once, or in turns, whole or in pieces."""

import asyncio
import itertools
import json
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import payloads, vendors
from gateway.body import sse
from gateway.call.call import Call
from gateway.call.headers import Options
from gateway.objects.operations import CHAT, MESSAGES
from gateway.pipeline.attempt import Attempt
from gateway.pipeline.streaming import EventStream
from providers.dialects import DIALECTS
from providers.dialects.conversion import Ask
from providers.dialects.conversions import CONVERSIONS
from providers.dialects.neutral import Settings
from providers.upstream.client import UpstreamAnswer
from providers.upstream.failures import BrokenAnswer
from tests.gateway.pipeline.test_event_stream import CALLER, Arriving, FakeAttempt, FakeSink, collect, received, waiting

CHUNKS = 6
CHAT_EVENTS = vendors.CannedEvents(
    payloads.STREAM_START, payloads.STREAM_TOKENS, payloads.STREAM_END + payloads.STREAM_USAGE + payloads.STREAM_DONE
)
# The caller's operation, the provider's dialect, kind and events.
CASES: dict[str, tuple[Any, str, str, vendors.CannedEvents]] = {
    "anthropic": (CHAT, "anthropic", "anthropic", vendors.MESSAGE_EVENTS),
    "gemini": (CHAT, "gemini", "google-gemini", vendors.CONTENT_EVENTS),
    "messages": (MESSAGES, "openai", "openai", CHAT_EVENTS),
}
every_case = pytest.mark.parametrize("case", CASES)


def stream_of(case: str, answer: Arriving) -> tuple[EventStream, FakeAttempt]:
    operation, dialect, vendor, _ = CASES[case]
    body = payloads.chat_body("m", stream=True) if operation is CHAT else vendors.message_body("m", stream=True)
    call = Call(CALLER, operation, Options(), "req_1")
    call.stream, call.body.fields = True, msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    attempt: Any = FakeAttempt(call, vendor)
    attempt.dialect, attempt.spoken = DIALECTS[dialect], DIALECTS[operation.door or "openai"]
    attempt.conversion = CONVERSIONS[(operation.path, dialect)](Ask(fields=call.body.fields, model="m", stream=True))
    attempt.conversion.write(Settings(model="m", vendor=vendor))
    return EventStream(cast(Attempt, attempt), cast(UpstreamAnswer, answer)), attempt


def upstream(case: str) -> bytes:
    events = CASES[case][3]
    return events.start() + b"".join(events.chunk(number) for number in range(CHUNKS)) + events.end()


async def arrived(case: str, pieces: list[bytes], turns: list[tuple[bool, int]]) -> tuple[list[bytes], int, Any]:
    """What the client gets of ``pieces``, how much of it at once, and the attempt."""
    answer = Arriving()
    stream, attempt = stream_of(case, answer)
    sink = await received(stream, answer, pieces, turns)
    return sink.parts, sink.count, attempt


def said(parts: list[bytes]) -> list[Any]:
    """The events without what differs from one stream to the next: times."""
    found = [json.loads(event.data) for event in sse.Events(b"".join(parts)) if event.data[:1] == b"{"]
    for each in found:
        each.pop("created", None)
    return found


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(sorted(CASES)),
    st.lists(st.integers(0, 2500), max_size=10),
    st.booleans(),
    st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=8),
)
def test_it_is_the_same_however_it_comes(
    case: str, cuts: list[int], by_event: bool, turns: list[tuple[bool, int]]
) -> None:
    whole = upstream(case)
    edges = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    pieces = sse.split(whole) if by_event else [whole[start:stop] for start, stop in itertools.pairwise(edges)]
    parts, _, attempt = asyncio.run(arrived(case, pieces, turns))
    expected, _, _ = asyncio.run(arrived(case, [whole], [(False, 0)]))
    assert said(parts) == said(expected)
    assert b"".join(parts).count(payloads.MARK) == CHUNKS
    assert attempt.finished == [None]
    assert attempt.record.bytes_out == len(b"".join(parts))
    assert attempt.streamed.usage.input == payloads.PROMPT_TOKENS


@every_case
async def test_an_event_behind_the_first_output_goes_at_once(case: str) -> None:
    pieces = sse.split(upstream(case))
    _, at_once, _ = await arrived(case, pieces, [(True, 12)])
    assert at_once >= CHUNKS - 1


@every_case
async def test_an_event_that_can_not_be_read_ends_the_stream_with_an_error(case: str) -> None:
    pieces = sse.split(upstream(case))[:-3]
    parts, _, attempt = await arrived(case, [*pieces, b"data: 5\n\n"], [(True, 12)])
    last = b"".join(parts).rstrip().rsplit(b"\n\n", 1)[-1]
    assert last.startswith(b"event: error\n")
    assert isinstance(attempt.finished[0], BrokenAnswer)


async def test_nothing_goes_at_once_behind_an_error() -> None:
    answer, parts = Arriving(), list[bytes]()
    stream, _ = stream_of("anthropic", answer)
    sink = FakeSink(parts)
    stream.pass_into(sink)
    reader = asyncio.create_task(collect(stream, parts))
    error = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    for piece in (*sse.split(upstream("anthropic"))[:6], error, vendors.MESSAGE_EVENTS.chunk(1)):
        await waiting(answer)
        answer.arrive(piece)
    answer.end()
    await reader
    stream_bytes = b"".join(parts)
    assert stream_bytes.count(b"Overloaded") == 1
    assert stream_bytes.rstrip().rsplit(b"\n\n", 1)[-1].count(b"Overloaded") == 1
