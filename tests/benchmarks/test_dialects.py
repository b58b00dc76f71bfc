"""The shapes that the upstreams speak beside chat: Responses, uploads and sockets."""

import contextlib
import email.parser
import email.policy
import json
import os
import sys
import wave
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from aiohttp import web
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from benchmarks import calls, payloads, processes, responses, sockets, streams, talk, uploads
from benchmarks.endpoint import REALTIME, Endpoint
from benchmarks.errors import VoidRun
from benchmarks.upstream import ROOT

EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
ORDER = [
    *("response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"),
    *["response.output_text.delta"] * 3,
    *("response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed"),
]


def whole_stream(deltas: int = 3) -> bytes:
    events = responses.Events("0123abcd")
    return events.start() + b"".join(events.chunk(number) for number in range(deltas)) + events.end()


def test_a_streamed_response_has_openais_events_in_their_order() -> None:
    lines = [block.split("\n") for block in whole_stream().decode().removesuffix("\n\n").split("\n\n")]
    events = [EVENTS.validate_json(data.removeprefix("data: ")) for _, data in lines]
    assert [head.removeprefix("event: ") for head, _ in lines] == [event.type for event in events] == ORDER
    assert [event.sequence_number for event in events] == list(range(len(ORDER)))
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert events[-1].response.output_text == events[7].text == said
    assert events[-1].response.usage.input_tokens == payloads.PROMPT_TOKENS
    assert len(events) == 3 + responses.OTHER_EVENTS


def test_a_whole_response_is_openais() -> None:
    answer = Response.model_validate_json(responses.ANSWER)
    assert (answer.status, answer.output_text) == ("completed", payloads.CHAT_TEXT)


@pytest.mark.parametrize("size", [*range(1, 60), len(whole_stream())])
def test_deltas_are_counted_however_the_bytes_are_cut(size: int) -> None:
    whole = whole_stream()
    counter = streams.Counter(streams.RESPONSE_STREAM)
    for start in range(0, len(whole), size):
        assert not counter.done
        counter.feed(whole[start : start + size])
    assert (counter.chunks, counter.done) == (3, True)


@pytest.mark.parametrize("cut", [1, 700])
def test_a_response_cut_before_or_in_its_last_event_is_not_done(cut: int) -> None:
    counter = streams.Counter(streams.RESPONSE_STREAM)
    counter.feed(whole_stream()[:-cut])
    assert (counter.chunks, counter.done) == (3, False)


