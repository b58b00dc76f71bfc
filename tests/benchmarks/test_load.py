"""What the harness makes of the load generator's report and of a stream's bytes."""

import json
from typing import Any

import pytest

from benchmarks import nginx, payloads, responses, streamer, streams, wrk
from benchmarks.endpoint import Endpoint
from benchmarks.errors import BenchmarkError, VoidRun

NO_ERRORS = {"connect": 0, "read": 0, "write": 0, "status": 0, "timeout": 0}
LOAD = wrk.Load(connections=16, seconds=2)


def report(**changes: Any) -> dict[str, Any]:
    times = {"p50_us": 1500.0, "p90_us": 2000.0, "p99_us": 9000.0, "max_us": 9500.0}
    return {"completed": 4000, "sent": 4000, "parked": 16, "seconds": 2.0, **times, "errors": NO_ERRORS} | changes


def test_a_clean_report_becomes_metrics() -> None:
    assert wrk.judge(report(), LOAD) == {
        "completed": 4000,
        "rps": 2000.0,
        "p50_ms": 1.5,
        "p90_ms": 2.0,
        "p99_ms": 9.0,
        "max_ms": 9.5,
    }


@pytest.mark.parametrize("kind", NO_ERRORS)
def test_a_single_error_of_any_kind_voids_the_run(kind: str) -> None:
    with pytest.raises(VoidRun, match=f"1 {kind} errors in 4000 requests"):
        wrk.judge(report(errors=NO_ERRORS | {kind: 1}), LOAD)


@pytest.mark.parametrize("changes", [{"completed": 3999}, {"parked": 15}])
def test_an_unanswered_request_voids_the_run(changes: dict[str, int]) -> None:
    with pytest.raises(VoidRun, match="4000 requests were sent"):
        wrk.judge(report(**changes), LOAD)


def test_the_report_is_found_below_what_wrk_prints_itself() -> None:
    output = f"Running 2s test\n  Thread Stats\n{json.dumps(report())}\n"
    assert wrk.parse(output, "") == report()


def test_no_report_says_what_wrk_said() -> None:
    with pytest.raises(BenchmarkError, match="unable to connect"):
        wrk.parse("", "unable to connect to 127.0.0.1")


def test_the_command_line_carries_headers_and_bounds() -> None:
    endpoint = Endpoint("http://127.0.0.1:1/v1/chat/completions", {"authorization": "Bearer x"}, "m")
    command = wrk.command(endpoint, wrk.Load(4, 2.5, requests=100), "/body", "multipart/form-data")
    headers = [command[at + 1] for at, part in enumerate(command) if part == "-H"]
    assert headers == ["content-type: multipart/form-data", "authorization: Bearer x"]
    assert command[-6:] == [endpoint.url, "--", "2.5", "100", "4", "/body"]


WHOLE = payloads.STREAM_START + b"".join(payloads.STREAM_TOKENS[:3]) + payloads.STREAM_END + payloads.STREAM_DONE


@pytest.mark.parametrize("size", [*range(1, 40), len(WHOLE)])
def test_chunks_are_counted_however_the_bytes_are_cut(size: int) -> None:
    counter = streams.Counter()
    for start in range(0, len(WHOLE), size):
        assert not counter.done or start > WHOLE.index(b"[DONE]")
        counter.feed(WHOLE[start : start + size])
    assert (counter.chunks, counter.done) == (3, True)


def test_a_stream_cut_before_its_end_is_not_done() -> None:
    counter = streams.Counter()
    counter.feed(WHOLE.removesuffix(payloads.STREAM_DONE))
    assert (counter.chunks, counter.done) == (3, False)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (streams.Stream(chunks=3, fault="status 500"), "1 of 2 streams failed, the first with: status 500"),
        (streams.Stream(chunks=2), "1 of 2 streams lost or gained chunks: 2 instead of 3"),
    ],
)
def test_a_failed_or_short_stream_voids_the_run(bad: streams.Stream, why: str) -> None:
    streams.check([streams.Stream(chunks=3)], each=3)
    with pytest.raises(VoidRun, match=why):
        streams.check([streams.Stream(chunks=3), bad], each=3)


