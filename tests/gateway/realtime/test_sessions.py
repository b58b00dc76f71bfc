"""Sessions as the guides show them, through the customer's SDK, under uvicorn and under daphne."""

import asyncio
import base64
from typing import Any

from openai import AsyncAzureOpenAI, AsyncOpenAI

from sandbox.media import tones
from tests.support.fixtures import ACCOUNT
from tests.support.installation import Gateway
from tests.support.sandbox_process import SandboxProcess
from tests.support.talk import MODEL, client, events_until, say, sound_pieces, text_session

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def kinds(events: list[Any]) -> list[str]:
    """The events' types, runs of one type as one."""
    found: list[str] = []
    for event in events:
        if not found or found[-1] != event.type:
            found.append(event.type)
    return found


async def test_the_guides_example(server: Gateway, voice_token: str) -> None:
    said = ""
    async with client(server, voice_token).realtime.connect(model=MODEL) as connection:
        await text_session(connection)
        await connection.conversation.item.create(
            item={
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "Reply with exactly: hello"}],
            }
        )
        await connection.response.create()
        async for event in connection:
            if event.type == "response.output_text.delta":
                said += event.delta
            elif event.type == "response.done":
                break
    assert said.lower() == "hello"


async def test_the_account_in_the_base_url(server: Gateway, voice_token: str) -> None:
    for base in (f"/v1/accounts/{ACCOUNT}", f"/api/llm/accounts/{ACCOUNT}/v1"):
        address = f"ws://127.0.0.1:{server.port}{base}"
        sdk = AsyncOpenAI(websocket_base_url=address, api_key=voice_token)
        async with sdk, sdk.realtime.connect(model=MODEL) as connection:
            assert (await events_until(connection, "session.created"))[0].session.model == MODEL


async def test_azures_client(server: Gateway, voice_token: str, realtime_upstream: SandboxProcess) -> None:
    for base in ("/openai", "/openai/v1"):
        realtime_upstream.clear()
        azure = AsyncAzureOpenAI(
            azure_endpoint=server.origin,
            websocket_base_url=f"ws://127.0.0.1:{server.port}{base}",
            api_key=voice_token,
            api_version="2025-04-01-preview",
        )
        async with azure, azure.realtime.connect(model=f"{ACCOUNT}/voice") as connection:
            assert (await events_until(connection, "session.created"))[0].session.model == "gpt-realtime"
        assert realtime_upstream.requests("/v1/realtime")[0]["query"] == "model=gpt-realtime"


async def test_a_spoken_conversation(server: Gateway, voice_token: str) -> None:
    async with client(server, voice_token).realtime.connect(model=MODEL) as connection:
        await connection.session.update(
            session={
                "type": "realtime",
                "output_modalities": ["audio"],
                "audio": {
                    "input": {
                        "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
                        "transcription": {"model": "gpt-4o-mini-transcribe"},
                    },
                    "output": {"voice": "marin"},
                },
            }
        )
        await events_until(connection, "session.updated")
        for piece in sound_pieces("Reply with exactly: good morning"):
            await connection.input_audio_buffer.append(audio=piece)
        events = await events_until(connection, "response.done")

    heard = [event.type for event in events]
    assert heard[:3] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
    ]
    transcripts = [event.transcript for event in events if event.type.endswith("transcription.completed")]
    assert transcripts == ["Reply with exactly: good morning"]
    sound = b"".join(base64.b64decode(event.delta) for event in events if event.type == "response.output_audio.delta")
    assert tones.hidden_text(sound) == "good morning"
    usage = events[-1].response.usage
    assert usage.input_token_details.audio_tokens > 0
    assert usage.output_token_details.audio_tokens > 0


async def test_a_function_call_and_its_answer(voices: Gateway, voice_token: str) -> None:
    async with client(voices, voice_token).realtime.connect(model=MODEL) as connection:
        await text_session(connection)
        await connection.session.update(session={"type": "realtime", "tools": [WEATHER]})
        await say(connection, "What's the weather in Paris?")
        events = await events_until(connection, "response.done")
        done = next(event for event in events if event.type == "response.function_call_arguments.done")
        assert "Paris" in done.arguments
        await connection.conversation.item.create(
            item={"type": "function_call_output", "call_id": done.call_id, "output": '{"sky": "clear"}'}
        )
        await connection.response.create()
        events = await events_until(connection, "response.done")
    assert "clear" in "".join(event.delta for event in events if event.type == "response.output_text.delta")


