"""OpenAI's Responses API."""

from providers.dialects.chat.errors import read_error, write_error
from providers.dialects.responses.answer import read_answer, write_answer
from providers.dialects.responses.reading import read_request
from providers.dialects.responses.stream import StreamReader
from providers.dialects.responses.stream_writer import StreamWriter
from providers.dialects.responses.writing import write_request

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
