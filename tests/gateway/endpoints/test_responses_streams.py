"""Streams of responses: every form of the SDK's, every event as the upstream sent it, taken up again, cut short."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

from tests.support.calls import stream_error
from tests.support.fixtures import CHAT
from tests.support.installation import Gateway
from tests.support.manifests import provider
from tests.support.response_calls import COUNT, SUM, Person
from tests.support.sandbox_process import SandboxProcess
from tests.support.scripted import ScriptedUpstream
from tests.support.servers import wait_until


def test_streams_of_every_form(sdk: OpenAI) -> None:
    plain = list(sdk.responses.create(model=CHAT, input=COUNT, stream=True))
    raw = sdk.responses.with_raw_response.create(model=CHAT, input=COUNT, stream=True)
    with sdk.responses.with_streaming_response.create(model=CHAT, input=COUNT, stream=True) as response:
        lines = [line for line in response.iter_lines() if line.startswith("data: ")]
    with sdk.responses.stream(model=CHAT, input=COUNT) as manager:
        helped = [event.type for event in manager]
        final = manager.get_final_response()

    assert [event.sequence_number for event in plain] == list(range(len(plain)))
    assert "".join(event.delta for event in plain if event.type == "response.output_text.delta") == SUM
    assert raw.headers["content-type"].startswith("text/event-stream")
    assert [event.type for event in raw.parse()] == [event.type for event in plain] == helped
    assert [json.loads(line[6:])["type"] for line in lines] == helped
    assert final.output_text == SUM


async def test_streams_async(async_sdk: AsyncOpenAI) -> None:
    stream = await async_sdk.responses.create(model=CHAT, input=COUNT, stream=True)
    kinds = [event.type async for event in stream]
    async with async_sdk.responses.stream(model=CHAT, input="Jane is 54 years old.", text_format=Person) as manager:
        final = await manager.get_final_response()
    assert kinds[-1] == "response.completed"
    assert isinstance(final.output_parsed, Person)


def test_a_stream_carries_the_upstreams_own_events(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    body = {"model": CHAT, "input": "Search the web, then draw a picture.", "stream": True}
    body["tools"] = [{"type": "web_search"}, {"type": "image_generation", "partial_images": 2}]
    plain = upstream.post("/responses", {**body, "model": "gpt-4o-mini"}).text
    governed = gateway.post(token, "/v1/responses", body).text

    def shape(stream: str) -> list[tuple[str, list[str]]]:
        return [
            (json.loads(line[6:])["type"], sorted(json.loads(line[6:])))
            for line in stream.splitlines()
            if line[:6] == "data: "
        ]

    assert shape(governed) == shape(plain)
    assert "response.image_generation_call.partial_image" in governed
    assert '"provider"' not in governed


def test_a_background_stream_is_taken_up_again(sdk: OpenAI) -> None:
    stream = sdk.responses.create(
        model=CHAT, input=f"{COUNT} [[sandbox: queued=1 working=200]]", background=True, stream=True
    )
    events = list(stream)
    first: Any = events[0]
    again = list(sdk.responses.retrieve(first.response.id, stream=True, starting_after=events[3].sequence_number))
    with sdk.responses.stream(response_id=first.response.id) as manager:
        final = manager.get_final_response()

    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in again] == [event.type for event in events[4:]]
    assert final.output_text == SUM


SCRIPT = (
    b": hello\r\n\r\nevent: response.created\r\ndata: "
    b'{"type":"response.created","response":{"id":"resp_script","object":"response","output":[]},'
    b'"sequence_number":0}\r\n\r\n'
    b'event: response.brand_new\ndata: {"type": "response.brand_new",  "x": [1, 2.0, 3e5], "x": 1}\n\n'
    b"id: 7\nretry: 10\nevent: response.output_text.delta\ndata: "
    b'{"type":"response.output_text.delta","delta":"\\u00e4"}\n\n'
    b"data: not JSON at all\n\n"
)
SCRIPT_END = (
    b'event: response.completed\ndata: {"type":"response.completed","response":{"id":"resp_script","object":"response",'
    b'"output":[],"usage":{"input_tokens":10,"output_tokens":20,"total_tokens":30}}}\n\n'
)
EVENTS_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


@pytest.fixture(scope="module")
def scripted(running_gateway: Gateway) -> Iterator[tuple[ScriptedUpstream, str]]:
    """An upstream that says what a test gives it, and the token of its only user."""
    with ScriptedUpstream() as upstream:
        url = f"{upstream.origin}/v1"
        model = {"name": "m", "model_types": ["responses"]}
        manifest = provider("scripted-responses", url, models=[model], access=["user:script@example.com"])
        running_gateway.installation.do("user", "script@example.com")
        running_gateway.installation.apply(manifest)
        token = running_gateway.token("script", user="script@example.com")
        path = "/v1/models/scripted-responses/m"
        wait_until(lambda: running_gateway.get(token, path).status_code == 200)
        yield upstream, token


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_events_go_on_as_they_come(gateway: Gateway, scripted: tuple[ScriptedUpstream, str], size: int) -> None:
    upstream, token = scripted
    told = SCRIPT + SCRIPT_END
    upstream.answer(EVENTS_HEAD, *(told[start : start + size] for start in range(0, len(told), size)))
    got = gateway.post(token, "/v1/responses", {"model": "scripted-responses/m", "input": "hi", "stream": True})
    assert got.content == told
    row = gateway.installation.records(1, request_id=got.headers["x-request-id"])[0]
    assert (row["input_tokens"], row["output_tokens"], row["error_class"]) == (10, 20, "")


def test_a_stream_that_ends_early_is_said_to_be_broken(
    gateway: Gateway, scripted: tuple[ScriptedUpstream, str]
) -> None:
    upstream, token = scripted
    upstream.answer(EVENTS_HEAD, SCRIPT)
    got = gateway.post(token, "/v1/responses", {"model": "scripted-responses/m", "input": "hi", "stream": True})
    assert got.content.startswith(SCRIPT)
    assert stream_error(got.content)["error"]["code"] == "upstream_stream_truncated"