async def test_the_order_of_a_responses_events(voices: Gateway, voice_token: str) -> None:
    async with client(voices, voice_token).realtime.connect(model=MODEL) as connection:
        await text_session(connection)
        await say(connection, "Count from 1 to 5.")
        events = await events_until(connection, "response.done")
    assert kinds(events) == [
        "session.created",
        "session.updated",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
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


async def test_an_interruption(voices: Gateway, voice_token: str) -> None:
    async with client(voices, voice_token).realtime.connect(model=MODEL) as connection:
        await text_session(connection)
        await say(connection, "[[sandbox: tokens=500 token-delay=20]]")
        await events_until(connection, "response.output_text.delta")
        await connection.response.cancel()
        done = (await events_until(connection, "response.done"))[-1].response
    assert (done.status, done.status_details.reason) == ("cancelled", "client_cancelled")


async def test_the_upstreams_error_event_comes_through(voices: Gateway, voice_token: str) -> None:
    async with client(voices, voice_token).realtime.connect(model=MODEL) as connection:
        await connection.input_audio_buffer.commit()
        error = (await events_until(connection, "error"))[-1].error
        assert error.code == "input_audio_buffer_commit_empty"
        await connection.response.cancel()
        assert (await events_until(connection, "error"))[-1].error.code == "response_cancel_not_active"


async def test_a_transcription_session(server: Gateway, voice_token: str) -> None:
    query = {"intent": "transcription"}
    async with client(server, voice_token).realtime.connect(extra_query=query) as connection:
        await connection.session.update(
            session={
                "type": "transcription",
                "audio": {"input": {"transcription": {"model": "openai-main/gpt-4o-mini-transcribe"}}},
            }
        )
        for piece in sound_pieces("take a letter"):
            await connection.input_audio_buffer.append(audio=piece)
        events = await events_until(connection, "conversation.item.input_audio_transcription.completed")
    assert events[-1].transcript == "take a letter"
    updated = next(event for event in events if event.type == "session.updated")
    assert updated.session.audio.input.transcription.model == "gpt-4o-mini-transcribe"


async def test_a_translation_session(server: Gateway, voice_token: str) -> None:
    translations = client(server, voice_token).realtime.translations
    async with translations.connect(model="gpt-realtime-translate") as connection:
        await connection.session.update(session={"audio": {"output": {"language": "de"}}})
        for piece in tones.pcm("guten Tag"):
            await connection.session.input_audio_buffer.append(audio=base64.b64encode(piece).decode())
        await connection.session.close()
        events = await events_until(connection, "session.closed")
    assert events[0].session.type == "translation"
    assert "".join(event.delta for event in events if event.type.endswith("output_transcript.delta")) == "guten Tag"


async def test_a_live_session(server: Gateway, voice_token: str) -> None:
    async with client(server, voice_token).live.connect() as connection:
        await connection.session.start(
            session={
                "model": "openai-main/gpt-live-1",
                "delegation": {"type": "responses", "responses": {"model": "gpt-4o-mini"}},
            }
        )
        started = (await events_until(connection, "session.started"))[-1]
        assert started.session.model == "gpt-live-1"
        for piece in sound_pieces("hello there"):
            await connection.session.input_audio.append(audio=piece)
        await connection.response.create()
        await connection.session.close()
        events = await events_until(connection, "session.closed")
    assert "".join(event.delta for event in events if event.type == "session.input_transcript.delta") == "hello there"
    assert [event.event["type"] for event in events if event.type == "response.event"] == [
        "response.created",
        "response.completed",
    ]
    assert events[-1].usage.seconds > 0.5


async def test_sessions_side_by_side(voices: Gateway, voice_token: str) -> None:
    async def one(number: int) -> str:
        patient: Any = {"open_timeout": 60}  # twenty handshakes at once, on a machine that may be busy
        sdk = client(voices, voice_token)
        async with sdk.realtime.connect(model=MODEL, websocket_connection_options=patient) as connection:
            await text_session(connection)
            await say(connection, f"Reply with exactly: {number}")
            events = await events_until(connection, "response.done")
            return "".join(event.delta for event in events if event.type == "response.output_text.delta")

    assert await asyncio.gather(*map(one, range(20))) == [str(number) for number in range(20)]