async def ask(path: str, query: str = "", body: bytes = b"") -> bytes:
    """Put one request to the streaming upstream and return the body of its answer."""
    return b"".join(await asked(path, query, body))


async def asked(path: str, query: str = "", body: bytes = b"") -> list[bytes]:
    """Put one request to the streaming upstream and return the bodies of what it sends."""
    parts: list[bytes] = []
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if not messages:
            await streamer.asyncio.Event().wait()
        return messages.pop()

    async def send(message: dict[str, Any]) -> None:
        parts.append(message.get("body", b""))

    scope = {"type": "http", "path": path, "query_string": query.encode()}
    await streamer.app(scope, receive, send)
    return parts


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (payloads.chat_body("m", stream=True), False),
        (b'{"stream": true, "stream_options": {"include_usage": true}}', True),
    ],
)
async def test_the_streaming_upstream_sends_what_was_planned(body: bytes, usage: bool) -> None:
    await ask("/control/plan", "chunks=7&interval_ms=0")
    answer = await ask("/v1/chat/completions", body=body)
    counter = streams.Counter()
    counter.feed(answer)
    assert (counter.chunks, counter.done) == (7, True)
    assert (payloads.STREAM_USAGE in answer) is usage
    assert json.loads(await ask("/control/state")) == {"open": 0, "most_open": 1, "finished": 1, "sent": 7}


async def test_a_burst_leaves_in_one_write() -> None:
    await ask("/control/plan", "chunks=200&interval_ms=0&burst=1")
    counter = streams.Counter()
    parts = await asked("/v1/chat/completions", body=payloads.chat_body("m", stream=True))
    counter.feed(b"".join(parts))
    assert (counter.chunks, counter.done) == (200, True)
    assert [len(part) > 0 for part in parts] == [False, True, False]
    assert parts[1].count(b"\n\n") == 200 + streams.CHAT_STREAM.others == 203
    assert 45_000 < len(parts[1]) < 46_000


async def test_a_released_stream_ends_after_its_chunk() -> None:
    await ask("/control/plan", "chunks=1000&interval_ms=0")
    await ask("/control/release")
    answer = await ask("/v1/chat/completions", body=payloads.chat_body("m", stream=True))
    assert answer.count(payloads.MARK) == 1
    assert answer.endswith(payloads.STREAM_DONE)


def test_only_content_chunks_carry_the_mark() -> None:
    assert [event.count(payloads.MARK) for event in payloads.STREAM_TOKENS] == [1] * 10
    others = (payloads.STREAM_START, payloads.STREAM_END, payloads.STREAM_USAGE, payloads.STREAM_DONE)
    assert not any(payloads.MARK in event for event in others)


def test_a_picture_makes_the_body_about_as_large() -> None:
    body = payloads.chat_body("m", image_bytes=payloads.MEGABYTE)
    assert 1.0 <= len(body) / payloads.MEGABYTE < 1.01
    assert json.loads(body)["messages"][-1]["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")


def upstream_ids(text: str) -> set[str]:
    return {response["id"] for response in (json.loads(text), json.loads(text)["output"][0])}


def test_each_canned_answer_has_an_id_of_its_own() -> None:
    block = nginx.canned_server(1, {"/v1/responses": responses.ANSWER})
    assert '"id": "resp_$request_id"' in block
    assert '"id": "msg_$request_id"' in block
    assert payloads.UNIQUE not in block
    assert upstream_ids(responses.ANSWER) == {f"resp_{payloads.UNIQUE}", f"msg_{payloads.UNIQUE}"}


def test_nginx_is_not_given_an_answer_that_it_would_change() -> None:
    assert payloads.CHAT_ANSWER in nginx.canned_server(1, {"/x": payloads.CHAT_ANSWER})
    with pytest.raises(ValueError, match="/x"):
        nginx.canned_server(1, {"/x": "it's"})