def test_an_upload_is_a_form_with_the_model_before_a_sound_file() -> None:
    body = uploads.body("m", size=9_998)
    form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
        f"Content-Type: {uploads.CONTENT_TYPE}\r\n\r\n".encode() + body
    )
    model, file = form.iter_parts()
    assert (model.get_param("name", header="content-disposition"), model.get_content()) == ("model", "m")
    sound = file.get_payload(decode=True)
    assert isinstance(sound, bytes)
    assert len(sound) == 9_998
    with wave.open(BytesIO(sound)) as track:
        assert (track.getframerate(), track.getnframes()) == (24_000, (9_998 - 44) // 2)
    assert uploads.BYTES <= len(uploads.body("m")) < uploads.BYTES + 1000


@pytest.fixture
def server() -> Iterator[Callable[[int, str], Endpoint]]:
    """Return a function that returns what a real server answers with."""
    answers: list[tuple[int, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            status, text = answers[-1]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    with HTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = Thread(target=found.serve_forever, args=(0.02,))
        thread.start()

        def answering(status: int, text: str) -> Endpoint:
            answers.append((status, text))
            return Endpoint(f"http://127.0.0.1:{found.server_port}/x", {}, "m")

        yield answering
        found.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (calls.PLAIN_CHAT, payloads.CHAT_ANSWER),
        (calls.PLAIN_RESPONSE, responses.ANSWER),
        (calls.UPLOAD, uploads.ANSWER),
    ],
)
def test_a_call_counts_when_the_upstreams_text_came_back(
    call: calls.Call, answer: str, server: Callable[[int, str], Endpoint]
) -> None:
    calls.probe(call, server(200, answer))
    with pytest.raises(VoidRun, match="changed the answer to 'no'"):
        calls.probe(call, server(200, answer.replace(payloads.CHAT_TEXT, "no")))
    with pytest.raises(VoidRun, match="answered 404: b'no such path'"):
        calls.probe(call, server(404, "no such path"))
    with pytest.raises(VoidRun, match="gave no whole answer: KeyError"):
        calls.probe(call, server(200, "{}"))


def test_sockets_are_opened_and_every_frame_is_answered_in_order(tmp_path: Path) -> None:
    port, core = processes.free_port(), min(os.sched_getaffinity(0))
    argv = [sys.executable, "-m", "benchmarks.talker", str(port)]

    async def run() -> tuple[list[float], int]:
        async with sockets.client(Endpoint(f"http://127.0.0.1:{port}/v1{REALTIME}", {}, "m")) as client:
            opened = await client.open(5, 20)
            took = await sockets.say(opened[:2], 100, 0.2) + await sockets.say(opened[:2], 100, 0.2)
            return took, sum(one.said for one in opened)

    with processes.running("talker", argv, cores=[core], home=tmp_path, env={}, cwd=ROOT) as child:
        processes.wait_ready(child, f"http://127.0.0.1:{port}/healthz", seconds=20)
        took, said = sockets.run(run())
    assert 4 <= len(took) == said <= 90
    assert all(0 < each < 5_000 for each in took)


@contextlib.asynccontextmanager
async def _serve(handle: Callable[[web.WebSocketResponse], Any]) -> AsyncIterator[Endpoint]:
    async def session(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await handle(socket)
        return socket

    application = web.Application()
    application.router.add_get("/x", session)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield Endpoint(f"http://127.0.0.1:{runner.addresses[0][1]}/x", {}, "m")
    await runner.cleanup()


async def _nothing(socket: web.WebSocketResponse) -> None:
    await socket.close()


async def _no_greeting(socket: web.WebSocketResponse) -> None:
    await socket.send_str(talk.answer(0))


async def _a_lost_frame(socket: web.WebSocketResponse) -> None:
    await socket.send_str(talk.CREATED)
    for number in (0, 2):
        await socket.receive()
        await socket.send_str(talk.answer(number))


async def _a_changed_sound(socket: web.WebSocketResponse) -> None:
    await socket.send_str(talk.CREATED)
    await socket.receive()
    await socket.send_str(talk.answer(0).replace(talk.SOUND, talk.SOUND[1:]))


async def _an_early_end(socket: web.WebSocketResponse) -> None:
    await socket.send_str(talk.CREATED)
    await socket.receive()


@pytest.mark.parametrize(
    ("upstream", "why"),
    [
        (_nothing, "a socket ended after 0 frames"),
        (_no_greeting, "a socket began with"),
        (_a_lost_frame, "frame 1 of a socket was answered with"),
        (_a_changed_sound, "frame 0 of a socket was answered with"),
        (_an_early_end, "a socket ended after 0 frames"),
    ],
)
async def test_a_socket_that_loses_anything_voids_the_run(upstream: Any, why: str) -> None:
    async with _serve(upstream) as endpoint:
        with pytest.raises(VoidRun, match=why):
            async with sockets.client(endpoint) as client:
                await sockets.say(await client.open(1, 20), 100, 5)


async def test_a_socket_that_does_not_open_voids_the_run() -> None:
    async with _serve(_nothing) as endpoint:
        gone = Endpoint(endpoint.url + "/not-there", {}, "m")
        with pytest.raises(VoidRun, match="not all of 2 sockets opened in 20 s: WSServerHandshakeError: 404"):
            async with sockets.client(gone) as client:
                await client.open(2, 20)


async def test_sockets_that_open_too_slowly_void_the_run() -> None:
    async def silent(socket: web.WebSocketResponse) -> None:
        await socket.receive()

    async with _serve(silent) as endpoint:
        with pytest.raises(VoidRun, match=r"not all of 1 sockets opened in 0\.2 s: TimeoutError"):
            async with sockets.client(endpoint) as client:
                await client.open(1, 0.2)


def test_an_event_is_known_however_its_json_is_spaced() -> None:
    tight = json.dumps(json.loads(talk.answer(7)), separators=(",", ":"))
    assert talk.is_answer(tight, 7)
    assert not talk.is_answer(tight, 8)
