"""A large upload: an audio file to be transcribed, as the OpenAI SDK for Python sends it, and its answer."""

import json
import struct

from benchmarks.payloads import CHAT_TEXT, MEGABYTE, PROMPT_TOKENS

BYTES = 20 * MEGABYTE
BOUNDARY = "4a1d8f0c27b94e5bb6f3c2d9e8a70516"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
ANSWER = json.dumps(
    {
        "text": CHAT_TEXT,
        "usage": {
            "type": "tokens",
            "input_tokens": PROMPT_TOKENS,
            "input_token_details": {"text_tokens": 0, "audio_tokens": PROMPT_TOKENS},
            "output_tokens": 41,
            "total_tokens": PROMPT_TOKENS + 41,
        },
    }
)


def sound(size: int) -> bytes:
    """Return a WAV file of ``size`` bytes: 16 bits, one channel, 24 kHz."""
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", size - 8, b"WAVE", b"fmt ", 16, 1, 1, 24_000, 48_000, 2, 16, b"data", size - 44
    )
    return head + (bytes(range(256)) * (size // 256 + 1))[: size - len(head)]


def body(model: str, size: int = BYTES) -> bytes:
    """Return the form: the model before the file, as the SDK places them."""
    return b"".join(
        (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="model"\r\n\r\n{model}\r\n'.encode(),
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="speech.wav"\r\n'.encode(),
            b"Content-Type: audio/wav\r\n\r\n",
            sound(size),
            f"\r\n--{BOUNDARY}--\r\n".encode(),
        )
    )
