"""Sessions as the guides show them, through the customer's SDK, under uvicorn and under daphne."""

import base64

from sandbox.media import tones
from tests.gateway.server import Gateway
from tests.realtime.talk import MODEL, client, events_until, say, sound_pieces, text_session


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
