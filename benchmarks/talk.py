"""What is said over a realtime socket: 20 ms of audio in an event each way, in OpenAI's shapes."""

import base64
import json

# 16 bits at 24 kHz: 20 ms are 960 bytes, and a client that speaks sends fifty events a second.
SOUND = base64.b64encode(bytes(range(240)) * 4).decode()
FRAME = json.dumps({"type": "input_audio_buffer.append", "audio": SOUND})
CREATED = json.dumps(
    {
        "type": "session.created",
        "event_id": "event_benchmark",
        "session": {
            "type": "realtime",
            "object": "realtime.session",
            "id": "sess_benchmark",
            "model": "gpt-realtime",
            "output_modalities": ["audio"],
            "instructions": "You are a helpful assistant who answers briefly.",
            "tools": [],
            "tool_choice": "auto",
        },
    }
)
_ANSWER = json.dumps(
    {
        "type": "response.output_audio.delta",
        "event_id": "@",
        "response_id": "resp_benchmark",
        "item_id": "item_benchmark",
        "output_index": 0,
        "content_index": 0,
        "delta": SOUND,
    }
).split("@")


def is_sound(message: str) -> bool:
    """Whether a client's event brought the whole audio, however its JSON is spaced."""
    return SOUND in message


def is_created(message: str) -> bool:
    """Whether a server's event is the greeting."""
    return '"session.created"' in message


def answer(number: int) -> str:
    """Return the server's event for the frame ``number``."""
    return f"event_{number}".join(_ANSWER)


def is_answer(message: str, number: int) -> bool:
    """Whether an event is the whole answer to the frame ``number``, however its JSON is spaced."""
    return f'"event_{number}"' in message and SOUND in message
