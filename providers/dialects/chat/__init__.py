"""OpenAI's chat completions."""

from providers.dialects.chat.answer import read_answer, write_answer
from providers.dialects.chat.errors import read_error, write_error
from providers.dialects.chat.reading import read_request
from providers.dialects.chat.stream import StreamReader, StreamWriter
from providers.dialects.chat.writing import write_request

__all__ = [
    "StreamReader",
    "StreamWriter",
    "read_answer",
    "read_error",
    "read_request",
    "write_answer",
    "write_error",
    "write_request",
]
