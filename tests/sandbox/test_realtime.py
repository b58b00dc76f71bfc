"""Realtime, transcription, translation, live and responses sockets: their events, by OpenAI's description."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from sandbox.media import tones
from tests.support.openapi import assert_valid
from tests.support.sandbox_process import KEY, SandboxProcess

REALTIME = "/realtime?model=gpt-realtime"
SECONDS = 10
SILENCE = base64.b64encode(bytes(48 * 600)).decode()
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def without_nulls(node: Any) -> Any:
    """The event as the description has it: OpenAI's own examples send null where its schemas want nothing at all."""
    if isinstance(node, list):
        return [without_nulls(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {name: without_nulls(value) for name, value in node.items() if value is not None}


class Talk:
    """A socket to the sandbox; every event that comes is checked against the description `schema`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, schema: str) -> None:
        self.socket = socket
        self.schema = schema

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send_str(json.dumps({"type": kind, **fields}))

    async def event(self) -> dict[str, Any]:
        message = await self.socket.receive(SECONDS)
        assert message.type is aiohttp.WSMsgType.TEXT, (message, self.socket.close_code)
        event: dict[str, Any] = json.loads(message.data)
        if self.schema:
            told = event if self.schema == "ResponsesServerEvent" else without_nulls(event)
            assert_valid(self.schema, told)
        return event

    async def until(self, kind: str) -> list[dict[str, Any]]:
        events = [await self.event()]
        while events[-1]["type"] != kind:
            events.append(await self.event())
        return events

    async def say(self, text: str, **response: Any) -> list[dict[str, Any]]:
        content = [{"type": "input_text", "text": text}]
        await self.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        await self.send("response.create", **({"response": response} if response else {}))
        return await self.until("response.done")


@asynccontextmanager
async def talk(
    sandbox: SandboxProcess, path: str = REALTIME, schema: str = "RealtimeServerEvent"
) -> AsyncIterator[Talk]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(sandbox.url + path, headers={"authorization": f"Bearer {KEY}"}) as socket,
    ):
        yield Talk(socket, schema)


def types(events: list[dict[str, Any]]) -> list[str]:
    found: list[str] = []
    for event in events:
        if found[-1:] != [event["type"]]:
            found.append(event["type"])
    return found


async def test_a_written_response(sandbox: SandboxProcess) -> None:
    async with talk(sandbox) as session:
        await session.event()
        await session.send("session.update", session={"type": "realtime", "output_modalities": ["text"]})
        events = await session.say("Count from 1 to 5.")
    assert types(events)[4:] == [
        "rate_limits.updated",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    usage = events[-1]["response"]["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["output_token_details"]["audio_tokens"] == 0


async def test_a_spoken_response_and_what_is_cached_of_it(sandbox: SandboxProcess) -> None:
    async with talk(sandbox) as session:
        await session.send("session.update", session={"type": "realtime", "instructions": "Be brief. " * 60})
        await session.say("Reply with exactly: good morning")
        events = await session.say("Reply with exactly: good night")
    sound = b"".join(base64.b64decode(event["delta"]) for event in events if event["type"].endswith("audio.delta"))
    assert tones.hidden_text(sound) == "good night"
    done = events[-1]["response"]
    assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": "good night"}]
    assert done["usage"]["output_token_details"]["audio_tokens"] == len(sound) * 20 // 48000
    assert done["usage"]["input_token_details"]["cached_tokens"] >= 128


async def test_turns_are_heard(sandbox: SandboxProcess) -> None:
    async with talk(sandbox) as session:
        await session.send(
            "session.update",
            session={"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}},
        )
        for piece in tones.pcm("Reply with exactly: yes"):
            await session.send("input_audio_buffer.append", audio=base64.b64encode(piece).decode())
        await session.send("input_audio_buffer.append", audio=SILENCE)
        events = await session.until("response.done")
    seen = types(events)
    order = ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "input_audio_buffer.committed"]
    assert [seen.index(kind) for kind in order] == sorted(seen.index(kind) for kind in order)
    transcribed = next(event for event in events if event["type"].endswith("transcription.completed"))
    assert transcribed["transcript"] == "Reply with exactly: yes"
    assert transcribed["usage"]["type"] == "duration"


async def test_a_function_call(sandbox: SandboxProcess) -> None:
    async with talk(sandbox) as session:
        events = await session.say("What's the weather in Paris?", tools=[WEATHER], output_modalities=["text"])
    done = next(event for event in events if event["type"] == "response.function_call_arguments.done")
    assert json.loads(done["arguments"]) == {"city": "Paris"}
    assert events[-1]["response"]["output"][0]["call_id"] == done["call_id"]


async def test_speech_interrupts_a_response(sandbox: SandboxProcess) -> None:
    async with talk(sandbox) as session:
        await session.send("session.update", session={"type": "realtime", "output_modalities": ["text"]})
        content = [{"type": "input_text", "text": "[[sandbox: tokens=500 token-delay=20]]"}]
        await session.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        await session.send("response.create")
        await session.until("response.output_text.delta")
        piece = next(iter(tones.pcm("stop")))
        await session.send("input_audio_buffer.append", audio=base64.b64encode(piece).decode())
        done = (await session.until("response.done"))[-1]["response"]
    assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"type": "nothing"}, "invalid_value"),
        ({"type": "conversation.item.create"}, "missing_required_parameter"),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty"),
        ({"type": "input_audio_buffer.append", "audio": "?"}, "invalid_value"),
        ({"type": "response.cancel"}, "response_cancel_not_active"),
        ({"type": "conversation.item.delete", "item_id": "item_0"}, "item_retrieve_invalid_item_id"),
        ({"type": "session.update", "session": {"model": "gpt-realtime-mini"}}, "cannot_update_model"),
        ({"type": "session.update", "session": {"nonsense": 1}}, "unknown_parameter"),
    ],
)
async def test_faulty_events(sandbox: SandboxProcess, event: dict[str, Any], code: str) -> None:
    async with talk(sandbox) as session:
        await session.event()
        await session.socket.send_str(json.dumps({**event, "event_id": "mine"}))
        answer = await session.event()
    assert (answer["type"], answer["error"]["code"], answer["error"]["event_id"]) == ("error", code, "mine")


async def test_a_cut_amid_a_response(sandbox: SandboxProcess) -> None:
    async with talk(sandbox, f"{REALTIME}&x-sandbox=cut-after%3D3") as session:
        with pytest.raises(AssertionError, match="1006"):
            await session.say("Count from 1 to 5.")


async def test_a_translation(sandbox: SandboxProcess) -> None:
    path = "/realtime/translations?model=gpt-realtime-translate"
    async with talk(sandbox, path, "RealtimeTranslationServerEvent") as session:
        for piece in tones.pcm("hello"):
            await session.send("session.input_audio_buffer.append", audio=base64.b64encode(piece).decode())
        await session.send("session.close")
        events = await session.until("session.closed")
        assert (await session.socket.receive(SECONDS)).data == 1000
    assert "".join(event["delta"] for event in events if event["type"].endswith("transcript.delta")) == "hello"


async def test_responses(sandbox: SandboxProcess) -> None:
    async with talk(sandbox, "/responses", "ResponsesServerEvent") as session:
        await session.send("response.create", model="gpt-4o-mini", input="Count from 1 to 5.", stream_id="a")
        events = await session.until("response.completed")
        assert {event["stream_id"] for event in events} == {"a"}
        await session.send(
            "response.create", model="gpt-4o-mini", input="hi", previous_response_id=events[0]["response"]["id"]
        )
        await session.until("response.completed")


async def test_a_live_session(sandbox: SandboxProcess) -> None:
    async with talk(sandbox, "/live/sessions", "") as session:
        await session.send("response.create")
        assert (await session.event())["error"]["code"] == "session_not_started"
        await session.send("session.start", session={"model": "gpt-live-1"})
        assert (await session.event())["session"]["status"] == "active"
        for piece in tones.pcm("hello"):
            await session.send("session.input_audio.append", audio=base64.b64encode(piece).decode())
        await session.send("session.close")
        closed = (await session.until("session.closed"))[-1]
    assert closed["usage"]["seconds"] == pytest.approx(0.4)
